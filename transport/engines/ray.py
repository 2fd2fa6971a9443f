"""canning as the serializer of Ray: arguments, results, `ray.put`, and calls of actors.

    ray.init(runtime_env={"worker_process_setup_hook": "transport.engines.ray.install"})
    transport.engines.ray.install()              # here; the line above does it on every worker

canning writes ordinary Ray objects: a pickle with buffers, which lie in the object store; readers get views
of it. A process that reads them needs canning installed, but not `install`. Ray itself still sends
references, actor handles, and types with a serializer registered with Ray. Objects of only numbers, texts,
lists and dicts are sent as before, since other languages read them; so are objects that canning cannot send.
As always with Ray, anyone who can connect to a cluster can run code in it.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from canning import SerializationError, Serializer
from canning.code.wanted import Wanted
from canning.errors import shortened

from . import one_pickle as inband
from .adapting import Replaced, check_layout
from .ray_pages import views_of

TRIED: Final = "2.60.0"
check_layout(
    "ray",
    TRIED,
    {
        "ray._private.serialization:SerializationContext._serialize_to_pickle5": (
            "Pickle5Writer",
            "Pickle5SerializedObject",
            "buffer_callback",
            "get_and_clear_contained_object_refs",
            "set_in_band_serialization",
            "set_out_of_band_serialization",
        ),
        "ray._private.serialization:SerializationContext._serialize_to_msgpack": (
            "MessagePackSerializer",
            "MessagePackSerializedObject",
            "OBJECT_METADATA_TYPE_CROSS_LANGUAGE",
            "_serialize_to_pickle5",
        ),
        "ray._private.serialization:SerializationContext._deserialize_pickle5_data": (
            "unpack_pickle5_buffers",
            "loads",
        ),
        "ray._private.serialization:SerializationContext._register_cloudpickle_reducer": ("dispatch",),
        "ray._private.worker:Worker.put_object": ("inspect_serializability",),
        "ray._private.function_manager:FunctionActorManager.export_actor_class": ("pickle_dumps",),
        "ray.remote_function:RemoteFunction._remote": ("pickle_dumps",),
    },
)

import ray  # noqa: E402 - after the check of the layout
import ray.remote_function  # noqa: E402
import ray.util  # noqa: E402
from ray import cloudpickle  # noqa: E402
from ray._private import function_manager, ray_constants  # noqa: E402
from ray._private import serialization as stock  # noqa: E402

_Reducer = Callable[[Any], Any]
_THEIRS: Final = (
    "ray.cloudpickle.cloudpickle",
    "ray._private.arrow_serialization",
    "ray._private.tensor_serialization_utils",
)
"""Modules whose reducers canning ignores: those for cloudpickle's own types, Arrow's tables, and tensors."""
_PLAIN: Final = frozenset((int, float, str, bool, type(None), bytes, list, dict))
_FEW: Final = 64


class _Side:
    """Keep the serializer of this process, and the options of `install`."""

    def __init__(self) -> None:
        self.writable = False
        self.by_value = Wanted(())
        self._reducers: Mapping[type, _Reducer] | None = None
        self._modules: frozenset[str] = frozenset()

    def choose(self, *, writable: bool, by_value: Any) -> None:
        """Set the options of `install`."""
        wanted = Serializer(by_value=by_value).by_value
        if wanted != self.by_value:
            self.by_value, self._reducers = wanted, None
        self.writable = writable

    def serializer(self) -> Serializer:
        """Return a serializer that respects the reducers registered so far with Ray and its cloudpickle.

        All arrays are buffers, even small ones, so that all of them arrive read-only, as without canning.
        """
        registered = cloudpickle.CloudPickler.dispatch.maps[0]
        modules = cloudpickle.cloudpickle._PICKLE_BY_VALUE_MODULES
        if registered != self._reducers or modules != self._modules:
            heeded = {
                cls: how for cls, how in registered.items() if getattr(how, "__module__", "") not in _THEIRS
            }
            by_value = self.by_value.also(modules) if modules else self.by_value
            self._serializer = Serializer(dispatch_table=heeded, by_value=by_value, buffer_threshold=1)
            self._reducers, self._modules = dict(registered), frozenset(modules)
        return self._serializer

    def dumps(self, obj: Any, reader: _Reducer, **options: Any) -> bytes:
        """Return a pickle that `reader` turns into an object."""
        frames = self.serializer().serialize_object(obj)
        if reader is read and (plain := inband.in_list(frames)):
            return plain
        return pickle.dumps(inband.Inband(frames, reader, (self.writable,)), 5, **options)


class _Whole:
    """Hold a list or dict that is sent whole, so that its parts stay shared."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _NotPlain(Exception):
    """Raised if msgpack alone cannot pack an object."""


def _refuse(_: Any) -> Any:
    raise _NotPlain


