"""What reads for strangers, and how each takes an attack."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import canning
import transport
from canning.wire.blob import blob_of
from canning.wire.trailer import CALL, pack

from .assembly import Call, Ground, assemble
from .victims import ALLOWED

LONG: Final = 20_000
"""Bytes of an attack from which it is looked at once only."""

Surface = Callable[[], Any]


def reader() -> canning.Serializer:
    """Make the reader for strangers: one that allows some classes, as applications do."""
    return canning.Serializer(trust="data", allow=ALLOWED)


def surfaces(body: bytes, data: canning.Serializer) -> Iterator[tuple[str, Surface]]:
    """Give all that a stranger's bytes may be handed to."""
    head = pack(body, len(body), [])
    options: dict[str, Any] = {"trust": "data", "allow": data.allow}
    within = assemble(Call("canning.calls:message", body), Ground(Path(), Path()))
    yield "a pickle", lambda: data.deserialize_object([body])
    yield "frames", lambda: data.deserialize_object([head])
    yield "frames, writable", lambda: data.deserialize_object([bytearray(head)], writable=True)
    yield "a call", lambda: data.unpack_apply_message([pack(body, len(body), [], flags=CALL)])
    yield "within", lambda: data.deserialize_object([pack(within, len(within), [])])
    yield "loads of a pickle", lambda: canning.loads(body, **options)
    yield "loads of a blob", lambda: canning.loads(b"".join(blob_of([head])), **options)
    yield "split", lambda: canning.split([head, body])
    yield "recv", lambda: receive([head], data)
    yield "recv of a pickle", lambda: receive([body], data)
    for name in ("inspect", "scan"):
        look = getattr(canning, name, None)
        if look is not None:
            yield name, lambda look=look: told(look([head]))  # type: ignore[misc]
            if len(body) < LONG:
                yield f"{name} of a pickle", lambda look=look: told(look([body]))  # type: ignore[misc]


def told(report: Any) -> Any:
    """Have a report say all that it has to say."""
    str(report)
    return getattr(report, "verdict", "value")


def receive(frames: list[bytes], data: canning.Serializer) -> Any:
    """Receive frames from somebody else."""
    here, there = transport.fake_pair()
    here.send_multipart(frames)
    return transport.recv(there, serializer=data, timeout=5)


def offer(body: bytes, data: canning.Serializer) -> dict[str, str]:
    """Hand an attack to all surfaces; say how each took it."""
    taken = {}
    for name, surface in surfaces(body, data):
        try:
            value = surface()
            taken[name] = value if isinstance(value, str) and "scan" in name else "value"
            del value
        except canning.DeserializationError:
            taken[name] = "DeserializationError"
        except BaseException as error:
            taken[name] = f"{type(error).__name__}: {error}"[:200]
        gc.collect()
    return taken
