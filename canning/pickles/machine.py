"""Follow a pickle's opcodes without running them: find the objects, names and calls of the unpickler.

`DataReader` refuses unknown opcodes; this machine takes every opcode of protocols 0 to 5, as CPython's C
unpickler does (Modules/_pickle.c), builds a `Node` instead of an object, and stops where the unpickler would
stop. `pickletools` cannot do this: it reads opcodes one by one, and knows neither the meaning of a name on
the stack nor all the errors that the unpickler tolerates.

Nothing is imported, called or copied; nothing recurses. Time and memory are linear in the stream.

`PlacingMachine` follows pickles of this process so that bytes and long text are places in them, since
portable messages hold these once.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self

from ..errors import is_of_signal
from ..limits import DEFAULT_LIMITS
from . import steps, values
from .nodes import LONG, Blob, Break, Limit, Node
from .stacks import DEEP, Stacks
from .values import Step, push

_U16: Final = struct.Struct("<H")
_I32: Final = struct.Struct("<i")
_F64: Final = struct.Struct(">d")
_COUNTED: Final = {"c1": 1, "c4": 4, "c8": 8}
_SPLIT: Final = "a frame that ends within an opcode: of a file, the C unpickler drops what is left of it"
_EARLY: Final = (
    "it ends within a frame: of a file, some unpicklers read the next pickle from behind the frame"
)

Trace = Callable[["PickleMachine", int, int, Any], None]
"""Called after each opcode with the machine, the opcode's offset, its code, its argument."""


_TEXT: Final[dict[int, tuple[str, Step]]] = {
    0x49: ("line", values.number),  # INT
    0x4C: ("line", values.number),  # LONG
    0x46: ("line", values.number),  # FLOAT
    0x53: ("line", values.quoted),  # STRING
    0x54: ("c4", values.string),  # BINSTRING
    0x55: ("c1", values.string),  # SHORT_BINSTRING
    0x56: ("line", values.raw_unicode),  # UNICODE
    0x6C: ("", values.marked("list")),  # LIST
    0x64: ("", values.marked("dict")),  # DICT
    0x32: ("", steps.dup),  # DUP
    0x67: ("line", steps.get),  # GET
    0x70: ("line", steps.put),  # PUT
    0x71: ("1", steps.put),  # BINPUT
    0x72: ("4", steps.put),  # LONG_BINPUT
    0x82: ("1", steps.extension),  # EXT1
    0x83: ("2", steps.extension),  # EXT2
    0x84: ("4", steps.extension),  # EXT4
    0x69: ("lines", steps.instance),  # INST
    0x6F: ("", steps.old_object),  # OBJ
    0x92: ("", steps.new_object_ex),  # NEWOBJ_EX
    0x50: ("line", steps.persistent),  # PERSID
    0x51: ("", steps.binary_persistent),  # BINPERSID
}
"""Opcodes that the reader of plain data does not know: most of them old, some of them calls."""
_PLAIN: Final[dict[int, tuple[str, Step]]] = {
    0x4E: ("", values.constant(None)),  # NONE
    0x88: ("", values.constant(True)),  # NEWTRUE
    0x89: ("", values.constant(False)),  # NEWFALSE
    0x4A: ("4", values.signed),  # BININT
    0x4B: ("1", values.unsigned),  # BININT1
    0x4D: ("2", values.unsigned),  # BININT2
    0x8A: ("c1", values.signed),  # LONG1
    0x8B: ("c4", values.signed),  # LONG4
    0x47: ("8", values.float_),  # BINFLOAT
    0x43: ("c1", values.bytes_),  # SHORT_BINBYTES
    0x42: ("c4", values.bytes_),  # BINBYTES
    0x8E: ("c8", values.bytes_),  # BINBYTES8
    0x96: ("c8", values.bytearray_),  # BYTEARRAY8
    0x8C: ("c1", values.unicode),  # SHORT_BINUNICODE
    0x58: ("c4", values.unicode),  # BINUNICODE
    0x8D: ("c8", values.unicode),  # BINUNICODE8
    0x97: ("", steps.next_buffer),  # NEXT_BUFFER
    0x98: ("", steps.readonly_buffer),  # READONLY_BUFFER
    0x5D: ("", values.empty("list")),  # EMPTY_LIST
    0x7D: ("", values.empty("dict")),  # EMPTY_DICT
    0x8F: ("", values.empty("set")),  # EMPTY_SET
    0x29: ("", values.nothing),  # EMPTY_TUPLE
    0x61: ("", values.append),  # APPEND
    0x65: ("", values.appends),  # APPENDS
    0x73: ("", values.set_item),  # SETITEM
    0x75: ("", values.set_items),  # SETITEMS
    0x90: ("", values.add_items),  # ADDITEMS
    0x91: ("", values.marked("frozenset")),  # FROZENSET
    0x74: ("", values.marked("tuple")),  # TUPLE
    0x85: ("", values.tuple_of(1)),  # TUPLE1
    0x86: ("", values.tuple_of(2)),  # TUPLE2
    0x87: ("", values.tuple_of(3)),  # TUPLE3
    0x28: ("", steps.mark),  # MARK
    0x30: ("", steps.pop),  # POP
    0x31: ("", steps.pop_mark),  # POP_MARK
    0x68: ("1", steps.get),  # BINGET
    0x6A: ("4", steps.get),  # LONG_BINGET
    0x94: ("", steps.put),  # MEMOIZE
    0x63: ("lines", steps.global_),  # GLOBAL
    0x93: ("", steps.stack_global),  # STACK_GLOBAL
    0x52: ("", steps.reduce),  # REDUCE
    0x81: ("", steps.new_object),  # NEWOBJ
    0x62: ("", steps.build),  # BUILD
    0x80: ("1", steps.proto),  # PROTO
    0x95: ("8", steps.frame),  # FRAME
    0x2E: ("", steps.stop),  # STOP
}
STEPS: Final[dict[int, tuple[str, Step, bool]]] = {
    **{code: (form, step, False) for code, (form, step) in _PLAIN.items()},
    **{code: (form, step, True) for code, (form, step) in _TEXT.items()},
}
"""For each opcode: the form of its argument, its step, whether the reader of plain data does not know it."""


