"""Give what `scan` calls clean, or leaves out, to readers: ``python -m tests.fuzz.scanned --seed 1``.

Containers with a payload that fires are broken in ways that a few bytes allow. Whatever is not told as
needing code, unreadable or dangerous goes to every reader of such files, in a child process: none may fire.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import gzip
import io
import lzma
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tarfile
import time
import types
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import canning
from canning.wire.trailer import extension, pack

from .streams import stream

CANARY: Final = "scan_canary"
EVIL: Final = b"cscan_canary\nfire\n)R."
STREAMS: Final = (
    EVIL,
    b"\x80\x04" + EVIL,
    b"\x80\x04\x8c\x0bscan_canary\x8c\x04fire\x93)R.",
    b"\x80\x02]q\x00(K\x01cscan_canary\nfire\n)Re.",
    b"(iscan_canary\nfire\n.",
    b"(cscan_canary\nfire\no.",
    b"N." + EVIL,
    b"Np0\n0I1\n0S'a'\n0F1.5\n0L2L\n0Vb\n0g0\n0" + EVIL,
    b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x0bscan_canary\x94\x8c\x04fire\x94\x93\x94)R\x94.",
)
HARMLESS: Final = (b"N.", pickle.dumps([1, {"a": 2.5}]), pickle.dumps((1, "x"), 0), b"I1\n.")
_BATCH: Final = 400
_SEEDED: Final = 10**9
"""Numbers of inputs from one seed to the next."""
_TELL: Final = 10.0
"""Seconds from one line of progress to the next."""
_SECONDS: Final = 5
_MEMORY: Final = 3 << 30
_WORDS: Final = (
    b"\n",
    b"\0",
    b".",
    b"PK\3\4",
    b"PK\5\6",
    b"PK\1\2",
    b"PK\6\7",
    b"\x93NUMPY\1\0",
    b"\x1f\x8b\x08",
)


def in_zip(*streams: bytes, method: int = 0) -> bytes:
    """Put pickles into a zip archive as torch has them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, stream in enumerate(streams):
            archive.writestr(f"a/{number or 'data.pkl'}", stream)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/version", "3\n")
    return file.getvalue()


