"""The parts of a message around its pickle: trailer, signature, keys, the names of calls as data."""
