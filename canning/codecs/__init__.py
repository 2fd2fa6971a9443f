"""What may stand on the wire in the place of a frame: the interface, compression, what pays on a link."""
