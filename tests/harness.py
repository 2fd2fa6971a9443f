"""The harness that every type passes.

    check_round_trip(obj)

sends `obj` at several depths, in frames of every kind, through blobs and files, and compares what arrives
in all that this package promises. `assert_equal` is the comparison; `STAGES` the ways there.
"""

from __future__ import annotations

import array as stdarray
import collections
import contextlib
import functools
import math
import pickle
import tempfile
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cloudpickle
import numpy as np

import canning

from .samples import Frozen, OnlySlots, Plain, Point, give

THRESHOLD = 1024
DIRECT = 64 * 1024
"""Bytes from which `bytes` and `bytearray` have frames of their own."""
Writeable = str
"""What is asked of an array's flag: "same" as in the source, or "at most" as in the source."""


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Read as a process that has neither sent nor received any class by value."""
    module = cloudpickle.cloudpickle
    with (
        mock.patch.object(module, "_DYNAMIC_CLASS_TRACKER_BY_ID", weakref.WeakValueDictionary()),
        mock.patch.object(module, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", weakref.WeakKeyDictionary()),
    ):
        yield


# -- depth: an object inside of others -------------------------------------------------------------------


def in_object_array(obj: Any) -> Any:
    array = np.empty(2, object)
    array[0] = obj
    return array


def in_local_instance(obj: Any) -> Any:
    class Local:
        def __init__(self) -> None:
            self.inner = obj

    return Local()


DEPTHS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "itself": (lambda obj: obj, lambda got: got),
    "list": (lambda obj: [obj], lambda got: got[0]),
    "dict": (lambda obj: {"k": obj, "n": 1}, lambda got: got["k"]),
    "tuple": (lambda obj: (0, obj), lambda got: got[1]),
    "dataclass": (Point, lambda got: got.x),
    "slots dataclass": (Frozen, lambda got: got.x),
    "slots": (OnlySlots, lambda got: got.x),
    "attribute": (lambda obj: Plain(inner=obj), lambda got: got.inner),
    "partial": (lambda obj: functools.partial(max, obj, key=id), lambda got: got.args[0]),
    "object array": (in_object_array, lambda got: got[0]),
    "closure": (give, lambda got: got.__closure__[0].cell_contents),
    "local class": (in_local_instance, lambda got: got.inner),
    "depth 2": (lambda obj: {"a": [1, obj]}, lambda got: got["a"][1]),
    "depth 3": (lambda obj: [Point(y=({"k": obj},))], lambda got: got[0].y[0]["k"]),
}
"""How to put an object into others, and how to find it there."""


# -- carriers: the kinds of frames that an object may arrive in ------------------------------------------


def misaligned(frame: Any, offset: int) -> memoryview:
    """Copy a frame to an address that is `offset` bytes past a multiple of 64."""
    room = np.empty(len(frame) + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    place = room[start : start + len(frame)]
    place[:] = np.frombuffer(frame, np.uint8)
    return memoryview(place)


def zmq_frame(frame: Any) -> Any:
    """Make the frame that a socket gives."""
    import zmq  # the comparison is used without sockets too

    return zmq.Frame(bytes(frame))


CARRIERS: dict[str, tuple[Callable[[Any], Any], Writeable]] = {
    "own frames": (lambda frame: frame, "at most"),
    "bytes": (bytes, "at most"),
    "bytearray": (bytearray, "same"),
    "memoryview of bytes": (lambda frame: memoryview(bytes(frame)), "at most"),
    "memoryview of bytearray": (lambda frame: memoryview(bytearray(frame)), "same"),
    "zmq.Frame": (zmq_frame, "at most"),
    **{
        f"{offset} past": (functools.partial(misaligned, offset=offset), "same")
        for offset in (1, 2, 3, 4, 5, 6, 7, 8)
    },
}
"""How to make another kind of frame of one, and what is to be said of the flag of arrays in it."""
KINDS = tuple(name for name in CARRIERS if name not in ("2 past", "5 past", "6 past", "7 past"))
"""Those that every type is sent in; `test_layout` has the others."""


# -- the harness -----------------------------------------------------------------------------------------


def check_round_trip(
    obj: Any,
    *,
    same: Callable[..., None] | None = None,
    uncopied: bool = True,
    serializer: canning.Serializer = canning.default_serializer,
    depths: tuple[str, ...] = tuple(DEPTHS),
    carriers: tuple[str, ...] = KINDS,
) -> None:
    """Send an object every way there is, and compare what arrives.

    `same(sent, got, writeable=)` compares; `assert_equal` unless given. With `uncopied` all memory of
    1024 bytes and more that is found in `obj` (`bytes` and `bytearray`: of 64 KiB and more) must be out of
    band, in frames that look at that memory and at nothing else, each byte once.
    """
    same = same or assert_equal
    for depth in depths:
        wrap, unwrap = DEPTHS[depth]
        frames = serializer.serialize_object(wrap(obj))
        check_frames(frames)
        if uncopied:
            check_uncopied(obj, frames, serializer.buffer_threshold)
        got, rest = serializer.deserialize_object([bytearray(frame) for frame in frames])
        assert rest == []
        same(obj, unwrap(got), writeable="same")
    frames = serializer.serialize_object(obj)
    for carrier in carriers:
        convert, writeable = CARRIERS[carrier]
        got, rest = serializer.deserialize_object([convert(frame) for frame in frames])
        assert rest == []
        same(obj, got, writeable=writeable)
    got, _ = serializer.deserialize_object([bytes(frame) for frame in frames], writable=True)
    same(obj, got, writeable="same")
    _check_blobs(obj, same, serializer)


def _check_blobs(obj: Any, same: Callable[..., None], serializer: canning.Serializer) -> None:
    options: dict[str, Any] = {"pickler": serializer.pickler, "registry": serializer.registry}
    blob = canning.dumps(obj, **options)
    reading = {**options, "trust": "code"}
    same(obj, canning.loads(blob, **reading), writeable="at most")
    same(obj, canning.loads(bytearray(blob), **reading), writeable="same")
    same(obj, canning.loads(blob, writable=True, **reading), writeable="same")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "obj.canned"
        canning.dump(obj, path, **options)
        assert path.read_bytes() == blob
        same(obj, canning.load(path, **reading), writeable="at most")
        same(obj, canning.load(path, mmap=False, **reading), writeable="same")


def check_frames(frames: list[Any]) -> None:
    """Check that frames are what a socket wants: flat bytes, whose number and lengths the header knows."""
    assert type(frames[0]) is bytes
    for frame in frames:
        view = memoryview(frame)
        assert view.c_contiguous
        assert view.ndim == 1
        assert view.itemsize == 1
    assert canning.split(frames) == [frames]


def check_uncopied(obj: Any, frames: list[Any], threshold: int = THRESHOLD) -> None:
    """Check by address that the frames are the object's own memory: no other, all of it, each byte once."""
    places = list(memory_of(obj))
    own = merged([place for _, place in places])
    sent = [place_of(frame) for frame in frames[1:]]
    for low, high in sent:
        assert any(start <= low and high <= end for start, end in own), "a frame is not the object's memory"
    assert merged(sent, touching=False) == sorted(sent), "memory goes twice"
    for nbytes, (low, high) in places:
        if nbytes >= threshold:
            inside = any(start <= low and high <= end for start, end in sent)
            assert inside or any(low <= start < high for start, _ in sent), "large memory is not out of band"
    if any(nbytes >= threshold for nbytes, _ in places):
        assert len(frames) > 1


