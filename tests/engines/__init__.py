"""canning inside other engines, each of which runs for real, on loopback."""
