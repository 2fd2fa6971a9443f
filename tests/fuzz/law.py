"""Look for the message that takes most: ``python -m tests.fuzz.law --seconds 60 --seed 1``.

Other inputs here are broken at random, and looked at for exceptions. These are well formed, and changed step
by step into what takes more time, more memory, or leaves more behind, measured against the law of
`canning.types.budget`: whatever is the worst so far is changed further. What comes of a message is used, too.
The search is in a process of its own; where that dies, its last message is what did it.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import canning
from canning import DeserializationError, Serializer, Zstd
from canning.wire.trailer import pack

from . import surfaces

LARGEST: Final = 150_000
"""Bytes of one message."""
LEFT: Final = 500_000
"""Bytes that may stay at first: caches of other libraries for what they know, which have an end."""
_USED: Final = 20_000
"""Bytes of a message up to which its value is used: one thing may stand in it a thousand times."""
_ROOM: Final = 4 << 30


class Cost(NamedTuple):
    """What a message took, each as a part of what it may: above 1 it breaks the law."""

    time: float
    memory: float
    left: float


def text(value: str) -> bytes:
    """Push text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def whole(size: int) -> bytes:
    """Push an int of so many bytes."""
    return b"\x8b" + struct.pack("<i", size) + (b"\x55" * (size - 1)) + b"\x35"


def name(module: str, called: str) -> bytes:
    """Push a name."""
    return text(module) + text(called) + b"\x93"


def registered(kind: str, state: bytes) -> bytes:
    """Push the arguments of a decoder."""
    return b"(" + text(kind) + state + b"Nt"


_ARRAY: Final = b"(K\0K\x08\x85" + text("|u1") + b"t"
NAMES: Final = (
    *(name("fractions", "Fraction"), name("decimal", "Decimal"), name("collections", "Counter")),
    *(name("collections", "deque"), name("collections", "OrderedDict"), name("pathlib", "PurePosixPath")),
    *(name("pathlib", "PureWindowsPath"), name("ipaddress", "IPv6Network"), name("datetime", "datetime")),
    *(name("datetime", "timedelta"), name("builtins", "range"), name("builtins", "slice")),
    *(name("builtins", "complex"), name("builtins", "ValueError"), name("types", "SimpleNamespace")),
    *(name("canning.calls", called) for called in ("array", "strings", "scalar", "dtype", "raw", "view")),
    *(name("canning.calls", called) for called in ("message", "registered", "objects", "stdlib_array")),
)
ARGUMENTS: Final = (
    b")",
    whole(1785) + whole(1784) + b"\x86",
    b"K\1K\2\x86",
    text("7" * 4000) + b"\x85",
    text("7" * 4000 + "/" + "3" * 4000) + b"\x85",
    text("x/" * 500) + b"\x85",
    text("1:2:3:4:5:6:7:0/112") + b"\x85",
    b"C\x0a\x07\xe4\1\1\0\0\0\0\0\0\x85",
    whole(900) + whole(901) + whole(899) + b"\x87",
    b"K\0K\7K\2\x87",
    b"}(" + b"".join(b"M" + struct.pack("<H", number) + b"N" for number in range(500)) + b"u\x85",
    _ARRAY,
    b"(C\x08abcdefghK\1\x85" + text("<f8") + b"t",
    b"(K\0K\1\x85" + text("<f8") + b"K\1K\1\x85\x86t",
    b"(K\0J\0\0\x10\0\x85" + text("|u1") + b"K\0K\0\x85\x86t",
    b"(K\0J\0\0\1\0K\0\x86" + text("|V0") + b"t",
    b"((" + text("string") + b"\x88\x89NtK\1\x85]" + text("ab" * 200) + b"a\x89\x89t",
    text("<f8") + b"C\x08abcdefgh\x86",
    b"K\0\x88\x86",
    b"B"
    + struct.pack("<I", len(inner := pack(b"\x80\x05](" + b"N" * 3000 + b"e.", 3006, [])))
    + inner
    + b"\x85",
    b"M\xe8\3\x85N\x86",
    *(registered("struct.Struct", text("ih" * 900) + b"\x85"), registered("io.BytesIO", b"C\1aK\0\x86")),
    *(
        registered("zoneinfo.ZoneInfo", text("Europe/Berlin") + b"\x85"),
        registered("pandas.Timedelta", b"K\1X\1\0\0\0s\x86"),
    ),
    registered("pandas.RangeIndex", b"(K\0K\3K\1Nt"),
    registered("pandas.Period", b"K\1" + text("5D") + b"\x86"),
    registered("pandas.api.extensions.ExtensionDtype", text("period[7D]")),
)
"""Arguments, each of which stands in the memo once, for any of the names."""
KEYS: Final = (
    text("k" * 9000),
    text("k" * 9000),
    b"B" + struct.pack("<I", 9000) + bytes(9000),
    text("k" * 9000) + b"\x85",
)
_KEPT: Final = (*NAMES, *ARGUMENTS, *KEYS)
SMALL: Final = (
    *(b"N", b"K\1", b"]", b"}", b"\x8f", b")", b"(\x91", b"C\0", b"G" + bytes(8), b"M\xff\xff", b"\x8c\2ab"),
    *(
        b"\x85",
        b"\x86",
        b"\x87",
        b"a",
        b"s",
        b"0",
        b"\x94",
        b"(\x90",
        b"(e",
        b"(u",
        b"b",
        b"\x81",
        b"R",
        b"(",
    ),
)

