"""From the frames of a message to an object."""
