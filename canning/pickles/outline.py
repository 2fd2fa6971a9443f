"""The outline of a pickle as a tree of lines: types, dtypes, shapes, sizes, and places of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import name_for_errors
from ..wire.names import CALLS, PURPOSES
from .nodes import Blob, Node, size_of
from .paths import SHOWN, parts_of, shown_value
from .steps import dtype_of, shape_of, state_of

_WIDTH: Final = 50
"""Parts of one container that are shown."""
_LINES: Final = 3000
_LOOKED_AT: Final = 1000
"""Items of a container up to which it is said of what they are."""
_NAME_IN: Final = {
    (CALLS, "empty_class"): ("a class", 1),
    (CALLS, "struct"): ("a class", 1),
    (CALLS, "enum"): ("an enum", 2),
    ("cloudpickle.cloudpickle", "_make_skeleton_class"): ("a class", 1),
    ("cloudpickle.cloudpickle", "_make_skeleton_enum"): ("an enum", 1),
}
"""What makes a class by value, what it makes, and the number of the argument that names it."""
_SCALARS: Final = (int, float, str, bytes, bool, type(None), Blob)

Where = Callable[[int], str]
"""Returns the place of the buffer with a number."""


@dataclass(slots=True)
class Line:
    """One line of the tree.

    Attributes:
        label: the step from the line above, as Python would write it: ``['x']``, ``[0]``, ``.name``.
        text: the text of the line.
        children: the lines below.
    """

    label: str
    text: str
    children: list[Line] = field(default_factory=list)


def in_words(node: object, where: Where) -> str:
    """Describe a value in a few words."""
    if type(node) is not Node:
        return (
            f"{type(node).__name__} {shown_value(node)}"
            if node is not None and type(node) is not Blob
            else shown_value(node)
        )
    if node.kind == "name":
        return f"the name {name_for_errors(node.value.module, node.value.name)}"
    if node.kind in ("call", "new"):
        return _describe_call(node, where)
    if node.kind == "buffer":
        return f"out-of-band buffer {node.value}"
    if node.kind == "bytearray":
        return f"bytearray of {size_of(node):,} bytes"
    if node.kind == "extension":
        return f"whatever copyreg has under the code {node.value}"
    if node.kind == "persistent":
        return _describe_persistent(node)
    items = node.items or []
    count = len(items) // 2 if node.kind == "dict" else len(items)
    kinds = {type(item) for item in items} if count <= _LOOKED_AT else set()
    what = (
        f" of {type(items[0]).__name__}" if count and len(kinds) == 1 and kinds <= set(_SCALARS[:5]) else ""
    )
    return f"{node.kind}, {count:,} item{'' if count == 1 else 's'}{what if node.kind != 'dict' else ''}"


def _describe_persistent(node: Node) -> str:
    value = node.items[0] if node.items else node.value
    items = value.items or [] if type(value) is Node and value.kind == "tuple" else []
    if len(items) == 5 and items[0] == "storage":  # torch.save
        kind = items[1].value.name if type(items[1]) is Node and items[1].kind == "name" else "?"
        return (
            f"memory of a torch tensor, {shown_value(items[4])} items, {name_for_errors('', kind)[1:]}, "
            f"in member {shown_value(items[2])}"
        )
    return "an object that the reader looks up by a persistent id"


def _describe_call(node: Node, where: Where) -> str:
    target, args = node.target, node.args
    if is_code(node):
        code = [shown_value(args[11]), _plain(args[8]).strip("()")]
        return f"code of {code[0]}" + (f", which asks for {code[1]}" if code[1] else "")
    if target is None:
        return _describe_made(node)
    if target == (CALLS, "array") and len(args) >= 3:
        readonly = ", read-only" if len(args) > 4 and args[4] is True else ""
        strides = ", strided" if len(args) > 3 and args[3] is not None else ""
        return f"array {_plain(args[2])} {_plain(args[1])}{strides}{readonly}, {_source(args[0], where)}"
    if target == (CALLS, "raw") and args:
        kind = "bytearray" if len(args) > 1 and args[1] is True else "bytes"
        return f"{kind}, {_source(args[0], where)}"
    if target == (CALLS, "registered") and args:
        return f"{name_for_errors('', args[0])[1:]}, a registered type"
    if target == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
        state = state_of(node)
        return f"array {dtype_of(state.get('dtype')) or '?'} {shape_of(state.get('shape')) or '?'}, by joblib"
    if target[1] == "_reconstruct" and target[0].startswith("numpy"):
        state = (node.states or [None])[-1]
        parts = state.items or [] if type(state) is Node and state.kind == "tuple" else []
        if len(parts) == 5:
            size = size_of(parts[4])
            memory = f"{size:,} bytes in the pickle" if size is not None else "a list of objects"
            return f"array {dtype_of(parts[2]) or '?'} {shape_of(parts[1])}, by numpy, {memory}"
    if target == ("numpy", "dtype") and args:
        return f"dtype {_plain(args[0])}"
    if target[0] == CALLS and target[1] in PURPOSES:
        name = args[0].args[11] if args and type(args[0]) is Node and is_code(args[0]) else None
        purpose = PURPOSES[target[1]].partition(":")[0]
        if name == "<lambda>":
            return f"a lambda{purpose.removeprefix('a function')}"
        return f"{purpose}: {shown_value(name)}" if type(name) is str else purpose
    name = name_for_errors(*target)
    return f"an instance of {name}" if node.kind == "new" else f"what {name} gives"


def _describe_made(node: Node) -> str:
    """Say what a call gives whose target no name leads to."""
    maker = next((item for item in node.items[:1] if type(item) is Node), None)
    if maker is not None and maker.target in _NAME_IN:
        what, at = _NAME_IN[maker.target]
        name = maker.args[at] if len(maker.args) > at else None
        shown = f"{shown_value(name)}, " if type(name) is str else ""
        return f"an instance of {shown}{what} that travels by value"
    if node.kind == "new":
        return "an instance of a class that was made"
    return "what a call of something that was made gives"


def is_code(node: Node) -> bool:
    """Tell whether a call makes a code object in cloudpickle's way."""
    if node.kind != "call" or len(node.args) < 16 or type(node.args[6]) not in (bytes, Blob):
        return False
    maker = node.items[0] if node.items else None
    return type(maker) is Node and (
        (maker.kind == "call" and (maker.target or ("", ""))[1] == "_builtin_type")
        or node.target == ("types", "CodeType")
    )


