"""Peers that send what is no message, or only a part of one: refused, and the next message arrives."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import resource
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from canning import Serializer
from canning.wire.trailer import pack
from tests.transport.helpers import Connect, Open

GRID = np.arange(6000.0).reshape(60, 100)
OTHER = np.arange(3000.0)
GOOD = {"good": [1, 2, 3]}
GARBAGE = {
    "nothing": [b""],
    "a byte": [b"\x00"],
    "zeros": [bytes(1000)],
    "text": [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"],
    "a full stop": [b"."],
    "the magic alone": [b"\x93CANNED\n"],
    "a footer of zeros": [bytes(36) + b"\x93CANNED\n"],
    "a footer of ones": [b"\xff" * 36 + b"\x93CANNED\n"],
    "random bytes": [bytes(range(256)) * 20],
    "many empty frames": [b""] * 500,
    "an empty frame and a message": [b"", *canning.serialize_object(GOOD)],
    "a pickle that calls": [b"cos\nsystem\n(S'exit 0'\ntR."],
    "a pickle that is cut": [pickle.dumps(list(range(1000)), 5)[:100]],
    "a blob in the place of frames": [canning.dumps(GRID)],
    "frames that nobody asked for": [pickle.dumps(1), b"x", b"y"],
    "a trailer for 4 billion frames": [
        struct.pack("<QIIII5sHBI8s", 1, 2**32 - 1, 0, 0, 0, b"\3\x0b\2\4\1", 0, 0, 0, b"\x93CANNED\n")
    ],
}


def refused(there: Any, **options: Any) -> transport.MessageError:
    with pytest.raises(transport.MessageError) as caught:
        transport.recv(there, timeout=20, **options)
    return caught.value


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_garbage_is_refused_and_the_next_message_arrives(scheme: str, connect: Connect) -> None:
    there, here = connect(scheme)
    for frames in GARBAGE.values():
        here.send_multipart(frames)
        transport.send(here, GOOD)
    for name, frames in GARBAGE.items():
        assert list(map(bytes, refused(there).frames)) == frames, name
        assert transport.recv(there, timeout=20) == GOOD


def test_garbage_is_refused_on_asyncio(connect: Connect) -> None:
    async def receive() -> None:
        there, here = connect("tcp")
        awaited = zmq.asyncio.Socket.shadow(there.underlying)
        for frames in GARBAGE.values():
            here.send_multipart(frames)
        transport.send(here, GOOD)
        for _ in GARBAGE:
            with pytest.raises(transport.MessageError):
                await transport.aio.recv(awaited, timeout=20)
        assert await transport.aio.recv(awaited, timeout=20) == GOOD

    asyncio.run(receive())


def changed() -> dict[str, list[bytes]]:
    """Give messages as a bad network could deliver them, none of which is the one that was sent."""
    frames = [bytes(frame) for frame in canning.serialize_object([GRID, OTHER, {"x": GRID[:30]}])]
    twin = [bytes(frame) for frame in canning.serialize_object([OTHER, GRID])]
    head, *parts = frames
    made = {
        "the last frame missing": frames[:-1],
        "the first frame missing": frames[1:],
        "a frame missing in the middle": [head, *parts[1:]],
        "a frame more": [*frames, b"more"],
        "an empty frame more": [*frames, b""],
        "an empty frame in front": [b"", *frames],
        "an empty frame behind the header": [head, b"", *parts],
        "frames exchanged": [head, *parts[::-1]],
        "the header last": [*parts, head],
        "the header twice": [head, *frames],
        "a frame in the place of another": [head, parts[0], parts[0]],
        "the header of another message": [twin[0], *parts],
        "a frame with a byte too few": [head, parts[0][:-1], parts[1]],
        "a frame with a byte too many": [head, parts[0] + b"\0", parts[1]],
        "bytes across a boundary": [head, parts[0][:-8], parts[0][-8:] + parts[1]],
        "bytes across the header's end": [head[:-8], head[-8:] + parts[0], parts[1]],
        "two frames as one": [head, parts[0] + parts[1]],
        "all frames as one": [b"".join(frames)],
        "a frame as two": [head, parts[0][:100], parts[0][100:], parts[1]],
        "two messages as one": [*frames, *frames],
        "half a message behind one": [*frames, head],
        **{f"frame {at} empty": [*frames[:at], b"", *frames[at + 1 :]] for at in range(len(frames))},
    }
    for order in itertools.permutations(range(len(frames))):
        if order != tuple(range(len(frames))):
            made[f"in the order {order}"] = [frames[at] for at in order]
    return made


@pytest.mark.parametrize("trust", ["data", "code"])
def test_frames_out_of_place_are_refused(trust: Any, connect: Connect) -> None:
    there, here = connect("ipc")
    cases = {name: frames for name, frames in changed().items() if trust == "data" or frames[0] != b""}
    for frames in cases.values():
        here.send_multipart(frames)
    for name in cases:
        assert refused(there, trust=trust).frames, name
    transport.send(here, GOOD)
    assert transport.recv(there, timeout=20) == GOOD


def test_a_message_of_one_trust_offered_to_the_other(connect: Connect) -> None:
    there, here = connect("tcp")
    for _ in range(2):
        transport.send(here, [len, lambda: 1])
        transport.send(here, GOOD)
    assert 'trust="code"' in str(refused(there))
    assert transport.recv(there, timeout=20) == GOOD
    assert transport.recv(there, timeout=20, trust="code")[0] is len
    assert transport.recv(there, timeout=20, trust="code") == GOOD


def test_no_message_decides_on_its_trust(connect: Connect) -> None:
    """Whatever the flags of a message say, it is read by the trust that the reader chose."""
    there, here = connect("tcp")
    body = b"cos\ngetpid\n)R."
    for flags in range(256):
        here.send_multipart([pack(body, len(body), [], flags=flags)])
    for _ in range(256):
        refused(there)


def test_more_frames_than_allowed_are_dropped(connect: Connect) -> None:
    there, here = connect("tcp")
    here.send_multipart([b"id", b"x", b"y", b"z", b"z"])
    here.send_multipart([b"id", *canning.serialize_object(OTHER)])
    few = Serializer(limits=canning.Limits(frames=2))
    error = refused(there, prefix=1, serializer=few)
    assert "5 frames, and at most 3" in str(error)
    assert error.frames == []
    prefix, got = transport.recv(there, timeout=20, prefix=1, serializer=few)
    assert prefix == [b"id"]
    assert np.array_equal(got, OTHER)


def test_more_frames_than_allowed_are_dropped_on_asyncio(connect: Connect) -> None:
    async def receive() -> None:
        there, here = connect("tcp")
        here.send_multipart([b"x"] * 9)
        transport.send(here, GOOD)
        awaited = zmq.asyncio.Socket.shadow(there.underlying)
        few = Serializer(limits=canning.Limits(frames=2))
        with pytest.raises(transport.MessageError, match="9 frames"):
            await transport.aio.recv(awaited, timeout=20, serializer=few)
        assert await transport.aio.recv(awaited, timeout=20, serializer=few) == GOOD

    asyncio.run(receive())


GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
"""What a PUSH socket says first, in ZMTP 3.0; frames follow when it has heard as much."""


def shake_hands(port: int) -> socket.socket:
    """Connect as a PUSH socket does, and be free to say anything from there on."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    peer.sendall(GREETING + READY)
    heard = b""
    while len(heard) < len(GREETING + READY):
        heard += peer.recv(1000)
    return peer


