"""canning itself as a reader of vectors: ``python -m tests.vectors python -m tests.vectors.read``."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import canning
from canning.codecs.coding import decode, default_codecs
from canning.memory.buffers import flat
from canning.reading.builder import Buffers
from canning.wire.blob import frames_of
from canning.wire.keys import Key
from canning.wire.signing import verify
from canning.wire.trailer import check_frames, parse

from .containers import container


def answer(vector: dict[str, Any]) -> dict[str, Any]:
    """Answer a vector as a reader does."""
    try:
        frames: list[Any] = [bytes(frame) for frame in frames_of(base64.b64decode(vector["message"]))]
        if "key" in vector:
            frames = verify(frames, (Key(bytes.fromhex(vector["key"])),), chained=True)
        containers = []
        while frames:
            said, frames = container_of(frames)
            containers.append(said)
        return {"containers": containers}
    except canning.CanningError as error:
        return {"refused": str(error)}


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


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