class PickleMachine(Stacks):
    """Follow one pickle from `start` in `data` to its STOP, or to the first error.

    `trace` is called for each opcode; `opcodes` limits their number, `nodes` the containers, names and
    calls.

    >>> import pickle
    >>> machine = PickleMachine(memoryview(pickle.dumps(print))).run()
    >>> [named.dotted for named in machine.names.values()], machine.broken
    (['builtins.print'], None)
    """

    STEPS: ClassVar[dict[int, tuple[str, Step, bool]]] = STEPS

    def __init__(
        self,
        data: memoryview,
        start: int = 0,
        *,
        opcodes: int = DEFAULT_LIMITS.nodes,
        trace: Trace | None = None,
        wrappers: bool = True,
        nodes: int | None = None,
    ) -> None:
        super().__init__(data, start, opcodes, wrappers, nodes)
        self.trace = trace

    def run(self) -> Self:
        """Follow the stream, and store the result in the attributes."""
        try:
            self._loop()
        except Break as error:
            self.broken = f"byte {self.at}: {error}"
            self.limited = isinstance(error, Limit)
        except (IndexError, struct.error):
            self.broken = f"the stream breaks off at byte {self.at}"
        except UnicodeDecodeError:
            self.broken = f"byte {self.at}: text that is not in its encoding"
        except Exception as error:  # an error of ours, which must not prevent the rest of a report
            if is_of_signal(error):
                raise
            self.broken = f"byte {self.at}: {type(error).__name__}"
        if self.depth > DEEP or len(self.marks) > DEEP:
            self.flaws.append(f"it is nested more than {DEEP} deep")
        return self

    def _loop(self) -> None:
        known, data, size, trace = self.STEPS, self.data, len(self.data), self.trace
        stack, memo, left = self.stack, self.memo, self.most_opcodes
        push, fetched, most = stack.append, self.fetched, self.most_memo
        at, edge = self.at, size + 1
        try:
            while not self.stopped:
                self.at = at
                if at >= edge:
                    if at > edge:
                        self.doubt(at, _SPLIT)
                    edge = size + 1
                code = data[at]
                left -= 1
                if left < 0:
                    raise Limit(f"more than {self.most_opcodes} opcodes")
                if trace is None:  # the opcodes of long lists, inline
                    if code == 0x4B:  # BININT1
                        push(data[at + 1])
                        at += 2
                        continue
                    if code == 0x94 and len(stack) > self.fence and len(memo) < most:  # MEMOIZE
                        memo[len(memo)] = stack[-1]
                        at += 1
                        continue
                    if code == 0x4E:  # NONE
                        push(None)
                        at += 1
                        continue
                    if code in (0x5D, 0x7D) and self.nodes < self.most_nodes:  # EMPTY_LIST, EMPTY_DICT
                        self.nodes += 1
                        push(Node("list" if code == 0x5D else "dict", at))
                        at += 1
                        continue
                    if (
                        code == 0x8C and data[at + 1] < LONG and at + 2 + data[at + 1] <= size
                    ):  # SHORT_BINUNICODE
                        end = at + 2 + data[at + 1]
                        push(str(data[at + 2 : end], "utf-8", "surrogatepass"))
                        at = end
                        continue
                    if code == 0x4A:  # BININT
                        push(_I32.unpack_from(data, at + 1)[0])
                        at += 5
                        continue
                    if code == 0x4D:  # BININT2
                        push(_U16.unpack_from(data, at + 1)[0])
                        at += 3
                        continue
                    if code == 0x47:  # BINFLOAT
                        push(_F64.unpack_from(data, at + 1)[0])
                        at += 9
                        continue
                    if code == 0x68 and data[at + 1] in memo:  # BINGET
                        push(memo[data[at + 1]])
                        fetched.add(data[at + 1])
                        at += 2
                        continue
                found = known.get(code)
                if found is None:
                    raise Break(f"0x{code:02x} is not an opcode")
                form, step, legacy = found
                argument, at = self._argument(form, at + 1, size)
                self.behind = at
                self.legacy |= legacy
                step(self, argument, self.at)
                if code == 0x95:  # FRAME
                    if edge <= size:
                        self.doubt(self.at, _SPLIT)
                    edge = self.edge
                if self.skipped and self.skipped[-1][0] == at:
                    at, edge = self.skipped[-1][1], size + 1
                if trace is not None:
                    trace(self, self.at, code, argument)
            if at < edge <= size:
                self.doubt(self.at, _EARLY)
        finally:
            if (
                not self.stopped and edge <= size
            ):  # of an opcode across the end of a frame, readers see two things
                self.doubt(at, _SPLIT)
            self.opcodes += self.most_opcodes - left
        self.at = at

    def _argument(self, form: str, at: int, size: int) -> tuple[Any, int]:
        if not form:
            return None, at
        counted = _COUNTED.get(form)
        if counted is not None:
            start = at + counted
            if start > size:
                raise IndexError
            end = start + int.from_bytes(self.data[at:start], "little")
        elif form == "line":
            return self._line(at)
        elif form == "lines":
            first, at = self._line(at)
            second, at = self._line(at)
            return (first, second), at
        else:
            start, end = at, at + int(form)
        if end > size:
            raise Break(f"an argument of {end - start} bytes, where {max(0, size - start)} are left")
        return self.data[start:end], end

    def _line(self, at: int) -> tuple[bytes, int]:
        """Read up to a newline; without one, drop the last character, as the unpickler does."""
        step, start = 64, at
        while True:
            piece = bytes(self.data[at : at + step])
            end = piece.find(b"\n")
            if end >= 0 or not piece:
                stop = at + end + 1 if end >= 0 else at
                line = bytes(self.data[start:stop])
                return line[:-1], stop
            at, step = at + len(piece), 2 * step


