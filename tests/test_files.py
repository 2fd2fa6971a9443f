"""One blob, one file: the same frames, each where memory of its kind should be."""

from __future__ import annotations

import collections
import gc
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canning import (
    CanningError,
    DeserializationError,
    Reference,
    SerializationError,
    deserialize_object,
    dump,
    dumps,
    files,
    load,
    loads,
    serialize_object,
)
from canning.wire.blob import frames_of

from .harness import assert_equal
from .samples import Point, Trace

LARGE = np.arange(5000.0)
OBJ = {"a": LARGE, "b": [b"x" * 2000, LARGE[10:20], np.ones((30, 40)).T], "c": "text"}


def test_blobs() -> None:
    blob = dumps(OBJ)
    assert type(blob) is bytes
    assert_equal(OBJ, loads(blob))
    assert_equal(OBJ, loads(bytearray(blob)), writeable="same")
    assert_equal(OBJ, loads(memoryview(blob)))
    assert_equal(OBJ, loads(np.frombuffer(blob, np.uint8)))
    assert len(blob) < sum(map(len, serialize_object(OBJ))) + 64 * 8


def test_the_layout_of_a_blob_by_hand() -> None:
    blob = dumps(OBJ)
    frames = serialize_object(OBJ)
    magic, count = struct.unpack_from("<8sQ", blob)
    lengths = struct.unpack_from(f"<{count}Q", blob, 16)
    assert magic == b"\x93CANNEDF"
    assert lengths == tuple(map(len, frames))
    at = 16 + 8 * count
    for frame in frames:
        at += -at % 64
        assert blob[at : at + len(frame)] == bytes(frame)
        at += len(frame)
    assert not blob[at:].strip(b"\0")
    assert len(blob) - at < 64


