"""Code in messages: modules and functions by value, renamed code, stubs for missing code."""
