"""Pickle's opcodes for plain data: the loop over them, a stack, a memo, and the scalars.

https://docs.python.org/3/library/pickletools.html describes the opcodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, NamedTuple

from ...errors import CanningError, DeserializationError, is_of_signal
from ...limits import Limits
from ...types.allowed import NO_HEADER, refuse, refuse_value
from ...types.budget import Work
from .prices import Price
from .sealing import check_depth
from .short_cuts import LEAST, LONGEST_INT, ArrayCalls, MakeArray, read_run

_U8, _U16, _I32, _U32, _U64, _F64 = map(struct.Struct, ("<B", "<H", "<i", "<I", "<Q", ">d"))


class Name(NamedTuple):
    """A known name that the header asked for: a function that makes an object, or a class."""

    make: Callable[..., Any] | None
    cls: type | None
    array: MakeArray | None = None
    price: Price | None = None
    nests: bool = False
    kind: str | None = None


class Arguments(list[Any]):
    """A tuple that holds a `Name`: it may only be the arguments of a call."""


TOKENS: Final = frozenset((Name, Arguments))


class StackMachine:
    """Run the opcodes that push scalars and move values on the stack.

    `Containers` adds those that make and fill containers, `DataReader` those that look up names.

    Attributes:
        data, at: the header, and the offset up to which it was read.
        limits: bounds.
        outside: pickle's own out-of-band buffers.
        work: the account of the time and memory that reading takes.
        stack, marks, memo: pickle's.
        named: whether the header has asked for a name yet; before that, no value can be one.
        depths: the depth of containers that hold others, by identity.
    """

    STEPS: ClassVar[dict[int, tuple[Callable[[Any], None], int]]] = {}
    """The function of each opcode, and the bytes it takes where they exceed what its own bytes pay for."""

    def __init__(self, data: bytes, limits: Limits, outside: Iterator[memoryview], work: Work) -> None:
        self.data = data
        self.at = 0
        self.limits = limits
        self.outside = outside
        self.work = work
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []
        self.named = False
        self.depths: dict[int, int] = {}
        self.arrays = ArrayCalls(data)

    def read(self) -> Any:
        """Read the object; raises `DeserializationError` for anything but well-formed plain data."""
        try:
            return self._run()
        except CanningError as error:
            if isinstance(error, DeserializationError):
                error.read_to = self.at
            raise
        except (IndexError, struct.error, StopIteration) as error:
            raise DeserializationError(f"the header breaks off at byte {self.at}") from error
        except Exception as error:  # only our own code runs here, so any error is the message's fault
            if is_of_signal(error):
                raise
            raise DeserializationError(f"the header is damaged before byte {self.at}") from error

    def _run(self) -> Any:
        data, stack, memo, steps = self.data, self.stack, self.memo, self.STEPS
        most, push, remember = self.limits.nodes, self.stack.append, self.memo.append
        memories, work = self.limits.memo, self.work
        at, nodes, size = 0, 0, len(data)
        runs = self.limits.integer_bytes >= LONGEST_INT
        while True:
            code = data[at]
            at += 1
            # The opcodes of long lists come first, and inline: a million ints take half the time.
            if code == 0x4B:  # BININT1
                push(data[at])
                at += 1
            elif code == 0x4A:  # BININT
                push(_I32.unpack_from(data, at)[0])
                at += 4
            elif code == 0x94:  # MEMOIZE
                remember(stack[-1])
                continue
            elif code == 0x4D:  # BININT2
                push(_U16.unpack_from(data, at)[0])
                at += 2
            elif code == 0x47:  # BINFLOAT
                push(_F64.unpack_from(data, at)[0])
                at += 8
            elif code == 0x8C:  # SHORT_BINUNICODE
                end = at + 1 + data[at]
                if end > size:
                    raise IndexError
                push(str(data[at + 1 : end], "utf-8", "surrogatepass"))
                at = end
            elif code == 0x68:  # BINGET
                item = memo[data[at]]
                at += 1
                push(item)
                if type(item) is Name and item.array is not None:
                    found = self.arrays.read(at, memo, item.array)
                    if found is not None:
                        stack[-1], at = found
                        nodes += 6
            elif code == 0x28:  # MARK
                self.at = at
                self._mark()
                while size - at > LEAST and runs and nodes <= most and (run := read_run(data, at)):
                    items, memorized, at = run
                    nodes += len(items)
                    memo += memorized
                    if len(memo) > memories:
                        self._too_much()
                    if data[at] == 0x65 and len(stack) == self.marks[-1]:  # APPENDS
                        at += 1
                        self._extend_by_run(items)
                        break
                    stack += items
            elif code == 0x62:  # BUILD
                self.at = at
                self._build()
                nodes += self._build_alike()
                at = self.at
            elif code == 0x7D:  # EMPTY_DICT
                self.at = at
                nodes += self._new_dicts()
                at = self.at
            elif code == 0x2E:  # STOP
                self.at = at
                return self._finish()
            else:
                step = steps.get(code)
                if step is None and at == 1:
                    raise DeserializationError(NO_HEADER)
                if step is None:
                    raise refuse(f"pickle's opcode 0x{code:02x}, which is not one of plain data")
                call, takes = step
                if takes:
                    work.memory -= takes
                    if work.memory < 0 or len(memo) > memories:
                        self._too_much()
                self.at = at
                call(self)
                at = self.at
            nodes += 1
            if nodes > most:
                raise DeserializationError(f"more values than this reader's limit, nodes={most}")

    def _too_much(self) -> None:
        if len(self.memo) > self.limits.memo:
            raise DeserializationError(f"more values than this reader's limit, memo={self.limits.memo}")
        self.work.refuse()

    def _finish(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise DeserializationError("the header ends with something unfinished")
        if len(self.memo) > self.limits.memo:
            self._too_much()
        if self.at != len(self.data):
            raise DeserializationError(f"{len(self.data) - self.at} bytes follow the header's pickle")
        self._no_tokens(self.stack)
        return self.stack[0]

    # -- tokens: names and argument lists, which may not be part of an object ------------------------------

    def _no_tokens(self, items: Any) -> None:
        if self.named and not TOKENS.isdisjoint(map(type, items)):
            raise refuse_value()

    def _pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError
        return self.stack.pop()

    def _items(self) -> list[Any]:
        """Remove and return the values above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # -- scalars ---------------------------------------------------------------------------------------

    def _bytes(self, width: struct.Struct) -> bytes:
        start = self.at + width.size
        end = start + width.unpack_from(self.data, self.at)[0]
        if end > len(self.data):
            raise IndexError
        self.at = end
        return self.data[start:end]

    def _proto(self) -> None:
        if self.data[self.at] > 5:
            raise refuse("a protocol of pickle later than 5")
        self.at += 1

    def _frame(self) -> None:
        self.at += 8

    def _none(self) -> None:
        self.stack.append(None)

    def _true(self) -> None:
        self.stack.append(True)

    def _false(self) -> None:
        self.stack.append(False)

    def _integer(self, raw: bytes) -> None:
        if len(raw) > self.limits.integer_bytes:
            raise DeserializationError(
                f"an int of {len(raw)} bytes: this reader's limit is "
                f"integer_bytes={self.limits.integer_bytes} of canning.Limits"
            )
        self.stack.append(int.from_bytes(raw, "little", signed=True))

    def _long1(self) -> None:
        self._integer(self._bytes(_U8))

    def _long4(self) -> None:
        self._integer(self._bytes(_U32))

    def _bytes1(self) -> None:
        self.stack.append(self._bytes(_U8))

    def _bytes4(self) -> None:
        self.stack.append(self._bytes(_U32))

    def _bytes8(self) -> None:
        self.stack.append(self._bytes(_U64))

    def _bytearray8(self) -> None:
        self.stack.append(bytearray(self._bytes(_U64)))

    def _text4(self) -> None:
        self.stack.append(str(self._bytes(_U32), "utf-8", "surrogatepass"))

    def _text8(self) -> None:
        self.stack.append(str(self._bytes(_U64), "utf-8", "surrogatepass"))

    def _next_buffer(self) -> None:
        self.stack.append(next(self.outside))

    def _readonly_buffer(self) -> None:
        if type(self.stack[-1]) is not memoryview:
            raise TypeError
        self.stack[-1] = self.stack[-1].toreadonly()

    # -- stack and memo --------------------------------------------------------------------------------

    def _mark(self) -> None:
        self.marks.append(len(self.stack))
        check_depth(len(self.marks), self.limits)

    _extend_by_run: Callable[[list[Any]], None]
    _build: Callable[[], None]
    _build_alike: Callable[[], int]
    _new_dicts: Callable[[], int]

    def _drop(self) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self) -> None:
        self._items()

    def _long_get(self) -> None:
        self.stack.append(self.memo[_U32.unpack_from(self.data, self.at)[0]])
        self.at += 4


