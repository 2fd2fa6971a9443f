"""Benchmarks that need root; the others are `python -m canning bench`."""
