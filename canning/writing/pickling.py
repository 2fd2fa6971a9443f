"""Object to header: the C pickler with a private dispatch table; memory is set aside during pickling.

The plain C pickler runs first, since it calls Python only for the types in the table. It cannot handle
two cases, and when one occurs, the object is pickled once more, with a `Plan`:

* memory that small arrays share (`ShareAgain`);
* a function, class or module that must be sent by value (`ByName`): `ByValuePickler` takes over.

The C pickler passes `bytes` and `bytearray` of 64 KiB and more to its file uncopied, and `Sink` makes
buffers of them; smaller ones are in the header.
"""

from __future__ import annotations

import array as stdarray
import copyreg
import ctypes
import dataclasses
import logging
import pickle
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import cloudpickle
import numpy as np

from .. import code
from ..code.functions import is_local
from ..code.rebuild import answers_for_all, reduce_answering
from ..code.stubs import Stub, StubType
from ..code.versions import note_class
from ..memory.buffers import Body
from ..pickles.headers import ARRAYS, MAIN, NO_ARRAYS, PROTO
from ..types.canned import CannedObject, PrePickled, Reference
from ..types.canner import Canner
from .array_reducers import array_call
from .reducers import Reducers, reducer_of_instances
from .retries import ByName, Plan
from .stream import Sink


def _name_of_missing(missing: Any) -> Any:
    """Reduce an object that is the only one of its name.

    Since Python 3.15 the type covers all sentinels (PEP 661), each of which knows its own name.
    """
    return "MISSING" if missing is dataclasses.MISSING else missing.__reduce__()


_LOGGERS: Final[dict[type, Callable[[Any], Any]]] = {
    cls: cloudpickle.Pickler.dispatch_table[cls] for cls in (logging.Logger, logging.RootLogger)
}
"""Sent by name, even if logging does not know them."""
_ARRAY_TYPE: Final = type(ctypes.Array)
_HEAP_TYPE: Final = 1 << 9
_TYPES: Final = 4096
"""Types that a table remembers; it keeps them alive, and programs may make thousands."""


class Table(dict[type, Callable[[Any], Any]]):
    """Find the reducer of a type, once.

    It is that of the nearest base that is registered or that this package knows; after them, that of
    `copyreg`, and of cloudpickle if `by_value`. All other types use their own reduction, through a function
    in the table, so that the next instance needs no new search.

    Attributes:
        first: the reducers of exactly these types, which precede all others.
    """

    def __init__(self, reducers: Reducers, *, by_value: bool, main: bool) -> None:
        super().__init__()
        self.reducers = reducers
        self.by_value = by_value
        self.main = main
        self.registry = reducers.registry
        self.codes = reducers.codes
        self.version = self.known = -1
        self.first: Mapping[type, Callable[[Any], Any]] = {}
        self.theirs: dict[type, Callable[[Any], Any]] = {}
        self._mortal: list[type] = []  # classes made in Python, most of which may end before the process
        self.own: dict[type, Callable[[Any], Any]] = {
            np.generic: reducers.scalar,
            np.dtype: reducers.dtype,
            memoryview: reducers.memoryview,
            types.MethodType: reducers.method,
            types.BuiltinMethodType: reducers.builtin,
            BaseException: reducers.exception,
            stdarray.array: reducers.stdlib_array,
            CannedObject: reducers.canned,
            PrePickled: reducers.prepickled,
            Reference: reducers.reference,
            Stub: reducers.stub,
            type(dataclasses.MISSING): _name_of_missing,
        }

    def refresh(self) -> None:
        """Forget the reducers found before a new registration."""
        if (
            self.version != self.registry.version
            or self.known != len(copyreg.dispatch_table)
            or len(self) > _TYPES
            or (self.theirs and self._outdated())
        ):
            self.clear()
            self.theirs.clear()
            self._mortal.clear()
            self.version, self.known = self.registry.version, len(copyreg.dispatch_table)

    def forget(self) -> None:
        """Forget all types except those that live as long as the process."""
        for cls in self._mortal:
            if cls not in code.by_value_pickler.TABLE:
                self.pop(cls, None)
        self._mortal.clear()

    def _outdated(self) -> bool:
        return any(copyreg.dispatch_table.get(cls) is not found for cls, found in self.theirs.items())

    def __missing__(self, cls: type) -> Callable[[Any], Any]:
        nearest = self.registry.find(cls)
        reducer = self._find(cls, nearest)
        self[cls] = reducer
        if cls.__flags__ & _HEAP_TYPE:
            self._mortal.append(cls)
        if nearest is None:  # else the header names the registration, not the class
            note_class(cls, self.reducers.versions)
        return reducer

    def get(self, cls: type, default: object = None) -> Any:
        """Find a reducer for a pickler written in Python, which calls this method."""
        try:
            return self[cls]
        except KeyError:
            return default

    def _find(self, cls: type, nearest: Canner | None) -> Callable[[Any], Any]:
        if cls in self.first:
            return self.first[cls]
        if cls is StubType:
            return self.reducers.stub_class
        if cls is types.CodeType and self.by_value:  # ours, whatever copyreg has
            return self.reducers.code
        if cls is types.TracebackType:
            return code.exceptions.reduce_traceback
        if cls is _ARRAY_TYPE:
            return code.by_value_types.reduce_array_type
        if issubclass(cls, type):  # a class: by name, or by value if the pickler handles that
            return copyreg.dispatch_table[cls]
        found: Callable[[Any], Any] | None = self._find_ours(cls, nearest)
        if found is None and cls in copyreg.dispatch_table:
            found = self.theirs[cls] = copyreg.dispatch_table[cls]
        if found is None:
            found = _LOGGERS.get(cls)
        if found is None and self.by_value:
            found = code.by_value_pickler.reducer_of(cls)
        if found is not None:
            return found
        if self.main and not self.by_value and (is_local(cls) or self.registry.goes_by_value(cls)):
            raise ByName
        if self.by_value and answers_for_all(cls):
            return reduce_answering
        return reducer_of_instances(cls, self.reducers.classes)

    def _find_ours(self, cls: type, nearest: Canner | None) -> Callable[[Any], Any] | None:
        registry = self.registry
        for base in cls.__mro__:
            if nearest is not None and registry.find_exact(base) is nearest:
                return self.reducers.registered(nearest)
            if base is np.ndarray:
                return self.reducers.array if cls is base else self.reducers.subclass
            if (
                base is cls
                and base in copyreg.dispatch_table
                and not code.exceptions.is_of_tblib(copyreg.dispatch_table[cls])
            ):
                return None
            if base in self.own and (base is not np.generic or np.dtype(cls).type is cls):
                return self.own[base]
        return None


