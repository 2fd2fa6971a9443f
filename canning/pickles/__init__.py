"""Follow a pickle without running it: a machine for its opcodes, the nodes it builds, and a tree of them."""