def _serialize_to_msgpack(self: Any, value: Any) -> Any:
    """Replace ``SerializationContext._serialize_to_msgpack``, which splits containers."""
    kind = type(value)
    if kind is list or kind is dict:
        some = islice(value.values() if kind is dict else value, _FEW)
        try:
            if not _PLAIN.issuperset(map(type, some)):
                raise _NotPlain
            data = stock.MessagePackSerializer.dumps(value, _refuse)
        except _NotPlain:
            value = _Whole(value)
        else:
            plain = ray_constants.OBJECT_METADATA_TYPE_CROSS_LANGUAGE
            return stock.MessagePackSerializedObject(plain, data, [], None)
    return _STOCK_MSGPACK(self, value)


def _serialize_to_pickle5(self: Any, metadata: bytes, value: Any) -> Any:
    """Replace ``SerializationContext._serialize_to_pickle5``; `value` lists the objects that msgpack refused.

    It always holds one object, since containers are sent whole.
    """
    [obj] = value
    if type(obj) is _Whole:
        value = [obj := obj.value]
    writer = stock.Pickle5Writer()
    self.set_in_band_serialization()
    try:
        head = _SIDE.dumps(obj, read, buffer_callback=writer.buffer_callback)
    except SerializationError:
        self.get_and_clear_contained_object_refs()
        return _STOCK_PICKLE5(self, metadata, value)  # Ray may succeed, and its users know its errors
    except BaseException:
        self.get_and_clear_contained_object_refs()
        raise
    finally:
        self.set_out_of_band_serialization()
    contained = self.get_and_clear_contained_object_refs()
    return stock.Pickle5SerializedObject(metadata, head, writer, contained)


def read(writable: bool, *frames: Any) -> list[Any]:
    """Read a Ray object that canning wrote; Ray expects a list of the objects that msgpack refused."""
    return [read_code(writable, *frames)]


def read_code(writable: bool, *frames: Any) -> Any:
    """Read a function or an actor's class."""
    head, *buffers = frames
    return inband.read(writable, False, head, *views_of(buffers, writable=writable))


def _pickle_dumps(obj: Any, error_msg: str) -> Any:
    """Replace ``pickle_dumps``, which pickles functions and actors' classes: add the modules they need."""
    if not _SIDE.by_value:
        return _STOCK_DUMPS(obj, error_msg)
    try:
        return _SIDE.dumps(obj, read_code)
    except SerializationError:
        return _STOCK_DUMPS(obj, error_msg)


def _inspect(base_obj: Any, *arguments: Any, print_file: Any = None, **options: Any) -> Any:
    """Replace ``inspect_serializability``, which Ray's errors quote: put the path to the culprit first."""
    try:
        _SIDE.serializer().serialize_object(base_obj)
    except Exception as error:  # Ray's own look comes next, whatever ours met
        print(error, file=print_file)
    return _STOCK_INSPECT(base_obj, *arguments, print_file=print_file, **options)


_CONTEXT: Final = stock.SerializationContext
_STOCK_MSGPACK: Final = _CONTEXT._serialize_to_msgpack
_STOCK_PICKLE5: Final = _CONTEXT._serialize_to_pickle5
_STOCK_DUMPS: Final = function_manager.pickle_dumps
_STOCK_INSPECT: Final = ray.util.inspect_serializability
_SIDE: Final = _Side()
_REPLACED: Final = Replaced(
    [
        (_CONTEXT, "_serialize_to_msgpack", _serialize_to_msgpack),
        (_CONTEXT, "_serialize_to_pickle5", _serialize_to_pickle5),
        (function_manager, "pickle_dumps", _pickle_dumps),
        (ray.remote_function, "pickle_dumps", _pickle_dumps),
        (ray.util, "inspect_serializability", _inspect),
    ]
)


@shortened
def install(*, writable: bool = False, by_value: Any = ()) -> None:
    """Use canning in this process, until `uninstall`; call it before or after `ray.init`.

    Args:
        writable: if True, arrays that were writable arrive writable; each reader sees only its own changes.
        by_value: modules to send along if a call needs them and the workers may not have them: ``"local"``,
            which means every module that is not installed, or a list of modules and names, as for
            `canning.Serializer`.

    The options of the last call apply. Raises `ValueError` for a `by_value` that is not valid.
    """
    _SIDE.choose(writable=writable, by_value=by_value)
    _REPLACED.join(install)


def uninstall() -> None:
    """Serialize as before `install`; objects that were sent in between can still be read."""
    _REPLACED.leave(install)


@contextlib.contextmanager
def installed(*, writable: bool = False, by_value: Any = ()) -> Iterator[None]:
    """Use canning in this process until the block ends: `install`, and then `uninstall`."""
    install(writable=writable, by_value=by_value)
    try:
        yield
    finally:
        uninstall()
