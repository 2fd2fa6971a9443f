"""Photos, and the board on which their viewers say when they have read them.

A photo brings its number and the time at which it was due in its first two words, and its number again in the
last one. A viewer sums all words, and only then looks at the clock. What it finds goes to the *board*, memory
that all processes have mapped: a row for each viewer, of the photos that it has read so far, and of the
latency of each. So the answers take no way that is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from .child import LIMIT

Array = np.ndarray[Any, np.dtype[Any]]

SHAPE: Final = (1080, 1920, 3)
"""Rows, columns and bytes of a pixel: 6.2 MB."""
NBYTES: Final = 1080 * 1920 * 3
DEPTH: Final = 4
"""Photos that a camera has memory for, and so the most that are on their way."""
MOST: Final = 4000
"""Photos of one film."""
READY: Final = -1
CHANGED: Final = -1
"""Stands in the board for the latency of a photo that came back changed."""


def make_board(file: Path, viewers: int) -> Array:
    """Make a board in a new file."""
    file.write_bytes(bytes(8 * viewers * (1 + MOST)))
    return read_board(file)


def read_board(file: Path) -> Array:
    """Map a board: for each viewer the number of photos read, and the nanoseconds that each took."""
    return np.asarray(np.memmap(file, np.int64, "r+")).reshape(-1, 1 + MOST)


def stamp(photo: Array, number: int, due: int) -> None:
    """Write into a photo which one it is, and when it was due."""
    words = photo.reshape(-1).view(np.int64)
    words[:2] = number, due
    words[-1] = number


def look(photo: Array, row: Array) -> None:
    """Read all of a photo, and put down how long it was on its way."""
    words = photo.reshape(-1).view(np.int64)
    words.sum()
    latency = time.monotonic_ns() - int(words[1])
    number = int(words[0])
    row[1 + number] = latency if words[-1] == number else CHANGED
    row[0] += 1


def watch(photos: Iterable[Array], file: Path, index: int) -> None:
    """Be a viewer: look at all photos that come."""
    row = read_board(file)[index]
    row[0] = READY
    for photo in photos:
        look(photo, row)


def wait_for(board: Array, count: int, seconds: float = LIMIT) -> None:
    """Wait until each viewer has read so many photos.

    Raises:
        TimeoutError: one has not in time, perhaps because it ended.
    """
    end = time.monotonic() + seconds
    while (board[:, 0] != count).any():
        if time.monotonic() > end:
            raise TimeoutError(f"the viewers have read {board[:, 0].tolist()} of {count} photos")
        time.sleep(0.001)
