"""The effect of each opcode on the stacks of a `Stacks`: the stack itself, the memo, names, calls.

https://docs.python.org/3/library/pickletools.html describes the opcodes; where the C unpickler differs,
this module follows the unpickler.

joblib writes the memory of an array into the middle of a pickle, behind the BUILD of its `NumpyArrayWrapper`:
`skip_array` continues behind it.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from . import values
from .nodes import MADE, SHORT, Blob, Break, Limit, Node
from .stacks import Stacks

_INDEX: Final = re.compile(rb"0|[1-9]\d{0,18}")
_LARGEST: Final = 1 << 60
"""Memo indexes from which some unpicklers fail, and others find many with equal hashes."""
_MADE: Final = frozenset(("call", "new", "persistent", "extension", "name"))
"""Kinds that may turn out to be a string; a name may be one, since it can have attributes that are."""


def proto(machine: Stacks, argument: Any, at: int) -> None:
    """Record the protocol."""
    if argument[0] > 5:
        raise Break(f"protocol {argument[0]}, which does not exist")
    machine.protocol = argument[0]


def frame(machine: Stacks, argument: Any, at: int) -> None:
    """Record the end of a frame."""
    length = int.from_bytes(argument, "little")
    left = len(machine.data) - at - 9
    machine.edge = at + 9 + length
    if length > left:  # the unpickler stops here; a lenient one may not
        machine.flaw(at, f"a frame of {length} bytes, where {left} are left")


def stop(machine: Stacks, argument: object, at: int) -> None:
    """Take the object; a remaining value is an error."""
    machine.root = machine.pop()
    machine.stopped = True
    if machine.stack or machine.marks:
        machine.flaw(at, "something unfinished is left at its end")


# -- stack and memo ------------------------------------------------------------------------------------


def mark(machine: Stacks, argument: object, at: int) -> None:
    """Set a mark."""
    machine.marks.append(len(machine.stack))
    machine.depth = max(machine.depth, len(machine.marks))


def pop(machine: Stacks, argument: object, at: int) -> None:
    """Drop the top value, or a mark."""
    if machine.marks and len(machine.stack) == machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.pop()


def pop_mark(machine: Stacks, argument: object, at: int) -> None:
    """Drop the values above the mark."""
    machine.items()


def dup(machine: Stacks, argument: object, at: int) -> None:
    """Push the top value again."""
    values.push(machine, machine.top())


def get(machine: Stacks, argument: object, at: int) -> None:
    """Push the memo entry of an index."""
    index = _index(machine, argument, at)
    if index not in machine.memo:
        raise Break("asks the memo for what is not in it")
    machine.fetched.add(index)
    values.push(machine, machine.memo[index])


def put(machine: Stacks, argument: Any, at: int) -> None:
    """Store the top value in the memo."""
    size = 1 if argument is None else len(argument) + (2 if type(argument) is bytes else 1)
    index = len(machine.memo) if argument is None else _index(machine, argument, at)
    if index < 0:
        raise Break("stores in the memo under a negative number")
    if len(machine.memo) > machine.most_memo:
        raise Limit(f"more than {machine.most_memo} entries of the memo")
    if index >= _LARGEST:
        raise Limit("an index of the memo that is larger than any")
    if index > len(machine.data):
        machine.flaw(at, f"memo entry {index}, for which the unpickler makes room")
    machine.memo[index] = machine.top()
    if size > 1:
        machine.stored[index] = size


def _index(machine: Stacks, argument: Any, at: int) -> int:
    if type(argument) is not bytes:
        return int.from_bytes(argument, "little")
    if _INDEX.fullmatch(argument):
        return int(argument)
    try:
        index = int(argument.partition(b"\0")[0][: values.DIGITS])  # C's strings end at a NUL
    except ValueError:
        raise Break("an invalid index of the memo") from None
    machine.doubt(at, "an index of the memo that some unpicklers take")
    return index


# -- names, calls --------------------------------------------------------------------------------------


def _names(argument: tuple[bytes, bytes]) -> tuple[str, str]:
    if not argument[0]:
        raise Break("a module without a name")
    return argument[0].decode(), argument[1].decode()


def global_(machine: Stacks, argument: Any, at: int) -> None:
    """Push the object of a name in two lines."""
    machine.name(*_names(argument), at)


def stack_global(machine: Stacks, argument: object, at: int) -> None:
    """Push the object of a name in two strings."""
    name, module = machine.pop(), machine.pop()
    parts = [_name_part(machine, part, at) for part in (module, name)]
    if any(type(part) is not str for part in parts):
        machine.act(at, "name")
        raise Break("a name that is not a string")
    machine.name(parts[0], parts[1], at)


def _name_part(machine: Stacks, part: object, at: int) -> Any:
    """Return the known content of a part of a name that is not a short string."""
    if type(part) is Blob:
        machine.doubt(at, f"a name of {part.nbytes} bytes")
        return f"({part.kind} of {part.nbytes} bytes)"
    return MADE if type(part) is Node and part.kind in _MADE else part


def reduce(machine: Stacks, argument: object, at: int) -> None:
    """Push the result of a call."""
    args = machine.pop()
    machine.call("call", at, machine.pop(), args)


def new_object(machine: Stacks, argument: object, at: int) -> None:
    """Push an instance of a class."""
    args = machine.pop()
    machine.call("new", at, machine.pop(), args)


def new_object_ex(machine: Stacks, argument: object, at: int) -> None:
    """Push an instance of a class, made with keyword arguments."""
    keywords, args = machine.pop(), machine.pop()
    machine.call("new", at, machine.pop(), args, keywords)


def instance(machine: Stacks, argument: Any, at: int) -> None:
    """Push an instance of a class, named in two lines."""
    target = machine.name(*_names(argument), at)  # the unpickler in Python looks it up first
    machine.stack.pop()
    args = machine.new("tuple", at, tuple(machine.items()))
    machine.stack.pop()
    machine.call("call", at, target, args)


def old_object(machine: Stacks, argument: object, at: int) -> None:
    """Push an instance of the class above the mark."""
    target, *rest = machine.items() or [None]
    if target is None:
        raise Break("an instance of nothing")
    args = machine.new("tuple", at, tuple(rest))
    machine.stack.pop()
    machine.call("call", at, target, args)


def build(machine: Stacks, argument: object, at: int) -> None:
    """Set the state of an object."""
    state, obj = machine.pop(), machine.top()
    machine.act(at, "state")
    if type(obj) is Node:
        if obj.kind == "name":
            machine.act(at, "patch")
        obj.states = [*(obj.states or ())[:99], state]
        machine.sink(obj, [state])
        if machine.wrappers and obj.target == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            skip_array(machine, obj, at + 1)


def persistent(machine: Stacks, argument: bytes, at: int) -> None:
    """Push the object of a persistent id in a line."""
    if not argument.isascii():  # so a zip archive of arrays is not taken for a pickle, though P is an opcode
        raise Break("a persistent id that is not ASCII")
    machine.act(at, "persistent")
    machine.new("persistent", at).value = argument[:SHORT].decode()


def binary_persistent(machine: Stacks, argument: object, at: int) -> None:
    """Push the object of a persistent id on the stack."""
    value = machine.pop()
    machine.act(at, "persistent")
    machine.new("persistent", at, [value])


def extension(machine: Stacks, argument: Any, at: int) -> None:
    """Push the object of a number of `copyreg`."""
    machine.act(at, "extension")
    machine.new("extension", at).value = int.from_bytes(argument, "little")


def next_buffer(machine: Stacks, argument: object, at: int) -> None:
    """Push the next out-of-band buffer."""
    machine.act(at, "buffer")
    machine.new("buffer", at).value = machine.buffers
    machine.buffers += 1


def readonly_buffer(machine: Stacks, argument: object, at: int) -> None:
    """Check the buffer that becomes read-only."""
    machine.top()


# -- memory that joblib writes into the middle of a pickle -----------------------------------------------

_STATE: Final = 64
"""Keys and values of a state that are checked."""


def skip_array(machine: Stacks, wrapper: Node, at: int) -> None:
    """Continue the stream behind the memory of an array, which starts at `at`."""
    state = state_of(wrapper)
    dtype = dtype_of(state.get("dtype"))
    shape = shape_of(state.get("shape"))
    if dtype is None or shape is None:
        return
    if dtype.startswith("O"):
        machine.skipped.append((at, _behind_pickle(machine, at)))
        return
    aligned = state.get("numpy_array_alignment_bytes") is not None
    at_memory = at + 1 + machine.data[at] if aligned else at
    end = at_memory + math.prod(shape) * int(dtype[1:])
    if end > len(machine.data):
        raise Break(f"an array of {end - at_memory} bytes, where {len(machine.data) - at_memory} are left")
    machine.skipped.append((at, end))


def _behind_pickle(machine: Stacks, at: int) -> int:
    """Follow the separate pickle of an array of objects."""
    opcodes = max(1, machine.most_opcodes - machine.opcodes)
    left = machine.most_nodes - machine.nodes
    within = type(machine)(machine.data, at, opcodes=opcodes, wrappers=False, nodes=left).run()
    machine.opcodes += within.opcodes
    machine.nodes += within.nodes
    for key, named in within.names.items():
        machine.names.setdefault(key, named)
    machine.acts |= within.acts
    machine.flaws += within.flaws
    if within.broken:
        raise Break(within.broken)
    return within.at


def state_of(node: Node) -> dict[Any, Any]:
    """Return the attributes that BUILD sets, as far as their names are known."""
    state = node.states[-1] if node.states else None
    if type(state) is not Node or state.kind != "dict" or not state.items:
        return {}
    return {
        key: value
        for key, value in zip(state.items[:_STATE:2], state.items[1:_STATE:2], strict=False)
        if type(key) is str
    }


def dtype_of(node: object) -> str | None:
    """Return the code of a dtype that numpy pickled: ``f8``, ``U5``; None for others."""
    if type(node) is not Node or node.target != ("numpy", "dtype"):
        return None
    code = node.args[0] if node.args else None
    if type(code) is not str or not code[:1].isalpha() or len(code) > 20:
        return None
    if code[1:].isascii() and code[1:].isdigit():
        return code
    return None


def shape_of(node: object) -> tuple[int, ...] | None:
    """Return a shape; None if the node is not one."""
    if type(node) is not Node or node.kind != "tuple" or len(node.items or ()) > 64:
        return None
    shape = tuple(node.items or ())
    if any(type(length) is not int or not 0 <= length < 1 << 62 for length in shape):
        return None
    return shape
