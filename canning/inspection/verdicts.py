"""Judge a pickle that was followed: can it be read as data, does it need code, or can it not be followed?

It is *clean* if the reader of ``trust="data"`` accepts it, or if it has opcodes of old protocols unknown to
that reader, and provably names, calls and asks for nothing. It is *dangerous* if it names a function that is
known to be dangerous, and calls anything. If it was not followed to its end, it is *unreadable*: worse than a
pickle that needs code, since the rest of it is unknown.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..codecs.coding import Codecs
from ..errors import CanningError, DeserializationError, name_for_errors
from ..limits import DEFAULT_LIMITS
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Node
from ..reading.untrusted.data_reader import CLASSES
from ..reading.untrusted.plain import CONSTRUCTORS, FACTORIES, SINGLETONS
from ..serializer import Serializer
from ..types.canner import Canner
from ..types.registry import Registry, default_registry
from ..wire.names import CALLS
from .known_names import BY_VALUE, is_inert, purpose_of
from .ordinary import ordinary_names

CLEAN: Final = "clean"
NEEDS_CODE: Final = "needs code"
UNREADABLE: Final = "unreadable"
DANGEROUS: Final = "dangerous"
ORDER: Final = (CLEAN, NEEDS_CODE, UNREADABLE, DANGEROUS)
"""From best to worst."""
Judgement = tuple[str, list[str]]
"""A verdict, and the reasons for it."""

_SHOWN: Final = 20
_CANNED: Final = frozenset(
    (
        "array",
        "objects",
        "strings",
        "subclass",
        "masked",
        "scalar",
        "dtype",
        "raw",
        "view",
        "message",
        "stdlib_array",
    )
)
_SAFE: Final = frozenset(
    (
        *CONSTRUCTORS,
        *((CALLS, name) for name in _CANNED),
    )
)
"""Functions that may be called with any arguments: at worst they raise."""
_READ: Final = _SAFE.union(
    CLASSES,
    FACTORIES,
    SINGLETONS,
    ((CALLS, name) for name in ("attributes", "items", "registered", "exception", "fill_exception")),
)
"""Names that the reader of plain data knows."""
_INDIRECT: Final = frozenset(("patch", "method", "persistent", "extension", "state"))
"""Calls that may cause another one: a state, through `__setstate__`, which a state may set."""
_ACTS: Final = {
    "persistent": "asks its reader for objects by persistent id, as torch.load and others give them",
    "extension": "asks for what copyreg has under an extension code",
    "state": "sets the state of an object",
    "patch": "sets attributes of a class or function",
    "method": "changes the result of a call, by a method of it",
    "buffer": "asks for an out-of-band buffer, which is not here",
    "call": "calls what it made",
    "new": "makes an instance of what it made",
    "name": "asks for a name",
}


class _Inert(Registry):
    """Hold the registrations, and call none of them."""

    def by_name(self, name: str, *, imports: bool = False) -> Canner:
        """Return a registration whose decoder does nothing, without importing anything for it."""
        if default_registry.brings(name):
            return Canner(name, _nothing, _nothing, data=True)
        found = default_registry.by_name(name, imports=False)
        return Canner(found.name, found.can, found.uncan and _nothing, bool(found.data))


class _Anything(dt.tzinfo):
    """Replace the result of a decoder: a time zone, since times may hold one and check its type."""

    def utcoffset(self, moment: dt.datetime | None) -> None:
        """Return None, so that times with it can be keys."""

    dst = tzname = utcoffset


def _nothing(state: Any) -> _Anything:
    return _Anything()


class _Blank:
    """Replace a codec: only the length of a decoded frame is needed, not its content."""

    def __init__(self, name: str) -> None:
        self.id = name

    def encode(self, buffer: memoryview, *, itemsize: int) -> None:
        """Encode nothing."""

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> Any:
        """Return zeros, which take no memory until they are read."""
        if self.id == "blosc2":
            raise DeserializationError("frames that went through blosc2, which runs the plugins they name")
        return np.zeros(length, np.uint8)


_CODECS: Final = Codecs([_Blank("lz4"), _Blank("zstd"), _Blank("blosc2")])


def worst(verdicts: list[str]) -> str:
    """Return the worst of verdicts; `UNREADABLE` for none."""
    return max(verdicts, key=ORDER.index, default=UNREADABLE)


def judge(
    machine: PickleMachine, frames: list[Any], wire: str | None = None, said: str | None = None
) -> Judgement:
    """Judge a message, or a pickle, which is a message of one frame.

    `wire` describes an error in its trailer or frames, if there is one. `said` is the complaint of the reader
    of plain data about the message around this one, empty for none; None runs that reader here.
    """
    acts = set(machine.acts)
    wrong = [reason for reason in (wire, machine.broken, *machine.flaws) if reason][:_SHOWN]
    complaint = said or None
    if not wrong and all(key in _READ for key in machine.names):
        if said is None and not (machine.legacy and not acts):
            complaint = _refusal(frames)
        if complaint is None:
            return CLEAN, []
    if acts and not _only_safe(machine, acts):
        ordinary = ordinary_names(machine)
        reasons = _reasons(machine, acts, ordinary)
        if _is_dangerous(machine, acts, ordinary):
            return DANGEROUS, reasons
        if wire or machine.broken or machine.doubtful:
            return UNREADABLE, [*wrong, *reasons]
        return NEEDS_CODE, reasons if wrong else [_not_called(reason) for reason in reasons]
    if wrong:
        return UNREADABLE, wrong[:1] if wire else wrong
    if said:
        return NEEDS_CODE, [said]
    if machine.legacy:
        named = ", ".join(name_for_errors(*key) for key in list(machine.names)[:_SHOWN])
        return NEEDS_CODE, [f"an old protocol of pickle, and it asks for {named or 'a buffer'}"]
    if any(node.target == (CALLS, "message") for node in machine.calls):  # these are judged separately
        return NEEDS_CODE, [complaint or "messages within it"]
    return UNREADABLE, [complaint or "it can be read in two ways"]


@lru_cache(maxsize=1)
def _reader() -> Serializer:
    """Make a reader of plain data that calls no decoder and no codec."""
    return Serializer(trust="data", registry=_Inert(), limits=DEFAULT_LIMITS, codecs=_CODECS)


def _refusal(frames: list[Any]) -> str | None:
    """Return why the reader of plain data refuses a message; None if it does not."""
    try:
        _reader().deserialize_object(frames)
    except CanningError as error:
        return str(error)
    except Exception as error:  # the reader promises no other error; a scan does not rely on it
        return f"the reader failed: {type(error).__name__}"
    return None


def _is_dangerous(machine: PickleMachine, acts: set[str], ordinary: dict[tuple[str, str], str]) -> bool:
    """Tell whether a dangerous name is called, or passed to a function that may call it."""
    if any(_runs_what_it_brings(node) for node in machine.calls):
        return True
    known = [
        named
        for key, named in machine.names.items()
        if key not in _SAFE and key not in ordinary and purpose_of(*key)[1]
    ]
    if not known:
        return False
    others = any(not _is_inert(node.target) for node in machine.calls)
    return others or any(named.calls for named in known) or not acts.isdisjoint(_INDIRECT)


def _runs_what_it_brings(node: Node) -> bool:
    """Tell whether a function is called whose code is in the pickle."""
    made = node.items[0] if node.items else None
    target = made.target if type(made) is Node else None
    return target is not None and (target == (CALLS, "function") or target[1] in BY_VALUE)


def _not_called(reason: str) -> str:
    """Note for a dangerous name that it is only named, not called."""
    name = reason.removeprefix("dangerous: ")
    return reason if name == reason or " " in name else f"{name}: named, but not called"


def _is_inert(target: tuple[str, str] | None) -> bool:
    if target is None or target == ("collections", "defaultdict"):  # it calls its argument later
        return False
    return target in _SAFE or is_inert(*target)


def _only_safe(machine: PickleMachine, acts: set[str]) -> bool:
    if not acts <= {"name", "call", "buffer"} or not all(
        key in _SAFE or key in CLASSES for key in machine.names
    ):
        return False
    return all(node.target in _SAFE for node in machine.calls)


def _is_a_reason(key: tuple[str, str], purpose: str) -> bool:
    """Tell whether a name itself is a reason: not one that is read as data, or only accompanies another."""
    return key not in _READ and not purpose.startswith(("what belongs to", "part of code by value"))


def _reasons(machine: PickleMachine, acts: set[str], ordinary: dict[tuple[str, str], str]) -> list[str]:
    named = [
        (key, ordinary[key], False) if key in ordinary else (key, *purpose_of(*key))
        for key in machine.names
        if key not in _SAFE
    ]
    named = [entry for entry in named if entry[2] or _is_a_reason(*entry[:2])] or named
    named.sort(key=lambda entry: not entry[2])
    reasons = []
    for (module, name), purpose, danger in named[:_SHOWN]:
        dotted = name_for_errors(module, name)
        reasons.append(purpose if danger and purpose.startswith("dangerous") else f"{dotted}: {purpose}")
    if len(named) > _SHOWN:
        reasons.append(f"and {len(named) - _SHOWN} names more")
    if not named:
        acts = acts - {"name"} or acts
    quiet = {"name", "call", "new", "state", "method", "buffer"} if named else set()
    reasons += [_ACTS[what] for what in sorted(acts - quiet)]
    return reasons
