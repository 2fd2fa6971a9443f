"""canning under the names of other libraries' functions, for their tests to run through it.

`checkouts.run_pytest` puts this file where the Python of a run, and those that its tests start, find it, with
a ``sitecustomize`` that calls one of the functions ``as_...``.
"""

from __future__ import annotations

import importlib
import pickle
import threading
from collections.abc import Callable, Iterable
from typing import Any

import canning
from canning.wire import blob as blobs
from canning.wire import trailer as wire

PICKLE_DUMP, PICKLE_DUMPS, PICKLE_LOAD, PICKLE_LOADS = pickle.dump, pickle.dumps, pickle.load, pickle.loads
INSIDE = threading.local()
"""Whether canning is at work in this thread: the pickle that it calls is the real one."""


def dumps(
    obj: Any,
    protocol: int | None = None,
    *,
    fix_imports: bool = True,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
) -> bytes:
    """Serialize with canning, and raise what its errors were made of, which is what the tests know.

    The result is a blob, or frame 0 alone where that is all, and a plain pickle at that.
    """
    if getattr(INSIDE, "dumps", False):
        return PICKLE_DUMPS(obj, protocol, buffer_callback=buffer_callback)
    INSIDE.dumps = True
    try:
        head, *frames = canning.serialize_object(obj, 1024 if buffer_callback is None else 1)
        if buffer_callback is None:
            return canning.dumps(obj) if frames or b"canning." in bytes(head) else bytes(head)
    except canning.CanningError as error:
        raise error.__cause__ or error from None
    finally:
        INSIDE.dumps = False
    for frame in frames:
        buffer_callback(pickle.PickleBuffer(frame))
    return bytes(head)


def dump(obj: Any, file: Any, protocol: int | None = None, **options: Any) -> None:
    """Write what `dumps` gives."""
    file.write(dumps(obj, protocol, **options))


def loads(data: Any, /, *, buffers: Iterable[Any] | None = None, **options: Any) -> Any:
    """Read what `dumps` gave, and what pickle did."""
    try:
        if bytes(data[: len(blobs.MAGIC)]) == blobs.MAGIC:
            return canning.loads(data, writable=True, trust="code")
        if buffers is not None and bytes(data[-len(wire.MAGIC) :]) == wire.MAGIC:
            return canning.deserialize_object([data, *buffers])[0]
    except canning.CanningError as error:
        raise error.__cause__ or error from None
    return PICKLE_LOADS(data, buffers=buffers, **options)


def load(file: Any, **options: Any) -> Any:
    """Read a blob, which is all of its file, or the next pickle."""
    if type(file).__module__.partition(".")[0] == "zstandard":  # cannot go back
        return loads(file.read())
    if not (hasattr(file, "seekable") and file.seekable()):
        return PICKLE_LOAD(file, **options)
    start = file.tell()
    blob = file.read(len(blobs.MAGIC)) == blobs.MAGIC
    file.seek(start)
    return loads(file.read()) if blob else PICKLE_LOAD(file, **options)


def as_pickle() -> None:
    """Stand in for the functions of `pickle`."""
    pickle.dump, pickle.dumps, pickle.load, pickle.loads = dump, dumps, load, loads  # type: ignore[assignment]


def as_cloudpickle() -> None:
    """Stand in for the functions of `cloudpickle`; its tests read with `pickle.loads` as well."""
    for name in ("cloudpickle", "cloudpickle.cloudpickle"):
        module: Any = importlib.import_module(name)
        module.dumps, module.dump, module.loads, module.load = dumps, dump, loads, load
    pickle.loads, pickle.load = loads, load  # type: ignore[assignment]


def as_distributed() -> None:
    """Stand in for both families of serializers that distributed has, ``"dask"`` and ``"pickle"``."""
    protocol: Any = importlib.import_module("distributed.protocol")
    module: Any = importlib.import_module("distributed.protocol.pickle")

    def family_dumps(x: Any, context: Any = None) -> tuple[dict[str, Any], list[Any]]:
        try:
            protocol.dask_serialize.dispatch(type(x))
        except TypeError as error:
            raise NotImplementedError from error
        head, *frames = canning.serialize_object(x, 1)
        return {"type": type(x).__qualname__, "head": bytes(head)}, frames

    def family_loads(header: dict[str, Any], frames: list[Any]) -> Any:
        return canning.deserialize_object([header["head"], *frames], writable=True)[0]

    def pickle_dumps(x: Any, *, buffer_callback: Any = None, protocol: int | None = None) -> bytes:
        return dumps(x, buffer_callback=None if (protocol or 5) < 5 else buffer_callback)

    protocol.register_serialization_family("dask", family_dumps, family_loads)
    module.dumps, module.loads = pickle_dumps, loads


def as_dask_engine() -> None:
    """Put canning into distributed as its users do: `transport.engines.dask.register`."""
    import transport.engines.dask

    transport.engines.dask.register()