def place_of(buffer: Any) -> tuple[int, int]:
    """Tell the first address of contiguous memory, and the one behind its last."""
    flat = np.frombuffer(buffer, np.uint8)
    return flat.ctypes.data, flat.ctypes.data + flat.nbytes


def extent_of(array: Any) -> tuple[int, int]:
    """Tell the lowest address of an array, and the one behind its highest."""
    low = high = array.ctypes.data
    for length, stride in zip(array.shape, array.strides, strict=True):
        low, high = low + min(0, (length - 1) * stride), high + max(0, (length - 1) * stride)
    return low, high + array.itemsize


def merged(places: list[tuple[int, int]], *, touching: bool = True) -> list[tuple[int, int]]:
    """Join the places that overlap, or only touch."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(places):
        if result and (low <= result[-1][1] if touching else low < result[-1][1]):
            result[-1] = result[-1][0], max(result[-1][1], high)
        else:
            result.append((low, high))
    return result


def memory_of(obj: Any) -> Iterator[tuple[int, tuple[int, int]]]:
    """Find the memory in an object: bytes of it that may not be copied, and the extent that it covers.

    Those of `bytes` and `bytearray` under 64 KiB may, as the pickler does.
    """
    seen: set[int] = set()
    kept = [obj]
    for part in kept:
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, np.ndarray):
            if part.size and part.itemsize and not part.dtype.hasobject and part.dtype.kind != "T":
                strides = zip(part.shape, part.strides, strict=True)
                lengths = [length for length, stride in strides if stride]
                low, high = extent_of(part)
                yield min(high - low, math.prod(lengths) * part.itemsize), (low, high)
        elif isinstance(part, bytes | bytearray):
            if part:
                yield len(part) if len(part) >= DIRECT else 0, place_of(part)
        elif isinstance(part, stdarray.array | pickle.PickleBuffer):
            if memoryview(part).nbytes:
                place = place_of(part)
                yield place[1] - place[0], place
        elif isinstance(part, memoryview) and part.nbytes and part.c_contiguous:
            place = place_of(part)
            yield place[1] - place[0], place
        kept.extend(child for _, child in children(part))


# -- comparison ------------------------------------------------------------------------------------------

ATOMS = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    type(Ellipsis),
    type(NotImplemented),
)
BY_IDENTITY = (type, types.BuiltinFunctionType, types.ModuleType, np.ufunc)
WITHOUT_IDENTITY = (*ATOMS, tuple, frozenset, pickle.PickleBuffer, *BY_IDENTITY)


def assert_equal(sent: Any, got: Any, *, writeable: Writeable = "at most") -> None:
    """Compare two objects in all that this package promises; see `compare_array` for arrays.

    Not only values: what was one object must be one again, and what was two must be two; arrays that
    shared memory must share it again, in the same way.
    """
    there: dict[int, Any] = {}
    back: dict[int, Any] = {}
    arrays: list[tuple[Any, Any]] = []
    kept: list[Any] = []  # so that no identity is used twice
    todo = [("obj", sent, got)]
    while todo:
        path, one, other = todo.pop()
        kept += (one, other)
        if not isinstance(one, WITHOUT_IDENTITY):
            known = id(one) in there
            assert there.setdefault(id(one), other) is other, f"{path}: one object became two"
            assert back.setdefault(id(other), one) is one, f"{path}: two objects became one"
            if known:
                continue
        compare_one(path, one, other, writeable)
        if type(one) in (list, tuple, dict) and {*map(type, mine := items_of(one))} <= {int, str}:
            its = items_of(other)  # long lists in one step
            assert (mine, *map(type, mine)) == (its, *map(type, its)), f"{path}: other items"
            continue
        if isinstance(one, np.ndarray) and one.nbytes and not one.dtype.hasobject and one.dtype.kind != "T":
            arrays.append((one, other))
        ours, theirs = children(one), children(other)
        assert [label for label, _ in ours] == [label for label, _ in theirs], f"{path}: other parts"
        for (label, mine), (_, its) in zip(ours, theirs, strict=True):
            todo.append((path + label, mine, its))
    compare_sharing(arrays)


def items_of(obj: Any) -> list[Any]:
    return [*obj, *obj.values()] if isinstance(obj, dict) else list(obj)


def compare_one(path: str, one: Any, other: Any, writeable: Writeable) -> None:
    """Compare two objects and not their parts."""
    if isinstance(one, pickle.PickleBuffer):  # pickle's own rule: what arrives is a view of the memory
        assert bytes(one.raw()) == bytes(other), path
        return
    if not isinstance(one, np.generic | np.dtype):
        assert type(one) is type(other), f"{path}: {type(one)} became {type(other)}"
    if isinstance(one, float | complex) and type(one).__module__ != "numpy":
        assert repr(one) == repr(other), path
    elif isinstance(one, np.ndarray):
        compare_array(path, one, other, writeable)
    elif isinstance(one, np.generic):
        compare_dtype(path, one.dtype, other.dtype)
        assert type(other) in (type(one), one.dtype.type, known_by(one.dtype).type), path
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes() or one == other, path
    elif isinstance(one, np.dtype):
        compare_dtype(path, one, other)
    elif isinstance(one, memoryview):
        compare_memoryview(path, one, other)
    elif isinstance(one, stdarray.array):
        assert (one.typecode, one.tobytes()) == (other.typecode, other.tobytes()), path
    elif isinstance(one, types.FunctionType):
        assert one is other or one.__code__ == other.__code__, path
        assert (one.__name__, one.__qualname__) == (other.__name__, other.__qualname__), path
    elif isinstance(one, BY_IDENTITY):
        assert one is other, path
    elif isinstance(one, (*ATOMS, set, frozenset, bytearray)):
        assert one == other, path
    elif type(one).__module__.partition(".")[0] == "pandas":
        assert one.equals(other) if hasattr(one, "equals") else one == other, path
    elif not children(one) and not isinstance(one, list | tuple | dict | types.CellType | collections.deque):
        assert one == other or type(one).__eq__ is object.__eq__, path


def compare_array(path: str, one: Any, other: Any, writeable: Writeable) -> None:
    """Compare dtype, shape, order of axes, strides where they say something, flags and values."""
    compare_dtype(path, one.dtype, other.dtype)
    assert one.shape == other.shape, path
    assert other.flags.aligned, f"{path}: not aligned"
    if writeable == "same":
        assert one.flags.writeable == other.flags.writeable, f"{path}: the flag 'writeable' changed"
    else:
        assert one.flags.writeable or not other.flags.writeable, f"{path}: became writeable"
    if one.size:
        compare_strides(path, one, other)
    if isinstance(one, np.ma.MaskedArray):
        return
    if not one.dtype.hasobject:
        plain, arrived = np.asarray(one).view(np.ndarray), np.asarray(other).view(np.ndarray)
        assert same_values(plain, arrived), f"{path}: other values"


def compare_strides(path: str, one: Any, other: Any) -> None:
    longer = [axis for axis in range(one.ndim) if one.shape[axis] > 1]
    ours, theirs = ([array.strides[axis] for axis in longer] for array in (one, other))
    if one.dtype.kind == "T" and not one.flags.forc:
        return  # memory of numpy's own: C order, or Fortran's where it was that
    if one.dtype.hasobject:
        ours, theirs = ([abs(stride) for stride in strides] for strides in (ours, theirs))
    elif is_dense(one):
        assert ours == theirs, f"{path}: other strides"
    if not one.dtype.hasobject:
        zero = [[stride == 0 for stride in strides] for strides in (ours, theirs)]
        assert zero[0] == zero[1], f"{path}: broadcast axes became others"
    if 0 not in ours and 0 not in theirs:
        assert order_of(ours) == order_of(theirs), f"{path}: the axes lie in another order"


def is_dense(array: Any) -> bool:
    """Tell whether the elements of an array fill its extent, each once."""
    low, high = extent_of(array)
    return bool(high - low == array.nbytes)


def order_of(strides: list[int]) -> list[int]:
    return sorted(range(len(strides)), key=lambda axis: abs(strides[axis]))


def same_values(one: Any, other: Any) -> bool:
    """Compare arrays of one dtype bit by bit, but for the padding of structures."""
    if one.dtype.names is not None and one.dtype.kind == "V":
        return all(same_values(one[name], other[name]) for name in one.dtype.names)
    if one.dtype.kind == "T":
        return repr(one.tolist()) == repr(other.tolist())
    if one.dtype.char in "gG":  # whose bytes are not all part of the number
        return bool(np.array_equal(one, other, equal_nan=True)) and repr(one.tolist()) == repr(other.tolist())
    return bool(one.tobytes() == other.tobytes())


def compare_dtype(path: str, one: Any, other: Any) -> None:
    assert one == other, f"{path}: dtype {one} became {other}"
    assert type(other) in (type(one), type(known_by(one))), path
    assert other.type in (one.type, known_by(one).type), (
        f"{path}: dtype of {one.type} became one of {other.type}"
    )
    assert one.str == other.str, path
    assert one.isalignedstruct == other.isalignedstruct, f"{path}: the flag 'align' of the dtype changed"
    assert dict(one.metadata or {}) == dict(other.metadata or {}), f"{path}: metadata of the dtype changed"
    assert one.fields is None or list(one.fields) == list(other.fields), path
    for name in one.names or ():
        assert one.fields[name][1:] == other.fields[name][1:], f"{path}: offset or title of {name!r} changed"
        compare_dtype(f"{path}.dtype[{name!r}]", one.fields[name][0], other.fields[name][0])


def known_by(dtype: Any) -> Any:
    """Give the dtype that numpy makes of a name; two C types of one size, as long and long long, share it."""
    return np.dtype(dtype.str) if dtype.kind in "iu" and dtype.names is None else dtype


def compare_memoryview(path: str, one: Any, other: Any) -> None:
    assert one.shape == other.shape, path
    if "{" not in one.format:  # numpy writes that of structures in its own way
        assert one.format == other.format, f"{path}: format {one.format!r} became {other.format!r}"
    assert one.itemsize == other.itemsize, path
    assert other.readonly or not one.readonly, f"{path}: became writeable"
    assert one.tobytes() == other.tobytes(), path
    assert one.c_contiguous <= other.c_contiguous, path
    assert one.f_contiguous <= other.f_contiguous, path


def compare_sharing(arrays: list[tuple[Any, Any]]) -> None:
    """Compare which arrays share memory, and where in it they start."""
    for number, (one, arrived) in enumerate(arrays):
        for two, came in arrays[:number]:
            shared = share(one, two)
            assert share(arrived, came) == shared, "arrays share memory that did not, or no longer do"
            if shared:
                apart = two.ctypes.data - one.ctypes.data
                assert came.ctypes.data - arrived.ctypes.data == apart, "arrays overlap in another way"


def share(one: Any, two: Any) -> bool:
    return bool(np.may_share_memory(one, two) and np.shares_memory(one, two))


def children(obj: Any) -> list[tuple[str, Any]]:
    """Give the parts of an object, each with its step of a path."""
    found: list[tuple[str, Any]] = []
    if isinstance(obj, dict):
        found += [(f".<key {key!r}>" if isinstance(key, ATOMS) else ".<key>", key) for key in obj]
        found += [(f"[{number}]", value) for number, value in enumerate(obj.values())]
        if isinstance(obj, collections.defaultdict):
            found.append((".default_factory", obj.default_factory))
    elif isinstance(obj, list | tuple | collections.deque):
        found += [(f"[{number}]", item) for number, item in enumerate(obj)]
    elif isinstance(obj, np.ma.MaskedArray):
        found += [("._data", obj._data), ("._mask", obj._mask if obj._mask is not np.ma.nomask else None)]
        found += [(".fill_value", obj._fill_value), (".hardmask", obj._hardmask)]
    elif isinstance(obj, np.ndarray) and obj.dtype.hasobject:
        if obj.dtype.names is None:
            found += [(f"[{number}]", item) for number, item in enumerate(obj.ravel().tolist())]
        else:
            found += [(f"[{name!r}]", obj[name].tolist()) for name in obj.dtype.names]
    elif isinstance(obj, functools.partial):
        found += [(".func", obj.func), (".args", obj.args), (".keywords", obj.keywords)]
    elif isinstance(obj, types.CellType):
        found += contents(".cell_contents", obj)
    elif isinstance(obj, types.FunctionType):
        for name, cell in zip(obj.__code__.co_freevars, obj.__closure__ or (), strict=True):
            found += contents(f".<closure {name}>", cell)
        found += [(".__defaults__", obj.__defaults__), (".__kwdefaults__", obj.__kwdefaults__)]
    elif isinstance(obj, types.MethodType):
        found += [(".__self__", obj.__self__), (".__func__", obj.__func__)]
    if isinstance(obj, (*ATOMS, *BY_IDENTITY, np.generic, np.dtype)) or type(obj).__module__.startswith(
        "pandas"
    ):
        return found
    attributes = dict(getattr(obj, "__dict__", {}))
    for cls in type(obj).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__dict__", "__weakref__") and hasattr(obj, slot):
                attributes[slot] = getattr(obj, slot)
    hidden = [
        "_mask",
        "_data",
        "_fill_value",
        "_hardmask",
        "_sharedmask",
        "_isfield",
        "_baseclass",
        "_basedict",
        "_optinfo",
        "_mmap",
    ]
    found += [(f".{name}", value) for name, value in attributes.items() if name not in hidden]
    return found


def contents(label: str, cell: types.CellType) -> list[tuple[str, Any]]:
    try:
        return [(label, cell.cell_contents)]
    except ValueError:  # not bound yet
        return []