Gene = tuple[tuple[int, ...], int]
"""Numbers of what stands behind each other, and how often all of it is repeated."""


def get(index: int, places: dict[int, int]) -> bytes:
    """Push one of `_KEPT`, which gets a place in the memo where it has none."""
    return b"h" + bytes([places.setdefault(index, len(places))])


def piece(number: int, places: dict[int, int]) -> bytes:
    """Give the opcodes that a number stands for: small ones, what stands in the memo, or a call."""
    if number < len(SMALL):
        return SMALL[number]
    number -= len(SMALL)
    if number < len(_KEPT):
        return get(number, places)
    number -= len(_KEPT)
    called, given = divmod(number, len(ARGUMENTS))
    return get(called % len(NAMES), places) + get(len(NAMES) + given, places) + b"R"


PIECES: Final = len(SMALL) + len(_KEPT) + len(NAMES) * len(ARGUMENTS)


class Candidate(NamedTuple):
    """One message in the making."""

    genes: tuple[Gene, ...]
    frame: int = 16
    compressed: bool = False

    def frames(self) -> list[bytes]:
        """Make the message."""
        places: dict[int, int] = {}
        rows = [b"".join(piece(number, places) for number in pieces) * count for pieces, count in self.genes]
        front = b"".join(_KEPT[index] + b"\x940" for index in places)  # most of them would be 64 KB
        body = b"".join(rows)[:LARGEST]
        head = b"\x80\x05" + front + b"](" + body + b"e."
        frame = bytes(self.frame)
        if self.compressed:
            made = Serializer(codec=Zstd()).serialize_object([bytearray(max(self.frame, 70_000))])
            return [bytes(part) for part in made] + [pack(head, len(head), [len(frame)]), frame]
        return [pack(head, len(head), [len(frame)]), frame]

    def changed(self, chance: random.Random) -> Candidate:
        """Change it a little."""
        genes = list(self.genes)
        what = chance.randrange(7)
        at = chance.randrange(len(genes))
        pieces, count = genes[at]
        if what == 0:
            genes[at] = pieces, max(1, int(count * chance.choice((0.5, 2, 4))) % 200_000)
        elif what == 1:
            genes.insert(at, _gene(chance))
        elif what == 2 and len(genes) > 1:
            del genes[at]
        elif what == 3:
            genes[at] = (*pieces[: chance.randrange(len(pieces) + 1)], chance.randrange(PIECES)), count
        elif what == 4:
            genes[at] = (*pieces, *_gene(chance)[0]), count
        elif what == 5:
            return self._replace(
                frame=chance.choice((0, 8, 16, 1000, 1 << 20)), compressed=chance.random() < 0.2
            )
        else:
            genes[at] = _gene(chance)
        return self._replace(genes=tuple(genes))


def _gene(chance: random.Random) -> Gene:
    pieces = [
        chance.randrange(len(SMALL)) if chance.random() < 0.4 else chance.randrange(PIECES)
        for _ in range(chance.randrange(1, 4))
    ]
    return tuple(pieces), chance.choice((1, 10, 1000, 50_000))


READERS: Final[dict[str, Callable[[list[bytes]], Any]]] = {
    each: surfaces.SURFACES[each][0]
    for each in ("deserialize", "writable", "receive", "loads", "inspect", "scan")
}


def allowed(frames: list[bytes]) -> tuple[float, float]:
    """Give the seconds and the bytes that the law allows."""
    heads = sum(len(frame) for frame in frames if frame.endswith(canning.wire.trailer.MAGIC))
    size = sum(map(len, frames))
    return 0.2 + 2e-6 * size, (16 << 20) + 100 * heads + 3 * (size - heads)


