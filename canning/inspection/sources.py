"""Files of strangers, opened so that none of them can make us wait; the error where one is not followed."""

from __future__ import annotations

import mmap as mapping
from pathlib import Path

from ..errors import DeserializationError
from ..files import open_regular


def map_file(path: Path) -> memoryview:
    """Map a file; raises `DeserializationError` for what is empty, a folder, a pipe or a device."""
    try:
        with open_regular(path) as file:
            return memoryview(mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ))
    except IsADirectoryError:
        raise DeserializationError("it is a folder") from None
    except ValueError:
        raise DeserializationError("it is empty") from None


class Uneven(Exception):
    """Say why a file, or what stands in it, is not followed."""
