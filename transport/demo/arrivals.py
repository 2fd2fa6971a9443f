"""What an array or a column is, told in a few plain values, so that two processes can compare notes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from .memory import leaves


@dataclass(frozen=True, slots=True)
class Arrival:
    """One leaf as one process sees it.

    Attributes:
        path: the way to it in the payload.
        kind: its type.
        dtype: its dtype, with everything that `==` on dtypes compares.
        shape: its shape.
        axes: its axes longer than 1, from the widest stride to the narrowest, as they lie in memory.
        writable: whether it may be changed; None for a column, whose table decides that.
        aligned: whether numpy's flags say that it is aligned; None for a column that is no array.
        digest: of its values.
    """

    path: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    writable: bool | None
    aligned: bool | None
    digest: str

    def same(self, other: Arrival) -> bool:
        """Tell whether type, dtype, shape and values are those of the other."""
        mine = (self.path, self.kind, self.dtype, self.shape, self.digest)
        return mine == (other.path, other.kind, other.dtype, other.shape, other.digest)


def describe(obj: Any) -> list[Arrival]:
    """Describe every array and column in an object.

    >>> [told] = describe({"a": np.zeros((2, 3), ">i2").T})
    >>> told.path, told.dtype, told.shape, told.axes, told.writable
    ("['a']", '>i2', (3, 2), (1, 0), True)
    """
    return [_describe(leaf.path, leaf.value) for leaf in leaves(obj)]


def _describe(path: str, value: Any) -> Arrival:
    array = value
    if not isinstance(value, np.ndarray):
        # to_numpy() of anything else would make a new array, whose flags tell nothing of what came.
        array = value.to_numpy() if isinstance(value.dtype, np.dtype) else None
    return Arrival(
        path=path,
        kind=type(value).__name__,
        dtype=str(value.dtype),
        shape=value.shape,
        axes=_axes(array) if array is not None else (0,),
        writable=array.flags.writeable if array is value else None,
        aligned=array.flags.aligned if array is not None else None,
        digest=_digest(value if array is None else array),
    )


def _axes(array: Any) -> tuple[int, ...]:
    long = [axis for axis, length in enumerate(array.shape) if length > 1]  # the others' strides say nothing
    return tuple(sorted(long, key=lambda axis: (-abs(array.strides[axis]), axis)))


def _digest(value: Any) -> str:
    plain_memory = isinstance(value, np.ndarray) and not value.dtype.hasobject and value.dtype.kind != "T"
    content = value.tobytes() if plain_memory else repr(value.tolist()).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