def _plain(value: object) -> str:
    """Format plain data as Python would, if it is short."""
    if type(value) is not Node:
        return (
            value if type(value) is str and value.isprintable() and len(value) < SHOWN else shown_value(value)
        )
    parts = value.items or []
    if value.kind == "tuple" and len(parts) <= 32 and all(type(item) is not Node for item in parts):
        items = ", ".join(map(shown_value, parts))
        return f"({items},)" if len(parts) == 1 else f"({items})"
    return f"({value.kind})"


def _source(source: object, where: Where) -> str:
    if type(source) is int:
        return where(source)
    size = size_of(source)
    return "somewhere" if size is None else f"{size:,} bytes in the pickle"


def outline(root: object, where: Where) -> Line:
    """Make the tree of an object: the upper levels first, up to 3000 lines in all."""
    top = Line("obj", in_words(root, where))
    seen: dict[int, str] = {id(root): "obj"}
    rest: deque[tuple[Line, Any, str]] = deque([(top, root, "obj")])
    lines = 1
    while rest:
        line, node, path = rest.popleft()
        if type(node) is not Node or not _worth_opening(node):
            continue
        for number, (step, value) in enumerate(parts_of(node)):
            if number >= _WIDTH or lines >= _LINES:
                line.children.append(Line("…", "and more"))
                break
            lines += 1
            known = seen.get(id(value)) if type(value) is Node else None
            below = Line(step, in_words(value, where) if known is None else f"the same as {known}")
            line.children.append(below)
            if type(value) is Node and known is None:
                seen[id(value)] = (path + step)[-200:]
                rest.append((below, value, (path + step)[-200:]))
    return top


def _worth_opening(node: Node) -> bool:
    if node.target in (
        (CALLS, "array"),
        (CALLS, "raw"),
        ("numpy", "dtype"),
    ):
        return False
    if node.target is not None and node.target[1] in ("_reconstruct", "NumpyArrayWrapper"):
        return in_words(node, str).find("list of objects") >= 0
    if is_code(node):
        return False
    items = node.items or []
    if node.kind in ("list", "tuple", "set", "frozenset") and len(items) > 8:
        return any(type(item) is Node for item in items)
    return True
