"""A real kernel sends arrays to its client and back, in the buffers of a comm."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from canning import DeserializationError

pytest.importorskip("jupyter_client", reason="needs the package jupyter_client")
pytest.importorskip("ipykernel", reason="needs the package ipykernel")

from jupyter_client.session import Session

from transport.engines.jupyter import FIELD, pack, unpack

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]
KERNEL = """
from transport.engines.jupyter import pack, unpack
key = get_ipython().kernel.session.key
def opened(comm, message):
    def answer(message):
        got = unpack(message["content"]["data"], message["buffers"], key=key)
        data, buffers = pack({"sum": got["deep"][0].sum(), "back": got["deep"][0][::-1]}, key=key)
        comm.send(data, buffers=buffers)
    comm.on_msg(answer)
get_ipython().kernel.comm_manager.register_target("canned", opened)
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from jupyter_client.manager import start_new_kernel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager, client = start_new_kernel(kernel_name="python3")
        try:
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def test_array_to_a_kernel_and_back(client: Any) -> None:
    reply = client.execute_interactive(KERNEL, timeout=60)
    assert reply["content"]["status"] == "ok"
    session, array = client.session, np.arange(60_000.0).reshape(200, 300)

    data, buffers = pack({"deep": [array]}, key=session.key)
    assert all(memoryview(buffer).ndim == 1 for buffer in buffers)
    assert np.shares_memory(np.frombuffer(buffers[1]), array)
    channel = client.shell_channel
    opening = {"comm_id": "1", "target_name": "canned", "data": {}}
    channel.send(session.msg("comm_open", opening))
    session.send(channel.socket, "comm_msg", {"comm_id": "1", "data": data}, buffers=buffers)
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "comm_msg":
            break
    got = unpack(message["content"]["data"], message["buffers"], key=session.key)
    assert got["sum"] == array.sum()
    np.testing.assert_array_equal(got["back"], array[::-1])


def through(
    session: Session, content: dict[str, Any], buffers: list[Any], alter: Any = None
) -> dict[str, Any]:
    """Send a message as bytes, alter its buffers on the way, and let Jupyter check it."""
    parts = session.serialize(session.msg("comm_msg", content)) + [bytes(buffer) for buffer in buffers]
    if alter is not None:
        alter(parts)
    _, parts = session.feed_identities(parts)
    return session.deserialize(parts)


def exchange(parts: list[bytes]) -> None:
    parts[-1], parts[-2] = parts[-2], parts[-1]


def change(parts: list[bytes]) -> None:
    parts[-1] = bytes(len(parts[-1]))


def drop(parts: list[bytes]) -> None:
    del parts[-1]


@pytest.mark.parametrize("alter", [exchange, change, drop])
def test_altered_buffers_are_refused(alter: Any) -> None:
    sender, receiver = Session(key=b"secret of the session"), Session(key=b"secret of the session")
    obj = [np.arange(2000.0), np.ones(2000)]
    content, buffers = pack(obj, {"comm_id": "1"}, key=sender.key)
    assert content["comm_id"] == "1"
    whole = through(receiver, content, buffers)
    np.testing.assert_equal(unpack(whole["content"], whole["buffers"], key=receiver.key), obj)
    altered = through(receiver, content, buffers, alter)  # which Jupyter itself does not see
    with pytest.raises(DeserializationError):
        unpack(altered["content"], altered["buffers"], key=receiver.key)


def test_what_is_refused_before_it_is_read() -> None:
    content, buffers = pack(lambda: 1)
    with pytest.raises(DeserializationError):
        unpack(content, buffers)  # code, where data is wanted
    assert unpack(content, buffers, trust="code")() == 1
    with pytest.raises(DeserializationError, match="says nothing of canning"):
        unpack({}, buffers)
    with pytest.raises(DeserializationError, match="another number"):
        unpack({FIELD: 10**5000}, buffers)
    with pytest.raises(DeserializationError, match="not signed"):
        unpack(content, buffers, key=b"secret of the session")
    with pytest.raises(ValueError, match="no key"):
        pack(1, key=b"")
