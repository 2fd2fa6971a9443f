"""Limits on how much of a source is examined, however many pickles it holds."""

from __future__ import annotations

import os
import sys
from importlib.machinery import all_suffixes
from typing import Final

from ..limits import DEFAULT_LIMITS
from ..pickles.machine import PickleMachine
from ..pickles.paths import Steps
from ..pickles.stacks import most_nodes

_ALL_PICKLES: Final = 50_000
"""Pickles of all files in an archive that are examined: 50 µs and 4 KB each, or two bits compressed."""
_FREE_PICKLES: Final = 1000
"""How many of these are examined in any source; beyond, one for each 64 bytes of it."""
_FREE_OPCODES: Final = 100_000
"""Opcodes that are examined in any source, 1 µs each; beyond, one for each byte of it."""
_FREE_STEPS: Final = 10_000
"""Containers, names and calls whose path is searched, 2 µs each; beyond, one for every 16 bytes."""
_FREE_READ: Final = 1 << 16
"""Bytes of messages inside messages that are read separately, if the message around them was refused."""
_LOOKUPS: Final = 300
"""Modules that are looked for in this environment, 0.2 ms each."""


class Uneven(Exception):
    """Raised with the reason why a file, or a part of it, is not followed."""


def _is_here(module: str) -> bool:
    """Tell whether a module could be imported here; most texts that start with a c name none."""
    return module in sys.stdlib_module_names or any(
        module in sys.modules or os.path.exists(os.path.join(folder, module + suffix))
        for folder in sys.path
        for suffix in ("", *all_suffixes())
    )


class Room:
    """Count down what may still be examined of one source, however many pickles it holds.

    Attributes:
        opcodes: opcodes of all pickles together.
        nodes: containers, names and calls of all pickles together.
        steps: limit of the search for their paths.
        pickles: pickles of all files in an archive together.
        within: bytes of messages within messages.
        read: bytes of those that are read separately.
        modules: whether this environment has a module that a broken pickle asks for, as far as searched.
    """

    __slots__ = ("modules", "nodes", "opcodes", "pickles", "read", "steps", "within")

    def __init__(self, nbytes: int) -> None:
        self.opcodes = _FREE_OPCODES + nbytes
        self.nodes = most_nodes(nbytes)
        self.steps = Steps(_FREE_STEPS + nbytes // 16)
        self.pickles = min(_ALL_PICKLES, _FREE_PICKLES + nbytes // 64)
        self.within = 4 * nbytes + (1 << 20)
        self.read = _FREE_READ
        self.modules: dict[str, bool] = {}

    def has(self, module: str) -> bool:
        """Tell whether a module could be imported here; True for all after too many searches."""
        found = self.modules.get(module)
        if found is None:
            if len(self.modules) >= _LOOKUPS:
                return True
            found = self.modules[module] = _is_here(module)
        return found

    @property
    def left(self) -> bool:
        """Whether anything more may be examined."""
        return self.opcodes > 0 and self.nodes > 0 and self.pickles > 0


def follow(data: memoryview, start: int, room: Room) -> PickleMachine:
    """Follow a pickle; if joblib's memory is skipped, also as a reader does that knows nothing of joblib."""
    room.pickles -= 1
    machine = _follow(data, start, room, wrappers=True)
    if machine.skipped:
        again = _follow(data, start, room, wrappers=False)
        for key, named in again.names.items():
            machine.names.setdefault(key, named)
    return machine


def _follow(data: memoryview, start: int, room: Room, *, wrappers: bool) -> PickleMachine:
    opcodes, nodes = max(1, min(DEFAULT_LIMITS.nodes, room.opcodes)), max(0, room.nodes)
    machine = PickleMachine(data, start, opcodes=opcodes, wrappers=wrappers, nodes=nodes).run()
    room.opcodes -= machine.opcodes
    room.nodes -= machine.nodes
    return machine
