"""Compress a frame if that is faster than sending it unchanged, judged by samples and the link's speed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import Final

from ..arguments import check_number
from ..errors import shortened
from .coding import Codec, check_codec
from .compression import WORTH, Lz4, Zstd

_SOONEST: Final = 0.0005
"""Seconds on the link below which frames are not compressed: sampling them would take over 2 % of that."""
_SHARE: Final = 0.01
"""Part of a message's time that sampling may take, twice."""
_GLANCE: Final = (8192, 64 * 1024)
"""Bytes of the first sample, from two places: as many as the first codec may read at 150 MB/s."""
_LOOK: Final = (16 * 1024, 512 * 1024)
"""Bytes of the second sample, from eight places, for each codec."""
_GLANCED: Final = 150e6
_GAIN: Final = 0.97
"""Part of the uncompressed time to which a codec must reduce it; samples are not exact."""
_UNITS: Final = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_RATE: Final = r"(?i)\s*([0-9.]+)\s*([kmgt]?)(bit|b)/s\s*"


_clock: Final = time.perf_counter if sys.platform == "win32" else time.thread_time
"""Samples are timed by the processor's clock: with the wall clock another program at work would make a codec
look slow. On Windows that clock ticks 64 times a second."""


Tried = tuple[float, float]
"""The result of compressing some pieces: seconds for a byte at both ends, and the compressed part."""


class Adaptive:
    """Choose the codec, or none, with which each frame arrives soonest over a link of a given speed.

    It compresses samples from two places of a frame first. If they shrink, it tries more samples with every
    codec, and estimates the time to compress, to send the smaller frame, and to decompress; it assumes that
    the reader's machine is as fast as this one. So incompressible data costs almost nothing. Readers need
    only the codecs.

    Args:
        link: speed of the link: ``"1Gbit/s"``, ``"120 MB/s"``, or bytes a second.
        codecs: the candidates; by default lz4 and zstd at level 1.

    >>> Adaptive("1Gbit/s")
    Adaptive(link='125 MB/s', codecs=['lz4', 'zstd'])
    """

    @shortened
    def __init__(self, link: str | float = "1Gbit/s", codecs: Sequence[Codec] = (Lz4(), Zstd())) -> None:
        self.link: float = link_speed(link)
        self.codecs: tuple[Codec, ...] = tuple(map(check_codec, codecs))
        for codec in self.codecs:
            try_codec(codec, bytes(_GLANCE[0]), 1)  # imports the codec's library, which must not be timed

    def __repr__(self) -> str:
        codecs = [codec.id for codec in self.codecs]
        return f"Adaptive(link='{self.link / 1e6:g} MB/s', codecs={codecs})"

    def choose(self, buffer: memoryview, *, itemsize: int) -> Codec | None:
        """Return the codec with which a frame arrives soonest; None if it should not be compressed."""
        whole = buffer.nbytes / self.link
        if whole < _SOONEST or not self.codecs:
            return None
        size = _within(whole * _SHARE * _GLANCED, _GLANCE)
        seconds, ratio = try_codec(self.codecs[0], sample_of(buffer, 2, size, itemsize), itemsize)
        if ratio > WORTH or seconds / 2 > 1 / self.link:  # half of it may be the calls
            return None
        expected = buffer.nbytes * (seconds + ratio / self.link)
        size = _within(expected * _SHARE / (seconds * len(self.codecs)), _LOOK)
        sample = sample_of(buffer, 8, size, itemsize)
        best, least = None, _GAIN / self.link
        for codec in self.codecs:
            seconds, ratio = try_codec(codec, sample, itemsize)
            if seconds + ratio / self.link < least:
                best, least = codec, seconds + ratio / self.link
        return best


def _within(size: float, bounds: tuple[int, int]) -> int:
    return int(min(max(size, bounds[0]), bounds[1]))


def link_speed(link: str | float) -> float:
    """Read the speed of a link, in bytes a second.

    >>> link_speed("100 Mbit/s"), link_speed("1.5 GB/s"), link_speed(1e6)
    (12500000.0, 1500000000.0, 1000000.0)
    """
    if isinstance(link, str):
        found = re.fullmatch(_RATE, link)
        if found is None:
            raise ValueError(f"link={link!r} is not a speed: write '1Gbit/s', '120 MB/s' or bytes a second")
        number, unit, what = found.groups()
        link = float(number) * _UNITS[unit.lower()] / (8 if what.lower() == "bit" else 1)
    check_number("link", link, "bytes a second")
    if not 0 < link < float("inf"):
        raise ValueError(f"link={link!r} is not a speed: it must be above 0")
    return link


def sample_of(buffer: memoryview, places: int, size: int, itemsize: int) -> bytes:
    """Join `size` bytes of a buffer, from places spread over it, in whole items."""
    size //= places
    size -= size % itemsize
    step = max(buffer.nbytes - size, 0) // places
    starts = [number * step + step // 2 for number in range(places)]
    return b"".join([buffer[start - start % itemsize :][:size] for start in starts])


def try_codec(codec: Codec, sample: bytes, itemsize: int) -> Tried:
    """Compress a sample and decompress it again; return the result."""
    start = _clock()
    made = codec.encode(memoryview(sample), itemsize=itemsize)
    if made is None:
        return _clock() - start, 1.0
    codec.decode(memoryview(made), len(sample), writable=False)
    return (_clock() - start) / len(sample), len(made) / len(sample)
