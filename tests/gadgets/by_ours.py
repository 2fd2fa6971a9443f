"""Attacks by names that messages of this package, or of numpy, have reason to hold."""

from __future__ import annotations

from typing import Final

from canning.wire.trailer import pack

from .assembly import CODE, FIRED, Call, Ground, Made, Name, assemble
from .by_chain import CODE_OBJECT
from .by_structure import P5, VICTIMS, new, raw, victim
from .gadget import FILE, RINGS, SHELL, Gadget, call, does, nested, rows

INNER: Final = nested(Call("builtins:eval", CODE))
ARRAY: Final = Call("canning.calls:array", bytes(8), (1,), "<f8")
MAKE: Final = Call("canning.calls:function", CODE_OBJECT, {}, "f", None, None)
GLOBALS: Final = ({}, {"__globals__": {"ALLOWED": 1}, "__closure__": None})
STRUCT: Final = ("struct", 8, False, False, (("a", None, 0, "<f8"),))


def _within(ground: Ground) -> bytes:
    body = assemble(Call("canning.calls:message", INNER), ground)
    return pack(body, len(body), [])


CANNED: Final = rows(
    "the names of this package's own messages",
    call("canning.calls:canned", victim("Opened"), {}, by="code"),
    does(
        "canning.calls.canned with a method in the state",
        Call("canning.calls:canned", victim("Opened"), {"get_object": RINGS}),
        by="code",
    ),
    does("canning.calls.function, called", Call(MAKE), by="code"),
    call("canning.calls:fill", victim("fire"), GLOBALS, fires="state:victims", by="code"),
    call("canning.calls:registered", f"{VICTIMS}.Registered", [1], None, by="code"),
    call("canning.calls:subclass", victim("Copied"), ARRAY, by="code"),
    call("canning.calls:masked", victim("Copied"), ARRAY, None, None, False, by="code"),
    call("canning.calls:attributes", Name("os:path"), {"canning": 1}, fires="state:os.path", by="code"),
    call("canning.calls:message", INNER, by="code"),
    does(
        "canning.calls.message in itself",
        Call("canning.calls:message", Made(_within)),
        by="code",
    ),
    call("canning.calls:dtype", ("named", "gadget_marker", "x"), by="code"),
    does(
        "canning.calls.dtype of a class",
        Call("canning.calls:dtype", ("typed", STRUCT, "gadget_marker", "x")),
        by="code",
    ),
    does(
        "canning.calls.array of a dtype of a class",
        Call("canning.calls:array", bytes(8), (1,), ("named", "gadget_marker", "x")),
        by="code",
    ),
    does(
        "canning.calls.scalar of a dtype of a class",
        Call("canning.calls:scalar", ("named", "gadget_marker", "x"), bytes(8)),
        by="code",
    ),
    does(
        "canning.code.functions, importlib.import_module",
        Call("canning.code.functions:importlib.import_module", "gadget_marker"),
    ),
    does("canning.reading.builder, pickle.loads", Call("canning.reading.builder:pickle.loads", INNER)),
    does("canning.files, os.system", Call("canning.files:os.system", SHELL), FILE),
    does("canning.types.allowed, sys.audit", Call("canning.types.allowed:sys.audit", FIRED)),
    does("canning.code.rebuild, builtins.eval", Call("canning.code.rebuild:builtins.eval", CODE)),
    does(
        "canning.types.arrays, np.testing.runstring",
        Call("canning.types.arrays:np.testing.runstring", CODE, {}),
    ),
    call("canning:deserialize_object", [INNER]),
    call("canning:dump", 1, "$MARK", fires=FILE),
    does(
        "the namespace of a script",
        raw(P5, Name("__builtin__:__main__"), "gadget", 1, b"s."),
        "state:main",
        by="code",
    ),
)

NUMPY: Final = rows(
    "the names of numpy's own pickles",
    call("numpy._core.multiarray:_reconstruct", victim("Copied"), (0,), b"b"),
    call("numpy.core.multiarray:_reconstruct", victim("Copied"), (0,), b"b"),
    call("numpy.ma.core:_mareconstruct", Name("numpy.ma:MaskedArray"), victim("Copied"), (0,), "b"),
    does("numpy.ndarray.view", Call("numpy:ndarray.view", Call("numpy:zeros", 1), victim("Copied"))),
    does(
        "numpy.ndarray.dumps",
        Call("pickle:loads", Call("numpy:ndarray.tobytes", Call("numpy:frombuffer", INNER, "u1"))),
    ),
    does("numpy.recarray, NEWOBJ", raw(P5, victim("Copied"), ((1,),), b"\x81.")),
)

ALLOWED: Final = rows(
    "classes that the reader allows, with code wherever a class can have any",
    does("a dataclass, NEWOBJ", raw(P5, new("Point"), {"x": 1, "y": 2}, b"b."), plain=True),
    does("a dataclass, its slots", raw(P5, new("Point"), (None, {"x": 1, "y": 2}), b"b."), plain=True),
    does("a dataclass, called", Call(f"{VICTIMS}:Point", 1, 2)),
    does("a dataclass as a key", raw(P5, b"}", new("Point"), {"x": 1, "y": 2}, b"bK\x01s.")),
    does("a dataclass by NEWOBJ_EX", raw(P5, victim("Point"), b")}\x92.")),
    does("a dataclass whose field is a descriptor", raw(P5, new("Proper"), (None, {"x": 1}), b"b.")),
    does(
        "a dataclass, its class altered",
        raw(P5, victim("Point"), (None, {"canning": 1}), b"b."),
    ),
    does("a named tuple, NEWOBJ", raw(P5, new("Pair", 1, 2), b"."), plain=True),
    does("a named tuple, called", Call(f"{VICTIMS}:Pair", 1, 2)),
    does("a named tuple as a key", raw(P5, b"}", new("Pair", 1, 2), b"K\x01s.")),
    does("a named tuple in a key", raw(P5, b"}", new("Pair", 1, 2), b"\x85K\x01s.")),
    does("an enum of a value that it has not", Call(f"{VICTIMS}:Colour", 3)),
    does("an enum as a key", raw(P5, b"}", Call(f"{VICTIMS}:Colour", 1), b"K\x01s.")),
    does("an enum in a set", raw(P5, b"\x8f(", Call(f"{VICTIMS}:Colour", 1), b"\x90.")),
    does(
        "an enum, its class altered",
        raw(P5, victim("Colour"), (None, {"canning": 1}), b"b."),
        "state:victims",
    ),
)

ALL: Final[list[Gadget]] = [*CANNED, *NUMPY, *ALLOWED]
