"""Write an object as the frames of a message."""
