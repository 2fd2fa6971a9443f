"""The state of opcodes while a pickle is followed: a stack with marks, a memo, and the observations."""

from __future__ import annotations

import abc
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Sequence
from typing import Any, Final, Self

from ..limits import DEFAULT_LIMITS
from ..wire.names import NAMED
from .nodes import Break, Limit, Named, Node, Text

_FREE: Final = 20_000
"""Containers, calls and memo entries that are followed; beyond, one for every three or four bytes."""
_NEW_NAME: Final = 4
"""The weight of a new name, which is stored and reported."""
_CALL: Final = 2
"""The weight of a call."""
_NAMES: Final = 10_000
_FLAWS: Final = 20
DEEP: Final = 400
"""Depth beyond which a stream is not considered harmless: reading it may exhaust the C stack."""
_DEEPER: Final = DEEP + 1


def most_nodes(size: int) -> int:
    """Return how many containers, names and calls are followed in a pickle of this many bytes."""
    return _FREE + size // 4


class Stacks(abc.ABC):
    """Hold the state of the opcodes: a stack with marks, a memo, and the observations.

    Attributes:
        wrappers: whether memory that joblib writes into the stream is skipped.
        data, start, at: the stream, the offset of the pickle in it, the current offset.
        behind: the end of the current opcode's argument.
        edge: the end of the last frame.
        stack, marks, memo: pickle's; the memo holds the node under each index.
        names: the names asked for, by module and name.
        acts: the actions of the unpickler besides building plain data: first offset by name.
        calls: the calls, and instances made.
        flaws: the errors in the stream that the unpickler may tolerate.
        doubtful: whether unpicklers may differ in their results.
        broken: why the unpickler would stop without an object; None if it would not.
        limited: whether a limit of ours ended it.
        legacy: whether the stream has opcodes that the reader of plain data does not know.
        root: the node of the object, if the stream reaches STOP.
        depth: the depth of nested containers.
        texts: how often each long string or bytes object was written out.
        opcodes: the number of opcodes followed, those of nested pickles included.
        nodes: the weight of containers, names and calls so far.
        fetched, stored: memo indexes that were read; bytes of opcodes that stored, if more than one.
    """

    def __init__(self, data: memoryview, start: int, opcodes: int, wrappers: bool, nodes: int | None) -> None:
        self.data = data
        self.start = self.at = start
        size = len(data) - start
        self.most_opcodes = opcodes
        self.most_memo = min(DEFAULT_LIMITS.memo, _FREE + size // 3)
        self.integer_bytes = DEFAULT_LIMITS.integer_bytes
        self.most_nodes = most_nodes(size) if nodes is None else nodes
        self.nothing = Node("tuple", start)
        self.doubtful = False
        self.wrappers = wrappers
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

    @abc.abstractmethod
    def run(self) -> Self:
        """Follow the stream."""

    @property
    def fence(self) -> int:
        """The height of the stack below the last mark."""
        return self.marks[-1] if self.marks else 0

    def pop(self) -> Any:
        """Pop the top value."""
        if len(self.stack) <= self.fence:
            raise Break("takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        """Return the top value."""
        if len(self.stack) <= self.fence:
            raise Break("looks at an empty stack")
        return self.stack[-1]

    def items(self) -> list[Any]:
        """Pop the values above the last mark."""
        if not self.marks:
            raise Break("there is no mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def new(self, kind: str, at: int, items: Any = None) -> Node:
        """Push a node; `items` are a list if the unpickler may add to them."""
        self.nodes += 1
        if self.nodes > self.most_nodes:
            raise Limit(f"more containers, names and calls than {self.most_nodes}")
        node = Node(kind, at, items)
        if items:
            self.sink(node, items)
        self.stack.append(node)
        return node

    def sink(self, node: Node, items: Sequence[Any]) -> None:
        """Record the depth of a node that holds these items now."""
        depth = 1
        for item in items:
            if type(item) is Node and item.depth >= depth:
                depth = item.depth + 1
        if depth > node.depth:
            node.depth = depth if depth <= DEEP else _DEEPER
            self.depth = max(self.depth, depth)

    def note(self, content: Text, size: int) -> Text:
        """Count a long string or bytes object, and push it."""
        self.texts.setdefault(content, [0, size])[0] += 1
        return content

    def act(self, at: int, what: str) -> None:
        """Record an action of the unpickler."""
        self.acts.setdefault(what, at)

    def flaw(self, at: int, what: str) -> None:
        """Record an error in the stream."""
        if len(self.flaws) < _FLAWS:
            self.flaws.append(f"byte {at}: {what}")

    def doubt(self, at: int, what: str) -> None:
        """Record an ambiguity: unpicklers may differ, so the result is not certain."""
        self.doubtful = True
        self.flaw(at, what)

    def call(self, kind: str, at: int, target: object, args: object, *keywords: Any) -> Node:
        """Push the result of a call; `args` may be shared by many calls, and is not copied."""
        self.act(at, kind)
        self.nodes += _CALL - 1
        node = self.new(kind, at, (target, args, *keywords))
        if type(target) is Node and target.kind == "name":
            items: Any = (args.items or ()) if type(args) is Node and args.kind == "tuple" else ()
            named = target.value
            if named.name == NAMED[1] and named.module == NAMED[0] and [*map(type, items)] == [str, str]:
                self.stack.pop()
                return self.name(items[0], items[1], at)
            named.called(node, len(items))
        self.calls.append(node)
        return node

    def name(self, module: str, name: str, at: int) -> Node:
        """Push the object of a name."""
        if self.protocol < 3:  # as the unpickler does with pickles of Python 2
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        self.act(at, "name")
        found = self.names.get((module, name))
        if found is None:
            if len(self.names) >= _NAMES:
                raise Limit(f"more than {_NAMES} names")
            self.nodes += _NEW_NAME - 1
            found = self.names[module, name] = Named(module, name, at)
        found.count += 1
        node = self.new("name", at)
        node.value = found
        if found.node is None:
            found.node = node
        return node