@pytest.mark.timeout(60)
def test_a_million_frames_of_a_byte_are_dropped(open_socket: Open) -> None:
    there = open_socket(zmq.PULL)
    port = there.bind_to_random_port("tcp://127.0.0.1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with shake_hands(port) as peer:
        said = b"\x01\x01x" * 999_999 + b"\x00\x01x" + b"\x00\x04I7\n."
        sender = threading.Thread(target=peer.sendall, args=(said,))
        sender.start()
        error = refused(there)
        assert "1000000 frames" in str(error)
        if sys.platform == "linux":
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000, "kB"
        refused(there)  # pickle's INT, which is none of plain data: the socket is in order
        sender.join()


def test_more_frames_than_a_signed_message_may_have() -> None:
    here, there = transport.fake_pair()
    here.send_multipart([b"x"] * 50)
    serializer = canning.Serializer(key=canning.new_key(), limits=canning.Limits(frames=20))
    with pytest.raises(transport.MessageError, match="50 frames"):
        transport.recv(there, serializer=serializer, timeout=5)
    transport.send(here, GOOD, serializer=serializer)
    assert transport.recv(there, serializer=serializer, timeout=5) == GOOD


def test_a_message_that_is_never_finished(open_socket: Open, tmp_path: Path) -> None:
    """Its sender goes in the middle of it; the next one's arrives whole."""
    there = open_socket(zmq.PULL)
    there.bind(f"ipc://{tmp_path}/unfinished")
    head, *parts = canning.serialize_object([GRID, OTHER])
    with zmq.Context() as context:
        gone = context.socket(zmq.PUSH)
        gone.connect(f"ipc://{tmp_path}/unfinished")
        gone.send(head, zmq.SNDMORE)
        gone.send(parts[0], zmq.SNDMORE)
        with pytest.raises(transport.TransportTimeout):
            transport.recv(there, timeout=0.2)
        gone.close(linger=0)
        with pytest.raises(transport.TransportTimeout):
            transport.recv(there, timeout=0.1)
        here = context.socket(zmq.PUSH)
        here.connect(f"ipc://{tmp_path}/unfinished")
        transport.send(here, GOOD)
        assert transport.recv(there, timeout=20) == GOOD
        here.close()


UNSHAKEN = {
    "nothing": b"",
    "no ZMTP": b"GET / HTTP/1.1\r\n\r\n" * 10,
    "zeros": bytes(10_000),
    "half a greeting": GREETING[:20],
    "a greeting and no more": GREETING,
    "a greeting and garbage": GREETING + b"\xff" * 500,
    "a message before its time": GREETING + READY + b"\x00\x03abc",
}
SHAKEN = {
    "half a frame": b"\x00\x50" + b"x" * 10,
    "a frame of 2**62 bytes": b"\x02" + struct.pack(">Q", 1 << 62) + b"x" * 100,
    "a part, and never the next": b"\x01\x01x" * 100,
    "flags that there are not": b"\xff\x01x",
    "one that is garbage, whole": b"\x00\x03abc",
}


def test_peers_that_speak_zmtp_badly(open_socket: Open) -> None:
    there = open_socket(zmq.PULL)
    there.MAXMSGSIZE = 1 << 20
    port = there.bind_to_random_port("tcp://127.0.0.1")
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in UNSHAKEN]
    peers += [shake_hands(port) for _ in SHAKEN]
    for peer, said in zip(peers, (*UNSHAKEN.values(), *SHAKEN.values()), strict=True):
        peer.sendall(said)
    refused(there)  # the only whole message among them
    here = open_socket(zmq.PUSH)
    here.connect(f"tcp://127.0.0.1:{port}")
    transport.send(here, GOOD)
    assert transport.recv(there, timeout=20) == GOOD
    for peer in peers:
        peer.close()
    transport.send(here, GOOD)
    assert transport.recv(there, timeout=20) == GOOD
    with pytest.raises(transport.TransportTimeout):
        transport.recv(there, timeout=0.05)


def test_receiving_garbage_leaves_nothing_open(connect: Connect) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list a process's descriptors")
    there, here = connect("tcp")
    transport.send(here, GOOD)
    transport.recv(there, timeout=20)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        here.send_multipart([b"garbage", b"more"])
        refused(there)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_flood_of_bad_messages_is_worked_off(connect: Connect) -> None:
    """Small messages, each as slow as their few bytes can make it: none holds the next one up for long."""
    there, here = connect("ipc", sndhwm=0, rcvhwm=0)
    bad = b"\x80\x05](" + b"]" * 300 + b"e" + b"a" * 10
    for _ in range(300):
        here.send(bad)
    transport.send(here, GOOD)
    before = time.process_time()
    for _ in range(300):
        refused(there)
    assert transport.recv(there, timeout=20) == GOOD
    assert time.process_time() - before < 30
