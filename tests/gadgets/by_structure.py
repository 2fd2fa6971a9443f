"""Attacks by how a pickle is written: other opcodes, borrowed names, streams that lie or break off."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from .assembly import CODE, FIRED, Call, Ground, Made, Name, Raw, assemble, push, text
from .gadget import EVAL, Gadget, does, nested, rows

VICTIMS: Final = "tests.gadgets.victims"
NOWHERE: Final = Ground(Path("laid"), Path("mark"))
"""For what names no path."""
AUDIT: Final = f"(S'{FIRED}'\n".encode()
GLOBAL: Final = b"csys\naudit\n"
RAISE: Final = GLOBAL + AUDIT + b"tR"
"""The event, in opcodes of protocol 0."""


def victim(name: str) -> Name:
    """Name a class that tells when its code runs."""
    return Name(f"{VICTIMS}:{name}")


def ops(*parts: Any) -> bytes:
    """Join opcodes and what other values are pushed by."""
    return b"".join(part if isinstance(part, bytes) else push(part, NOWHERE) for part in parts)


def raw(*parts: Any) -> Raw:
    """Give a whole pickle."""
    return Raw(ops(*parts))


def new(cls: str, *args: Any) -> Raw:
    """Make an instance by NEWOBJ."""
    return Raw(ops(victim(cls), tuple(args), b"\x81"))


def framed(*parts: Any, length: int | None = None) -> bytes:
    """Put opcodes into a frame that may lie about its length."""
    body = ops(*parts)
    return b"\x95" + struct.pack("<Q", len(body) if length is None else length) + body


P5: Final = b"\x80\x05"
PLAIN: Final = ops({"a": [1, 2, 3]})

OPCODES: Final = rows(
    "pickletools: opcodes that call",
    does("GLOBAL and REDUCE, protocol 0", raw(RAISE, b".")),
    does("INST", raw(AUDIT, b"isys\naudit\n."), known="picklescan, issue 13"),
    does("INST of a class", raw(b"(i", f"{VICTIMS}\nMaker\n.".encode()), known="picklescan, issue 13"),
    does("OBJ", raw(b"(", GLOBAL, f"S'{FIRED}'\no.".encode()), known="GHSA-mxhj-88fx-4pcv"),
    does(
        "OBJ, and POP of what it gave",
        raw(PLAIN, b"(", GLOBAL, f"S'{FIRED}'\no0.".encode()),
        known="GHSA-mxhj-88fx-4pcv",
    ),
    does("REDUCE, and POP of what it gave", raw(PLAIN, RAISE, b"0."), known="fickling: a call that vanishes"),
    does("REDUCE, and POP_MARK over what it gave", raw(PLAIN, b"(", RAISE, b"1.")),
    does("REDUCE in a dict that is dropped", raw(P5, b"}(K\x01", RAISE, b"u0", PLAIN, b".")),
    does("DUP", raw(P5, GLOBAL, b"2", AUDIT, b"tR00", PLAIN, b".")),
    does("NEWOBJ", raw(P5, new("Maker"), b".")),
    does("NEWOBJ_EX", raw(P5, victim("Maker"), b")}\x92."), known="CPython issue 85460"),
    does("BUILD and __setstate__", raw(P5, new("Stateful"), b"Nb.")),
    does("BUILD of slots and __setattr__", raw(P5, new("Attributed"), (None, {"a": 1}), b"b.")),
    does(
        "BUILD of slots sets __class__",
        raw(P5, new("Plain"), (None, {"__class__": victim("Dropped")}), b"b."),
        known="fickling: BUILD sets anything",
    ),
    does("BUILD alters a class", raw(P5, victim("Starter"), (None, {"__len__": 1}), b"b."), "state:victims"),
    does(
        "BUILD alters a function",
        raw(P5, Name("numpy:prod"), (None, {"a": "os"}), b"b."),
        "state:numpy.prod",
        "modelscan, issue 85",
    ),
    does("BUILD alters a module", raw(P5, Name("os:path"), {"canning": 1}, b"b."), "state:os.path"),
    does(
        "BUILD hides a name for STACK_GLOBAL",
        raw(
            P5,
            Name("numpy:prod"),
            (None, {"a": "sys"}),
            b"b0",
            Name("numpy:prod"),
            (None, {"b": "audit"}),
            b"b0",
            Name("numpy:prod.a"),
            Name("numpy:prod.b"),
            b"\x93",
            (FIRED,),
            b"R.",
        ),
        known="modelscan, issue 85",
    ),
    does("APPEND", raw(P5, new("Listed"), b"K\x01a.")),
    does("APPENDS", raw(P5, new("Listed"), b"(K\x01e.")),
    does("SETITEM", raw(P5, new("Mapped"), b"K\x01K\x02s.")),
    does("SETITEMS", raw(P5, new("Mapped"), b"(K\x01K\x02u.")),
    does("ADDITEMS", raw(P5, new("Added"), b"(K\x01\x90.")),
    does("__hash__ of a key", raw(P5, b"}", new("Hashed"), b"K\x01s.")),
    does("__hash__ in a set", raw(P5, b"\x8f(", new("Hashed"), b"\x90.")),
    does("__hash__ in a frozenset", raw(P5, b"(", new("Hashed"), b"\x91.")),
    does("__hash__ in a tuple that is a key", raw(P5, b"}", new("Hashed"), b"\x85K\x01s.")),
    does("__eq__ of a key", raw(P5, b"}(", new("Equal"), b"K\x01", new("Equal"), b"K\x02u.")),
    does("__del__ of what is dropped", raw(P5, new("Dropped"), b"0", PLAIN, b".")),
    does(
        "__array_finalize__",
        raw(P5, Call(Call("operator:methodcaller", "view", victim("Copied")), Call("numpy:zeros", 1)), b"."),
    ),
    does("EXT1", raw(P5, b"\x82\xf0", (FIRED,), b"R."), known="copyreg's registry of extensions"),
    does("EXT2", raw(P5, b"\x83\xf0\x00", (FIRED,), b"R."), known="copyreg's registry of extensions"),
    does("EXT4", raw(P5, b"\x84\xf0\x00\x00\x00", (FIRED,), b"R."), known="copyreg's registry of extensions"),
)

SPELLINGS: Final = rows(
    "scanners that read names where they stand",
    does(
        "names of Python 2: __builtin__",
        raw(b"c__builtin__\neval\n(", text(CODE), b"tR."),
        known="picklescan's list",
    ),
    does(
        "names of Python 2: commands",
        raw(b"ccommands\ngetoutput\n(", text("exit 0"), b"tR."),
        "subprocess.Popen",
        "picklescan's list",
    ),
    does(
        "names of Python 2: cPickle", raw(b"ccPickle\nloads\n(", nested(Call("builtins:eval", CODE)), b"tR.")
    ),
    does(
        "names of Python 2: itertools.imap",
        raw(b"c__builtin__\nlist\n(citertools\nimap\n(", EVAL, [CODE], b"tRtR."),
    ),
    does("names of Python 2: UserDict", raw(b"cUserDict\nUserDict\n(tR0", RAISE, b".")),
    does("a name by UNICODE with escapes", raw(b"V\\u0073ys\nV\\u0061udit\n\x93", AUDIT, b"tR.")),
    does("a name by STRING with escapes", raw(b"S'\\x73ys'\nS'\\x61udit'\n\x93", AUDIT, b"tR.")),
    does(
        "a name by BINSTRING",
        raw(b"T\x03\x00\x00\x00sysU\x05audit\x93", AUDIT, b"tR."),
        known="picklescan, issue 14",
    ),
    does(
        "a name by BINUNICODE8",
        raw(P5, b"\x8d", struct.pack("<Q", 3), b"sys", text("audit"), b"\x93", AUDIT, b"tR."),
    ),
    does(
        "a name from the memo",
        raw(P5, text("sys"), b"\x94", text("audit"), b"\x94", b"00h\x00h\x01\x93", AUDIT, b"tR."),
    ),
    does(
        "a memo of PUT and MEMOIZE",
        raw(
            P5,
            text("sys"),
            b"q\x00",
            text("audit"),
            b"q\x01",
            text("torch._utils"),
            b"\x94",
            text("_rebuild_tensor_v2"),
            b"\x94h\x00h\x01\x93",
            AUDIT,
            b"tR.",
        ),
        known="picklescan, issue 14",
    ),
    does(
        "a memo that is overwritten",
        raw(
            P5,
            text("collections"),
            b"q\x05",
            text("sys"),
            b"q\x05h\x05",
            text("audit"),
            b"\x93",
            AUDIT,
            b"tR.",
        ),
        known="GHSA-9gvj-pp9x-gcfr",
    ),
    does(
        "a memo by decimal PUT and GET", raw(b"V", b"sys\np7\n0V", b"audit\np8\n0g7\ng8\n\x93", AUDIT, b"tR.")
    ),
    does(
        "a memo by LONG_BINPUT and LONG_BINGET",
        raw(text("sys"), b"r\x00\x01\x00\x000j\x00\x01\x00\x00", text("audit"), b"\x93", AUDIT, b"tR."),
    ),
    does(
        "a name that is put together",
        raw(P5, Call("builtins:str.join", "", ["s", "y", "s"]), text("audit"), b"\x93", (FIRED,), b"R."),
        known="modelscan, a report of 2025",
    ),
    does(
        "a name that is decoded",
        raw(P5, Call("builtins:str", b"sys", "ascii"), text("audit"), b"\x93", (FIRED,), b"R."),
    ),
    does(
        "a module by another name",
        raw(P5, Name("posix:system"), ("exit 0",), b"R."),
        "os.system",
        "picklescan's list",
    ),
    does("more arguments than one", raw(P5, Call("builtins:eval", CODE, {}, {}), b".")),
    does("arguments from a list that is called with", raw(P5, EVAL, b"(", text(CODE), b"tR.")),
)


def _zlib(ground: Ground) -> bytes:
    import zlib

    return zlib.compress(assemble(Call("builtins:eval", CODE), ground))


STREAMS: Final = rows(
    "scanners that read another stream than pickle does",
    does("a stream that breaks behind the call", raw(P5, RAISE, b"\xff\xff\xff"), known="nullifAI (2025)"),
    does("a stream that is cut behind the call", raw(P5, RAISE), known="nullifAI (2025)"),
    does(
        "a stack that underflows behind the call",
        raw(P5, RAISE, b"0000."),
        known="picklescan, its broken models",
    ),
    does("a protocol that does not exist behind the call", raw(P5, RAISE, b"\x80\x63.")),
    does("no PROTO", raw(RAISE, b".")),
    does("PROTO 0 before opcodes of protocol 5", raw(b"\x80\x00", Call("sys:audit", FIRED), b".")),
    does("PROTO again and again", raw(P5, b"\x80\x02\x80\x04", Call("sys:audit", FIRED), b".")),
    does("a frame", raw(P5, framed(Call("sys:audit", FIRED), b"."))),
    does("an empty frame", raw(P5, framed(), Call("sys:audit", FIRED), b".")),
    does(
        "a frame that ends before the call",
        raw(P5, framed(Name("sys:audit")), AUDIT, b"tR."),
        known="fickling: frames that two readers see apart",
    ),
    does("two frames", raw(P5, framed(Name("sys:audit")), framed((FIRED,), b"R."))),
    does("bytes behind STOP", raw(P5, RAISE, b".", bytes(range(256)))),
    does(
        "a second pickle behind STOP",
        raw(P5, PLAIN, b".", P5, RAISE, b"."),
        known="PyTorch's legacy files",
        by="stream",
    ),
    does("a pickle behind bytes", raw(P5, b"C\x04abcd0", RAISE, b".")),
    does(
        "a pickle in bytes",
        Call("pickle:loads", nested(Call("builtins:eval", CODE))),
        known="modelscan, issue 267",
    ),
    does(
        "a pickle in a bytearray",
        raw(P5, Name("pickle:loads"), b"\x96", struct.pack("<Q", len(RAISE) + 1), RAISE, b".\x85R."),
    ),
    does(
        "a pickle in a pickle in a pickle",
        Call("pickle:loads", nested(Call("pickle:loads", nested(Call("builtins:eval", CODE))))),
    ),
    does("a pickle, compressed", Call("pickle:loads", Call("zlib:decompress", Made(_zlib)))),
    does(
        "a pickle in base64",
        Call("pickle:loads", Call("base64:b64decode", "Y3N5cwphdWRpdAooUydjYW5uaW5nLmZpcmVkJwp0Ui4=")),
    ),
    does("a pickle as text", Call("pickle:loads", Call("builtins:str.encode", RAISE.decode() + "."))),
    does(
        "the magic number of a model by eval",
        raw(P5, Call("builtins:eval", f"{CODE} or 0x1950a86a20f9469cfc6c"), b"."),
        known="picklescan: the magic number of PyTorch",
    ),
    does("deep among plain data", raw(P5, b"](" * 50, RAISE, b"e" * 50, b".")),
    does("behind 200 kB of plain data", raw(P5, b"](", b"K\x01" * 100_000, RAISE, b"e.")),
    does("as a key", raw(P5, b"}", RAISE, b"K\x01s.")),
    does("as the last of two values", raw(P5, PLAIN, b"0", RAISE, b".")),
)

ALL: Final[list[Gadget]] = [*OPCODES, *SPELLINGS, *STREAMS]
