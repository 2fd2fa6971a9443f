"""Canned objects and their skeletons, the registry, and the types of other libraries."""
