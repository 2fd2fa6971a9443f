"""Read the frames of a message into an object."""
