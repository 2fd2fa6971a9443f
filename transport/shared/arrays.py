"""Arrays in an arena."""

from __future__ import annotations

import abc
import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeVar, overload

import numpy as np
import numpy.typing as npt

from canning.errors import shortened
from canning.memory.buffers import span

from ..errors import ArenaFull
from .ledger import PATIENCE, Ledger
from .memory import copy

_Shape = SupportsIndex | Sequence[SupportsIndex]
Item = TypeVar("Item", bound=np.generic)


class Arrays(abc.ABC):
    """Make arrays in the memory of an arena."""

    capacity: int

    @abc.abstractmethod
    def _open(self) -> Ledger:
        """Return the ledger of the arena, which must be open."""

    @overload
    def empty(self, shape: _Shape, dtype: type[float] = ...) -> npt.NDArray[np.float64]: ...

    @overload
    def empty(self, shape: _Shape, dtype: type[Item] | np.dtype[Item]) -> npt.NDArray[Item]: ...

    @overload
    def empty(self, shape: _Shape, dtype: npt.DTypeLike) -> npt.NDArray[Any]: ...

    @shortened
    def empty(self, shape: _Shape, dtype: npt.DTypeLike = float) -> npt.NDArray[Any]:
        """Make an uninitialised array in the arena, in C order.

        Raises `ArenaFull` if there is no room now, `TypeError` for a dtype with objects.

        >>> from transport import SharedArena
        >>> with SharedArena("1MiB") as arena:
        ...     arena.empty((2, 3), "f4").shape
        (2, 3)
        """
        made = np.dtype(dtype)
        if made.hasobject or made.kind == "T":
            raise TypeError(f"elements of {made} are outside of their array, so no other process can read it")
        lengths = _lengths(shape)
        nbytes = math.prod(lengths) * made.itemsize
        ledger = self._open()
        ref = ledger.take(nbytes)
        if ref is None:
            raise ArenaFull(_why_full(ledger, self.capacity, nbytes))
        start = ledger.start_of(ref)
        return np.ndarray(lengths, made, span(start, start + max(nbytes, 1), ref, readonly=False))

    @overload
    def array(self, source: npt.NDArray[Item]) -> npt.NDArray[Item]: ...

    @overload
    def array(self, source: npt.ArrayLike) -> npt.NDArray[Any]: ...

    @shortened
    def array(self, source: npt.ArrayLike) -> npt.NDArray[Any]:
        """Copy an array, or anything that numpy converts to one, into the arena; otherwise as `empty`.

        >>> from transport import SharedArena
        >>> with SharedArena("1MiB") as arena:
        ...     arena.array([1, 2, 3]).sum()
        np.int64(6)
        """
        given = np.asarray(source)
        made = self.empty(given.shape, given.dtype)
        if given.flags.c_contiguous and given.nbytes:
            copy(memoryview(made).cast("B"), memoryview(given.reshape(-1).view(np.uint8)))
        else:
            np.copyto(made, given)
        return made


def _lengths(shape: _Shape) -> tuple[int, ...]:
    """Read the shape of an array; raises `ValueError` for invalid lengths."""
    lengths = tuple(map(operator.index, shape)) if isinstance(shape, Sequence) else (operator.index(shape),)
    if any(length < 0 for length in lengths):
        raise ValueError(f"shape={lengths} has a negative length")
    return lengths


def _why_full(ledger: Ledger, capacity: int, nbytes: int) -> str:
    if nbytes > capacity:
        return (
            f"{nbytes:,} bytes never fit into an arena of {capacity:,}: make a larger one with "
            "SharedArena(...), or use ordinary memory, which can be sent as well"
        )
    left, blocks = ledger.room
    if not left:
        why = f"all of its {blocks:,} blocks are in use, and each array takes one: make larger arrays"
    else:
        why = f"{ledger.glance()[0]:,} of {capacity:,} are in use; let go of arrays"
    unopened = len(ledger.unopened())
    if unopened:
        seconds = ledger.lease / 1e9
        why += (
            f", or wait ({unopened:,} blocks hold messages that no receiver has opened: until one does, or "
            f"their lease is over, {seconds:g} s, {PATIENCE * seconds:g} s while receivers live)"
        )
    return f"no room for {nbytes:,} bytes: {why}, or use ordinary memory, which can be sent as well"
