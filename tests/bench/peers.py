"""Who else turns objects into frames: each as a pair of functions, imported when it is asked for."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

Frames = list[Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer makes frames that can go on a wire, and reads them."""

    dump: Callable[[Any], Frames]
    load: Callable[[Frames], Any]


def pickle5() -> Peer:
    """Give pickle protocol 5 with its buffers out of band."""
    return Peer(_out_of_band(pickle.dumps), _load_out_of_band)


def cloudpickle5() -> Peer:
    """Give cloudpickle, buffers out of band."""
    import cloudpickle

    return Peer(_out_of_band(cloudpickle.dumps), _load_out_of_band)


def ipyparallel() -> Peer:
    """Give ``ipyparallel.serialize``."""
    from ipyparallel.serialize import deserialize_object, serialize_object

    return Peer(serialize_object, lambda frames: deserialize_object(frames)[0])


def distributed() -> Peer:
    """Give distributed's protocol, as its comms use it."""
    protocol: Any = import_module("distributed.protocol")
    dumps, loads, to_serialize = protocol.dumps, protocol.loads, protocol.to_serialize
    return Peer(
        lambda obj: [_as_on_a_wire(frame) for frame in dumps({"obj": to_serialize(obj)}, on_error="raise")],
        lambda frames: loads(frames)["obj"],
    )


def _as_on_a_wire(frame: Any) -> Any:
    """View a frame of several axes as bytes: distributed cuts large arrays, and reads flat pieces alone."""
    if type(frame) is not memoryview or frame.ndim == 1:
        return frame
    return frame.cast("B") if frame.nbytes else b""


def xoscar() -> Peer:
    """Give xoscar's serialization; its comms pickle the header."""
    from xoscar.serialization import deserialize, serialize

    def dump(obj: Any) -> Frames:
        header, buffers = serialize(obj)
        return [pickle.dumps(header, 5), *buffers]

    return Peer(dump, lambda frames: deserialize(pickle.loads(frames[0]), frames[1:]))


def joblib() -> Peer:
    """Give joblib's file format, in memory."""
    import joblib

    def dump(obj: Any) -> Frames:
        file = io.BytesIO()
        joblib.dump(obj, file)
        return [file.getvalue()]

    return Peer(dump, lambda frames: joblib.load(io.BytesIO(frames[0])))


def canning() -> Peer:
    """Give this library."""
    from canning import deserialize_object, serialize_object

    return Peer(serialize_object, lambda frames: deserialize_object(frames)[0])


PEERS: Final[dict[str, Callable[[], Peer]]] = {
    "pickle5": pickle5,
    "cloudpickle5": cloudpickle5,
    "ipyparallel": ipyparallel,
    "distributed": distributed,
    "xoscar": xoscar,
    "joblib": joblib,
    "canning": canning,
}


def available(names: Collection[str]) -> tuple[dict[str, Peer], dict[str, str]]:
    """Make those peers of `names` that are installed; return them, and the reason for each that is not."""
    found: dict[str, Peer] = {}
    absent: dict[str, str] = {}
    for name, make in PEERS.items():
        if name not in names:
            continue
        try:
            found[name] = make()
        except Exception as error:  # a package that is there can still fail in any way when imported
            absent[name] = f"{type(error).__name__}: {error}"
    return found, absent


def _out_of_band(dumps: Callable[..., bytes]) -> Callable[[Any], Frames]:
    def dump(obj: Any) -> Frames:
        buffers: list[pickle.PickleBuffer] = []
        header = dumps(obj, 5, buffer_callback=buffers.append)
        return [header, *[buffer.raw() for buffer in buffers]]

    return dump


def _load_out_of_band(frames: Frames) -> Any:
    return pickle.loads(frames[0], buffers=frames[1:])
