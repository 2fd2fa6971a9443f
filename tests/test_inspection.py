"""What a source holds, told without running it; and what slips past others must not slip past this."""

from __future__ import annotations

import bz2
import collections
import datetime as dt
import gzip
import io
import json
import lzma
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import inspect, scan
from canning.cli import main
from canning.pickles.machine import STEPS, PickleMachine
from canning.pickles.nodes import Node

from .pickle_streams import ATTACKS, BREAKING, BY_OPCODE, COMMAND, JOBLIB, TORCH, Spy

LARGE = np.arange(1000.0)
EVIL = COMMAND + b"."


def follow(stream: bytes) -> PickleMachine:
    return PickleMachine(memoryview(stream)).run()


# -- following pickles ---------------------------------------------------------------------------------


def spy(stream: bytes) -> tuple[Spy, Exception | None]:
    spy = Spy(stream)
    try:
        spy.load()
    except Exception as error:
        return spy, error
    return spy, None


def test_every_opcode_has_a_step_and_a_stream() -> None:
    opcodes = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
    assert set(STEPS) == set(opcodes.values())
    assert set(BY_OPCODE) == set(opcodes)
    assert all(bytes([opcodes[name]]) in stream for name, stream in BY_OPCODE.items())


@pytest.mark.parametrize("name", BY_OPCODE)
def test_opcodes_as_the_unpickler_takes_them(name: str) -> None:
    machine = follow(BY_OPCODE[name])
    unpickler, error = spy(BY_OPCODE[name])
    if not name.startswith("EXT"):  # of which none is registered
        assert error is None
    assert machine.broken is None
    assert machine.stopped
    assert list(machine.names) == unpickler.names


@pytest.mark.parametrize("name", BREAKING)
def test_where_the_unpickler_stops(name: str) -> None:
    assert spy(BREAKING[name])[1] is not None
    machine = follow(BREAKING[name])
    assert machine.broken
    assert not machine.stopped
    assert scan(b"\x80\x04" + BREAKING[name]).verdict != "clean"


@pytest.mark.parametrize("stream", [*BY_OPCODE.values(), *BREAKING.values()])
def test_streams_that_break_off_anywhere(stream: bytes) -> None:
    for end in range(len(stream)):
        assert follow(stream[:end]).broken
        assert scan(stream[:end]).verdict != "clean"


def mutated(seed: int) -> bytes:
    """Make a stream that an unpickler follows for a while, with something wrong in it."""
    rng = random.Random(seed)
    streams = [stream[:-1] for name, stream in BY_OPCODE.items() if name != "BYTEARRAY8"]
    stream = bytearray(b"".join(rng.choices(streams, k=rng.randrange(1, 8))) + b".")
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(stream))
        match rng.randrange(3):
            case 0:
                stream[at] = rng.choice(list(STEPS))
            case 1:
                del stream[at]
            case _:
                stream.insert(at, rng.choice(list(STEPS)))
    # To an index of four bytes the unpickler's memo grows, and of a bytearray that is cut it complains aloud.
    return bytes(stream).replace(b"r", b"q").replace(b"\x96", b"C")


def test_against_the_c_unpickler() -> None:
    agreed = 0
    for seed in range(4000):
        stream = mutated(seed)
        machine, (unpickler, error) = follow(stream), spy(stream)
        asked = list(dict.fromkeys(unpickler.names))
        assert list(machine.names)[: len(asked)] == asked, stream
        assert not unpickler.persistent or "persistent" in machine.acts, stream
        if asked or unpickler.persistent:
            assert scan(b"\x80\x04" + stream).verdict != "clean", stream
        agreed += error is None and machine.broken is None
        assert error is not None or machine.broken is None, (stream, machine.broken)
    assert agreed > 100


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol(protocol: int) -> None:
    obj = [1, -2, 2**70, 1.5, "é", "s" * 5000, None, True, {"a": (1, 2, 3, 4)}, [], (), {}]
    stream = pickle.dumps(obj, protocol)
    assert scan(stream).verdict == "clean"
    assert scan(pickletools.optimize(stream)).verdict == "clean"
    assert inspect(stream).tree.text == "list, 12 items"


@pytest.mark.parametrize("protocol", range(6))
def test_code_of_every_protocol(protocol: int) -> None:
    report = inspect(pickle.dumps({"f": [print]}, protocol))
    assert report.verdict == "needs code"
    (found,) = report.globals
    assert (found.module, found.name, found.path) == ("builtins", "print", "obj['f'][0]")


def test_what_the_reader_of_plain_data_takes_is_clean() -> None:
    import datetime
    import uuid

    for obj in (LARGE, {"a": LARGE[::2], "b": datetime.datetime(2020, 1, 1)}, uuid.uuid4(), np.float32(1)):
        assert scan(canning.serialize_object(obj)).verdict == "clean"
        assert scan(canning.dumps(obj)).verdict == "clean"