class Writer:
    """Write one message at a time: a pickler with its sink, its table, its reducers.

    Making these takes longer than pickling a small object, so a `Serializer` keeps its writers.

    Attributes:
        plain: whether the last header is short, needs nothing of this package, and left nothing for `clear`
            to remove, as in most messages of a few numbers and texts.
    """

    def __init__(
        self,
        reducers: Reducers,
        *,
        main: bool = True,
        interactive: bool = False,
        first: Mapping[type, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.reducers = reducers
        self.main = main
        self.interactive = interactive
        self.plain = False
        self.sink = Sink(reducers.threshold, reducers.entries)
        self.table = Table(reducers, by_value=False, main=main)
        self.by_value_table = Table(reducers, by_value=True, main=main)
        self.table.first = self.by_value_table.first = first or {}
        self.pickler = self._new_pickler()
        self._by_value_pickler: Any = None
        self._empty = self._new_pickler().memo

    def _new_pickler(self) -> Any:
        pickler: Any = pickle.Pickler(self.sink, 5, buffer_callback=self.reducers.outside_buffer)
        pickler.dispatch_table = self.table
        pickler.memo = first_memo()
        return pickler

    def _pickler_by_value(self) -> Any:
        pickler = self._by_value_pickler
        if pickler is None:
            aside, table = self.reducers.outside_buffer, self.by_value_table
            make = code.by_value_pickler.ByValuePickler
            pickler = self._by_value_pickler = make(self.sink, table, aside, interactive=self.interactive)
        return pickler

    def write(self, obj: object) -> Body:
        """Pickle an object without a plan; return its header, leave its buffers in `reducers`.

        The writer must be new, or cleared. Raises any error of the object's own methods, and `ShareAgain`
        or `ByName` if a plan is needed.
        """
        if self.table:  # it is empty while messages hold only numbers and texts
            self.table.refresh()
        pickler, sink, noted = self.pickler, self.sink, self.reducers
        try:
            pickler.dump(obj)
            chunk, used = sink.only, noted.entries or noted.small
            self.plain = False
            if sink.body is not None or chunk.rfind(MAIN) >= 0:
                return self._finish(pickler)
            if not (used or noted.named or noted.outside or noted.classes or noted.versions):
                self.plain = True
                sink.reset()
            return (ARRAYS if used else NO_ARRAYS) + chunk[PROTO:]
        finally:
            pickler.memo = self._empty

    def write_by(self, plan: Plan, obj: object) -> Body:
        """Pickle an object with a plan; otherwise like `write`."""
        self.plain = False
        self.reducers.reset(share=plan.share, whole=plan.whole, apart=plan.apart, bare=plan.bare)
        self.sink.reset()
        (self.by_value_table if plan.by_value else self.table).refresh()
        pickler = self._pickler_by_value() if plan.by_value else self.pickler
        self.reducers.by_value = plan.by_value
        pickler.memo = first_memo()
        try:
            pickler.dump(obj)
            return self._finish(pickler)
        finally:
            pickler.memo = self._empty
            if plan.by_value:
                pickler.forget()

    def clear(self) -> None:
        """Forget the last message, and keep no reference to its objects."""
        self.sink.reset()
        if self.reducers.by_value:  # no class of such a message may be kept alive by a table
            self.table.forget()
            self.by_value_table.forget()
        self.reducers.reset()

    def _finish(self, pickler: object) -> Body:
        """Return the header, unless it needs another plan."""
        sink, reducers = self.sink, self.reducers
        if self.main and pickler is self.pickler:
            sink.finish()
            if sink.names_main:
                raise ByName
        return sink.close(arrays=bool(reducers.entries or reducers.small))


def first_memo() -> dict[int, tuple[int, Any]]:
    """Return the memo that every header starts with."""
    return {id(array_call): (0, array_call)}
