"""canning under the names of cloudpickle's functions: what `run_cloudpickle` gives every Python of a run to start with."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle

import canning
from canning import files, wire

PICKLE_LOAD, PICKLE_LOADS = pickle.load, pickle.loads


def dumps(
    obj: Any, protocol: int | None = None, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None
) -> bytes:
    """Serialize with canning, and raise what its errors were made of, which is what the tests know."""
    try:
        if buffer_callback is None:
            return canning.dumps(obj)
        head, *frames = canning.serialize_object(obj, 1)
    except canning.CanningError as error:
        raise error.__cause__ or error from None
    for frame in frames:
        buffer_callback(pickle.PickleBuffer(frame))
    return bytes(head)


def dump(obj: Any, file: Any, protocol: int | None = None) -> None:
    """Write what `dumps` gives."""
    file.write(dumps(obj, protocol))


def loads(data: Any, /, *, buffers: Iterable[Any] | None = None, **options: Any) -> Any:
    """Read what `dumps` gave, and what pickle did."""
    try:
        if bytes(data[: len(files.MAGIC)]) == files.MAGIC:
            return canning.loads(data)
        if buffers is not None and bytes(data[-len(wire.MAGIC) :]) == wire.MAGIC:
            return canning.deserialize_object([data, *buffers])[0]
        return PICKLE_LOADS(data, buffers=buffers, **options)
    except canning.CanningError as error:
        raise error.__cause__ or error from None


def load(file: Any, **options: Any) -> Any:
    """Read a blob, which is all of its file, or the next pickle."""
    if not file.seekable():
        return PICKLE_LOAD(file, **options)
    start = file.tell()
    blob = file.read(len(files.MAGIC)) == files.MAGIC
    file.seek(start)
    return loads(file.read()) if blob else PICKLE_LOAD(file, **options)


def patch() -> None:
    """Put these in the place of cloudpickle's; the tests read with `pickle.loads` as well."""
    for module in (cloudpickle, cloudpickle.cloudpickle):
        module.dumps, module.dump, module.loads, module.load = dumps, dump, loads, load
    pickle.loads, pickle.load = loads, load  # type: ignore[assignment]


if __name__ == "sitecustomize":
    patch()
