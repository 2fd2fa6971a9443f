"""What an attack is, and what shows that it worked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from .assembly import CODE, FIRED, Build, Call, Ground, Made, Name, assemble

FILE: Final = "file"
"""The mark is there as a file or folder."""
GONE: Final = "gone"
"""The file ``$LAID/victim`` is gone or not what it was."""
CRASH: Final = "crash"
"""The process dies of a signal, or ends at once."""
LOAD: Final = "load"
"""More time or memory than allowed: a second, or 1 GB."""
# Anything else is an audit event, or "state:..." for a part of the process that `watch.snapshot` names.


@dataclass(frozen=True, slots=True)
class Gadget:
    """An attack.

    Attributes:
        name: as tests show it.
        known: where it is known from.
        body: what it does, see `assembly`.
        fires: what shows that it worked on pickle: an audit event or one of the constants here.
        needs: modules without which it does not work; it is offered all the same.
        below: the first version of Python on which it works no longer, or works otherwise.
        by: what reads it for the positive control: ``"pickle"``; ``"stream"``: pickle, as often as there is
            a pickle in it; ``"code"``: this package with ``trust="code"``.
        plain: whether readers of plain data may take it for a value: all of it is allowed.
    """

    name: str
    known: str
    body: Any
    fires: str = FIRED
    needs: tuple[str, ...] = ()
    below: tuple[int, int] = (9, 9)
    by: str = "pickle"
    plain: bool = False

    def pickle(self, ground: Ground) -> bytes:
        """Assemble it."""
        return assemble(self.body, ground)


def rows(known: str, *gadgets: Gadget) -> list[Gadget]:
    """Give gadgets that are known from the same place."""
    return [replace(gadget, known=gadget.known or known) for gadget in gadgets]


def call(target: str, *args: Any, fires: str = FIRED, known: str = "", **more: Any) -> Gadget:
    """Make the gadget that is one call by name."""
    return Gadget(target.replace(":", "."), known, Call(target, *args), fires, **more)


def does(name: str, body: Any, fires: str = FIRED, known: str = "", **more: Any) -> Gadget:
    """Make a gadget that has to be described."""
    return Gadget(name, known, body, fires, **more)


EVAL: Final = Name("builtins:eval")
SHELL: Final = "echo > '$MARK'"
COMPILED: Final = Call("builtins:compile", CODE, "attack", "exec")
RINGS: Final = Call("functools:partial", Name("sys:audit"), FIRED)
"""A callable that raises the event, whatever it is called with."""


def method(name: str, obj: Any, *args: Any) -> Call:
    """Call a method of what another expression gives."""
    return Call(Call("operator:methodcaller", name, *args), obj)


def namespace(**attributes: Any) -> Any:
    """Make an object with attributes, as a stand-in for ``self``."""
    return Build(Call("types:SimpleNamespace"), attributes)


def nested(body: Any) -> Made:
    """Give a pickle in a pickle, as bytes."""
    return Made(lambda ground: assemble(body, ground))
