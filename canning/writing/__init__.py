"""From an object to the frames of a message."""
