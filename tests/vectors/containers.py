"""Rows of containers: what stands around the pickle, good and bad.

``containers`` has an object for each message: ``frames``, the number of its frames; ``flags``, the names of
those that are set; ``extensions``, their tags in order; ``outside``; and ``buffers``, the memory of each in
hexadecimal digits, when every codec has been undone and the frames of a buffer are joined. ``flags`` stand
in the order of `NAMES`: by their bits, the lowest first. Extensions that a reader need not know count too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from canning.codecs.compression import BlockCodec, Lz4, Zstd
from canning.wire import trailer
from canning.wire.encoded import ENTRY
from canning.wire.keys import Key, sign
from canning.wire.trailer import (
    BIG_ENDIAN,
    BYTES,
    CALL,
    CHANNEL,
    CODE,
    CODECS,
    FOOTER,
    LIVE,
    LONE,
    MAGIC,
    NARROW,
    PLAIN,
    PORTABLE,
    SIGNATURE,
    SIGNED,
    VERSIONS,
    extension,
)

from . import Row, in_blob

BODY: Final = b"\x80\x05N."
"""The pickle of None."""
WRITER: Final = bytes((3, 11, 2, 0))
"""Versions of Python and numpy: vectors say the same, whichever made them."""
KEY: Final = b"a key for vectors, which all know"
FRAME: Final = bytes(range(1, 97))
NAMES: Final = {
    PLAIN: "PLAIN",
    CALL: "CALL",
    BIG_ENDIAN: "BIG_ENDIAN",
    LONE: "LONE",
    SIGNED: "SIGNED",
    CODE: "CODE",
    NARROW: "NARROW",
    LIVE: "LIVE",
    PORTABLE: "PORTABLE",
}


def message(
    *frames: bytes,
    body: bytes = BODY,
    inline: bytes = b"",
    table: list[trailer.Entry] | None = None,
    outside: int = 0,
    flags: int = PLAIN,
    extensions: bytes = b"",
) -> list[bytes]:
    """Make a message of a little-endian machine of 64 bits, whatever this one is."""
    lengths = [len(frame) for frame in frames]
    head = trailer.pack(body + inline, len(body), lengths, table, outside, flags, extensions)
    return [resealed(head, flags=flags), *frames]


def resealed(head: bytes, *, at: int = 0, put: bytes = b"", flags: int | None = None) -> bytes:
    """Replace bytes of frame 0 at a place that counts from its end, and make the checksum again."""
    changed = bytearray(head)
    changed[-20:-16] = WRITER
    if flags is not None:
        struct.pack_into("<H", changed, len(head) + trailer.FLAGS, flags)
    if put:
        changed[len(head) - at : len(head) - at + len(put)] = put
    _, frames, entries, _, more = struct.unpack_from("<QIIII", head, len(head) - FOOTER.size)
    end = len(head) - FOOTER.size - more - 24 * entries - 8 * (frames - 1)
    sealed = trailer.checksum(memoryview(changed)[:end], memoryview(changed)[end:-12])
    return bytes(changed[:-12]) + struct.pack("<I8s", sealed, MAGIC)


def container(
    *buffers: bytes, frames: int, flags: int = PLAIN, tags: tuple[int, ...] = (), outside: int = 0
) -> dict[str, Any]:
    """Say what a container holds."""
    return {
        "frames": frames,
        "flags": [name for flag, name in NAMES.items() if flags & flag],
        "extensions": list(tags),
        "outside": outside,
        "buffers": [buffer.hex() for buffer in buffers],
    }


def good(name: str, frames: list[bytes], *containers: dict[str, Any], key: bytes | None = None) -> Row:
    """Say that a blob of these frames holds these containers."""
    return Row(name, in_blob(frames), {"containers": list(containers)}, key)


def alone() -> Iterator[Row]:
    """Give messages of one frame, and of frames that are a buffer each."""
    yield good("frame 0 alone", message(), container(frames=1))
    for flag, name in NAMES.items():
        if flag not in (SIGNED, PORTABLE):
            head = message(flags=flag)
            yield good(f"flag {name}", head, container(frames=1, flags=flag))
    long = b"\x80\x05B" + struct.pack("<I", 32_768) + bytes(range(256)) * 128 + b"."
    yield good("pickle of 32 KiB", message(FRAME, body=long), container(FRAME, frames=2))
    yield good("one buffer", message(FRAME, flags=0), container(FRAME, frames=2, flags=0))
    yield good("an empty buffer", message(b"", FRAME), container(b"", FRAME, frames=3))
    yield good("inline data without a table", message(inline=b"lost"), container(frames=1))
    out = message(FRAME, FRAME[:64], outside=1)
    yield good("a buffer of pickle's own", out, container(FRAME, FRAME[:64], frames=3, outside=1))


def tables() -> Iterator[Row]:
    """Give messages with a table."""
    shared = message(FRAME, table=[(1, 1, 0, 96), (1, 1, 32, 8), (1, 1, 96, 0)])
    yield good("overlapping buffers", shared, container(FRAME, FRAME[32:40], b"", frames=2))
    joined = message(FRAME, table=[(1, 1, 0, 24), (1, 1, 64, 32)])
    yield good("buffers in one frame", joined, container(FRAME[:24], FRAME[64:], frames=2))
    split = message(FRAME[:10], FRAME[10:11], FRAME[11:], table=[(1, 3, 0, 96)])
    yield good("a buffer of three frames", split, container(FRAME, frames=4))
    inline = message(FRAME, inline=b"inline data", table=[(0, 1, 7, 4), (1, 1, 0, 96), (0, 1, 0, 11)])
    yield good("inline data", inline, container(b"data", FRAME, b"inline data", frames=2))
    backwards = message(b"first", b"second", table=[(2, 1, 0, 6), (1, 1, 0, 5)])
    yield good("buffers in another order", backwards, container(b"second", b"first", frames=3))
    unused = message(FRAME, b"unused", table=[(1, 1, 0, 96)])
    yield good("a frame without a buffer", unused, container(FRAME, frames=3))


def extensions() -> Iterator[Row]:
    """Give messages with extensions that readers may skip."""
    for name, tag, content in (
        ("unknown", 0x8ABC, b"anything"),
        ("empty", 0x8ABC, b""),
        ("versions", VERSIONS, "größe 1.2\npandas 3.1.1".encode()),
        ("bytes", BYTES, struct.pack("<I", 0)),
        ("note", CHANNEL, bytes(72)),
    ):
        made = message(FRAME, extensions=extension(tag, content))
        yield good(f"extension, {name}", made, container(FRAME, frames=2, tags=(tag,)))
    both = extension(0x8ABC, b"1") + extension(0x8ABB, b"2")
    made = message(FRAME, table=[(1, 1, 8, 8)], extensions=both)
    yield good("two extensions", made, container(FRAME[8:16], frames=2, tags=(0x8ABC, 0x8ABB)))


def chains() -> Iterator[Row]:
    """Give messages behind each other."""
    first, second = message(FRAME), message(b"second", b"third", flags=0)
    said = container(FRAME, frames=2), container(b"second", b"third", frames=3, flags=0)
    yield good("a chain of two", [*first, *second], *said)
    yield good("a chain of one frame each", [*message(), *message()], *[container(frames=1)] * 2)
    signed = sign([*first, *second], (Key(KEY),))
    of_first = container(FRAME, frames=2, flags=PLAIN | SIGNED, tags=(0x8001,))
    yield good("a chain that is signed as a whole", list(map(bytes, signed)), of_first, said[1], key=KEY)


def signatures() -> Iterator[Row]:
    """Give signed messages, and readers with and without a key."""
    signed = list(map(bytes, sign(message(FRAME), (Key(KEY),))))
    said = container(FRAME, frames=2, flags=PLAIN | SIGNED, tags=(0x8001,))
    yield good("signed", signed, said, key=KEY)
    yield good("signed, for a reader without a key", signed, said)
    noted = list(map(bytes, sign(message(FRAME), (Key(KEY),), extension(CHANNEL, bytes(72)))))
    tags = (CHANNEL, 0x8001)
    yield good("signed, with a note", noted, container(FRAME, frames=2, flags=17, tags=tags), key=KEY)
    yield bad("another key", "the signature was made with another key", signed, key=b"another key, of others")
    yield bad("not signed", "it is not signed, and the reader has a key", message(FRAME), key=KEY)
    for name, at, frame in (("a frame", 0, 1), ("the pickle", 2, 0), ("the signature", -50, 0)):
        changed = [bytearray(each) for each in signed]
        changed[frame][at] ^= 1
        head = resealed(bytes(changed[0]))
        made = [head, bytes(changed[1])]
        yield bad(f"signed, {name} changed", "the signature does not fit", made, key=KEY)
    longer = [signed[0], *signed[1:], *message(b"second")]
    yield bad("signed, a message added", "the signature is for fewer frames", longer, key=KEY)
    two = list(map(bytes, sign(message(FRAME[:48], FRAME[48:]), (Key(KEY),))))
    swapped = [two[0], two[2], two[1]]
    yield bad("signed, frames exchanged", "the signature does not fit", swapped, key=KEY)


def coded(codec: BlockCodec, data: bytes, itemsize: int, log2: int) -> bytes:
    """Encode a frame in blocks of any size."""
    blocks, lengths = [], []
    for at in range(0, len(data), 1 << log2):
        part = data[at : at + (1 << log2)]
        items = len(part) // itemsize
        columns = np.frombuffer(part, np.uint8, items * itemsize).reshape(items, itemsize).T
        shuffled = columns.tobytes() + part[items * itemsize :]
        made = bytes(codec.compress(memoryview(shuffled), itemsize))
        raw = len(made) >= len(part)
        blocks.append(part if raw else made)
        lengths.append(len(blocks[-1]) | (1 << 31 if raw else 0))
    return struct.pack(f"<BB{len(lengths)}I", itemsize, log2, *lengths) + b"".join(blocks)


def is_here(codec: BlockCodec) -> bool:
    """Tell whether the library of a codec is installed."""
    try:
        codec.load()
    except ImportError:
        return False
    return True


def entry(frame: int, codec: bytes, length: int) -> bytes:
    """Say that a frame went through a codec."""
    return ENTRY.pack(frame, length, len(codec)) + codec


def through(codec: str, data: bytes, encoded: bytes, table: list[trailer.Entry] | None = None) -> list[bytes]:
    """Make a message whose one frame went through a codec."""
    content = entry(1, codec.encode(), len(data))
    return message(encoded, table=table, extensions=extension(CODECS, content))


def codecs() -> Iterator[Row]:
    """Give messages with frames that went through codecs."""
    numbers = np.arange(60, dtype="<u8").tobytes()
    for codec in filter(is_here, (Lz4(), Zstd())):
        name = codec.id
        said = container(numbers, frames=2, tags=(CODECS,))
        for itemsize in (1, 4, 8, 7):
            made = through(name, numbers, coded(codec, numbers, itemsize, 20))
            yield good(f"{name}: items of {itemsize} bytes", made, said)
        noise = np.random.default_rng(1).bytes(4096)
        mixed = bytes(3616) + numbers + noise + b"tail" * 9
        made = through(name, mixed, coded(codec, mixed, 8, 12))
        yield good(f"{name}: three blocks, one as it is", made, container(mixed, frames=2, tags=(CODECS,)))
        part = through(name, numbers, coded(codec, numbers, 8, 20), [(1, 1, 80, 16)])
        yield good(f"{name}: a part", part, container(numbers[80:96], frames=2, tags=(CODECS,)))
    if not is_here(Lz4()):
        return
    empty = through("lz4", b"", struct.pack("<BB", 1, 20))
    yield good("lz4: an empty frame", empty, container(b"", frames=2, tags=(CODECS,)))
    second = coded(Lz4(), numbers, 8, 20)
    made = message(FRAME, second, extensions=extension(CODECS, entry(2, b"lz4", len(numbers))))
    yield good("lz4: the second of two frames", made, container(FRAME, numbers, frames=3, tags=(CODECS,)))
    yield from bad_codecs(numbers, second)


def bad_codecs(data: bytes, encoded: bytes) -> Iterator[Row]:
    """Give messages whose codecs contradict themselves."""
    one = entry(1, b"lz4", len(data))
    for name, content in (
        ("frame 0", entry(0, b"lz4", len(data))),
        ("a frame that is not there", entry(2, b"lz4", len(data))),
        ("a frame twice", one + one),
        ("a name with a capital", entry(1, b"LZ4", len(data))),
        ("an empty name", entry(1, b"", len(data))),
        ("a name of 33 bytes", entry(1, b"a" * 33, len(data))),
        ("less than an entry", one[:-1]),
        ("more than an entry", one + b"\0"),
    ):
        made = message(encoded, extensions=extension(CODECS, content))
        yield bad(f"lz4: codec of {name}", "what it says of codecs does not fit", made)
    unknown = message(encoded, extensions=extension(CODECS, entry(1, b"none-such", len(data))))
    yield bad("lz4: a codec that nobody has", "the codec is not known", unknown)
    for length in (len(data) - 1, len(data) + 1):
        made = message(encoded, extensions=extension(CODECS, entry(1, b"lz4", length)))
        yield bad(f"lz4: {length} bytes stated", "it decodes to another length than stated", made)
    for name, frame in (
        ("cut", encoded[:-1]),
        ("longer", encoded + b"\0"),
        ("items of 0 bytes", b"\0" + encoded[1:]),
        ("items of 33 bytes", b"\x21" + encoded[1:]),
        ("blocks of 2 KiB", encoded[:1] + b"\x0b" + encoded[2:]),
        ("blocks of 32 MiB", encoded[:1] + b"\x19" + encoded[2:]),
        ("a block that is no LZ4", encoded[:6] + b"\xff" * (len(encoded) - 6)),
        ("nothing", b""),
    ):
        yield bad(f"lz4: {name}", "the frame is not what the codec writes", through("lz4", data, frame))


def bad(name: str, why: str, frames: list[bytes], key: bytes | None = None) -> Row:
    """Say that a blob of these frames is refused."""
    return Row(name, in_blob(frames), {"refused": why}, key)


def numbers_of_footer() -> Iterator[Row]:
    """Give messages whose footer says what is not so, with a checksum that is right."""
    [head, frame] = message(FRAME)
    for name, at, put in (
        ("pickle_length is 0", 44, struct.pack("<Q", 0)),
        ("pickle_length is one more", 44, struct.pack("<Q", len(BODY) + 1)),
        ("pickle_length is 2**64 - 1", 44, b"\xff" * 8),
        ("frames is 0", 36, struct.pack("<I", 0)),
        ("frames is one more", 36, struct.pack("<I", 3)),
        ("frames is 2**32 - 1", 36, b"\xff" * 4),
        ("entries is one more", 32, struct.pack("<I", 1)),
        ("outside is more than there are buffers", 28, struct.pack("<I", 2)),
        ("extensions is one more", 24, struct.pack("<I", 1)),
        ("version 2", 16, b"\x02"),
        ("version 4", 16, b"\x04"),
    ):
        yield bad(name, "the footer does not fit", [changed(head, at, put), frame])
    for name, flags in (
        ("unknown", 512),
        ("portable, without its header", 257),
        ("signed, without a signature", 17),
    ):
        yield bad(f"flag {name}", "a flag that is not so", message(FRAME, flags=flags))
    for name, block in (
        ("without its flag", extension(SIGNATURE, bytes(32))),
        ("that is not the last extension", extension(SIGNATURE, bytes(32)) + extension(0x8ABC, b"")),
        ("of 31 bytes", extension(SIGNATURE, bytes(31))),
    ):
        flags = PLAIN if "flag" in name else PLAIN | SIGNED
        yield bad(f"signature {name}", "it does not fit its flag", message(flags=flags, extensions=block))
    yield bad("the reserved byte is 1", "it is not 0", [changed(head, 13, b"\1"), frame])
    reserved = extension(0x8ABC, b"1")
    reserved = reserved[:2] + b"\1" + reserved[3:]
    yield bad("reserved bytes of an extension", "they are not 0", message(extensions=reserved))
    yield bad("the checksum is another", "the checksum does not fit", [flipped(head, 12), frame])
    yield bad("the pickle is another", "the checksum does not fit", [flipped(head, len(head)), frame])


def changed(head: bytes, at: int, put: bytes) -> bytes:
    """Replace bytes of the footer; its checksum is that of a short body, wherever the body would end."""
    front = bytearray(head[:-12])
    front[len(head) - at : len(head) - at + len(put)] = put
    return bytes(front) + struct.pack("<I8s", trailer.crc32(bytes(front)), MAGIC)


def flipped(head: bytes, at: int) -> bytes:
    """Change one bit, and not the checksum."""
    front = bytearray(head)
    front[len(head) - at] ^= 1
    return bytes(front)


def contradictions() -> Iterator[Row]:
    """Give messages whose parts do not fit into each other."""
    fits: list[Any] = [FRAME[:48], FRAME[48:]]
    for name, table in (
        ("behind the end of a frame", [(1, 1, 40, 9)]),
        ("from 2**64 - 1 on", [(1, 1, 2**64 - 1, 1)]),
        ("in a frame that is not there", [(3, 1, 0, 1)]),
        ("behind the end of the inline data", [(0, 1, 0, 1)]),
        ("of no frames", [(1, 0, 0, 0)]),
        ("of frame 0 and another", [(0, 2, 0, 48)]),
        ("joined, of another length", [(1, 2, 0, 95)]),
        ("joined, from an offset on", [(1, 2, 1, 96)]),
        ("joined, of more frames than there are", [(1, 3, 0, 96)]),
        ("joined twice", [(1, 2, 0, 96), (1, 2, 0, 96)]),
    ):
        yield bad(f"a buffer {name}", "a buffer lies outside its frames", message(*fits, table=table))
    yield bad("a frame too few", "the message is cut", message(*fits)[:2])
    yield bad("a shorter frame", "a frame is shorter", [*message(*fits)[:2], FRAME[49:]])
    yield bad("a longer frame", "a frame is longer", [*message(*fits)[:2], FRAME[47:]])
    for name, block in (
        ("unknown, and not optional", extension(0x0ABC, b"anything")),
        ("twice", extension(0x8ABC, b"1") + extension(0x8ABC, b"2")),
        ("cut in its head", extension(0x8ABC, b"")[:-1]),
        ("cut in its content", extension(0x8ABC, b"1")[:-1]),
    ):
        yield bad(f"an extension {name}", "the extensions do not fit", message(*fits, extensions=block))


def blobs() -> Iterator[Row]:
    """Give blobs that are none."""
    whole = in_blob(message(FRAME))
    start = whole[:8]
    for name, blob in (
        ("nothing", b""),
        ("the magic alone", start),
        ("half of the magic", whole[:4]),
        ("another magic", b"\x93CANNEDG" + whole[8:]),
        ("no frames", start + bytes(56)),
        ("2**61 frames", start + struct.pack("<Q", 2**61) + whole[16:]),
        ("more frames than there is room for", start + struct.pack("<Q", len(whole)) + whole[16:]),
        ("cut in its lengths", whole[:20]),
        ("cut in frame 0", whole[:70]),
        ("cut in the last frame", in_blob(message(FRAME[:64]))[:-1]),
        ("a frame of 2**64 - 1 bytes", whole[:24] + b"\xff" * 8 + whole[32:]),
    ):
        yield Row(f"blob, {name}", blob, {"refused": "it is no blob, or is cut"})


def rows() -> Iterator[Row]:
    """Give all rows."""
    for group in (alone, tables, extensions, chains, signatures, codecs):
        yield from group()
    for group in (numbers_of_footer, contradictions, blobs):
        yield from group()