def test_what_is_cut_is_unreadable_whatever_it_names() -> None:
    whole = pickle.dumps([collections.ChainMap(), list(range(1000)), LARGE])
    assert scan(whole).verdict == "needs code"
    for stream in (whole, pickle.dumps(list(range(1000)))):
        for end in (30, 100, len(stream) // 2, len(stream) - 1):
            result = scan(stream[:end])
            assert (result.verdict, bool(result.reasons)) == ("unreadable", True), end
    cut = b"cos\nsystem\n(S'true'\ntR(lp0\n"
    assert scan(cut).verdict == "dangerous"


def test_an_object_is_not_inspected_but_explained() -> None:
    with pytest.raises(TypeError, match=r"frames, bytes or a path .* not dict; .* canning\.explain"):
        inspect({"a": 1})


# -- attacks -------------------------------------------------------------------------------------------


_EXPECTED = {
    **dict.fromkeys(("across a frame", "a frame in a frame", "data across a frame"), ("unreadable",)),
    **dict.fromkeys(("a name alone", "dotted", "extension", "persistent", "a method"), ("needs code",)),
}
"""Verdicts of attacks that call nothing by a name that is known to be dangerous."""


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_need_code(name: str) -> None:
    for stream in (ATTACKS[name], b"\x80\x04" + ATTACKS[name]):
        result = scan(stream)
        assert result.verdict in _EXPECTED.get(name, ("dangerous",)), (name, result)
        assert result.reasons
        assert inspect(stream).verdict == result.verdict


WATCHED = """
import sys
import canning.reading.missing  # a reader imports it when it has refused something
from canning import inspect, scan
from tests.pickle_streams import ATTACKS, BREAKING, BY_OPCODE, JOBLIB, TORCH
from tests.test_inspection import PACKED
def look(source):
    scan(source)
    report = inspect(source)
    str(report), report._repr_html_(), report.to_dict(opcodes=True), report.__rich__()
sources = [*ATTACKS.values(), *BREAKING.values(), *BY_OPCODE.values(), JOBLIB, TORCH]
sources += [pack(stream) for stream in ATTACKS.values() for pack in PACKED.values()]
for source in (sources[0], *(pack(b"N.") for pack in PACKED.values()), JOBLIB, BY_OPCODE["UNICODE"]):
    look(source)
events = []
sys.addaudithook(lambda event, args: events.append((event, args)))
for source in sources:
    look(source)
quiet = ("object.__getattr__", "sys._getframe", "gc.", "array.__new__", "code.__new__", "builtins.id")
print([event for event in events if not event[0].startswith(quiet)])
"""


def test_nothing_is_imported_opened_or_run() -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_messages_whose_frame_0_runs_something() -> None:
    from canning.wire.trailer import pack

    body = COMMAND + b"."
    head = pack(body, len(body), [])
    assert scan([head]).verdict == "dangerous"
    assert scan([head[:-20] + b"\0" + head[-19:]]).verdict == "dangerous"  # its checksum is wrong
    assert scan([head, b"more"]).verdict == "dangerous"
    assert scan(head).verdict == "dangerous"
    body = b"N." + COMMAND + b"."
    assert scan(pack(body, 2, [])).verdict == "dangerous"  # to whom loads twice


def test_messages_within_messages() -> None:
    inner = canning.PrePickled([print])
    report = inspect(canning.serialize_object({"a": canning.PrePickled({"q": LARGE}), "b": inner}))
    assert report.verdict == "needs code"
    assert ("print", "obj[0]") in [(each.name, each.path) for each in report.globals]
    assert len(report.parts) == 3


def test_damaged_messages_are_unreadable() -> None:
    frames = canning.serialize_object({"a": LARGE, "b": np.ones(500)})
    for damaged in (frames[:-1], [frames[0], frames[2], frames[1]], [frames[0][:-9] + b"x" * 9], []):
        assert scan(damaged).verdict == "unreadable"
        assert scan(damaged).reasons
    blob = canning.dumps(LARGE)
    assert scan(blob[:-900]).verdict == "unreadable"
    assert scan(b"").verdict == "unreadable"
    assert scan(b"\x80").verdict == "unreadable"


def test_what_is_behind_a_pickle() -> None:
    stream = pickle.dumps([1])
    assert scan(stream + stream).verdict == "clean"
    assert scan(stream + b"\xff garbage").verdict == "unreadable"
    assert len(inspect(stream * 3).parts) == 3


def test_limits_of_what_is_clean() -> None:
    deep = b"\x80\x02" + b"]" * 3000 + b"a" * 2999 + b"."
    assert scan(deep).verdict == "unreadable"
    assert scan(b"\x80\x02Nr\xff\xff\xff\x7f.").verdict == "unreadable"
    assert scan(b"\x8b\xff\xff\0\0" + b"1" * 65535 + b".").verdict == "unreadable"
    assert scan(b"I" + b"1" * 5000 + b"\n.").verdict == "unreadable"
    assert "nested" in scan(deep).reasons[0]


def test_long_streams_of_nothing_end() -> None:
    machine = PickleMachine(memoryview(b"]" * 100_000)).run()
    assert machine.limited
    assert "containers" in str(machine.broken)
    machine = PickleMachine(memoryview(b"N" * 1000), opcodes=400).run()
    assert "400 opcodes" in str(machine.broken)
    assert machine.limited


def test_what_is_behind_more_than_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canning.inspection.parts._PICKLES", 10)
    monkeypatch.setattr("canning.pickles.stacks._FREE", 40)
    for stream in (b"N." * 20 + EVIL, b"(" + b"]" * 400 + b"1" + EVIL):
        result = scan(stream)
        assert result.verdict == "unreadable"
        assert result.kind == "pickle"  # so that a scan of a folder does not leave it out


# -- files ---------------------------------------------------------------------------------------------


def in_zip(stream: bytes, name: str = "archive/data.pkl", method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, stream)
        archive.writestr("archive/data/0", bytes(40))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def in_tar(stream: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = len(stream)
        archive.addfile(info, io.BytesIO(stream))
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lambda stream: lzma.compress(stream, preset=0),
    "lzma": lambda stream: lzma.compress(stream, lzma.FORMAT_ALONE, preset=0),
    "zip": in_zip,
    "deflated": lambda stream: in_zip(stream, "whatever.txt", zipfile.ZIP_DEFLATED),
    "bz2 in zip": lambda stream: in_zip(stream, "x", zipfile.ZIP_BZIP2),
    "tar": in_tar,
    "gzip in zip": lambda stream: in_zip(gzip.compress(stream)),
    "tar in gzip": lambda stream: gzip.compress(in_tar(stream)),
}
"""The files in which a pickle may come."""


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files(kind: str) -> None:
    assert scan(PACKED[kind](EVIL)).verdict == "dangerous"
    assert scan(PACKED[kind](pickle.dumps([1, 2, 3]))).verdict == "clean"


@pytest.mark.parametrize("kind", ["gzip", "zlib", "bz2", "xz", "lzma"])
def test_bombs_and_cut_files(kind: str) -> None:
    stream = pickle.dumps(bytes(600_000))
    result = scan(PACKED[kind](stream), expanded=400_000)
    assert result.verdict == "unreadable"
    assert scan(PACKED[kind](stream)).verdict == "clean"
    noise = random.Random(1).randbytes(5000)
    cut = PACKED[kind](pickle.dumps([noise]))[:-1000]
    assert scan(cut).verdict == "unreadable"
    first = EVIL + noise * 100
    # What could be unpacked is looked at.
    assert scan(PACKED[kind](first), expanded=400_000).verdict == "dangerous"
    assert scan(PACKED[kind](first)[:1000]).verdict != "clean"


def test_blobs_that_end_with_their_header() -> None:
    blobs = [canning.dumps("x" * length) for length in range(130)]
    assert sum(blob.endswith(b"CANNED" + blob[-2:]) for blob in blobs) >= 2  # where padding is not needed
    assert {scan(blob).verdict for blob in blobs} == {"clean"}
    assert scan(b"".join(blobs)).verdict == "clean"  # as `load` reads them from one open file
    code = [canning.dumps(["x" * length, print]) for length in range(64)]
    assert {scan(blob).verdict for blob in code} == {"needs code"}
    damaged = [blob[:70] + bytes([blob[70] ^ 1]) + blob[71:] for blob in blobs]
    assert {scan(blob).verdict for blob in damaged} == {"unreadable"}


def test_streams_behind_each_other_in_one_file() -> None:
    clean = pickle.dumps([1])
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert scan(pack(clean) + pack(EVIL)).verdict == "dangerous"


def test_archives_whose_flags_and_names_lie() -> None:
    archive = bytearray(in_zip(EVIL))
    struct.pack_into("<H", archive, 6, 1)  # says that it is encrypted
    assert scan(bytes(archive)).verdict == "dangerous"
    archive = bytearray(in_zip(EVIL))
    struct.pack_into("<I", archive, 14, 0xDEADBEEF)  # a checksum that is wrong
    archive[30:33] = b"xyz"  # another name than in the table of contents
    assert scan(bytes(archive)).verdict == "dangerous"
    assert scan(in_zip(EVIL)[:-30]).verdict == "dangerous"  # no table of contents
    assert scan(in_zip(pickle.dumps(1))[:-30]).verdict == "unreadable"
    archive = bytearray(in_zip(pickle.dumps([1])))
    struct.pack_into("<H", archive, 8, 8)  # says that it is packed, and the table that it is not
    assert scan(bytes(archive)).verdict == "unreadable"


def test_what_is_two_things_at_once() -> None:
    tar = bytearray(in_tar(pickle.dumps([1])))
    tar[: len(EVIL)] = EVIL  # where the name of the first member stands
    assert scan(bytes(tar)).verdict == "dangerous"
    assert scan(pickle.dumps([1]) + in_zip(EVIL)).verdict == "dangerous"
    assert scan(EVIL + in_zip(pickle.dumps([1]))).verdict == "dangerous"


def test_archives_within_archives_end() -> None:
    stream = pickle.dumps([1])
    for _ in range(10):
        stream = gzip.compress(stream)
    result = scan(stream)
    assert result.verdict == "unreadable"
    assert "deep" in result.reasons[0]


@pytest.mark.parametrize("magic", [b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd"])
def test_what_is_not_looked_into(magic: bytes) -> None:
    result = scan(magic + EVIL)
    assert result.verdict == "unreadable"
    assert "not looked into" in result.reasons[0]


def saved(obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, obj, **options)
    return file.getvalue()


def test_numpy_files() -> None:
    assert scan(saved(LARGE)).verdict == "clean"
    assert scan(saved(np.zeros(3, [("colour", "f8")]))).verdict == "clean"
    result = scan(saved(np.array([1, "a"], object)))
    assert result.verdict == "needs code"
    assert any(each.name == "_reconstruct" for each in result.globals)
    file = io.BytesIO()
    np.savez_compressed(file, a=LARGE, b=np.arange(3))
    assert scan(file.getvalue()).verdict == "clean"
    file = io.BytesIO()
    np.savez(file, a=LARGE, b=np.array([{}], object))
    assert scan(file.getvalue()).verdict == "needs code"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'descr': '|O'}"  # the last one counts
    assert scan(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + EVIL).verdict == "dangerous"


def test_archives_of_object_arrays_need_code_and_are_no_pickles() -> None:
    file = io.BytesIO()
    np.savez(file, a=np.array([1, "a"], object), b=np.array([{}], object))
    assert file.getvalue()[:1] == pickle.PERSID
    result = scan(file.getvalue())
    assert result.verdict == "needs code"
    assert not any("persistent" in reason for reason in result.reasons)
    assert scan(b"Pid\xe9\n0" + EVIL).verdict == "unreadable"
    assert scan(b"Pid\n0" + EVIL).verdict == "dangerous"


def test_numpy_files_of_older_pythons_say_the_sizes_twice() -> None:
    content = saved(np.arange(3))
    sizes = struct.pack(
        "<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 33, zlib.crc32(content), *[len(content)] * 2, 5, 20
    )
    for said, verdict in ((len(content), "clean"), (len(content) + 1, "unreadable")):
        extra = struct.pack("<2H2Q", 1, 16, len(content), said)
        local = sizes + b"a.npy" + extra + content
        entry = b"PK\1\2" + struct.pack("<H", 45) + sizes[4:26] + struct.pack("<5H2I", 5, 0, 0, 0, 0, 0, 0)
        table = entry + b"a.npy"
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(table), len(local), 0)
        archive = local + table + end
        assert np.load(io.BytesIO(archive))["a"].tolist() == [0, 1, 2]
        assert scan(archive).verdict == verdict


def test_joblib_files() -> None:
    report = inspect(JOBLIB)
    assert [line.text for line in report.tree.children] == ["array f8 (4,), by joblib", "int 3"]
    assert report.verdict == "needs code"
    assert not report.notes


def test_memory_that_joblib_jumps_over_and_pickle_does_not() -> None:
    head, tail = JOBLIB.split(bytes(np.arange(4.0)))
    head = head[: head.index(b"K\x10ub")] + b"Nub"  # not aligned, so not padded
    report = inspect(head + (b"0" + EVIL).ljust(32, b"\0") + tail)
    assert report.tree.children[0].text == "array f8 (4,), by joblib"
    assert "system" in {each.name for each in report.globals}


def test_torch_files() -> None:
    report = inspect(in_zip(TORCH))
    assert report.verdict == "needs code"
    assert report.kind == "zip archive"
    assert not any(each.dangerous for each in report.globals)
    assert "memory of a torch tensor, 10 items, FloatStorage, in member '0'" in str(report)
    script = in_zip(b"def f(): pass", "model/code/__torch__.py")
    assert scan(script).verdict == "needs code"


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.canned"
    canning.dump({"x": LARGE}, path)
    assert inspect(path).verdict == inspect(str(path)).verdict == "clean"
    header, memory = inspect(path).frames
    assert header.at == 64
    assert memory.at is not None
    assert path.read_bytes()[memory.at : memory.at + memory.nbytes] == LARGE.tobytes()
    (tmp_path / "empty").touch()
    assert scan(tmp_path / "empty").verdict == "unreadable"
    assert scan(tmp_path).verdict == "unreadable"
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "missing")
    assert main(["scan", str(tmp_path / "missing")]) == 2
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(__import__("os"), "mkfifo"), reason="this system has no named pipes")
def test_pipes_do_not_make_it_wait(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in scan(tmp_path / "pipe").reasons[0]


# -- what a report says --------------------------------------------------------------------------------


def test_the_report_of_a_message() -> None:
    share = 3
    obj = {"a": LARGE, "part": LARGE[10:400], "twice": [np.ones(500), np.ones(500)], "f": lambda: share}
    report = inspect(canning.serialize_object(obj))
    texts = {line.label: line.text for line in report.tree.children}
    assert texts["['a']"] == "array <f8 (1000,), 8,000 bytes in frame 1"
    assert texts["['part']"] == "array <f8 (390,), 3,120 bytes in frame 1 at 80"
    assert [(row.number, row.nbytes) for row in report.frames][1:] == [(1, 8000), (2, 4000), (3, 4000)]
    assert report.frames[1].used_by == ["obj['a']", "obj['part']"]
    assert [(same.paths, same.nbytes) for same in report.shared] == [(["obj['a']", "obj['part']"], 3120)]
    assert [(same.paths, same.nbytes) for same in report.duplicates] == [
        (["obj['twice'][0]", "obj['twice'][1]"], 4000)
    ]
    assert report.savings["memory sent more than once"] == 4000
    assert report.verdict == "needs code"
    by_name = {each.name: each for each in report.globals}
    assert by_name["function"].path == "obj['f']"
    assert by_name["function"].purpose.startswith("a function by value")
    assert by_name["array"].use == "called with 3 arguments, 4 times in all"


def test_savings_in_a_pickle() -> None:
    text = "".join(["long " * 20])
    other = "".join(["long ", *["long "] * 19])
    stream = pickle.dumps([text, other, "short", "short" + ""], 4)
    savings = inspect(stream).savings
    assert savings["long strings and bytes written out again"] == 100
    saved = savings["memo entries that nothing reads"]
    frame = 0 if len(pickletools.optimize(stream)) <= len(stream) - saved else 9
    assert len(pickletools.optimize(stream)) == len(stream) - saved + frame


def test_paths_to_what_is_asked_for() -> None:
    class Layer:
        def __init__(self) -> None:
            self.f = [print]

    Layer.__qualname__ = "Layer"
    globals()["Layer"] = Layer
    try:
        stream = pickle.dumps({"model": Layer(), ("a", 1): {len}})
    finally:
        del globals()["Layer"]
    found = {each.name: each.path for each in inspect(stream).globals}
    assert found == {"Layer": "obj['model']", "print": "obj['model'].f[0]", "len": "obj[tuple]{0}"}


def test_shared_and_circular_objects() -> None:
    shared = [1]
    obj: list[Any] = [shared, shared]
    obj.append(obj)
    texts = [line.text for line in inspect(pickle.dumps(obj)).tree.children]
    assert texts == ["list, 1 item of int", "the same as obj[0]", "the same as obj"]


def test_opcodes_with_what_comes_of_them() -> None:
    lines = list(inspect(EVIL).opcodes())
    assert lines[0].split() == ["0", "GLOBAL", "'os'", "'system'", "#", "the", "name", "os.system"]
    assert lines[4].strip().endswith("REDUCE  # what os.system gives")
    assert list(inspect(EVIL[:-1]).opcodes())[-1].startswith("-- breaks")
    for stream in (*BY_OPCODE.values(), *BREAKING.values()):
        machine = follow(stream)
        assert [
            step for step in inspect(b"\x80\x04" + stream).opcodes() if "--" not in step
        ] or machine.broken


def test_text_of_strangers_is_shown_harmlessly() -> None:
    hostile = "\x1b[31m<script>[bold]\n"
    stream = pickle.dumps({hostile: [hostile, hostile.encode()]}) + b"c" + b"a\x1b[31m<b>\nb<i>\x07\n."
    report = inspect(stream)
    page = report._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page.split("</b>", 1)[1]
    for text in (str(report), page, json.dumps(report.to_dict(opcodes=True), ensure_ascii=False)):
        assert "\x1b" not in text
        assert "\x07" not in text


def test_the_same_in_json_text_and_rich() -> None:
    rich = pytest.importorskip("rich.console", reason="rich is in the extra demo")
    report = inspect(canning.serialize_object({"a": LARGE, "f": print, "[bold]": 1}))
    data = json.loads(json.dumps(report.to_dict()))
    assert data["verdict"] == "needs code"
    assert data["globals"][0]["name"] == "print"
    file = io.StringIO()
    rich.Console(file=file, width=200).print(report)
    for text in (str(report), file.getvalue(), report._repr_html_()):
        assert "array &lt;f8 (1000,)" in text or "array <f8 (1000,)" in text
        assert "builtins.print" in text
        assert "[bold]" in text


def test_deep_and_wide_trees_are_cut() -> None:
    wide = inspect(pickle.dumps([[number] for number in range(10_000)]))
    assert len(wide.tree.children) == 51
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    report = inspect(pickle.dumps(deep))
    assert len(str(report)) < 20_000
    report = inspect(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")
    assert report.verdict == "unreadable"
    assert str(report)
    assert report._repr_html_()


def test_nodes_are_small() -> None:
    assert not hasattr(Node("list", 0), "__dict__")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("wrapper", [b"cm\nC\n", b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n"])
def test_one_state_of_many_objects_is_gone_through_once(wrapper: bytes) -> None:
    count = 20_000
    state = b"}(" + b"".join(b"\x8c\x05%05d]" % number for number in range(count)) + b"u\x940"
    objects = b"](" + b"h\1)\x81h\0b" * count + b"e."
    report = canning.inspect(b"\x80\x04" + state + wrapper + b"\x940" + objects)
    assert report.verdict == "needs code"
    assert report.globals[0].path == "obj[0]"
    assert len(str(report)) < 1_000_000


def test_many_pickles_in_an_archive_are_looked_at_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canning.inspection.room._ALL_PICKLES", 30)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.pkl", b"N." * 10)
    report = canning.inspect(file.getvalue())
    assert (report.verdict, len(report.parts)) == ("unreadable", 30)
    assert "more pickles than are looked at" in report.reasons[-1]
    (head,) = canning.serialize_object(None)
    assert canning.scan([head] * 30).verdict == "clean"
    assert canning.scan([head] * 31).reasons == ("message 30: more messages than are looked at",)


def test_opcodes_of_all_pickles_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canning.inspection.room._FREE_OPCODES", 1000)
    data = gzip.compress((b"N0" * 400 + b"N.") * 50)
    report = canning.inspect(data)
    assert report.verdict == "unreadable"
    assert len(report.parts) < 5
    assert canning.scan((b"N0" * 400 + b"N.") * 50).verdict == "clean"  # it is as large as it says


@pytest.mark.parametrize("ops", [b"N0", b"I1\n0", b"K\0"])
def test_what_a_small_file_unpacks_to_is_followed_for_as_long_as_it_is_large(ops: bytes) -> None:
    data = gzip.compress(b"\x80\x04" + ops * 5_000_000)
    report = canning.inspect(data)
    assert report.verdict == "unreadable"
    assert "opcodes" in report.reasons[0]
    assert report.parts[0].machine.opcodes <= 1_500_000 + 8 * len(data) + 1


def test_pickles_of_two_bytes_in_a_small_archive() -> None:
    report = canning.inspect(in_zip(b"N." * 10_000, "x.pkl", zipfile.ZIP_DEFLATED))
    assert report.verdict == "unreadable"
    assert len(report.parts) < 1100
    assert canning.scan(b"N." * 1000).verdict == "clean"


@pytest.mark.parametrize(
    "obj",
    [
        dt.datetime(2020, 5, 5, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.time(1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        {dt.datetime(2020, 5, 5, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")): 1},
    ],
)
def test_times_with_a_registered_zone_are_clean(obj: Any) -> None:
    frames = canning.serialize_object(obj)
    assert canning.deserialize_object(frames, trust="data")[0] == obj
    assert canning.scan(frames).verdict == "clean"


def test_a_text_shows_some_of_many_reasons() -> None:
    report = canning.inspect(b"".join(b"\x80\x02cos\nf%d\n." % number for number in range(1000)))
    assert len(report.reasons) == 1000
    assert "and 800 more reasons" in str(report)
    assert "and 800 more reasons" in report._repr_html_()


# -- files that readers take in more than one way --------------------------------------------------------


def tarred(**fields: bytes) -> bytes:
    """Make an archive of one pickle whose header says something else, with a checksum that fits."""
    archive = bytearray(in_tar(EVIL))
    places = {"name": 0, "size": 124, "type": 156, "magic": 257}
    for field, value in fields.items():
        archive[places[field] : places[field] + len(value)] = value
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    return bytes(archive)


def alone(dictionary: int, **options: int) -> bytes:
    chosen = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, **options}]
    packed = lzma.compress(EVIL, lzma.FORMAT_ALONE, filters=chosen)
    return packed[:1] + struct.pack("<I", dictionary) + packed[5:]


def two_arrays() -> bytes:
    return saved(np.arange(3)) + saved(np.array([{}], object))


def with_modules() -> bytes:
    from canning.wire.trailer import extension, pack

    return pack(b"\x80\x04N.", 4, [], extensions=extension(8, EVIL))


def second_record() -> bytes:
    """Put a record of 64 bits where `zipfile` looks for it, and name another where others look."""
    archive = in_zip(pickle.dumps(1))
    body, end = archive[:-22], archive[-22:]
    _, _, _, _, count, length, start, _ = struct.unpack("<4s4H2IH", end)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    return body + record + struct.pack("<4sIQI", b"PK\6\7", 0, 7, 1) + end


EARLY = b"\x80\x04\x95\x05" + bytes(7) + b"]\x94.C" + bytes([len(EVIL)])
"""To one reader the next pickle is what `C` begins, to another what stands behind the frame."""
UNEVEN: dict[str, bytes] = {
    "strings of any length": b"\x93NUMPY\1\0\x46\0"
    + b"{'descr': '|T16', 'fortran_order': False, 'shape': (1,), }".ljust(70)
    + EVIL,
    "an array, then objects": two_arrays(),
    "an array, then a pickle": saved(np.arange(3)) + EVIL,
    "an array, then anything": saved(np.arange(3)) + b"more",
    "two tables, the first": in_zip(EVIL) + in_zip(b"N."),
    "two tables, the last": in_zip(b"N.") + in_zip(EVIL),
    "two records of 64 bits": second_record(),
    "behind something": bytes(100) + in_zip(b"N."),
    "a pickle, then an array of objects": b"N." + saved(np.array([{}], object)),
    "a blob, then a pickle": canning.dumps([1]) + EVIL,
    "a blob that is cut": canning.dumps([1])[:9],
    "a blob, then a blob that is cut": canning.dumps([1]) + canning.dumps([1])[:12],
    "a blob, then a blob": canning.dumps([1]) + canning.dumps(print),
    "something behind": in_zip(b"N.") + b"\n",
    "a name that is there twice": in_zip(b"N.", "archive/VERSION"),
    "another name of its own": in_zip(b"N.").replace(b"data.pkl", b"DATA.pkl", 1),
    "encrypted": in_zip(b"N.").replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1", 1),
    "another checksum": in_zip(b"N.").replace(b"N.", b"I.", 1),
    "gzip with a field": b"\x1f\x8b\x08\x04" + bytes(6) + b"\4\0abcd" + gzip.compress(b"N.")[10:],
    "gzip, then anything": gzip.compress(b"N.") + b"more",
    "lzma, unusual dictionary": alone((1 << 20) + 5),
    "lzma, unusual properties": alone(1 << 16, lc=0, lp=2, pb=1),
    "lzma, huge dictionary": alone(1 << 31),
    "tar without its mark": tarred(magic=bytes(8)),
    "tar named as an array": tarred(name=b"\x93NUMPY\1\0", magic=bytes(8)),
    "tar of an unknown type": tarred(type=b"Z"),
    "tar, a contiguous file": tarred(type=b"7"),
    "tar, a sparse file": tarred(type=b"S"),
    "tar, a size to base 256": tarred(size=b"\x80" + len(EVIL).to_bytes(11, "big")),
    "tar, then anything": in_tar(b"N.") + b"more",
    "modules in a message": with_modules(),
    "a pickle behind a message": (canning.serialize_object([1])[0]).replace(b"canning.", b"canning.") + EVIL,
    "an index that C takes": b"Np0\0\n.",
    "an index alone": b"p0\0\n",
    "a frame that ends within a number": b"N.\x80\x04\x95\x13"
    + bytes(7)
    + b"]\x94(K\x01}\x94\x8c\x01a\x94G@\x04"
    + bytes(6)
    + b"re.(csc\x80\x04\x8c\x0bscan_canary\x8c\x04fire\x93)R.an_canary\nfire\no.",
    "a pickle that ends within its frame": EARLY + EVIL + b".",
    "another before it": b"N." + EARLY + EVIL + b".",
    "and no pickle for the other reader": b"N." + EARLY[:-2] + EVIL,
    "a frame that ends within a name": b"\x80\x04N.\x95\x14"
    + bytes(7)
    + b"(iscan_canary\nfi\x95\6"
    + bytes(7)
    + b"re\n.",
    "a frame that ends within text": b"\x95\x04" + bytes(7) + b"\x8c\x16\x80\x04cscan_canary\nfire\n)R.1",
    "an octal number": b"I010\n.",
    "minus nothing": b"I-0\n.",
    "a number that C takes": b"F1.5\0x\n.",
    "a long name": b"\x80\x04\x8c\x02osX" + struct.pack("<I", 5005) + b"path.os." * 625 + b"error\x93.",
    "a name without STOP": b"cgadget_marker\nx\n",
    "a module without a name": b"cos\n\n.",
    "an instance without a mark": b"ios\nsystem\n",
}
"""Files that are harmless, or seem so, to one reader and something else to another."""


@pytest.mark.parametrize("name", UNEVEN)
def test_what_readers_differ_in_is_not_clean_and_not_left_out(name: str, tmp_path: Path) -> None:
    assert scan(UNEVEN[name]).verdict != "clean"
    (tmp_path / "picture.png").write_bytes(UNEVEN[name])
    assert main(["scan", str(tmp_path)]) > 0


def test_no_codec_is_called_because_a_file_names_it() -> None:
    frames = canning.serialize_object({"a": LARGE}, codec="zstd")
    assert scan(frames).verdict == "clean"
    garbage = [frames[0], bytes(len(frames[1]))]
    assert scan(garbage).verdict == "clean"  # as memory, it is as good as any other
    with pytest.raises(canning.DeserializationError):
        canning.deserialize_object(garbage)
    result = scan([frames[0].replace(b"zstd", b"none"), frames[1]])
    assert result.verdict == "unreadable"


PUBLISHED = """
__builtin__.eval __builtin__.compile __builtin__.getattr __builtin__.apply __builtin__.exec
__builtin__.open builtins.eval builtins.exec builtins.compile builtins.getattr builtins.open
builtins.breakpoint builtins.__import__ os.system nt.system posix.system socket.socket subprocess.Popen
sys.exit runpy.run_path shutil.rmtree pty.spawn operator.attrgetter _operator.methodcaller pickle.loads
_pickle.load bdb.Bdb pdb.run asyncio.run webbrowser.open httplib.HTTPSConnection requests.api.get
aiohttp.client.ClientSession commands.getoutput ctypes.CDLL ssl.create cloudpickle.cloudpickle.subimport
types.CodeType logging.FileHandler _io.FileIO numpy.f2py.crackfortran.getlincoef
numpy.testing._private.utils.runstring code.InteractiveInterpreter cProfile.run
distutils.file_util.write_file doctest.debug_script ensurepip._run_pip idlelib.run.Executive
imaplib.IMAP4_stream lib2to3.pgen2.grammar.Grammar pip.main pkgutil.resolve_name profile.run
pydoc.pipepager test.support.run timeit.timeit trace.Trace venv.create torch._dynamo.guards.GuardBuilder
torch._inductor.codecache.compile_file torch.serialization.load torch.load
torch.fx.experimental.symbolic_shapes.ShapeEnv torch.jit.unsupported_tensor_ops.execWrapper joblib.load
torch.utils._config_module.ConfigModule torch.utils.bottleneck.__main__.run_cprofile
torch.utils.collect_env.run torch.utils.data.datapipes.utils.decoder.basichandlers
urllib.request.urlopen uuid._get_command_stdout _osx_support._read_output _aix_support._read_cmd_output
_pyrepl.pager.pipe_pager numpy.load pandas.read_pickle
_interpreters.run_string _xxsubinterpreters.run_string _frozen_importlib._gcd_import _imp.create_dynamic
_posixsubprocess.fork_exec _sqlite3.connect _winapi.CreateProcess _pyio.open _testcapi.run_in_subinterp
asyncio.unix_events._UnixSubprocessTransport difflib.__loader__ filecmp.cmp
inspect.getattr_static nntplib.NNTP pexpect.run pipes.Template selectors.DefaultSelector
socketserver.TCPServer syslog.syslog tarfile.open zipfile.ZipFile mailcap.findmatch rlcompleter.Completer
tkinter.Tk cgitb.handler pstats.Stats turtledemo.__main__ wsgiref.simple_server.make_server
sysconfig._init_posix typing.get_type_hints typing.ForwardRef dataclasses._create_fn
dataclasses.make_dataclass gettext.c2py collections.OrderedDict.__init__.__globals__
random._os.system http.client.HTTPSConnection xmlrpc.client.ServerProxy
numpy.compat.py3k.npy_load_module pandas.io.clipboard.paste pandas.core.computation.eval.eval
torch.storage._load_from_bytes torch.ops.load_library torch.hub.load torch.compile
torch.distributed.rpc.api.rpc_sync torch.utils.collect_env.run_and_read_all sympy.lambdify
sympy.core.sympify.sympify yaml.unsafe_load keras.src.utils.python_utils.func_load six.exec_
django.utils.module_loading.import_string jinja2.Template IPython.get_ipython Cython.inline
joblib.externals.loky.backend.spawn.main picklescan.scanner.scan_pickle_bytes lib2to3.pgen2.pgen.generate
""".split()  # noqa: SIM905
"""Names that other scanners are known to warn of."""


@pytest.mark.parametrize("dotted", PUBLISHED)
def test_what_other_scanners_warn_of_is_dangerous_when_it_is_called(dotted: str) -> None:
    module, _, name = dotted.rpartition(".")
    stream = f"c{module}\n{name}\n)R.".encode()
    assert scan(b"\x80\x04" + stream).verdict == "dangerous"
    assert scan(b"\x80\x04" + stream[:-3] + b".").verdict == "needs code"  # named, and no more


def torch_magic() -> bytes:
    """Make a legacy file of torch's whose first number is what a call gives, and whose fifth pickle acts."""
    magic = pickle.GLOBAL + b"builtins\neval\n" + b"S'0x1950A86A20F9469CFC6C'\n\x85R."
    return magic + b"".join(pickle.dumps(each, 2) for each in (1001, {}, [])) + EVIL + b"N."


HIDDEN: dict[str, bytes] = {
    "attributes set, then named": b"\x80\x05cnumpy\nprod\nN(Va\nVos\nd\x86bN(Vb\nVsystem\nd\x86b0"
    b"cnumpy\nprod.a\np0\n0cnumpy\nprod.b\np1\n0g0\ng1\n\x93Vtrue\n\x85R.",
    "a memo of two countings": b"T\2\0\0\0osq\0T\6\0\0\0systemq\1\x8c\x0ctorch._utils\x94"
    b"\x8c\x12_rebuild_tensor_v2\x94h\0h\1\x93\x8c\4true\x85R.",
    "a memo out of order": b"Vos\np2\n0Vsystem\np3\n0Vtorch\np0\n0VLongStorage\np1\n0g2\ng3\n\x93(Vtrue\ntR.",
    "an object, dropped": b"\x80\x04(\x8c\2os\x94\x8c\6system\x94\x93\x8c\4trueo0N.",
    "an instance": b"(S'true'\nios\nsystem\n.",
    "a state that calls": b"ccollections\nOrderedDict\n)R}S'__setstate__'\ncos\nsystem\nsbS'true'\nb.",
    "a name that ends elsewhere": b"\x80\x04\x8c\6random\x8c\x0a_os.system\x93\x8c\4true\x85R.",
    "a dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93)R.",
    "a chain of getters": b"cbuiltins\ngetattr\ncbuiltins\n__import__\nVos\n\x85RVsystem\n\x86RVtrue\n\x85R.",
    "a getter by a partial": b"cfunctools\npartial\ncos\nsystem\n\x85RVtrue\n\x85R.",
    "a default factory": b"ccollections\ndefaultdict\ncbuiltins\nbreakpoint\n\x85R.",
    "by a map": b"cbuiltins\nlist\ncbuiltins\nmap\ncos\nsystem\n(Vtrue\nl\x86R\x85R.",
    "a wrong opcode behind it": EVIL[:-1] + b"\xff",
    "a frame that ends within it": b"\x80\x04\x95\2\0\0\0\0\0\0\0N0" + EVIL,
    "two protocols": b"\x80\x04\x80\x02c__builtin__\neval\n(S'1'\ntR.",
    "a magic number by a call": torch_magic(),
}
"""Ways round scanners that were published, each with what acts at its end."""


@pytest.mark.parametrize("name", HIDDEN)
def test_what_was_hidden_from_other_scanners_is_dangerous(name: str, tmp_path: Path) -> None:
    for stream in (HIDDEN[name], in_zip(HIDDEN[name]), in_tar(HIDDEN[name]), gzip.compress(HIDDEN[name])):
        assert scan(stream).verdict == "dangerous"
    (tmp_path / "picture.png").write_bytes(HIDDEN[name])
    assert main(["scan", str(tmp_path)]) == 3


def test_a_harmless_state_dict_is_not_dangerous() -> None:
    assert scan(in_zip(TORCH)).verdict == "needs code"
    partial = b"cfunctools\npartial\n(cos\nsystem\nS'true'\ntR."
    assert scan(partial).verdict == "dangerous"  # which calls what it is handed


def test_a_scan_is_shown_with_one_reason_a_line() -> None:
    result = scan(b"\x80\x04" + EVIL[:-1] + b"0c<script>\nb\n.")
    assert str(result).splitlines()[:2] == ["pickle: dangerous", "  - dangerous: os.system"]
    page = result._repr_html_()
    assert page.count("<li>") == len(result.reasons) == 2
    assert "<script>" not in page


def test_a_name_that_acts_and_is_not_called_is_said_to_be_only_named() -> None:
    result = canning.scan(pickle.dumps([len, os.system]))
    assert result.verdict == "needs code"
    assert set(result.reasons) == {
        "builtins.len: named, but not called",
        f"{os.system.__module__}.system: named, but not called",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mutated_containers_that_are_clean_or_left_out_fire_in_no_reader() -> None:
    from .fuzz.scanned import made, run

    assert len({made(number) for number in range(100)}) > 90
    counts, bad = run(iter(range(400)), 60.0, 400)
    assert bad == []
    assert counts["read"] > 20


@pytest.mark.parametrize("name", ["m/archive_format", "serialized_exported_program.json", "config.json"])
def test_what_loaders_of_models_find_besides_pickles_is_never_clean(name: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps([1]))
    assert scan(file.getvalue()).verdict == "clean"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"pt2")
    report = scan(file.getvalue())
    assert report.verdict == "unreadable"
    assert "not followed" in str(report)
