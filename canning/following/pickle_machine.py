"""Follow a pickle's opcodes without running them: what the unpickler would build, name and call.

Where `DataReader` refuses, this goes on: it takes every opcode of protocols 0 to 5, as CPython's C unpickler
takes them (Modules/_pickle.c), puts a `Node` where an object would stand, and stops where that one would
stop. `pickletools` is no help here: it looks at opcodes one by one, and knows neither what a name on the
stack is, nor all that the unpickler forgives.

Nothing is imported, called or copied; nothing recurses. Time and memory are linear in the stream.
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, Final

from ..trust import DEFAULT_LIMITS, Limits
from ..vocabulary import NAMED
from .nodes import LONG, Break, Limit, Named, Node, Text

_U16: Final = struct.Struct("<H")
_I32: Final = struct.Struct("<i")
_F64: Final = struct.Struct(">d")
_COUNTED: Final = {"c1": 1, "c4": 4, "c8": 8}
_NODES: Final = 8
"""Of this many values that the limits allow, one may be a container, call or name: some 300 bytes each."""
_FLAWS: Final = 20
DEEP: Final = 400
"""Depth beyond which a stream is not taken for harmless: reading it may exhaust the C stack."""

Trace = Callable[["PickleMachine", int, int, Any], None]
"""Is told, after each opcode: the machine, where the opcode is, its code, its argument."""


class Stacks:
    """Hold what the opcodes work on: a stack with marks, a memo, and what was noticed.

    Attributes:
        data, start, at: the stream, where in it the pickle starts, how far it was followed.
        behind: where the argument of the opcode at hand ends.
        edge: where the last frame ends.
        stack, marks, memo: pickle's; the memo holds what was stored under each index.
        names: what was asked for by name, by module and name.
        acts: what the unpickler would do besides building plain data, a word for each, and where first.
        calls: what is called, or made an instance of.
        flaws: what is wrong with the stream, though the unpickler may go on.
        broken: why the unpickler would stop without an object; None where it would not.
        limited: whether it was a limit of ours that ended it.
        legacy: whether the stream has opcodes that the reader of plain data does not know.
        root: the node of the object, where the stream reaches STOP.
        depth: how deep containers stand in containers.
        texts: how often each long string or bytes object was written out.
        opcodes: how many were followed.
        opcodes: how many of them were followed.
        fetched, stored: indexes of the memo that were read; bytes of opcodes that stored, where not one.
    """

    def __init__(self, data: memoryview, start: int, limits: Limits) -> None:
        self.data = data
        self.start = self.at = start
        self.limits = limits
        self.behind = start
        self.edge = 0
        self.protocol = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[tuple[str, str], Named] = {}
        self.acts: dict[str, int] = {}
        self.calls: list[Node] = []
        self.flaws: list[str] = []
        self.broken: str | None = None
        self.limited = False
        self.legacy = False
        self.stopped = False
        self.root: Any = None
        self.depth = 0
        self.nodes = 0
        self.opcodes = 0
        self.texts: dict[Any, list[int]] = {}
        self.fetched: set[int] = set()
        self.stored: dict[int, int] = {}
        self.skipped: list[tuple[int, int]] = []
        self.buffers = 0

    @property
    def fence(self) -> int:
        """How much of the stack lies below the last mark."""
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Any:
        """Take the uppermost value."""
        if len(self.stack) <= self.fence:
            raise Break("takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the uppermost value."""
        if len(self.stack) <= self.fence:
            raise Break("looks at an empty stack")
        return self.stack[-1]

    def items(self) -> list[Any]:
        """Take what is above the last mark."""
        if not self.marks:
            raise Break("there is no mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def new(self, kind: str, at: int, items: list[Any] | None = None) -> Node:
        """Push a node."""
        self.nodes += 1
        if self.nodes > self.limits.nodes // _NODES:
            raise Limit(f"more containers, names and calls than {self.limits.nodes // _NODES}")
        node = Node(kind, at, items)
        if items:
            self.sink(node, items)
        self.stack.append(node)
        return node

    def sink(self, node: Node, items: list[Any]) -> None:
        """Note how deep a node has become that holds these items now."""
        depth = 1
        for item in items:
            if type(item) is Node and item.depth >= depth:
                depth = item.depth + 1
        if depth > node.depth:
            node.depth = depth
            self.depth = max(self.depth, depth)

    def note(self, content: Text, size: int) -> Text:
        """Count a long string or bytes object, and push it."""
        self.texts.setdefault(content, [0, size])[0] += 1
        return content

    def act(self, at: int, what: str) -> None:
        """Note that the unpickler would do something here."""
        self.acts.setdefault(what, at)

    def flaw(self, at: int, what: str) -> None:
        """Note what is wrong with the stream."""
        if len(self.flaws) < _FLAWS:
            self.flaws.append(f"byte {at}: {what}")

    def call(self, kind: str, at: int, target: Any, args: Any, *keywords: Any) -> Node:
        """Push what a call gives; `args` may be that of many calls, and is not copied."""
        self.act(at, kind)
        node = self.new(kind, at, [target, args, *keywords])
        if node.target == NAMED and list(map(type, node.args)) == [str, str]:
            self.stack.pop()
            module, name = node.args
            return self.name(module, name, at)
        self.calls.append(node)
        if type(target) is Node and target.kind == "name":
            target.value.called(node, len(node.args))
        return node

    def name(self, module: str, name: str, at: int) -> Node:
        """Push what a name stands for."""
        if self.protocol < 3:  # as the unpickler does with what Python 2 wrote
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        self.act(at, "name")
        found = self.names.get((module, name))
        if found is None:
            found = self.names[module, name] = Named(module, name, at)
        found.count += 1
        node = self.new("name", at)
        node.value = found
        if found.node is None:
            found.node = node
        return node


class PickleMachine(Stacks):
    """Follow one pickle from `start` in `data` to its STOP, or to where it breaks.

    `trace` is told of each opcode.

    >>> import pickle
    >>> machine = PickleMachine(memoryview(pickle.dumps(print))).run()
    >>> [named.dotted for named in machine.names.values()], machine.broken
    (['builtins.print'], None)
    """

    def __init__(
        self,
        data: memoryview,
        start: int = 0,
        *,
        limits: Limits = DEFAULT_LIMITS,
        trace: Trace | None = None,
        wrappers: bool = True,
    ) -> None:
        super().__init__(data, start, limits)
        self.trace = trace
        self.wrappers = wrappers
        """Whether memory that joblib writes into the stream is jumped over."""

    def run(self) -> PickleMachine:
        """Follow the stream; what there is to say about it stands in the attributes then."""
        from .pickle_steps import STEPS

        try:
            self._loop(STEPS)
        except Break as error:
            self.broken = f"byte {self.at}: {error}"
            self.limited = isinstance(error, Limit)
        except (IndexError, struct.error):
            self.broken = f"the stream breaks off at byte {self.at}"
        except UnicodeDecodeError:
            self.broken = f"byte {self.at}: text that is not in its encoding"
        except Exception as error:  # a gap of ours, which shall not keep anybody from the rest of a report
            self.broken = f"byte {self.at}: {type(error).__name__}"
        if self.depth > DEEP or len(self.marks) > DEEP:
            self.flaws.append(f"it is nested more than {DEEP} deep")
        return self

    def _loop(self, steps: dict[int, tuple[str, Callable[..., None], bool]]) -> None:
        data, size, trace = self.data, len(self.data), self.trace
        stack, memo, left = self.stack, self.memo, self.limits.nodes
        push, fetched = stack.append, self.fetched
        at, edge = self.at, size + 1
        try:
            while not self.stopped:
                self.at = at
                if at >= edge:
                    if at > edge:  # of a file, the C unpickler drops what is left of the frame
                        self.act(at, "frames")
                    edge = size + 1
                code = data[at]
                left -= 1
                if left < 0:
                    raise Limit(f"more than {self.limits.nodes} opcodes")
                if trace is None:  # what long lists consist of, in place
                    if code == 0x4B:  # BININT1
                        push(data[at + 1])
                        at += 2
                        continue
                    if code == 0x94 and len(stack) > self.fence:  # MEMOIZE
                        memo[len(memo)] = stack[-1]
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
                found = steps.get(code)
                if found is None:
                    raise Break(f"0x{code:02x} is no opcode")
                form, step, legacy = found
                argument, at = self._argument(form, at + 1, size)
                self.behind = at
                self.legacy |= legacy
                step(self, argument, self.at)
                if code == 0x95:  # FRAME
                    if edge <= size:
                        self.act(self.at, "frames")
                    edge = self.edge
                if self.skipped and self.skipped[-1][0] == at:
                    at, edge = self.skipped[-1][1], size + 1
                if trace is not None:
                    trace(self, self.at, code, argument)
        finally:
            self.opcodes = self.limits.nodes - left
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
        """Read up to a newline; as the unpickler does, drop the last letter where there is none."""
        step, start = 64, at
        while True:
            piece = bytes(self.data[at : at + step])
            end = piece.find(b"\n")
            if end >= 0 or not piece:
                stop = at + end + 1 if end >= 0 else at
                line = bytes(self.data[start:stop])
                return line[:-1], stop
            at, step = at + len(piece), 2 * step
