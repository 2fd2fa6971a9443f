"""canning in the place of distributed's serializers: what `run_distributed` gives a Python to start with."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterable
from typing import Any

from distributed import protocol

import canning

Header = dict[str, Any]


def family_dumps(x: Any, context: Any = None) -> tuple[Header, list[Any]]:
    """Serialize what distributed has a serializer for: frame 0 into its header, the memory into its frames."""
    try:
        protocol.dask_serialize.dispatch(type(x))
    except TypeError as error:
        raise NotImplementedError from error
    head, *frames = canning.serialize_object(x, 1)
    return {"type": type(x).__qualname__, "head": bytes(head)}, frames


def family_loads(header: Header, frames: list[Any]) -> Any:
    """Build an object, writable where it was, of frames that distributed may have cut and joined on the way."""
    return canning.deserialize_object([header["head"], *frames], writable=True)[0]


def dumps(x: Any, *, buffer_callback: Callable[[Any], Any] | None = None, protocol: int | None = None) -> bytes:
    """Serialize anything else, and raise what errors were made of."""
    try:
        if buffer_callback is None or (protocol or 5) < 5:
            return canning.dumps(x)
        head, *frames = canning.serialize_object(x, 1)
    except canning.CanningError as error:
        raise error.__cause__ or error from None
    for frame in frames:
        buffer_callback(pickle.PickleBuffer(frame))
    return bytes(head)


def loads(x: Any, *, buffers: Iterable[Any] = ()) -> Any:
    """Read what `dumps` gave."""
    frames = list(buffers)
    return canning.deserialize_object([x, *frames])[0] if frames else canning.loads(x)


def patch() -> None:
    """Put these in the place of distributed's."""
    protocol.register_serialization_family("dask", family_dumps, family_loads)
    module = importlib.import_module("distributed.protocol.pickle")
    module.dumps, module.loads = dumps, loads  # type: ignore[attr-defined]


if __name__ == "sitecustomize":
    patch()
