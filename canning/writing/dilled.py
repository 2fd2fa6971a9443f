"""Use dill as the pickler, for objects that only dill can send; it is a pickler in Python, and slower."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..calls import raw
from ..pickles.headers import ARRAYS
from .pickling import Table, first_memo
from .reducers import Reducers
from .retries import Plan
from .stream import DIRECT


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
