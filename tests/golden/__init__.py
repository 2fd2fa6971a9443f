"""Golden frames: messages that a version wrote, which every later version must read."""
