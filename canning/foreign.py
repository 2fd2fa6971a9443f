"""What a file is that another program wrote, and what opens it."""

from __future__ import annotations

from typing import Final

from .memory.buffers import flat

_HEAD: Final = 4096
_COMPRESSED: Final = "compressed with {}: joblib.load opens it if joblib wrote it, or unpack it first"
_OTHERS: Final = (
    (b"\x93NUMPY", "a file of numpy's (.npy): numpy.load opens it"),
    (b"PK\3\4", "a zip archive, as torch.save and numpy.savez write them: torch.load or numpy.load opens it"),
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
"""What files of others start with, and what opens them."""


def owner_of(memory: object) -> str | None:
    """Say what a file is that another program wrote, and what opens it."""
    head = bytes(flat(memory)[:_HEAD])
    for magic, what in _OTHERS:
        if head.startswith(magic):
            return what
    if head[:1] == b"\x80" and b"joblib.numpy_pickle" in head:
        return "a file of joblib's: joblib.load opens it, and runs what it names (canning.scan tells what)"
    if head[:1] == b"\x80" and b"torch._utils" in head:
        return "a file of torch's: torch.load opens it"
    return "text" if head and head[:1] != b"\x80" and _is_text(head) else None


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else "\0"
    return all(letter.isprintable() or letter in "\n\r\t\f" for letter in text) and not text.endswith(".")
