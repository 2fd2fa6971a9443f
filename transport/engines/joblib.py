"""canning as the pickler of joblib's loky processes, for calls and for results.

    LOKY_PICKLER=transport.engines.joblib python script.py

or, before anything runs in parallel::

    joblib.externals.loky.set_loky_pickler("transport.engines.joblib")

Functions and classes that no other process can import are sent by value; everything around them is still
pickled at the C pickler's speed. Large arrays, at any depth, go into memory that the processes share, not
into files; on systems without it, joblib handles them as without canning. Arguments arrive read-only, like
joblib's memory maps; if ``Pickler.writable`` is true, they arrive writable, and each process sees only its
own changes. Results arrive writable if they were so there: not views of arguments.
"""

from __future__ import annotations

import os
import threading
import types
from collections.abc import Callable
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary, finalize

import numpy as np

from canning import Serializer

from ..shared import SharedArena
from . import one_pickle as inband
from .adapting import check_layout
from .arenas import Unread, new_arena

TRIED: Final = "1.6.0"
# loky imports this module during its own import, when only `set_loky_pickler` exists
check_layout(
    "joblib",
    TRIED,
    {
        "joblib.externals.loky.backend.reduction:set_loky_pickler": (
            "Pickler",
            "import_module",
            "dispatch_table",
        ),
    },
)

_LARGE: Final = 1 << 20
"""Bytes from which memory is shared; joblib's own limit for its memory maps."""
_RESULT: Final = "_ResultItem"
"""The class of what loky's processes send back; loky imports this module before it has that class."""
_LEASE: Final = 3600.0
"""Seconds for which a call may wait for a process; then its memory is reused."""


class Pickler:
    """Pickle an object into a file as loky asks, for ``pickle.loads`` at the other end.

    Attributes:
        dispatch_table: the reducers of loky and joblib, by type.
        writable: whether the arrays of arguments arrive writable: False, unless you set it on this class.
            Those of results do, unless they were read-only there.

    >>> import io, pickle
    >>> file = io.BytesIO()
    >>> Pickler(file).dump({"x": np.arange(3), "twice": lambda x: 2 * x})
    >>> pickle.loads(file.getvalue())["twice"](4)
    8
    """

    writable: ClassVar[bool] = False

    def __init__(self, file: Any, protocol: int | None = None) -> None:
        self._file = file
        self.dispatch_table: dict[type, Callable[[Any], Any]] = {}

    def dump(self, obj: Any) -> None:
        """Pickle an object; raises `SerializationError`."""
        frames = _SIDE.serializer(self.dispatch_table).serialize_object(obj)
        _SIDE.note(frames)
        writable = self.writable or type(obj).__name__ == _RESULT
        _SIDE.by_value = inband.write(self._file, frames, writable=writable)


class _Side:
    """Keep serializers for the reducers, which are passed anew with each call, and the arena of this process.

    Attributes:
        by_value: whether functions or classes went by value last time, and so probably will again. Finding
            out by trying took 10 ms for a list of a million numbers. Otherwise messages are plain pickles: a
            result of one number took 14 µs to write and 2 to read, instead of 23 and 13.
    """

    def __init__(self) -> None:
        self.by_value = False
        self._pid = 0
        self._table: dict[type, Callable[[Any], Any]] | None = None
        self._arena: SharedArena | None = None
        self._kept: dict[bool, Serializer] = {}
        self._unread: WeakKeyDictionary[threading.Thread, Unread] = WeakKeyDictionary()

    def serializer(self, table: dict[type, Callable[[Any], Any]]) -> Serializer:
        """Return a serializer that uses these reducers; ours handle methods, and arrays if there is an arena.

        loky's reducer for methods copies the owner: every call of `random.choice` would return the same
        number.
        """
        if self._pid != os.getpid():
            self._pid, self._table, self._arena = os.getpid(), None, new_arena(lease=_LEASE, threshold=_LARGE)
        if table != self._table:
            ours = (types.MethodType,) if self._arena is None else (types.MethodType, np.ndarray)
            heeded = {cls: how for cls, how in table.items() if cls not in ours}
            codec = None if self._arena is None else self._arena.to(1)
            by_name = Serializer(dispatch_table=heeded, codec=codec)
            self._kept = {False: by_name, True: by_name.evolve(pickler="cloudpickle")}
            self._table = dict(table)
        return self._kept[self.by_value]

    def note(self, frames: list[Any]) -> None:
        """Note the payloads for the processes that this thread feeds, to free them when these have ended."""
        if len(frames) > 1:
            thread = threading.current_thread()
            unread = self._unread.get(thread)
            if unread is None:
                unread = self._unread[thread] = Unread()
                finalize(thread, unread.free).atexit = False
            unread.note(self._arena, frames)


_SIDE: Final = _Side()
