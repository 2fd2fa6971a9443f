"""Long runs of shared memory: ``python -m tests.soak messages`` and ``python -m tests.soak kills``."""
