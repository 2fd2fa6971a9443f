"""Codecs for frames: the interface, compression, and the choice of a codec for a link."""
