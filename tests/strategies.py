"""Strategies: arrays of every dtype and layout, and objects that hold and share them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .samples import Frozen, OnlySlots, Pair, Plain, Point

try:
    import ml_dtypes
except ImportError:  # an optional package: its dtypes are left out
    ml_dtypes = None  # type: ignore[assignment,unused-ignore]

UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")


def quiet(make: Callable[[], Any]) -> list[Any]:
    """Make something in a list, which stays empty where numpy warns that it gives that up."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return [make()]
        except DeprecationWarning:
            return []


GENERIC = [dtype for code in "mM" for dtype in quiet(lambda code=code: np.dtype(f"{code}8"))]
NUMBERS = "?bBhHiIlLqQefdgFDG"
FOREIGN = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")

SIZES = (0, 1, 2, 7, 100, 1023, 1024, 1025, 5000, 65_535, 65_536, 70_000)
"""Bytes on both sides of the threshold, and of the 64 KiB from which the C pickler hands memory on."""


def plain_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Draw a dtype without parts, of either byte order."""
    orders = st.sampled_from("<>")
    numbers = st.builds(lambda c, order: np.dtype(c).newbyteorder(order), st.sampled_from(NUMBERS), orders)
    texts = st.builds(lambda kind, n: np.dtype(f"{kind}{n}"), st.sampled_from("SUV"), st.integers(1, 9))
    dates = st.builds(
        lambda order, kind, count, unit: np.dtype(f"{order}{kind}8[{count}{unit}]"),
        orders,
        st.sampled_from("mM"),
        st.integers(1, 30),
        st.sampled_from(UNITS),
    )
    return st.one_of(numbers, texts, dates, *([st.sampled_from(GENERIC)] if GENERIC else []))


def foreign_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Draw a dtype of `ml_dtypes`, where that is installed."""
    if ml_dtypes is None:
        return st.nothing()
    return st.sampled_from([np.dtype(getattr(ml_dtypes, name)) for name in FOREIGN])


@st.composite
def structures(draw: Callable[..., Any], fields: st.SearchStrategy[np.dtype[Any]]) -> np.dtype[Any]:
    """Draw a structured dtype: aligned, with titles, sub-arrays, padding, or fields in another order."""
    count = draw(st.integers(1, 4))
    shapes = st.sampled_from([(), (2,), (1, 3)])
    formats = [np.dtype((draw(fields), draw(shapes))) for _ in range(count)]
    names = [f"f{number}" for number in range(count)]
    style = draw(st.sampled_from(["packed", "aligned", "titled", "padded", "reordered", "part", "record"]))
    if style == "titled":
        return np.dtype([((f"title {name}", name), item) for name, item in zip(names, formats, strict=True)])
    dtype = np.dtype(list(zip(names, formats, strict=True)), align=style == "aligned")
    if style == "padded":
        offsets = [dtype.fields[name][1] + 3 * number for number, name in enumerate(names)]  # type: ignore[index]
        layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize + 17}
        return np.dtype(layout)  # type: ignore[call-overload,no-any-return]
    if style == "reordered":
        return dtype[names[::-1]]
    if style == "part":
        return dtype[names[-1:]]
    if style == "record":
        return np.dtype((np.record, dtype))
    return dtype


def parted_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Draw numbers, times or text that have fields."""
    whole = st.sampled_from(["<i8", ">f8", ">M8[3D]", "<m8[ns]", ">U2", "S8", ">c16"])
    fields = st.lists(st.sampled_from([">u2", "<u2", "|u1", ">u4"]), min_size=1, max_size=2)
    return st.builds(_parted, whole, fields)


def _parted(code: str, formats: list[str]) -> np.dtype[Any]:
    layout: Any = {
        "names": [f"f{number}" for number in range(len(formats))],
        "formats": formats,
        "offsets": list(range(len(formats))),
        "itemsize": np.dtype(code).itemsize,
    }
    return np.dtype((code, np.dtype(layout)))


def with_metadata(dtypes: st.SearchStrategy[np.dtype[Any]]) -> st.SearchStrategy[np.dtype[Any]]:
    """Draw one of these dtypes, with metadata."""
    return st.builds(lambda dtype: np.dtype(dtype, metadata={"unit": "m"}), dtypes)


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Draw any dtype whose memory is all in the array."""
    flat = st.one_of(plain_dtypes(), foreign_dtypes(), with_metadata(plain_dtypes()))
    nested = st.one_of(plain_dtypes(), structures(plain_dtypes()))
    return st.one_of(flat, structures(nested))