def in_tar(*streams: bytes) -> bytes:
    """Put pickles into a tar archive as early versions of torch have them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, stream in zip(("storages", "tensors", "pickle"), streams * 3, strict=False):
            info = tarfile.TarInfo(name)
            info.size = len(stream)
            archive.addfile(info, io.BytesIO(stream))
    return file.getvalue()


def in_npy(*streams: bytes) -> bytes:
    """Write numbers, and behind them pickles as arrays of objects."""
    file = io.BytesIO()
    np.save(file, np.arange(3))
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return file.getvalue() + b"".join(b"\x93NUMPY\1\0v\0" + header + stream for stream in streams)


def in_message(*streams: bytes) -> bytes:
    """Put pickles into and behind a message, and into its modules."""
    head = canning.serialize_object([1, {"a": 2}])[0]
    return bytes(head) + b"".join(streams) + pack(b"N.", 2, [], extensions=extension(8, streams[0]))


CONTAINERS: Final[tuple[Callable[..., bytes], ...]] = (
    lambda *streams: b"".join(streams),
    in_zip,
    lambda *streams: in_zip(*streams, method=8),
    in_tar,
    in_npy,
    in_message,
    lambda *streams: canning.dumps([1]) + b"".join(streams),
)
PACKED: Final[tuple[Callable[[bytes], bytes], ...]] = (
    *(lambda data: data,) * 4,
    lambda data: gzip.compress(data, 1, mtime=0),
    lambda data: gzip.compress(data, 0, mtime=0),
    lambda data: zlib.compress(data, 1),
    bz2.compress,
    lambda data: lzma.compress(data, preset=0),
    lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
)


def made(number: int) -> bytes:
    """Make the input of a number."""
    rng = random.Random(number)
    if rng.random() < 0.3:
        return stream(rng, rng.choice(STREAMS))
    streams = [
        rng.choice(STREAMS if rng.random() < 0.6 else HARMLESS) for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    data = bytearray(rng.choice(PACKED)(rng.choice(CONTAINERS)(*streams)))
    if rng.random() < 0.15:
        data += rng.choice(PACKED)(rng.choice(CONTAINERS)(rng.choice(HARMLESS)))
    if rng.random() < 0.1:
        data = bytearray(rng.choice(PACKED)(rng.choice(CONTAINERS)(rng.choice(HARMLESS)))) + data
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        _break(data, rng)
    if rng.random() < 0.2 and len(data) >= 512:  # a checksum that fits what stands there
        with contextlib.suppress(Exception):
            data[148:156] = b" " * 8
            data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def _break(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(min(len(data), rng.choice((16, 64, 600, 1 << 20)))) if data else 0
    if rng.random() < 0.3:
        at = max(0, len(data) - 1 - at)
    match rng.randrange(8):
        case 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        case 1:
            del data[at : at + rng.choice((1, 1, 2, 8, 100))]
        case 2:
            data[at:at] = rng.choice(_WORDS)
        case 3:
            data[at : at + 4] = struct.pack(
                "<I", rng.choice((0, 1, 2, len(data), at, 1 << 16, (1 << 32) - 1))
            )
        case 4:
            data[at : at + 1] = bytes([data[at] ^ (1 << rng.randrange(8))]) if data else b""
        case 5:
            other = rng.choice(STREAMS)
            data[at : at + rng.choice((0, len(other)))] = other
        case 6:
            size = rng.randrange(1, 100)
            data[at:at] = data[max(0, at - size) : at]
        case _:
            data[at : at + 1] = bytes([rng.choice(b"NpgIFSVc(0t.]}")])


# -- what reads ------------------------------------------------------------------------------------------


def _again(read: Callable[[Any], Any], data: bytes, times: int = 4) -> None:
    file = io.BytesIO(data)
    for _ in range(times):
        read(file)


def _zip(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            with contextlib.suppress(Exception):
                _again(pickle.load, archive.read(name), 2)


def _tar(data: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            with contextlib.suppress(Exception):
                _again(pickle.load, archive.extractfile(member).read(), 2)  # type: ignore[union-attr]


def _numpy(file: Any) -> None:
    found = np.load(file, allow_pickle=True)
    if hasattr(found, "files"):
        for name in found.files:
            with contextlib.suppress(Exception):
                found[name]


def _path(read: Callable[[str], Any], data: bytes) -> None:
    name = f"/dev/shm/scanned-{os.getpid()}"
    Path(name).write_bytes(data)
    try:
        read(name)
    finally:
        Path(name).unlink()


def readers() -> dict[str, Callable[[bytes], Any]]:
    """Give what reads such files, by name: torch and joblib where they are installed."""
    found: dict[str, Callable[[bytes], Any]] = {
        "pickle": lambda data: _again(pickle.load, data),
        "pickle, in Python": lambda data: _again(pickle._load, data),  # type: ignore[attr-defined]
        "numpy": lambda data: _again(_numpy, data),
        "zipfile": _zip,
        "tarfile": _tar,
        "gzip": lambda data: pickle.loads(gzip.decompress(data)),
        "bz2": lambda data: pickle.load(bz2.BZ2File(io.BytesIO(data))),
        "lzma": lambda data: pickle.load(lzma.LZMAFile(io.BytesIO(data))),  # noqa: SIM115
        "canning": lambda data: canning.loads(data, trust="code"),
        "canning, a header": lambda data: canning.deserialize_object([data], trust="code"),
    }
    with contextlib.suppress(ImportError):
        import joblib

        found["joblib"] = lambda data: _path(joblib.load, data)
    with contextlib.suppress(ImportError):
        import torch

        found["torch"] = lambda data: torch.load(io.BytesIO(data), weights_only=False)
        found["torch, a path"] = lambda data: _path(lambda name: torch.load(name, weights_only=False), data)
    return found


def fired(data: bytes, by: dict[str, Callable[[bytes], Any]]) -> list[str]:
    """Hand a file to the readers; list those that asked for the canary."""
    said: list[str] = []
    for name, read in by.items():
        _FIRED.clear()
        with contextlib.suppress(BaseException):
            read(data)
        if _FIRED:
            said.append(name)
    return said


_FIRED: Final[list[str]] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and str(args[0]).partition(".")[0] == CANARY:
        _FIRED.append(str(args))


def run(
    numbers: Iterator[int],
    seconds: float,
    count: int,
    tell: Callable[[Counter[str], list[tuple[int, str]]], None] = lambda counts, bad: None,
) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Scan inputs, and hand what is clean or left out to readers in children; give counts and what fired.

    `tell` is told of both every ten seconds.
    """
    by = readers()
    canary = types.ModuleType(CANARY)
    canary.fire = lambda *args: _FIRED.append("called")  # type: ignore[attr-defined]
    sys.modules[CANARY] = canary
    counts: Counter[str] = Counter()
    bad: list[tuple[int, str]] = []
    told = time.monotonic()
    end = told + seconds
    waiting: list[int] = []
    while counts["inputs"] < count and time.monotonic() < end:
        number = next(numbers)
        result = canning.scan(made(number))
        counts["inputs"] += 1
        counts[result.verdict if result.kind != "no pickle" else "left out"] += 1
        if result.verdict == "clean" or result.kind == "no pickle":
            waiting.append(number)
        if len(waiting) >= _BATCH:
            bad += _read(waiting, by, counts)
            waiting = []
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            tell(counts, bad)
    return counts, bad + _read(waiting, by, counts)


