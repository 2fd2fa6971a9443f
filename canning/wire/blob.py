"""A message in one blob, with each frame aligned for its kind of data.

    magic | number of frames | length of each | frame 0 | padding | frame 1 | padding | ...

All numbers are unsigned, little-endian, 64 bits; each frame starts at a multiple of 64 bytes. `owner_of`
names the format of a file that holds no blob.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final

from ..errors import DeserializationError
from ..memory.buffers import ALIGNMENT, Frame, flat

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAGIC: Final = b"\x93CANNEDF"
_COUNT: Final = struct.Struct("<8sQ")
STEP: Final = 8 * 1024 * 1024
"""Bytes between two reports of progress."""


def _pad(length: int) -> bytes:
    return bytes(-length % ALIGNMENT)


def blob_of(frames: list[Frame]) -> Iterator[Frame]:
    """Return the parts of a blob in their order."""
    lengths = [len(frame) for frame in frames]
    head = _COUNT.pack(MAGIC, len(frames)) + struct.pack(f"<{len(frames)}Q", *lengths)
    yield head + _pad(len(head))
    for frame, length in zip(frames, lengths, strict=True):
        yield frame
        yield _pad(length)


def frames_of(blob: ReadableBuffer) -> list[memoryview]:
    """Split a blob into its frames, without a copy; a plain pickle is one frame.

    Raises `DeserializationError` if the data is neither, is truncated, or is followed by another blob.
    """
    view, frames, end = _cut(blob)
    if bytes(view[end : end + len(MAGIC)]) == MAGIC:
        raise DeserializationError(
            "it holds more than one object: pass the open file to canning.load, once for each of them "
            "(of bytes, io.BytesIO makes a file)"
        )
    return frames


def end_of(blob: ReadableBuffer) -> int:
    """Return the offset where a blob ends, in a file that may hold several; raises as `frames_of`."""
    return _cut(blob)[2]


def _cut(blob: ReadableBuffer) -> tuple[memoryview, list[memoryview], int]:
    """Return the memory of a blob, the frames at its start, and the offset where they end."""
    if isinstance(blob, list | tuple):
        raise TypeError("a list of frames is one message, not a blob: canning.deserialize_object reads it")
    if isinstance(blob, str):
        raise TypeError("a blob is bytes, and this is str: canning.load reads the file of a path")
    if isinstance(blob, io.IOBase):
        raise TypeError("a blob is bytes, and this is an open file: canning.load reads it")
    view = flat(blob)
    if bytes(view[:1]) == b"\x80" or (bytes(view[-1:]) == b"." and bytes(view[:8]) != MAGIC):
        return view, [view], view.nbytes  # protocols 0 and 1 have no opcode for their version
    if not view.nbytes:
        raise DeserializationError("it is empty: neither a canning blob nor a pickle")
    if view.nbytes < _COUNT.size or bytes(view[:8]) != MAGIC:
        raise DeserializationError(f"{view.nbytes} bytes that are neither a canning blob nor a pickle")
    _, count = _COUNT.unpack_from(view)
    at = _COUNT.size + 8 * count
    if not 0 < count <= view.nbytes // 8 or at > view.nbytes:
        raise DeserializationError(f"the blob is cut: {view.nbytes} bytes cannot hold its {count} frames")
    frames: list[memoryview] = []
    for length in struct.unpack_from(f"<{count}Q", view, _COUNT.size):
        at += -at % ALIGNMENT
        if at + length > view.nbytes:
            raise DeserializationError(
                f"the blob is cut in frame {len(frames)}: {view.nbytes} bytes are here"
            )
        frames.append(view[at : at + length])
        at += length
    return view, frames, min(at + -at % ALIGNMENT, view.nbytes)


def read_one(file: IO[bytes]) -> bytearray:
    """Read one blob, and no more, from an open file; if it holds no blob, read everything."""
    memory = bytearray(file.read(_COUNT.size))
    if bytes(memory[:8]) != MAGIC or len(memory) < _COUNT.size:
        return memory + file.read()
    count = _COUNT.unpack(memory)[1]
    _read_more(file, memory, 8 * count)
    if len(memory) == _COUNT.size + 8 * count:
        for length in struct.unpack_from(f"<{count}Q", memory, _COUNT.size):
            _read_more(file, memory, -len(memory) % ALIGNMENT + length)
        _read_more(file, memory, -len(memory) % ALIGNMENT)
    return memory


def _read_more(file: IO[bytes], memory: bytearray, nbytes: int) -> None:
    """Read the bytes that exist, however many are announced."""
    while nbytes > 0:
        piece = file.read(min(nbytes, STEP))
        if not piece:
            return
        memory += piece
        nbytes -= len(piece)


# -- files of other programs ------------------------------------------------------------------------------

_HEAD: Final = 4096
_COMPRESSED: Final = "compressed with {}: joblib.load opens it if joblib wrote it, or unpack it first"
_ZIP: Final = b"PK\3\4"
_OTHERS: Final = (
    (b"\x93NUMPY", "a file of numpy's (.npy): numpy.load opens it"),
    (b"\x1f\x8b", _COMPRESSED.format("gzip")),
    (b"BZh", _COMPRESSED.format("bz2")),
    (b"\xfd7zXZ", _COMPRESSED.format("xz")),
    (b"\x5d\0", _COMPRESSED.format("lzma")),
    *((b"\x78" + bytes((level,)), _COMPRESSED.format("zlib")) for level in (0x01, 0x5E, 0x9C, 0xDA)),
    (b"\x28\xb5\x2f\xfd", _COMPRESSED.format("zstandard")),
    (b"\x04\x22\x4d\x18", _COMPRESSED.format("lz4")),
    (b"\x89HDF", "a file of HDF5: h5py or pandas.read_hdf opens it"),
    (b"PAR1", "a file of parquet: pandas.read_parquet or pyarrow.parquet opens it"),
    (b"ARROW1", "a file of Arrow: pyarrow.feather opens it"),
    (b"SQLite format 3", "a database of sqlite: sqlite3 opens it"),
)
"""The first bytes of files of other formats, and the function that opens each."""


def owner_of(memory: object) -> str | None:
    """Name the format of a file that another program wrote, and the function that opens it."""
    head = bytes(flat(memory)[:_HEAD])
    if not head:
        return "empty"
    if head.startswith(_ZIP):
        return _kind_of_zip(head)
    for magic, what in _OTHERS:
        if head.startswith(magic):
            return what
    if head[:1] == b"\x80" and b"joblib.numpy_pickle" in head:
        return "a file of joblib's: joblib.load opens it, and runs what it names (canning.scan tells what)"
    if head[:1] == b"\x80" and b"torch._utils" in head:
        return "a file of torch's: torch.load opens it"
    if head[:1] == b"\x80" or not _is_text(head):
        return None
    return "text: open(path).read(), json.load or pandas.read_csv opens it"


def _kind_of_zip(head: bytes) -> str:
    """Tell archives apart by the name of their first member."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first.endswith(b".npy"):
        return "a file of numpy's (.npz): numpy.load opens it"
    if first.endswith(b"/data.pkl") or first.rpartition(b"/")[2] in (b"byteorder", b".format_version"):
        return "a file of torch's: torch.load opens it"
    return "a zip archive: zipfile opens it, and canning.scan tells what is in it"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else "\0"
    return all(letter.isprintable() or letter in "\n\r\t\f" for letter in text) and not text.endswith(".")
