"""Frames whose memory has not come yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from .buffers import flat

Layout = tuple[int, tuple[int, ...]] | None
StandIn = Callable[[int, int, tuple[int, ...], Any, Layout, bool], Any]
"""Makes a stand-in for an array: from the offset in its frame, the number of bytes, and the arguments of
`canning.types.arrays.view_array`."""


class Coming:
    """A frame, or a part of one, that has not come yet: readers can only make stand-ins for its arrays.

    It has no memory, so whatever else a header does with it fails.

    >>> part = Coming(80, lambda at, nbytes, shape, *rest: (at, nbytes, shape))[16:32]
    >>> len(part), part.array((2,), "f8")
    (16, (16, 16, (2,)))
    """

    __slots__ = ("_at", "_make", "_nbytes")
    readonly: Final = False

    def __init__(self, nbytes: int, make: StandIn, at: int = 0) -> None:
        self._nbytes = nbytes
        self._make = make
        self._at = at

    def __len__(self) -> int:
        return self._nbytes

    def __getitem__(self, part: slice) -> Coming:
        begin, end, _ = part.indices(self._nbytes)
        return Coming(end - begin, self._make, self._at + begin)

    def array(self, shape: Any, dtype: Any, layout: Any = None, readonly: bool = False) -> Any:
        """Make a stand-in for an array that views this memory."""
        return self._make(self._at, self._nbytes, shape, dtype, layout, readonly)

    def is_aligned(self, dtype: Any, layout: Layout) -> bool:
        """Tell whether an array that views it needs no copy; the frame itself will be aligned."""
        offset, strides = layout or (0, ())
        return not any(number % dtype.alignment for number in (self._at + offset, *strides))


def views(frames: Iterable[Any]) -> list[Any]:
    """View frames as flat bytes, except those that have not come."""
    return [frame if type(frame) is Coming else flat(frame) for frame in frames]
