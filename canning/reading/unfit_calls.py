"""Which call of a message cannot be made here, since it has other arguments than what it calls takes.

The commonest of all are exceptions: pickle makes one of its `args`, which are what went to
``Exception.__init__``, and seldom what its own ``__init__`` takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from ..code.classes import class_of
from ..errors import DeserializationError, name_for_errors
from ..memory.buffers import flat
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Node
from ..pickles.outline import Paths
from ..wire.names import CALLS

LookUp = Callable[[str, str], Any]
_OURS: Final = frozenset(("canning.reading.reader", "canning.reading.builder", "canning.calls"))
"""The modules that run the unpickler, and that it calls for others."""
_MARK_IN: Final = {
    ("cloudpickle.cloudpickle", "_make_skeleton_class"): 4,
    (CALLS, "empty_class"): 5,
}
"""The number of the argument that tells a class by value from others, by what makes one."""


def unfit_call(head: object, error: DeserializationError, look_up: LookUp) -> DeserializationError | None:
    """Make the error for a call that does not fit; None where that is not why reading has failed."""
    cause = error.__cause__
    if type(cause) is not TypeError or _was_in_a_call(cause):
        return None
    machine = PickleMachine(flat(head)).run()
    for node in machine.calls:
        called = _called_by(node, look_up) if node.kind == "call" else None
        wanted = None if called is None else _misfit(called, len(node.args))
        if wanted is not None:
            return DeserializationError(_say(machine, node, called, wanted))
    return None


def _called_by(node: Node, look_up: LookUp) -> Any:
    """Give what a call of a message calls: by its name, or a class that came by value; None for ours."""
    if node.target is not None:
        return None if node.target[0].partition(".")[0] == "canning" else look_up(*node.target)
    maker: Any = node.items[0] if node.items else None
    at = _MARK_IN.get(maker.target or ("", "")) if type(maker) is Node else None
    if at is None or len(maker.args) <= at:
        return None
    return class_of(maker.args[at])


def _was_in_a_call(error: BaseException) -> bool:
    """Tell whether an error comes from within what was called, and not from the call itself."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_globals.get("__name__") not in _OURS


def _misfit(called: Any, count: int) -> str | None:
    """Name the parameters of what cannot be called with so many arguments; None where it can."""
    try:
        signature = inspect.signature(called)
    except Exception:  # builtins do not always tell, and others may raise anything
        return None
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return f"({', '.join(signature.parameters)})"
    return None


def _say(machine: PickleMachine, node: Node, called: Any, wanted: str) -> str:
    path, count = Paths(machine.root).of(node), len(node.args)
    what = f"{path}: " if path else ""
    what += f"{name_for_errors(called.__module__, called.__qualname__)}{wanted} cannot be called with "
    what += f"{count} argument{'' if count == 1 else 's'}, as the message asks"
    if isinstance(called, type) and issubclass(called, BaseException):
        what += ": an exception is made of its .args. Pass all that it takes on to super().__init__, or give "
        what += "the class a __reduce__"
    return what
