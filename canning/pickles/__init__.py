"""Follow a pickle without running it: a machine for its opcodes, what it makes, and that as a tree."""
