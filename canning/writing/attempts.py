"""Choose how to pickle an object, by a first look at it and by the errors of earlier attempts.

The C pickler does not ask about functions, and may have written a million items before it fails at one
that cannot be imported. So a quick look at the top levels comes first, in C as well.

`DillWriter` is for objects that only dill can send; it is a pickler in Python, and slower.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from itertools import islice
from types import FrameType, FunctionType
from typing import Any, Final, Literal

import numpy as np
from cloudpickle.cloudpickle import _PICKLE_BY_VALUE_MODULES

from ..calls import raw
from ..code.functions import is_local
from ..code.wanted import Wanted
from ..codecs.coding import Chooser, Codec
from ..memory.buffers import Body, bytes_of
from ..pickles.headers import ARRAYS, names_marked
from ..types.registry import Registry
from ..values import Frozen
from .packing import NOTHING, Packed, pack_buffers
from .pickling import Table, Writer, first_memo
from .reducers import Reducers
from .retries import ByName, Plan, ShareAgain
from .stream import DIRECT

Pickler = Literal["auto", "named", "pickle", "cloudpickle", "dill"]
ByValueAs = Literal["code", "source"]


class WriteOptions(Frozen):
    """The options of a `Serializer` for writing, and its idle writers."""

    registry: Registry
    pickler: Pickler
    buffer_threshold: int
    by_value: Wanted
    by_value_as: ByValueAs
    codec: Codec | Chooser | None
    interactive: bool
    dispatch_table: Mapping[type, Callable[[Any], Any]]
    portable: bool
    writers: list[Writer | DillWriter]


_FEW: Final = 64
"""Items that are always checked; of instances, which take a pickler 100 times as long, all are checked."""
_HEAP_TYPE: Final = 1 << 9
_QUICK: Final = frozenset((int, float, str, bool, type(None), bytes, complex, tuple, list, dict))
CURABLE: Final = (ByName, pickle.PicklingError, AttributeError, TypeError)
"""Errors raised when an object must be sent by value. Any other error comes from an object itself, and
pickling it again would only run its methods twice."""
_PICKLERS: Final = frozenset(("canning", "cloudpickle", "copyreg", "dill", "pickle"))


def new_writer(options: WriteOptions) -> Writer | DillWriter:
    """Make a writer, which takes longer than writing a small object."""
    reducers = Reducers(options.registry, options.buffer_threshold)
    reducers.as_source = options.by_value_as == "source"
    reducers.portable = options.portable
    if options.pickler == "dill":
        return DillWriter(reducers)
    main = options.pickler == "auto"
    reducers.by_name = options.pickler == "named"
    return Writer(reducers, main=main, interactive=options.interactive, first=options.dispatch_table)


def pickled(options: WriteOptions, writer: Writer | DillWriter, obj: object) -> tuple[Body, Packed]:
    """Pickle an object and lay out its buffers; each failed attempt makes the plan of the next."""
    plan = first_plan(obj, options.pickler)
    reducers = writer.reducers
    while True:
        try:
            body = writer.write(obj) if plan is None else writer.write_by(plan, obj)
            if options.registry.marked and options.pickler in ("auto", "named"):
                check_marks(bytes_of(body), options.registry.marked, plan)
            if writer.plain or not (entries := reducers.entries + reducers.outside):
                return body, NOTHING
            return body, pack_buffers(entries, options.buffer_threshold, views=reducers.views)
        except Exception as error:
            by_value = options.pickler in ("auto", "named")
            plan = better_plan(plan or Plan(), error, by_value=by_value, linked=reducers.linked)


def better_plan(plan: Plan, error: Exception, *, by_value: bool, linked: bool) -> Plan:
    """Make a new plan from a failed attempt; raise its error if no plan can help.

    `by_value` tells whether code may be sent by value, `linked` whether an exception was sent with others.
    """
    if isinstance(error, ShareAgain) and error.apart and not plan.apart:
        return plan.replace(share=False, apart=True)
    if isinstance(error, ShareAgain) and not plan.apart and not (plan.share and error.whole <= plan.whole):
        return plan.replace(share=True, whole=plan.whole | error.whole)
    if not plan.by_value and by_value and isinstance(error, CURABLE) and not _was_asked(error):
        return plan.replace(by_value=True)
    if linked and not plan.bare and not isinstance(error, MemoryError):
        return plan.replace(bare=True)
    raise error


def _was_asked(error: Exception) -> bool:
    """Tell whether an object's own method raised an error, and not the C pickler, which has no frames.

    Looking a name up may call ``__getattr__``.
    """
    asked = first_asked(error)
    return asked is not None and asked.f_code.co_name != "__getattr__"


def first_asked(error: Exception) -> FrameType | None:
    """Return the call by which a pickler asked an object that then raised an error; None if there is none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _PICKLERS:
            return frame
    return None