def measure(read: Callable[[list[bytes]], Any], frames: list[bytes], *, timed: bool = True) -> Cost:
    """Read a message twice, once for the time and once for the memory; use what came of it."""
    seconds, nbytes = allowed(frames)
    took = 0.0
    if timed:
        began = time.thread_time()
        _attempt(read, frames)
        took = time.thread_time() - began
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    value = _attempt(read, frames)
    peak = tracemalloc.get_traced_memory()[1]
    if sum(map(len, frames)) < _USED:
        use(value)
    del value
    gc.collect()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return Cost(took / seconds, (peak - before) / nbytes, left / LEFT)


def _attempt(read: Callable[[list[bytes]], Any], frames: list[bytes]) -> Any:
    try:
        return read(list(frames))
    except DeserializationError:
        return None


def use(value: Any) -> None:
    """Do with a value what programs do; whatever they raise is theirs, as long as it is an `Exception`."""
    for part in [value, *(value[:50] if type(value) is list else ())]:
        for way in WAYS:
            try:
                way(part)
            except Exception:
                continue


def _converted(part: Any) -> Any:
    """Turn a value into an array and a column; of a range of whatever length only the front."""
    part = part[:100] if type(part) is range else part
    pandas = sys.modules.get("pandas")
    return np.asarray(part), pandas is not None and pandas.Series([part])


WAYS: Final[tuple[Callable[[Any], Any], ...]] = (
    *(repr, hash, copy.copy, copy.deepcopy, pickle.dumps, str, bool, int, float, canning.serialize_object),
    *(lambda part: part == part, lambda part: part < part, lambda part: part != 1, _converted),
    *(lambda part: part + part, lambda part: part * 2, lambda part: part - part, lambda part: part / 3),
    *(lambda part: list(itertools.islice(part, 100)), lambda part: part[:2], lambda part: part % 7),
)
"""What programs do with values: compare, compute, convert, copy, send on."""


def search(
    seed: int,
    seconds: float,
    rounds: int | None = None,
    report: Callable[[str, Cost, Candidate], None] | None = None,
    *,
    timed: bool = True,
) -> dict[str, tuple[float, Candidate]]:
    """Change messages into worse ones; give the worst by surface and by what they take most of."""
    chance, until = random.Random(seed), time.monotonic() + seconds
    worst: dict[str, tuple[float, Candidate]] = {}
    done = 0
    for read in READERS.values():  # what is made once stays
        _attempt(read, Candidate((((1,), 1),)).frames())
    while time.monotonic() < until and (rounds is None or done < rounds):
        surface = "deserialize" if chance.random() < 0.6 else chance.choice(list(READERS))
        kind = chance.choice(Cost._fields)
        best = worst.get(f"{surface} {kind}")
        fresh = best is None or chance.random() < 0.15
        candidate = Candidate((_gene(chance),)) if fresh or best is None else best[1].changed(chance)
        if report is not None:
            report("", Cost(0, 0, 0), candidate)
        cost = measure(READERS[surface], candidate.frames(), timed=timed)
        if cost.left > 1:  # what stays for good stays again the next time
            cost = cost._replace(left=measure(READERS[surface], candidate.frames(), timed=False).left)
        done += 1
        for field, value in zip(Cost._fields, cost, strict=True):
            key = f"{surface} {field}"
            if key not in worst or value > worst[key][0]:
                worst[key] = value, candidate
                if report is not None:
                    report(key, cost, candidate)
    return worst


def _child(seed: int, seconds: float, at: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ROOM, _ROOM))
    for library in ("pandas",):
        try:
            __import__(library)
        except ImportError:
            continue
    gc.collect()
    gc.freeze()  # so that a collection looks at the message alone
    count = 0

    def report(key: str, cost: Cost, candidate: Candidate) -> None:
        nonlocal count
        count += not key
        if not key:
            at.write_text(json.dumps(candidate))
        elif max(cost) > 0.5:
            print(f"{key}: time {cost.time:.2f}, memory {cost.memory:.2f}, left {cost.left:.2f}")

    worst = search(seed, seconds, report=report)
    print(f"{count} messages")
    for key, (value, candidate) in sorted(worst.items()):
        print(f"{key}: {value:.2f} of the law, {candidate if value > 1 else ''}")
    sys.exit(any(value > 1 for value, _ in worst.values()))


def main() -> int:
    """Run the search in a process of its own; 0 if no message broke the law."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.law", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument(
        "--last", type=Path, default=Path("fuzz-law-last.json"), help="the message that is tried"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(given.seed, given.seconds, given.last)
    print(f"seed {given.seed}", flush=True)
    command = [sys.executable, "-m", "tests.fuzz.law", "--child", "--seed", str(given.seed)]
    done = subprocess.run([*command, "--seconds", str(given.seconds), "--last", str(given.last)], check=False)
    if done.returncode not in (0, 1):
        print(f"the process ended with {done.returncode}: its message is in {given.last}")
    elif given.last.exists():
        given.last.unlink()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
