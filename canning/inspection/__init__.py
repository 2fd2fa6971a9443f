"""Reports on the content of a message, and on how an object would be sent."""
