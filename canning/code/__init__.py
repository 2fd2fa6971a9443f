"""Code that travels: modules and functions by value, names that moved, what stands for what is missing."""
