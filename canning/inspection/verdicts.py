"""Judge a pickle that was followed: may it be read as data, does it need code, or can it not be read?

In doubt it needs code. It is *clean* where the reader of ``trust="data"`` takes it, or where it has opcodes
of old protocols that this one does not know, and provably names, calls and asks for nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from ..canner import Canner
from ..errors import CanningError, name_for_errors
from ..following.pickle_machine import PickleMachine
from ..limits import DEFAULT_LIMITS
from ..message import Serializer
from ..registry import Registry, default_registry
from ..trust.data_reader import CLASSES
from ..trust.plain import CONSTRUCTORS, SINGLETONS
from ..vocabulary import CALLS
from .known_names import purpose_of

CLEAN: Final = "clean"
NEEDS_CODE: Final = "needs code"
UNREADABLE: Final = "unreadable"
ORDER: Final = (CLEAN, UNREADABLE, NEEDS_CODE)
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
"""What may be called with any arguments: at worst it raises."""
_READ: Final = _SAFE.union(
    CLASSES, SINGLETONS, ((CALLS, "attributes"), (CALLS, "items"), (CALLS, "registered"))
)
"""What the reader of plain data knows."""
_ACTS: Final = {
    "persistent": "asks its reader for objects by persistent id, as torch.load and others give them",
    "extension": "asks for what copyreg has under an extension code",
    "state": "sets the state of an object",
    "method": "adds to what a call gave, by a method of it",
    "buffer": "asks for an out-of-band buffer, which is not here",
    "call": "calls what it made",
    "new": "makes an instance of what it made",
    "name": "asks for a name",
    "frames": "has frames that end within opcodes: who reads it from a file reads something else",
}


class _Inert(Registry):
    """Know what is registered, and call none of it."""

    def by_name(self, name: str, *, imports: bool = False) -> Canner:
        """Give a registration whose decoder does nothing, and import nothing for it."""
        if default_registry.brings(name):
            return Canner(name, _nothing, _nothing, data=True)
        found = default_registry.by_name(name, imports=False)
        return Canner(found.name, found.can, found.uncan and _nothing, bool(found.data))


class _Anything(dt.tzinfo):
    """Stand for what a decoder would make: a time zone, since times hold those and check that they do."""

    def utcoffset(self, moment: dt.datetime | None) -> None:
        """Be none, so that times with it can be keys."""

    dst = tzname = utcoffset


def _nothing(state: Any) -> _Anything:
    return _Anything()


def worst(verdicts: list[str]) -> str:
    """Give the worst of verdicts; `UNREADABLE` for none."""
    return max(verdicts, key=ORDER.index, default=UNREADABLE)


def judge(machine: PickleMachine, frames: list[Any], wire: str | None = None) -> Judgement:
    """Judge a message, or a pickle, which is a message of one frame.

    `wire` says what is wrong with its trailer or frames, where something is.
    """
    complaint = wire or (machine.broken if machine.limited else _refusal(frames))
    acts = set(machine.acts)
    agreed = (
        not machine.broken
        and not machine.flaws
        and "frames" not in acts
        and all(key in _READ for key in machine.names)
    )
    if complaint is None and agreed:
        return CLEAN, []
    if complaint is None:  # the reader and the machine read two things, so a third may do so too
        return NEEDS_CODE, ["it can be read in two ways", *machine.flaws, *_reasons(machine, acts)]
    if acts and not _only_safe(machine, acts):
        return NEEDS_CODE, _reasons(machine, acts)
    if acts and machine.legacy and not machine.broken and wire is None:
        named = ", ".join(name_for_errors(*key) for key in list(machine.names)[:_SHOWN])
        return NEEDS_CODE, [f"an old protocol of pickle, and it asks for {named or 'a buffer'}"]
    if machine.legacy and not machine.flaws and not machine.broken and not acts and wire is None:
        return CLEAN, []
    reasons = [machine.broken, *machine.flaws] if machine.broken or machine.flaws else []
    return UNREADABLE, [wire] if wire else [reason for reason in reasons if reason][:_SHOWN] or [complaint]


def _refusal(frames: list[Any]) -> str | None:
    """Say why the reader of plain data refuses a message; None where it does not."""
    reader = Serializer(trust="data", registry=_Inert(), limits=DEFAULT_LIMITS)
    try:
        reader.deserialize_object(frames)
    except CanningError as error:
        return str(error)
    except Exception as error:  # the reader promises that there is none; a scan does not rely on it
        return f"the reader failed: {type(error).__name__}"
    return None


def _only_safe(machine: PickleMachine, acts: set[str]) -> bool:
    if not acts <= {"name", "call", "buffer"} or not all(
        key in _SAFE or key in CLASSES for key in machine.names
    ):
        return False
    return all(node.target in _SAFE for node in machine.calls)


def _reasons(machine: PickleMachine, acts: set[str]) -> list[str]:
    named = [(key, *purpose_of(*key)) for key in machine.names if key not in _SAFE]
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
