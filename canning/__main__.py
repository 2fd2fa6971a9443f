"""Make ``python -m canning`` run the command ``canning``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
