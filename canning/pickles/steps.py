"""What each opcode does to the stacks of a `Stacks`; one function a step, one table for all.

https://docs.python.org/3/library/pickletools.html describes the opcodes; where the C unpickler differs, it is
followed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from . import scalars
from .nodes import MADE, SHORT, Blob, Break, Limit, Node
from .scalars import Step
from .stacks import Stacks
from .wrapped_arrays import skip_array

_CONSTANTS: Final = {0x4E: None, 0x88: True, 0x89: False}
_INDEX: Final = re.compile(rb"0|[1-9]\d{0,18}")
_LARGEST: Final = 1 << 60
"""Indexes of the memo from which some unpicklers give up, and others find many alike by their hash."""
_MADE: Final = frozenset(("call", "new", "persistent", "extension", "name"))
"""What may turn out to be a string; of a name, since what has one can be given attributes that are."""
_UNHASHABLE: Final = frozenset(("list", "dict", "set", "bytearray"))


def _proto(machine: Stacks, argument: Any, at: int) -> None:
    if argument[0] > 5:
        raise Break(f"protocol {argument[0]}, which does not exist")
    machine.protocol = argument[0]


def _frame(machine: Stacks, argument: Any, at: int) -> None:
    length = int.from_bytes(argument, "little")
    left = len(machine.data) - at - 9
    machine.edge = at + 9 + length
    if length > left:  # the unpickler stops here; a lenient one may not
        machine.flaw(at, f"a frame of {length} bytes, where {left} are left")


def _stop(machine: Stacks, argument: object, at: int) -> None:
    machine.root = machine.pop()
    machine.stopped = True
    if machine.stack or machine.marks:
        machine.flaw(at, "something unfinished is left at its end")


# -- containers ----------------------------------------------------------------------------------------


def _empty(kind: str) -> Step:
    def step(machine: Stacks, argument: object, at: int) -> None:
        machine.new(kind, at)

    return step


def _nothing(machine: Stacks, argument: object, at: int) -> None:
    scalars.push(machine, machine.nothing)


def _marked(kind: str) -> Step:
    def step(machine: Stacks, argument: object, at: int) -> None:
        items = machine.items()
        if kind == "dict" and len(items) % 2:
            raise Break("a key without its value")
        machine.new(kind, at, tuple(items) if kind == "tuple" else items)

    return step


def _tuple_of(count: int) -> Step:
    def step(machine: Stacks, argument: object, at: int) -> None:
        if len(machine.stack) - machine.fence < count:
            raise Break("takes from an empty stack")
        items = tuple(machine.stack[-count:])
        del machine.stack[-count:]
        machine.new("tuple", at, items)

    return step


def _fill(machine: Stacks, items: list[Any], kinds: tuple[str, ...], at: int) -> None:
    """Add to what is uppermost: to a container, or by a call of its methods."""
    if not items:
        return
    target = machine.top()
    if type(target) is not Node:
        raise Break("adds to something that holds nothing")
    pairs = "dict" in kinds
    if pairs and any(type(key) is Node and key.kind in _UNHASHABLE for key in items[::2]):
        machine.flaw(at, "an invalid key")
    if target.kind in kinds:
        target.items = target.items if target.items is not None else []
        target.items += items
    else:
        machine.act(at, "method")
        target.more = target.more if target.more is not None else []
        target.more += items
        target.pairs = pairs
    machine.sink(target, items)


def _append(machine: Stacks, argument: object, at: int) -> None:
    _fill(machine, [machine.pop()], ("list",), at)


def _appends(machine: Stacks, argument: object, at: int) -> None:
    _fill(machine, machine.items(), ("list",), at)


def _set_item(machine: Stacks, argument: object, at: int) -> None:
    value = machine.pop()
    _fill(machine, [machine.pop(), value], ("dict",), at)


def _set_items(machine: Stacks, argument: object, at: int) -> None:
    items = machine.items()
    if len(items) % 2:
        raise Break("a key without its value")
    _fill(machine, items, ("dict",), at)


def _add_items(machine: Stacks, argument: object, at: int) -> None:
    _fill(machine, machine.items(), ("set",), at)


# -- stack and memo ------------------------------------------------------------------------------------


def _mark(machine: Stacks, argument: object, at: int) -> None:
    machine.marks.append(len(machine.stack))
    machine.depth = max(machine.depth, len(machine.marks))


def _pop(machine: Stacks, argument: object, at: int) -> None:
    if machine.marks and len(machine.stack) == machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.pop()


def _pop_mark(machine: Stacks, argument: object, at: int) -> None:
    machine.items()


def _dup(machine: Stacks, argument: object, at: int) -> None:
    scalars.push(machine, machine.top())


def _get(machine: Stacks, argument: object, at: int) -> None:
    index = _index(machine, argument, at)
    if index not in machine.memo:
        raise Break("asks the memo for what is not in it")
    machine.fetched.add(index)
    scalars.push(machine, machine.memo[index])


def _put(machine: Stacks, argument: Any, at: int) -> None:
    size = 1 if argument is None else len(argument) + (2 if type(argument) is bytes else 1)
    index = len(machine.memo) if argument is None else _index(machine, argument, at)
    if index < 0:
        raise Break("stores in the memo under a negative number")
    if len(machine.memo) > machine.limits.memo:
        raise Limit(f"more than {machine.limits.memo} entries of the memo")
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
        index = int(argument.partition(b"\0")[0][: scalars.DIGITS])  # C's strings end at a NUL
    except ValueError:
        raise Break("an invalid index of the memo") from None
    machine.doubt(at, "an index of the memo that some unpicklers take")
    return index


# -- names, calls --------------------------------------------------------------------------------------


def _names(argument: tuple[bytes, bytes]) -> tuple[str, str]:
    if not argument[0]:
        raise Break("a module without a name")
    return argument[0].decode(), argument[1].decode()


def _global(machine: Stacks, argument: Any, at: int) -> None:
    machine.name(*_names(argument), at)


def _stack_global(machine: Stacks, argument: object, at: int) -> None:
    name, module = machine.pop(), machine.pop()
    parts = [_name_part(machine, part, at) for part in (module, name)]
    if any(type(part) is not str for part in parts):
        machine.act(at, "name")
        raise Break("a name that is not a string")
    machine.name(parts[0], parts[1], at)


def _name_part(machine: Stacks, part: object, at: int) -> Any:
    """Give what can be said of a part of a name that is no short string."""
    if type(part) is Blob:
        machine.doubt(at, f"a name of {part.nbytes} bytes")
        return f"({part.kind} of {part.nbytes} bytes)"
    return MADE if type(part) is Node and part.kind in _MADE else part


def _reduce(machine: Stacks, argument: object, at: int) -> None:
    args = machine.pop()
    machine.call("call", at, machine.pop(), args)


def _new_object(machine: Stacks, argument: object, at: int) -> None:
    args = machine.pop()
    machine.call("new", at, machine.pop(), args)


def _new_object_ex(machine: Stacks, argument: object, at: int) -> None:
    keywords, args = machine.pop(), machine.pop()
    machine.call("new", at, machine.pop(), args, keywords)


def _instance(machine: Stacks, argument: Any, at: int) -> None:
    target = machine.name(*_names(argument), at)  # which the unpickler in Python looks up first
    machine.stack.pop()
    args = machine.new("tuple", at, tuple(machine.items()))
    machine.stack.pop()
    machine.call("call", at, target, args)


def _object(machine: Stacks, argument: object, at: int) -> None:
    target, *rest = machine.items() or [None]
    if target is None:
        raise Break("an instance of nothing")
    args = machine.new("tuple", at, tuple(rest))
    machine.stack.pop()
    machine.call("call", at, target, args)


def _build(machine: Stacks, argument: object, at: int) -> None:
    state, obj = machine.pop(), machine.top()
    machine.act(at, "state")
    if type(obj) is Node:
        if obj.kind == "name":
            machine.act(at, "patch")
        obj.states = [*(obj.states or ())[:99], state]
        machine.sink(obj, [state])
        if machine.wrappers and obj.target == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            skip_array(machine, obj, at + 1)


def _persistent(machine: Stacks, argument: bytes, at: int) -> None:
    if not argument.isascii():  # so no zip archive of arrays is a pickle, though P is an opcode
        raise Break("a persistent id that is not ASCII")
    machine.act(at, "persistent")
    machine.new("persistent", at).value = argument[:SHORT].decode()


def _binary_persistent(machine: Stacks, argument: object, at: int) -> None:
    value = machine.pop()
    machine.act(at, "persistent")
    machine.new("persistent", at, [value])


def _extension(machine: Stacks, argument: Any, at: int) -> None:
    machine.act(at, "extension")
    machine.new("extension", at).value = int.from_bytes(argument, "little")


def _next_buffer(machine: Stacks, argument: object, at: int) -> None:
    machine.act(at, "buffer")
    machine.new("buffer", at).value = machine.buffers
    machine.buffers += 1


def _readonly_buffer(machine: Stacks, argument: object, at: int) -> None:
    machine.top()


_TEXT: Final[dict[int, tuple[str, Step]]] = {
    0x49: ("line", scalars.number),  # INT
    0x4C: ("line", scalars.number),  # LONG
    0x46: ("line", scalars.number),  # FLOAT
    0x53: ("line", scalars.quoted),  # STRING
    0x54: ("c4", scalars.string),  # BINSTRING
    0x55: ("c1", scalars.string),  # SHORT_BINSTRING
    0x56: ("line", scalars.raw_unicode),  # UNICODE
    0x6C: ("", _marked("list")),  # LIST
    0x64: ("", _marked("dict")),  # DICT
    0x32: ("", _dup),  # DUP
    0x67: ("line", _get),  # GET
    0x70: ("line", _put),  # PUT
    0x71: ("1", _put),  # BINPUT
    0x72: ("4", _put),  # LONG_BINPUT
    0x82: ("1", _extension),  # EXT1
    0x83: ("2", _extension),  # EXT2
    0x84: ("4", _extension),  # EXT4
    0x69: ("lines", _instance),  # INST
    0x6F: ("", _object),  # OBJ
    0x92: ("", _new_object_ex),  # NEWOBJ_EX
    0x50: ("line", _persistent),  # PERSID
    0x51: ("", _binary_persistent),  # BINPERSID
}
"""Opcodes that the reader of plain data does not know: most of them old, some that call."""
_PLAIN: Final[dict[int, tuple[str, Step]]] = {
    **{code: ("", scalars.constant(value)) for code, value in _CONSTANTS.items()},
    0x4A: ("4", scalars.signed),  # BININT
    0x4B: ("1", scalars.unsigned),  # BININT1
    0x4D: ("2", scalars.unsigned),  # BININT2
    0x8A: ("c1", scalars.signed),  # LONG1
    0x8B: ("c4", scalars.signed),  # LONG4
    0x47: ("8", scalars.float_),  # BINFLOAT
    0x43: ("c1", scalars.bytes_),  # SHORT_BINBYTES
    0x42: ("c4", scalars.bytes_),  # BINBYTES
    0x8E: ("c8", scalars.bytes_),  # BINBYTES8
    0x96: ("c8", scalars.bytearray_),  # BYTEARRAY8
    0x8C: ("c1", scalars.unicode),  # SHORT_BINUNICODE
    0x58: ("c4", scalars.unicode),  # BINUNICODE
    0x8D: ("c8", scalars.unicode),  # BINUNICODE8
    0x97: ("", _next_buffer),  # NEXT_BUFFER
    0x98: ("", _readonly_buffer),  # READONLY_BUFFER
    0x5D: ("", _empty("list")),  # EMPTY_LIST
    0x7D: ("", _empty("dict")),  # EMPTY_DICT
    0x8F: ("", _empty("set")),  # EMPTY_SET
    0x29: ("", _nothing),  # EMPTY_TUPLE
    0x61: ("", _append),  # APPEND
    0x65: ("", _appends),  # APPENDS
    0x73: ("", _set_item),  # SETITEM
    0x75: ("", _set_items),  # SETITEMS
    0x90: ("", _add_items),  # ADDITEMS
    0x91: ("", _marked("frozenset")),  # FROZENSET
    0x74: ("", _marked("tuple")),  # TUPLE
    0x85: ("", _tuple_of(1)),  # TUPLE1
    0x86: ("", _tuple_of(2)),  # TUPLE2
    0x87: ("", _tuple_of(3)),  # TUPLE3
    0x28: ("", _mark),  # MARK
    0x30: ("", _pop),  # POP
    0x31: ("", _pop_mark),  # POP_MARK
    0x68: ("1", _get),  # BINGET
    0x6A: ("4", _get),  # LONG_BINGET
    0x94: ("", _put),  # MEMOIZE
    0x63: ("lines", _global),  # GLOBAL
    0x93: ("", _stack_global),  # STACK_GLOBAL
    0x52: ("", _reduce),  # REDUCE
    0x81: ("", _new_object),  # NEWOBJ
    0x62: ("", _build),  # BUILD
    0x80: ("1", _proto),  # PROTO
    0x95: ("8", _frame),  # FRAME
    0x2E: ("", _stop),  # STOP
}
STEPS: Final[dict[int, tuple[str, Step, bool]]] = {
    **{code: (form, step, False) for code, (form, step) in _PLAIN.items()},
    **{code: (form, step, True) for code, (form, step) in _TEXT.items()},
}
"""For each opcode: the form of its argument, its step, whether the reader of plain data knows it not."""
