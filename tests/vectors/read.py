"""canning itself as a reader of vectors: ``python -m tests.vectors python -m tests.vectors.read``."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from contextlib import suppress
from typing import Any, Final

import canning
from canning.codecs.coding import decode, default_codecs
from canning.memory.buffers import flat
from canning.reading.builder import Buffers
from canning.wire.blob import frames_of
from canning.wire.keys import Key, verify
from canning.wire.trailer import check_frames, parse

from .containers import container
from .neutral import neutral

DATA: Final = canning.Serializer(trust="data")


def answer(vector: dict[str, Any]) -> dict[str, Any]:
    """Answer a vector as a reader does."""
    try:
        frames: list[Any] = [bytes(frame) for frame in frames_of(base64.b64decode(vector["message"]))]
        if "key" in vector:
            frames = verify(frames, (Key(bytes.fromhex(vector["key"])),), chained=True)
        containers, left = [], frames
        while left:
            said, left = container_of(left)
            containers.append(said)
        return {"containers": containers, **values_of(frames)}
    except canning.CanningError as error:
        return {"refused": str(error)}


def values_of(frames: list[Any]) -> dict[str, Any]:
    """Say what the messages hold; a message that holds something else than data is not read here."""
    values = []
    try:
        while frames:
            value, frames = DATA.deserialize_object(frames)
            values.append(neutral(value))
    except canning.CanningError as error:
        return {"unsupported": str(error)}
    return {"values": values}


def container_of(frames: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Say what the trailer of the first message says, and give the frames that are left."""
    trailer = parse(frames[0])
    if trailer is None:
        raise canning.DeserializationError("a plain pickle")
    parts = [flat(part) for part in check_frames(trailer, frames[1 : trailer.frames])]
    parts = decode(trailer.encoded, parts, None, default_codecs, writable=False)
    buffers = Buffers(trailer, memoryview(frames[0])[: trailer.inline_end], parts, writable=False)
    said = container(
        *(bytes(buffers[number]) for number in range(len(buffers))),
        frames=trailer.frames,
        flags=trailer.flags,
        tags=tuple(trailer.extensions),
        outside=trailer.outside,
    )
    return said, frames[trailer.frames :]


def import_packages() -> None:
    """Import the packages whose types vectors hold, as far as they are here: a message imports nothing."""
    for name in ("ml_dtypes", "pandas", "polars", "pyarrow"):
        with suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    import_packages()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
