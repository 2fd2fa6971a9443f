"""The error that says of a file why two readers may find different things in it."""


class Uneven(Exception):
    """Say why a file, or what stands in it, is not followed."""
