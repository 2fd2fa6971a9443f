"""What the writer's environment means for a reader, before anything of a message runs."""

from __future__ import annotations

import sys
import warnings
from typing import Final

import numpy as np

from .errors import VersionMismatch, VersionWarning

_HERE: Final = (*sys.version_info[:2], *map(int, np.__version__.split(".")[:2]))


def check_versions(stamp: bytes, on_mismatch: str) -> None:
    """Compare the stamp of a message that holds code with what is here.

    Code of another minor version of Python does not run: it raises `VersionMismatch`, or with ``"warn"``
    warns. Where numpy is of another major version, which code may do without, there is a warning.
    """
    if on_mismatch == "ignore":
        return
    there = tuple(stamp[:4])
    if there[:2] != _HERE[:2]:
        text = (
            f"this message holds functions as code of Python {there[0]}.{there[1]}, and this is Python "
            f"{_HERE[0]}.{_HERE[1]}, which cannot run that: send from Python {_HERE[0]}.{_HERE[1]}, or with "
            'by_value_as="source", or only functions that can be imported here'
        )
        if on_mismatch == "error":
            raise VersionMismatch(text)
        warnings.warn(text, VersionWarning, stacklevel=2)
    elif there[2] != _HERE[2]:
        text = f"this message holds code from beside numpy {there[2]}.{there[3]}; here is {np.__version__}"
        warnings.warn(text, VersionWarning, stacklevel=2)
