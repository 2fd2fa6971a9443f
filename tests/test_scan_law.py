"""The law of `scan`: what it takes for each byte of a file, counted in what it does, not in seconds."""

from __future__ import annotations

import cProfile
import gzip
import io
import struct
import zipfile
from typing import Any

import pytest

import canning
from canning import scan
from canning.pickles.machine import PickleMachine
from canning.wire.trailer import pack

from .fuzz.scan_law import CONTAINERS, UNITS, WRAPS, made, memory
from .test_work import STORED, message, name, text

SIZE = 4_000
EACH = 40
FREE = 600_000
"""Calls of functions that a scan may make for each byte, and those whatever the size; 50 ns each."""


def calls(source: Any) -> int:
    """Count the calls of functions during a scan."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        scan(source)
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def allowed(source: Any) -> int:
    return FREE + EACH * (len(source) if isinstance(source, bytes) else sum(map(len, source)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wrap", range(len(WRAPS)))
def test_opcodes_again_and_again_are_within_the_law(wrap: int) -> None:
    for unit in range(0, len(UNITS), 1 if wrap == 0 else 5):
        data = made(("alone", wrap, ((unit,),)), SIZE)
        assert calls(data) < allowed(data), UNITS[unit]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("container", CONTAINERS)
def test_so_they_are_in_each_container(container: str) -> None:
    for unit in range(3, len(UNITS), 18):
        data = made((container, unit % len(WRAPS), ((unit,),)), SIZE)
        assert calls(data) < allowed(data), UNITS[unit]
        assert memory(data) < 1, UNITS[unit]


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


ALIKE = (1 << 61) - 1
"""Ints that are multiples of this have one hash."""


def in_zip(streams: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for at, stream in enumerate(streams):
            archive.writestr(f"{at}", stream)
    return file.getvalue()


def wrapped(stream: bytes) -> bytes:
    """Put a pickle of objects where joblib has the memory of an array."""
    dtype = b"cnumpy\ndtype\n\x8c\2O8\x85R"
    state = b"}(\x8c\5dtype" + dtype + b"\x8c\5shapeK\1\x85u"
    return b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b" + stream + b"0"


def within(levels: int) -> bytes:
    head = pack(body := b"\x80\x05](" + b"N0" * 10_000 + b"NcNone\nNone\ne.", len(body), [])
    for _ in range(levels):
        inner = b"B" + struct.pack("<I", len(head)) + head
        body = b"\x80\x05" + name("canning.calls", "message") + inner + b"\x85R."
        head = pack(body, len(body), [])
    return head


LONG: dict[str, Any] = {
    "digits": b"\x80\2I" + b"1" * 1_000_000 + b"x\n.",
    "digits with a point": b"\x80\2F" + b"1" * 500_000 + b"." + b"1" * 500_000 + b"x\n.",
    "spaces": b"\x80\2I" + b" " * 1_000_000 + b"x\n.",
    "indexes of the memo with one hash": b"\x80\2N"
    + b"".join(b"p+%d\n" % (ALIKE * at) for at in range(1, 20_000))
    + b".",
    "buffers with one hash": message(
        name("canning.calls", "array")
        + STORED
        + name("canning.calls", "message")
        + STORED
        + b"](h\1C\0\x85R"
        + b"".join(b"h\0" + number(ALIKE * at) + b"\x85R" for at in range(1, 20_000))
        + b"e."
    ),
    "modules that may be here": in_zip(
        [b"".join(b"cx%d_%d\n-\n" % (file, at) for at in range(200)) + b"\xff" for file in range(20)]
    ),
    "names": b"".join(b"cx%d\nb\n" % at for at in range(9000)) + b".",
    "pickles of names": b"".join(
        b"".join(b"cx%d\nb\n" % (100 * file + at) for at in range(100)) + b"." for file in range(300)
    ),
    "small pickles": (b"\x80\x04](" + b"]" * 25 + b"}" * 25 + b"e.") * 4000,
    "objects of joblib's": gzip.compress(wrapped(b"](" + b"N0" * 45_000 + b"e.") * 60),
    "messages within": within(14),
}
"""Files that took time beyond all measure, each in a way of its own."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", LONG)
def test_what_took_long_does_so_no_more(kind: str) -> None:
    source = LONG[kind]
    if not isinstance(source, bytes) or len(source) < 1_000_000:
        assert calls(source) < allowed(source)
    assert scan(source).verdict != "clean"


def test_all_pickles_of_a_file_have_one_account() -> None:
    report = canning.inspect(b"\x80\x04" + b".\x80\x04".join([b"]" * 15_000] * 6) + b".")
    assert sum(part.machine.nodes for part in report.parts) < 20_000 + 90_000 // 4 + 10
    assert report.verdict == "unreadable"


def test_a_call_and_a_new_name_count_more_than_once() -> None:
    machine = PickleMachine(memoryview(b"\x80\x04cos\na\n)Rcos\na\n.")).run()
    assert machine.nodes == 4 + 2 + 1


def test_objects_within_a_pickle_of_joblib_count_with_it() -> None:
    machine = PickleMachine(memoryview(b"\x80\x04" + wrapped(b"](NNNe.") + b"N.")).run()
    assert machine.skipped
    without = PickleMachine(memoryview(b"\x80\x04" + wrapped(b"")[:-1] + b".")).run()
    assert machine.opcodes == without.opcodes + 7 + 2
    assert machine.nodes == without.nodes + 1


@pytest.mark.parametrize("long", [text("a" * 33), b"G" + bytes(8)])
def test_what_is_plain_is_never_too_much(long: bytes) -> None:
    assert scan(b"\x80\x04](" + long * 3000 + b"e.").verdict == "clean"
