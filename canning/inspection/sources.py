"""Files of strangers, opened so that none of them can make us wait."""

from __future__ import annotations

import mmap as mapping
import os
import stat
from pathlib import Path

from ..errors import DeserializationError


def map_file(path: Path) -> memoryview:
    """Map a file; raises `DeserializationError` for what is empty, a folder, a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise DeserializationError("it is no regular file")
        if not found.st_size:
            raise DeserializationError("it is empty")
        return memoryview(mapping.mmap(handle, 0, access=mapping.ACCESS_READ))
    finally:
        os.close(handle)
