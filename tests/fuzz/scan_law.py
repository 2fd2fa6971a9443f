"""Look for the file that takes `scan` longest: ``python -m tests.fuzz.scan_law --seconds 60 --seed 1``.

`tests.fuzz.law` does so with messages. These are pickles of a few opcodes that follow each other again and
again, in each container, changed step by step into what takes more time, or more memory, for its size.
"""

from __future__ import annotations

import argparse
import bz2
import gc
import gzip
import io
import lzma
import random
import sys
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

from canning import scan

FRONT: Final = (
    b"\x80\x04ccollections\nOrderedDict\n\x940cnumpy\ncore\n\x940}\x940]\x940)\x940(N\x85\x85t\x940N\x85\x940"
    b"\x8c\x08datetime\x8c\x04date\x93\x940cjoblib.numpy_pickle\nNumpyArrayWrapper\n\x940"
)
"""What stands in the memo: 0, 1, 7 and 8 are names, 2 a dict, 3 a list, 4 to 6 tuples."""

UNITS: Final = (
    *(b"h\0)R", b"h\0)\x81", b"h\1)R", b"2)R", b")R", b")\x81", b"Nb", b"h\0", b"]", b"}", b"\x8f", b"\x85"),
    *(
        b"N\x85",
        b"NNN\x87",
        b"(",
        b"(t",
        b"(l",
        b"(\x91",
        b"(1",
        b"(0",
        b"N",
        b"N0",
        b"I1\n",
        b"L1\n",
        b"F1\n",
    ),
    *(b"S''\n", b"V\n", b"S'\\x41'\n", b"U\0", b"T\0\0\0\0", b"K\1", b"C\0", b"X\0\0\0\0", b"\x8c\1a"),
    *(b"\x8c\x20" + b"a" * 32, b"\x96" + bytes(8), b"\x8a\0", b"N\x94", b"Np0\n", b"q\1", b"g0\n", b"2"),
    *(
        b"cab\nc\n",
        b"\x8c\1a\x8c\1b\x93",
        b"(ia\nb\n",
        b"(h\1o",
        b"Pa\n",
        b"NQ",
        b"\x82\1",
        b"\x97",
        b"\x97\x98",
    ),
    *(b"\x80\4", b"\x95" + bytes(8), b"]Na", b"](Ne", b"}NNs", b"\x8f(N\x90", b"Na", b"NNs", b"(e", b"(u"),
    *(
        b"N.",
        b"].",
        b"cos\nc\n.",
        b"\x80\4N.",
        b"G" + bytes(8),
        b"h\0h\6R",
        b"h\0)}\x92",
        b"h\0)R}b",
        b"h\2b",
    ),
    *(b"h\0)\x81Nb", b"h\x08)\x81h\2b", b"h\x07C\4\x07\xe4\1\1\x85R", b"a\n", b"Cx", b"\x8c\2ab", b"0"),
)
"""Opcodes, of which streams are made."""


def zipped(data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """Put a stream into a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    """Put a stream into a tar archive, thrice."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}")
            info.size = len(data) // 3
            archive.addfile(info, io.BytesIO(data[: info.size]))
    return file.getvalue()


def objects(data: bytes) -> bytes:
    """Let a stream be the objects of a numpy file."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\1\0v\0" + header + data


CONTAINERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "alone": lambda data: data,
    "zip": zipped,
    "deflated": lambda data: zipped(data * 20, zipfile.ZIP_DEFLATED),
    "tar": tarred,
    "npy": objects,
    "gzip": lambda data: gzip.compress(data * 20),
    "zlib": lambda data: zlib.compress(data * 20),
    "bz2": lambda data: bz2.compress(data * 20),
    "xz": lambda data: lzma.compress(data * 20, preset=0),
}
"""What a file may be; what is compressed is longer."""
WRAPS: Final = ((b"](", b"e."), (b"}(", b"u."), (b"h\0)R(", b"e."), (b"N", b"."), (b"", b""))
"""What stands before and behind the opcodes."""

Candidate = tuple[str, int, tuple[tuple[int, ...], ...]]
"""A container, a wrap, and rows of units that stand behind each other equally often."""


def made(candidate: Candidate, size: int) -> bytes:
    """Make a file of a stream of so many bytes."""
    container, wrap, rows = candidate
    before, behind = WRAPS[wrap]
    bodies = [b"".join(UNITS[number] for number in row) for row in rows]
    share = max(1, (size - len(FRONT)) // len(bodies))
    body = b"".join((each * (share // len(each) + 1))[:share] for each in bodies)
    return CONTAINERS[container](FRONT + before + body + behind)


def fresh(chance: random.Random) -> Candidate:
    """Make any candidate."""
    row = tuple(chance.randrange(len(UNITS)) for _ in range(chance.choice((1, 1, 2, 3, 8))))
    container = "alone" if chance.random() < 0.5 else chance.choice(list(CONTAINERS))
    return container, chance.randrange(len(WRAPS)), (row,)


def changed(candidate: Candidate, chance: random.Random) -> Candidate:
    """Change a candidate a little."""
    container, wrap, rows = candidate
    other = fresh(chance)
    match chance.randrange(5):
        case 0:
            return other[0], wrap, rows
        case 1:
            return container, other[1], rows
        case 2:
            return container, wrap, (*rows[:3], *other[2])
        case 3:
            return container, wrap, other[2]
    at = chance.randrange(len(rows))
    row = (*rows[at][: chance.randrange(len(rows[at]) + 1)], *other[2][0])
    return container, wrap, (*rows[:at], row, *rows[at + 1 :])


def seconds(data: bytes) -> float:
    """Scan a file; give the time that it took, as a part of what it may."""
    began = time.thread_time()
    scan(data)
    return (time.thread_time() - began) / (0.2 + 2e-6 * len(data))


def memory(data: bytes) -> float:
    """Scan a file; give the most memory that it took, as a part of what it may."""
    gc.collect()
    tracemalloc.start()
    try:
        scan(data)
        return tracemalloc.get_traced_memory()[1] / ((16 << 20) + 100 * len(data))
    finally:
        tracemalloc.stop()


def main(arguments: list[str] | None = None) -> int:
    """Run the search; 0 if no file broke the law."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.scan_law", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of a stream (default: 1000000)")
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    chance, until = random.Random(given.seed), time.monotonic() + given.seconds
    worst: dict[str, tuple[float, Candidate]] = {}
    gc.collect()
    gc.freeze()  # so that a collection looks at what the scan makes
    while time.monotonic() < until:
        kind = chance.choice(("time", "memory"))
        best = worst.get(kind)
        candidate = fresh(chance) if best is None or chance.random() < 0.3 else changed(best[1], chance)
        size = given.size if kind == "time" else chance.choice((given.size // 8, 1000))
        value = (seconds if kind == "time" else memory)(made(candidate, size))
        if best is None or value > best[0]:
            worst[kind] = value, candidate
            print(f"{kind}: {value:.2f} of the law, {candidate}", flush=True)
    return int(any(value > 1 for value, _ in worst.values()))


if __name__ == "__main__":
    sys.exit(main())