@st.composite
def bases(draw: Callable[..., Any], dtype: np.dtype[Any] | None = None) -> Any:
    """Draw an array in C order of any dtype and of up to four axes, full of arbitrary bytes."""
    kind = draw(dtypes()) if dtype is None else dtype
    length = draw(st.sampled_from(SIZES)) // max(kind.itemsize, 1)
    shape = draw(st.sampled_from([(length,), (1, length), (length // 2, 2), (length // 6, 2, 3), ()]))
    return filled(shape, kind, draw(st.integers(0, 2**32 - 1)))


def filled(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    """Make an array full of bytes that differ; texts and truth values get legal ones."""
    array = np.zeros(shape, dtype)
    random = np.random.default_rng(seed)
    if not array.nbytes:
        return array
    if array.dtype.kind == "V" and array.dtype.names is not None:
        for name in array.dtype.names:
            field = array[name]
            field[...] = filled(field.shape, field.dtype, seed)
    elif array.dtype.kind in "biuV" and array.dtype.isbuiltin != 2:
        data = random.integers(0, 2 if array.dtype.kind == "b" else 256, array.nbytes, np.uint8)
        array = np.ndarray(shape, dtype, data.tobytes()).copy()
    elif array.dtype.kind == "U":
        array[...] = np.array(["é", "x", "", "日本"])[random.integers(0, 4, shape)]
    elif array.dtype.kind == "S":
        array[...] = np.array([b"a", b"\xff", b"", b"xyz"])[random.integers(0, 4, shape)]
    elif array.dtype.kind in "mM":
        dated = np.datetime_data(array.dtype)[0] != "generic"  # of which numpy can print nothing but NaT
        number = random.integers(-9000, 9000, shape) if dated else np.iinfo("i8").min
        array.view(f"{array.dtype.str[0]}i8")[...] = number
    else:
        array[...] = random.integers(-8, 8, shape).astype(array.dtype)
    return array


def _slices(draw: Callable[..., Any], array: Any) -> Any:
    picks = []
    for length in array.shape:
        start = draw(st.integers(0, min(length, 3)))
        stop = length - draw(st.integers(0, min(length - start, 3)))
        picks.append(slice(start, stop, draw(st.sampled_from([1, 1, 2, 3]))))
    return array[(..., *picks)]


def _flipped(draw: Callable[..., Any], array: Any) -> Any:
    return array[(..., *(slice(None, None, draw(st.sampled_from([1, -1]))) for _ in array.shape))]


def _transposed(draw: Callable[..., Any], array: Any) -> Any:
    return array.transpose(draw(st.permutations(range(array.ndim))))


def _broadcast(draw: Callable[..., Any], array: Any) -> Any:
    return np.broadcast_to(array, (draw(st.integers(1, 3)), *array.shape))


def _windowed(draw: Callable[..., Any], array: Any) -> Any:
    if not array.ndim or array.shape[-1] < 3 or array.dtype.isbuiltin == 2 or array.dtype.names is not None:
        return array  # numpy makes windows of its own dtypes only
    return np.lib.stride_tricks.sliding_window_view(array, 3, axis=-1)


def _readonly(draw: Callable[..., Any], array: Any) -> Any:
    view = array.view()
    view.flags.writeable = False
    return view


def _fortran(draw: Callable[..., Any], array: Any) -> Any:
    return np.asfortranarray(array)


def _same(draw: Callable[..., Any], array: Any) -> Any:
    return array


STEPS = (_same, _slices, _flipped, _transposed, _broadcast, _windowed, _readonly, _fortran)


@st.composite
def views(draw: Callable[..., Any], base: Any) -> Any:
    """Draw a view of an array: sliced, flipped, transposed, broadcast, windowed, read-only."""
    for step in draw(st.lists(st.sampled_from(STEPS), max_size=3)):
        if base.ndim < 6:
            base = step(draw, base)
    return base


@st.composite
def arrays(draw: Callable[..., Any], dtype: np.dtype[Any] | None = None) -> Any:
    """Draw an array of any dtype and layout."""
    return draw(views(draw(bases(dtype))))


def buffers() -> st.SearchStrategy[Any]:
    """Draw bytes, a bytearray or a memoryview, on both sides of the thresholds."""
    contents = st.builds(
        lambda n, seed: np.random.default_rng(seed).bytes(n), st.sampled_from(SIZES), st.integers(0, 99)
    )
    return st.one_of(contents, st.builds(bytearray, contents), st.builds(memoryview, contents))


def atoms() -> st.SearchStrategy[Any]:
    """Draw what holds nothing else."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(max_size=20),
        st.binary(max_size=20),
        st.builds(np.float32, st.floats(width=32)),
        st.builds(np.datetime64, st.integers(0, 10**6), st.sampled_from(UNITS)),
    )


@st.composite
def objects(draw: Callable[..., Any]) -> Any:
    """Draw nested containers over a few arrays, views of them, and buffers, some of them shared."""
    shared: list[Any] = draw(st.lists(bases(), min_size=1, max_size=3))
    shared += [
        draw(views(shared[draw(st.integers(0, 2)) % len(shared)])) for _ in range(draw(st.integers(0, 4)))
    ]
    shared += draw(st.lists(buffers(), max_size=3))
    # By number: hypothesis would print every one of them.
    leaves = st.one_of(atoms(), st.integers(0, len(shared) - 1).map(shared.__getitem__))
    return draw(st.recursive(leaves, _containers, max_leaves=12))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
        st.tuples(inner, inner),
        st.builds(lambda x, y: Point(x, y), inner, inner),
        *(st.builds(lambda x, make=make: make(x), inner) for make in (Pair, Frozen, OnlySlots)),
        st.builds(lambda x: Plain(x=x), inner),
        st.builds(_object_array, st.lists(inner, max_size=3)),
        st.builds(lambda x: [x, x], inner),
    )


def _object_array(items: list[Any]) -> Any:
    array = np.empty(len(items), object)
    for number, item in enumerate(items):
        array[number] = item
    return array