def check_marks(body: bytes, marked: frozenset[tuple[str, str]], plan: Plan | None) -> None:
    """Ask for a better plan if a header names code that was marked to be sent by value."""
    if (plan is None or not plan.by_value) and names_marked(body, marked):
        raise ByName


def first_plan(obj: Any, pickler: str) -> Plan | None:
    """Return the plan for the first attempt; None if nothing is known."""
    if pickler != "auto":
        return Plan(by_value=True) if pickler == "cloudpickle" else None
    kind = type(obj)
    if kind is dict:
        items: Any = obj.values()
    elif kind is list or kind is tuple:
        items = obj
    else:
        items = ()
        if kind.__flags__ & _HEAP_TYPE and is_local(kind):
            return Plan(by_value=True)
    if len(items) > _FEW and type(next(iter(items))) in _QUICK:
        items = tuple(islice(items, _FEW))
    if kind is FunctionType:
        items = (obj,)
    if FunctionType in map(type, items) and any(
        type(each) is FunctionType and is_local(each) for each in items
    ):
        return Plan(by_value=True)
    return Plan(by_value=True) if _PICKLE_BY_VALUE_MODULES else None


# -- dill ------------------------------------------------------------------------------------------------


class DillWriter:
    """Write one message at a time with dill; memory is set aside as in `Writer`."""

    plain = False

    def __init__(self, reducers: Reducers) -> None:
        self.reducers = reducers
        self.table = Table(reducers, by_value=False, main=False)
        self.pickler_class = _pickler_class()

    def write(self, obj: object) -> bytes:
        """Pickle an object; raises dill's errors and `ShareAgain`."""
        self.table.refresh()
        chunks: list[bytes] = []
        pickler = self.pickler_class(chunks, self.reducers, self.table)
        try:
            pickler.dump(obj)
        finally:
            vars(pickler).clear()  # it refers to itself, and would live until the garbage collector runs
        self.reducers.bytecode = any(b"_create_code" in chunk for chunk in chunks)
        chunks[0] = ARRAYS  # instead of the PROTO that dill writes first
        return b"".join(chunks)

    def write_by(self, plan: Plan, obj: object) -> bytes:
        """Pickle an object with a plan."""
        self.reducers.reset(share=plan.share, whole=plan.whole, apart=plan.apart, bare=plan.bare)
        return self.write(obj)

    def clear(self) -> None:
        """Forget the last message and the classes in it, which may be local."""
        self.reducers.reset()
        self.table.clear()


def _pickler_class() -> Any:
    try:
        import dill
    except ImportError as error:
        raise ImportError("pickler='dill' needs the package dill: pip install dill") from error

    class DillPickler(dill.Pickler):  # type: ignore[misc,unused-ignore]
        dispatch = {  # noqa: RUF012 - as dill has it; what numpy makes is the table's
            cls: save
            for cls, save in dill.Pickler.dispatch.items()
            if not issubclass(cls, np.ndarray | np.generic | np.dtype)
        }

        def __init__(self, chunks: list[bytes], reducers: Reducers, table: Table) -> None:
            self.write = lambda data: chunks.append(bytes(data))  # the chunk may be a view of its own memory
            super().__init__(self, protocol=5, buffer_callback=reducers.outside_buffer)
            self.dispatch_table = table
            self.reducers = reducers
            self.memo.update(first_memo())

        def save_bytes(self, obj: Any) -> None:
            if len(obj) < max(DIRECT, self.reducers.threshold):  # as the C pickler does
                dill.Pickler.dispatch[type(obj)](self, obj)
                return
            self.reducers.entries.append(obj)
            number = len(self.reducers.entries) - 1
            self.save_reduce(raw, (number, isinstance(obj, bytearray)), obj=obj)

        dispatch[bytes] = save_bytes
        dispatch[bytearray] = save_bytes

    return DillPickler