_STEPS: Final[dict[int, str]] = {
    0x80: "_proto",
    0x95: "_frame",
    0x4E: "_none",
    0x88: "_true",
    0x89: "_false",
    0x8A: "_long1",
    0x8B: "_long4",
    0x43: "_bytes1",
    0x42: "_bytes4",
    0x8E: "_bytes8",
    0x96: "_bytearray8",
    0x58: "_text4",
    0x8D: "_text8",
    0x97: "_next_buffer",
    0x98: "_readonly_buffer",
    0x30: "_drop",
    0x31: "_drop_to_mark",
    0x6A: "_long_get",
    0x5D: "_empty_list",
    0x8F: "_empty_set",
    0x29: "_empty_tuple",
    0x74: "_tuple",
    0x85: "_tuple1",
    0x86: "_tuple2",
    0x87: "_tuple3",
    0x61: "_append",
    0x65: "_appends",
    0x73: "_setitem",
    0x75: "_setitems",
    0x90: "_add_items",
    0x91: "_frozenset",
    0x63: "_global",
    0x93: "_stack_global",
    0x52: "_reduce",
    0x81: "_newobj",
}
"""The opcodes that are read, besides those in the loop itself; for any other the message is refused."""
_TAKES: Final[dict[str, int]] = {
    "_empty_list": 64,
    "_empty_set": 232,
    "_frozenset": 232,
    "_tuple": 56,
    "_tuple1": 56,
    "_tuple2": 64,
    "_tuple3": 72,
    "_append": 40,
    "_reduce": 72,
}
"""Bytes that an opcode takes, besides 8 for each item, where they exceed what its own bytes pay for."""


def steps_of(reader: type[StackMachine]) -> dict[int, tuple[Callable[[Any], None], int]]:
    """Return the functions of a reader that has all of them, by opcode."""
    return {code: (getattr(reader, name), _TAKES.get(name, 0)) for code, name in _STEPS.items()}
