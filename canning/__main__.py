"""Make ``python -m canning`` the same as the command ``canning``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