def _read(
    numbers: list[int], by: dict[str, Callable[[bytes], Any]], counts: Counter[str]
) -> list[tuple[int, str]]:
    """Read a batch in a child; one that dies is followed by another that goes on behind the culprit."""
    bad: list[tuple[int, str]] = []
    while numbers:
        ours, theirs = os.pipe()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pid = os.fork()  # of threads, which libraries leave: since Python 3.12
        if not pid:
            _child(numbers, by, theirs)
        os.close(theirs)
        with open(ours, "rb") as pipe:
            lines = pipe.read().decode().splitlines()
        os.waitpid(pid, 0)
        done = 0
        for line in lines:
            at, _, said = line.partition(" ")
            done = int(at) + 1
            if said:
                bad.append((numbers[int(at)], said))
        counts["read"] += done
        if done < len(numbers):
            counts["died"] += 1
        numbers = numbers[done + 1 :]
    return bad


def _child(numbers: list[int], by: dict[str, Callable[[bytes], Any]], pipe: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY + _size(), _MEMORY + _size()))
    sys.addaudithook(_watch)
    for at, number in enumerate(numbers):
        signal.alarm(_SECONDS)
        said = ", ".join(fired(made(number), by))
        os.write(pipe, f"{at} {said}\n".encode())
    os._exit(0)


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _tell(counts: Counter[str], bad: list[tuple[int, str]]) -> None:
    """Print the counts, and what fired, which is nothing where all is well."""
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()), flush=True)
    for number, said in bad:
        print(f"input {number} fired in {said}: {canning.scan(made(number)).verdict}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 where nothing fired that was called clean or left out."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.scanned", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=1 << 60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--input", type=int, help="the number of the only input to look at")
    given = parser.parse_args(arguments)
    first, count = given.seed * _SEEDED, given.count
    if given.input is not None:
        first, count = given.input, 1
    else:
        print(f"seed {given.seed}", flush=True)
    counts, bad = run(iter(range(first, 1 << 62)), given.seconds, count, _tell)
    _tell(counts, bad)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