# -- a machine that keeps places -------------------------------------------------------------------------

_LONG: Final = 1024
"""Bytes from which a text is given by its place in the pickle instead of a copy in the tree."""


def _bytes(machine: Stacks, argument: Any, at: int) -> None:
    push(machine, Blob("bytes", machine.behind - len(argument), len(argument), b""))


def _bytearray(machine: Stacks, argument: Any, at: int) -> None:
    machine.new("bytearray", at).value = Blob("bytes", machine.behind - len(argument), len(argument), b"")


def _text(machine: Stacks, argument: Any, at: int) -> None:
    text = str(argument, "utf-8", "surrogatepass")
    if len(argument) < _LONG or _HALVES.search(text):
        push(machine, text)
    else:
        push(machine, Blob("str", machine.behind - len(argument), len(argument), b""))


_ANY: Final = 2**62
_PLACING: Final[dict[Step, Step]] = {
    values.bytes_: _bytes,
    values.bytearray_: _bytearray,
    values.unicode: _text,
}
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs."""


class PlacingMachine(PickleMachine):
    """Follow a pickle of this process, whatever its size; keep the places of bytes, and all text."""

    STEPS: ClassVar = {
        code: (form, _PLACING.get(step, step), legacy) for code, (form, step, legacy) in STEPS.items()
    }

    def __init__(self, data: memoryview) -> None:
        super().__init__(data, opcodes=_ANY, wrappers=False, nodes=_ANY)
        self.most_memo = self.integer_bytes = _ANY
