"""What may stand on the wire instead of a frame: the interface, compression, what pays on a link."""
