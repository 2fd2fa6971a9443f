"""The tests: a file for each module of the package, a harness that every type passes, golden frames."""
