"""Compressed frames: lz4, zstd and blosc2 as codecs, block by block.

An encoded frame is

    itemsize (1 byte) | log2 of the block size (1) | a length (4) for each block | the blocks

all little-endian. The blocks are those of the frame's memory, each of the block size except the last. The
highest bit of a length says that the block is stored uncompressed, since it does not shrink. With an itemsize
above 1 the bytes of a block were shuffled before compression: first byte 0 of all its items, then byte 1,
and so on; bytes after the last whole item stay at the end. Numbers compress better that way: 1,000,000 64-bit
integers below 1,000 to 0.20 of their size with lz4, and to 0.39 without, at six times the speed.
https://www.blosc.org/posts/new-bitshuffle-filter/ has more on shuffling.
"""

from __future__ import annotations

import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ..arguments import check_whole
from ..errors import DeserializationError, shortened
from ..memory.buffers import ByteArray, aligned_empty, flat

BLOCK: Final = 20
"""Log2 of the bytes of a block: 1 MiB, which stays in the cache while it is shuffled."""
WORTH: Final = 0.97
"""Part of its size to which a frame must shrink to be sent compressed."""
SMALL: Final = 4096
"""Bytes below which frames are not compressed."""
_HEAD: Final = struct.Struct("<BB")
_RAW: Final = 1 << 31
_WIDEST: Final = 32
"""Bytes of the largest items that are shuffled; larger ones are records, each with its own pattern."""
_LOG2: Final = range(12, 25)
_OF_PYTHON: Final = sys.version_info >= (3, 14)
"""Whether zstd is in the standard library: https://peps.python.org/pep-0784/."""


class BlockCodec(ABC):
    """Compress a frame block by block.

    Attributes:
        id: the codec's name on the wire, and in `Serializer(codec=...)`.
        module: the module that it imports.
        shuffles: whether bytes are shuffled here; otherwise `compress` does it.
        code_only: whether only trusted messages are decoded.
    """

    id = ""
    module = ""
    shuffles = True
    code_only = False

    @property
    def ready(self) -> bool:
        """Whether the module is imported."""
        return sys.modules.get(self.module) is not None

    def load(self) -> Any:
        """Import the module; raises `ImportError` that says where to get it."""
        return _import(self.module, self.id)

    @abstractmethod
    def compress(self, block: memoryview | ByteArray, itemsize: int) -> Any:
        """Compress one block."""

    @abstractmethod
    def decompress(self, data: memoryview, size: int) -> Any:
        """Return the `size` bytes of a block, and never more; damaged blocks may raise any error."""

    def encode(self, buffer: memoryview, *, itemsize: int) -> bytes | None:
        """Compress a frame; None if that saves less than 3 % of it."""
        if buffer.nbytes < SMALL:
            return None
        width = itemsize if 1 < itemsize <= _WIDEST else 1
        blocks, lengths = [], []
        for block in _blocks(buffer, 1 << BLOCK):
            data = self.compress(shuffled(block, width) if self.shuffles else block, width)
            raw = len(data) >= len(block)
            blocks.append(block if raw else data)
            lengths.append(len(block) | _RAW if raw else len(data))
        size = sum(map(len, blocks))
        if size > WORTH * buffer.nbytes:
            return None
        table = struct.pack(f"<{len(lengths)}I", *lengths)
        return b"".join((_HEAD.pack(width, BLOCK), table, *blocks))

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> memoryview:
        """Return the memory of a frame; raises `DeserializationError` if it is not `length` bytes."""
        width, log2, blocks = _parse(frame, length)
        room = aligned_empty(length)
        at = 0
        for data, raw in blocks:
            into = room[at : at + (1 << log2)]
            at += len(into)
            block = np.frombuffer(data if raw else self.decompress(data, len(into)), np.uint8)
            if len(block) != len(into):
                raise DeserializationError(f"a block of {len(block)} bytes where {len(into)} were encoded")
            _unshuffle(block, into, width if self.shuffles and not raw else 1)
        return memoryview(room)


class Lz4(BlockCodec):
    """Compress with lz4: fast at both ends. Needs ``pip install lz4``.

    >>> import canning, numpy as np
    >>> frames = canning.serialize_object(np.arange(100_000), codec="lz4")
    >>> len(frames[1]) < 800_000 / 5
    True
    >>> canning.deserialize_object(frames)[0][-1]
    np.int64(99999)
    """

    id = "lz4"
    module = "lz4.block"

    def compress(self, block: memoryview | ByteArray, itemsize: int) -> Any:
        """Compress one block, without its size in front."""
        return self.load().compress(block, store_size=False)

    def decompress(self, data: memoryview, size: int) -> Any:
        """Return a block of at most `size` bytes."""
        return self.load().decompress(data, uncompressed_size=size)