def test_frames_of_a_blob_are_views_of_it() -> None:
    blob = bytearray(dumps(OBJ))
    frames = frames_of(blob)
    assert [bytes(frame) for frame in frames] == [bytes(frame) for frame in serialize_object(OBJ)]
    start = np.frombuffer(blob, np.uint8).ctypes.data
    assert all((np.frombuffer(frame, np.uint8).ctypes.data - start) % 64 == 0 for frame in frames)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_pickles_in_blobs_and_files(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.pickle"
    with path.open("wb") as file:
        pickle.dump([1, LARGE], file, protocol)
    assert_equal([1, LARGE], loads(path.read_bytes(), trust="code"))
    assert_equal([1, LARGE], load(path, trust="code"))


def test_what_comes_from_elsewhere_is_data_unless_told(tmp_path: Path) -> None:
    blob = dumps([print])
    (tmp_path / "f").write_bytes(blob)
    for read in (lambda **options: loads(blob, **options), lambda **options: load(tmp_path / "f", **options)):
        with pytest.raises(DeserializationError, match=r"builtins.print .*trust=.code."):
            read()
        assert read(trust="code") == [print]
    with pytest.raises(ValueError, match="trust='nobody'"):
        loads(blob, trust="nobody")


@pytest.mark.parametrize(
    ("obj", "way"),
    [
        (Point(1), r'read the message with allow=\{"tests.samples.Point"\}; look at it .* trust="code" only'),
        (collections.ChainMap(), r'register it with data=True .*; look at it .* trust="code" only'),
        (print, r'\(a function\): data holds no functions .*; look at it .* trust="code" only'),
    ],
    ids=["plain fields", "another class", "function"],
)
def test_a_refusal_names_the_safe_way_first(obj: Any, way: str) -> None:
    with pytest.raises(DeserializationError, match=way):
        loads(dumps(obj))
    with pytest.raises(
        DeserializationError, match=r"import nowhere and read the message with allow=.*; look at it"
    ):
        loads(b"\x80\x04\x8c\x07nowhere\x8c\x05Point\x93)\x81.")
    with pytest.raises(DeserializationError, match=r"^(?!.*allow=)"):  # a name is a stranger's text
        loads(b'\x80\x04\x8c\x07nowhere\x8c\x09"}, key="A\x93.')


def test_a_namespace_and_options() -> None:
    assert loads(dumps(Reference("x")), {"x": 5}, trust="code") == 5
    assert loads(dumps(LARGE), writable=True).flags.writeable
    assert len(frames_of(dumps([np.ones(10)], buffer_threshold=50))) == 2


# -- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("obj", [5, [b"x" * 2000], np.arange(3)], ids=["plain", "bytes", "array"])
def test_every_cut_is_noticed(obj: Any) -> None:
    blob = dumps(obj)
    whole = len(blob.rstrip(b"\0")) if not isinstance(obj, list) else 64 * (len(blob) // 64)
    for length in range(min(whole, len(blob))):
        if len(blob) - length < 64 and not blob[length:].strip(b"\0"):
            continue  # padding behind the last frame
        with pytest.raises(DeserializationError):
            loads(blob[:length])


BAD_BLOBS = [
    (b"", "neither"),
    (b"x", "neither"),
    (b"\x93CANNED", "neither"),
    (b"text that is no blob at all", "neither"),
    (b"\x93CANNEDF" + struct.pack("<Q", 0), "cut|frames"),
    (b"\x93CANNEDF" + struct.pack("<Q", 2**63), "cut|frames"),
    (b"\x93CANNEDF" + struct.pack("<Q", 5) + bytes(30), "cut|frames"),
    (b"\x93CANNEDF" + struct.pack("<QQ", 1, 2**63) + bytes(100), "cut"),
    (b"\x93CANNEDF" + struct.pack("<QQ", 1, 0) + bytes(100), None),
    (b"\x93CANNEDF" + struct.pack("<QQ", 1, 10) + bytes(100), None),
    (b"\x80", None),
    (b"\x80\x05", None),
]


@pytest.mark.parametrize(("blob", "text"), BAD_BLOBS, ids=range(len(BAD_BLOBS)))
def test_what_is_no_blob(blob: bytes, text: str | None, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(blob)
    with pytest.raises(DeserializationError, match=text):
        loads(blob)
    for mmap in (True, False):
        with pytest.raises(DeserializationError):
            load(tmp_path / "x", mmap=mmap)


def test_more_than_one_object_is_refused() -> None:
    from canning.wire.blob import blob_of

    blob = b"".join(blob_of([*serialize_object(1), *serialize_object(2)]))
    with pytest.raises(DeserializationError, match="frames more than one object"):
        loads(blob)


def test_damage_within_a_blob_is_noticed_before_anything_runs() -> None:
    Trace.calls.clear()
    blob = bytearray(dumps([Trace(), LARGE]))
    blob[70] ^= 1
    with pytest.raises(DeserializationError):
        loads(blob)
    assert Trace.calls == []


# -- files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [str, Path])
def test_files(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "obj.canned")
    dump(OBJ, path)
    assert_equal(OBJ, load(path))
    assert_equal(OBJ, load(path, mmap=False), writeable="same")
    assert_equal(OBJ, load(path, writable=True), writeable="same")
    assert os.listdir(tmp_path) == ["obj.canned"]
    assert Path(path).read_bytes() == dumps(OBJ)


def test_a_file_has_the_permissions_of_any_other_or_of_what_it_replaces(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "obj.canned"
    other.touch()
    dump(1, path)
    assert path.stat().st_mode == other.stat().st_mode
    path.chmod(0o640)
    dump(2, path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert load(path) == 2


def test_links_stay_links(tmp_path: Path) -> None:
    path, link = tmp_path / "obj.canned", tmp_path / "link"
    link.symlink_to("obj.canned")
    for obj in (1, 2):
        dump(obj, link)
        assert link.is_symlink()
        assert load(path) == obj


def test_pipes_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        dump([1, 2], path)
        assert loads(os.read(reader, 10_000)) == [1, 2]
    finally:
        os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize("letter", ["n", "ü"])
def test_names_may_be_as_long_as_the_file_system_takes(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (255 // len(letter.encode())))
    dump(1, path)
    assert load(path) == 1


FULL_DISK = """
import resource, signal, sys
import numpy as np, canning
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for options in {}, {"on_progress": print}:
    try:
        canning.dump(np.zeros(1_000_000), sys.argv[1], **options)
    except OSError as error:
        assert "too large" in str(error), error
    else:
        raise SystemExit("it was written")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for the size of files")
def test_what_could_not_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "obj.canned"
    dump("before", path)
    subprocess.run([sys.executable, "-c", FULL_DISK, path], check=True, stdout=subprocess.DEVNULL)
    assert load(path) == "before"
    assert os.listdir(tmp_path) == ["obj.canned"]


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xff\0 no blob")
    for mmap in (True, False):
        with pytest.raises(DeserializationError) as caught:
            load(path, mmap=mmap)
        assert caught.value.__notes__ == [f"in the file {path}"]


def test_mapped_arrays_are_read_only_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "obj.canned"
    whole = np.arange(200_000.0)
    dump([whole, whole[3:5]], path)
    got = load(path)
    assert not got[0].flags.writeable
    assert np.shares_memory(got[0], got[1])
    start = path.read_bytes().index(whole.tobytes())
    with path.open("r+b") as file:
        file.seek(start)
        file.write(np.float64(77).tobytes())
    assert got[0][0] == 77


def test_many_loaded_files_need_no_descriptors(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    paths = [tmp_path / str(number) for number in range(100)]
    for path in paths:
        dump(LARGE, path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 20, before[1]))
    try:
        loaded = [load(path) for path in paths]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(np.array_equal(array, LARGE) and not array.flags.writeable for array in loaded)


def test_arrays_outlive_the_file_and_the_map(tmp_path: Path) -> None:
    path = tmp_path / "obj.canned"
    dump({"a": LARGE, "b": 5}, path)
    array = load(path)["a"]
    path.unlink()
    gc.collect()
    assert np.array_equal(array, LARGE)


def test_references_in_files(tmp_path: Path) -> None:
    dump([Reference("x")], tmp_path / "r")
    assert load(tmp_path / "r", {"x": 5}, trust="code") == [5]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        dump(5, tmp_path / "no folder" / "x")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for mmap in (True, False):
        with pytest.raises(DeserializationError):
            load(tmp_path / "empty", mmap=mmap)


def test_a_file_is_replaced_when_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "obj.canned"
    dump([1, LARGE], path)
    with pytest.raises(SerializationError):
        dump([2, threading.Lock()], path)
    assert os.listdir(tmp_path) == ["obj.canned"]
    assert load(path)[0] == 1

    def fail(*args: Any) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no room"):
            dump([3, LARGE], path)
    assert os.listdir(tmp_path) == ["obj.canned"]
    assert load(path)[0] == 1
    mapped = load(path)
    dump([4, LARGE + 1], path)
    assert mapped[1][0] == 0  # the old file lives as long as its map
    assert load(path)[1][0] == 1


def test_several_threads_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "obj.canned"
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                dump([number, np.full(2000, number)], path)
                got = load(path)
                assert (got[1] == got[0]).all()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["obj.canned"]


def test_open_files_hold_several_objects(tmp_path: Path) -> None:
    objects: list[Any] = [5, {"a": LARGE}, "x" * 3000, [LARGE, LARGE + 1], None]
    with (tmp_path / "f").open("w+b") as file:
        for obj in objects:
            dump(obj, file)
        file.write(pickle.dumps("last"))
        file.seek(0)
        for obj in [*objects, "last"]:
            assert_equal(obj, load(file), writeable="same")
        with pytest.raises(DeserializationError, match="at its end"):
            load(file)
    memory = io.BytesIO(dumps(LARGE)[:-5000])
    with pytest.raises(DeserializationError, match="cut"):
        load(memory)
    claims = io.BytesIO(b"\x93CANNEDF" + struct.pack("<QQ", 1, 1 << 60))
    with pytest.raises(DeserializationError, match="cut"):
        load(claims)


@pytest.mark.parametrize("wrong", [io.StringIO(), 5, None, [1]], ids=["text", "a number", "None", "a list"])
def test_what_is_neither_a_path_nor_an_open_binary_file(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"binary|'wb'"):
        dump(5, wrong)
    with pytest.raises(TypeError, match=r"binary|'rb'"):
        load(wrong)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("mmap", [True, False])
def test_what_is_no_regular_file_is_told(mmap: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(DeserializationError, match="not a regular file"):
            load(path, mmap=mmap)
    with pytest.raises(IsADirectoryError):
        load(tmp_path, mmap=mmap)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"make it first.*no folder'"):
        dump(5, tmp_path / "no folder" / "x")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_nobody_reads_a_part_who_could_not_read_what_it_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = files._write

    def look(*args: Any) -> None:
        (part,) = tmp_path.glob(".*.part")
        seen.append(part.stat().st_mode & 0o777)
        real(*args)

    monkeypatch.setattr(files, "_write", look)
    path = tmp_path / "secret"
    path.touch(0o600)
    dump(1, path)
    assert (seen, path.stat().st_mode & 0o777) == ([0o600], 0o600)
    path.chmod(0o640)
    dump(2, path)
    assert (seen[1:], path.stat().st_mode & 0o777) == ([0o600], 0o640)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_strangers_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "link"
    link.symlink_to(tmp_path / "mine")
    dump(1, link)  # a link of one's own is one
    assert load(tmp_path / "mine") == 1
    os.lchown(link, 12345, 12345)
    with pytest.raises(PermissionError, match="link of somebody else"):
        dump(2, link)
    assert load(tmp_path / "mine") == 1
    assert link.is_symlink()


FOREIGN = {
    "npy": (b"\x93NUMPY\1\0v\0{'descr'", r"numpy\.load"),
    "zip": (b"PK\3\4" + bytes(22) + b"\5\0\0\0a.txtrest", r"a zip archive: zipfile"),
    "npz": (b"PK\3\4" + bytes(22) + b"\5\0\0\0a.npyrest", r"numpy\.load"),
    "torch zip": (b"PK\3\4" + bytes(22) + b"\x10\0\0\0archive/data.pklrest", r"torch\.load"),
    "nothing": (b"", "empty"),
    "gzip": (b"\x1f\x8b\x08rest", r"gzip.*joblib\.load"),
    "joblib": (b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)R.", r"joblib\.load"),
    "torch": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", r"torch\.load"),
    "text": (b"name,value\n1,2\n", r"text: open.*pandas\.read_csv"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_program_is_named_with_what_opens_it(kind: str, tmp_path: Path) -> None:
    content, expected = FOREIGN[kind]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DeserializationError, match=rf"file is .*{expected}"):
        load(tmp_path / "file")


def test_dump_tells_what_a_reader_of_data_would_refuse(tmp_path: Path) -> None:
    def write_file(obj: Any, **options: Any) -> None:
        dump(obj, tmp_path / "f", **options)

    for write in (dumps, write_file):
        write({"a": LARGE}, readable_as="data")
        write(Point(1), readable_as="data", allow={Point})
        write(print, readable_as="code")
        with pytest.raises(SerializationError, match=r"would refuse it.*allow="):
            write([Point(1)], readable_as="data")
        with pytest.raises(ValueError, match=r"^readable_as='nobody' is not one of"):
            write(1, readable_as="nobody")
    assert load(tmp_path / "f", trust="code") is print


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ({"f": [lambda: 1]}, "obj['f'][0]"),
        ([1, {"c": collections.ChainMap()}], "obj[1]['c']"),
        ({"a": {"b": (1, print)}}, "obj['a']['b'][1]"),
    ],
)
def test_the_error_for_what_no_reader_of_data_reads_has_its_path(obj: Any, path: str) -> None:
    with pytest.raises(SerializationError, match="would refuse it: this message needs") as caught:
        dumps(obj, readable_as="data")
    assert caught.value.path == path


def test_what_was_mistaken_for_another_is_told(tmp_path: Path) -> None:
    confused: Any = dump
    with pytest.raises(TypeError, match=r"dump\(obj, path\) takes the object first"):
        confused(tmp_path / "f", {"a": 1})
    confused = loads
    with pytest.raises(TypeError, match=r"deserialize_object reads it"):
        confused(serialize_object(1))
    with pytest.raises(TypeError, match=r"canning\.load reads the file"):
        confused("weights.canned")
    with open(os.devnull, "rb") as file, pytest.raises(SerializationError, match=r"obj\[0\].*its path"):
        dumps([file])


def test_a_traceback_ends_in_the_callers_line(tmp_path: Path) -> None:
    dump([print], tmp_path / "f")
    frames = serialize_object([print])
    calls: list[Any] = [
        lambda: load(tmp_path / "f"),
        lambda: loads(dumps([print])),
        lambda: dump(threading.Lock(), tmp_path / "g"),
        lambda: dumps([threading.Lock()]),
        lambda: serialize_object({"a": threading.Lock()}),
        lambda: deserialize_object(frames, trust="data"),
        lambda: deserialize_object([b"nothing"]),
    ]
    for call in calls:
        with pytest.raises(CanningError) as caught:
            call()
        assert len(caught.traceback) == 3, "the test, its lambda, and the call that it has made"


def test_an_unknown_option_is_named_before_the_blob_is_looked_at() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        loads(b"", no_such_option=1)
