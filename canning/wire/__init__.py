"""What stands around the pickle: the trailer, the signature, keys, the names of calls as data."""