class Zstd(BlockCodec):
    """Compress with zstd at a level from 1 (default) to 22.

    It needs ``pip install zstandard`` before Python 3.14, which has zstd itself. Each reads the
    other's frames.
    """

    id = "zstd"
    module: str = "compression.zstd" if _OF_PYTHON else "zstandard"

    @shortened
    def __init__(self, level: int = 1) -> None:
        self.level: int = _level(level, 1, 22)

    def compress(self, block: memoryview | ByteArray, itemsize: int) -> Any:
        """Compress one block."""
        zstd = self.load()
        if _OF_PYTHON:
            return zstd.compress(block, self.level)
        return zstd.ZstdCompressor(level=self.level).compress(block)

    def decompress(self, data: memoryview, size: int) -> Any:
        """Return a block, whose header must state exactly `size` bytes."""
        zstd = self.load()
        if _OF_PYTHON:
            stated = zstd.get_frame_info(data).decompressed_size
        else:
            stated = zstd.get_frame_parameters(data).content_size
        if stated != size:
            raise DeserializationError(f"a block that states {stated} bytes where {size} were encoded")
        decompressor = zstd.ZstdDecompressor()
        return decompressor.decompress(data, size) if _OF_PYTHON else decompressor.decompress(data)


class Blosc2(BlockCodec):
    """Compress with blosc2: its own shuffling, and its compressor of a `name`, "lz4" by default, "zstd", ...

    Needs ``pip install blosc2``. Readers under ``trust="data"`` refuse it: its library starts a
    program if a chunk names a plugin, and returns uninitialised memory if a chunk says so.
    """

    id = "blosc2"
    module = "blosc2"
    shuffles = False
    code_only = True

    @shortened
    def __init__(self, name: str = "lz4", level: int = 5) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name= is the name of a compressor, as 'zstd', not {type(name).__name__}")
        self.name = name
        self.level: int = _level(level, 0, 9)

    def compress(self, block: memoryview | ByteArray, itemsize: int) -> Any:
        """Compress one block."""
        blosc2 = self.load()
        codec = blosc2.Codec[self.name.upper()]
        return blosc2.compress2(block, typesize=itemsize, codec=codec, clevel=self.level, nthreads=1)

    def decompress(self, data: memoryview, size: int) -> Any:
        """Return a block, whose header must state exactly `size` bytes."""
        blosc2 = self.load()
        block = bytes(data)
        stated, held, _ = blosc2.get_cbuffer_sizes(block)
        if stated != size or held != len(block):
            raise DeserializationError(f"a block that states {stated} bytes where {size} were encoded")
        return blosc2.decompress2(block, nthreads=1)


def _level(level: int, low: int, high: int) -> int:
    check_whole("level", level, "steps", least=low)
    if level > high:
        raise ValueError(f"level={level!r} is above the highest, {high}")
    return level


def shuffled(block: memoryview, width: int) -> memoryview | ByteArray:
    """Put first byte 0 of all items of `width` bytes, then byte 1, ...; bytes after the last item come last.

    >>> bytes(shuffled(memoryview(b"abcABC12"), 3))
    b'aAbBcC12'
    """
    if width == 1:
        return block
    codes = np.frombuffer(block, np.uint8)
    items = len(codes) // width
    room = np.empty_like(codes)
    room[: items * width].reshape(width, items)[...] = codes[: items * width].reshape(items, width).T
    room[items * width :] = codes[items * width :]
    return room


def _unshuffle(block: ByteArray, into: ByteArray, width: int) -> None:
    if width == 1:
        into[:] = block
        return
    items = len(block) // width
    into[: items * width].reshape(items, width)[...] = block[: items * width].reshape(width, items).T
    into[items * width :] = block[items * width :]


def _blocks(buffer: memoryview, size: int) -> Iterator[memoryview]:
    for at in range(0, buffer.nbytes, size):
        yield buffer[at : at + size]


def _parse(frame: memoryview, length: int) -> tuple[int, int, list[tuple[memoryview, bool]]]:
    """Read itemsize, log2 of the block size, and each block with a flag for uncompressed ones."""
    frame = flat(frame)
    width, log2 = _HEAD.unpack_from(frame) if frame.nbytes >= _HEAD.size else (0, 0)
    count = -(-length >> log2) if log2 in _LOG2 else -1
    at = _HEAD.size + 4 * count
    if count < 0 or not 1 <= width <= _WIDEST or frame.nbytes < at:
        raise DeserializationError("a compressed frame that contradicts itself")
    blocks = []
    for stated in struct.unpack_from(f"<{count}I", frame, _HEAD.size):
        size = stated & ~_RAW
        blocks.append((frame[at : at + size], bool(stated & _RAW)))
        at += size
    if at != frame.nbytes:
        raise DeserializationError("a compressed frame that contradicts itself")
    return width, log2, blocks


def _import(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        way = f"needs the package {package}: pip install {package}"
        if package == "compression":
            way = f"needs {module}, which this Python was built without"
        raise ImportError(f"the codec {extra!r} {way}") from error
