"""Benchmarks of small rows, and such that need root; the others are `python -m canning bench`."""
