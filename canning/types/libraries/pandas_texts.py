"""pandas: text, in Arrow's memory or as Python's own strings.

Many Python strings are joined and sent as bytes, in 50 to 90 % of pickle's time: short ones in the header,
with a separator that none of them contains, longer ones in frames, by pyarrow if it is imported already. If
the same few objects are repeated, pickle is faster, since it remembers them.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from functools import partial
from typing import Any, Final

import numpy as np
import pandas

from ..budget import charge
from .checks import need, one_dimensional, parts

pd: Any = pandas  # its stubs lack the internals used here

# -- many strings, joined --------------------------------------------------------------------------------

_MANY: Final = 500
_LOOKED_AT: Final = 64
_LONG: Final = 48
"""Mean length of strings from which pyarrow joins them: shorter ones take several times as much memory as
their letters, more than the account allows for frames under ``trust="data"``."""
_PIECE: Final = 60_000
"""Bytes of joined strings in one piece: those from 64 KiB on would be a frame."""
_STRING: Final = 60
_EACH: Final = 10
"""Bytes of a string besides its letters, and of its place; its cost, in items of 50 ns."""
_BETWEEN: Final = ("\0", "\x1f", "\uf8ff", "\U0010ffff")
"""Separators: the first that no string contains is used."""
Joined = tuple[Any, Any, Any]
"""Pieces of UTF-8, the separator, and a mask of missing strings; or offsets, UTF-8, and the mask."""


def join(items: Any, missing: type) -> Joined | None:
    r"""Join strings, and missing values of one type among them; None if that does not pay.

    >>> (memory,), between, empty = join(np.array([str(n) for n in range(1000)], object), type(None))
    >>> bytes(memory[:6]), between, empty
    (b'0\x001\x002\x00', '\x00', None)
    """
    if len(items) < _MANY:
        return None
    texts = items.tolist()
    kinds = list(map(type, texts))  # "".join accepts subclasses, which must not become plain strings
    strings = kinds.count(str)
    some = [text for text in texts[:: len(texts) // _LOOKED_AT] if type(text) is str]
    if len(set(map(id, some))) <= _LOOKED_AT // 2 or strings + kinds.count(missing) < len(texts):
        return None
    empty = None
    if strings < len(texts):
        empty = items == None if missing is type(None) else pd.isna(items)  # noqa: E711 - one by one
        if strings + np.count_nonzero(empty) != len(texts):
            return None
    try:
        if "pyarrow" in sys.modules and sum(map(len, some)) >= _LONG * len(some):
            offsets, memory = _offsets(items)
            if memory.size >= _LONG * len(items):
                return offsets, memory, empty
        return _with_one_between(items, texts, empty)
    except UnicodeError:  # half of a pair of surrogates is not text
        return None


def _with_one_between(items: Any, texts: list[Any], empty: object) -> Joined | None:
    if empty is not None:
        filled = items.copy()
        filled[empty] = ""
        texts = filled.tolist()
    for between in _BETWEEN:
        text = between.join(texts)
        if text.count(between) == len(texts) - 1:
            pieces = _pieces(text.encode(), between.encode())
            return None if pieces is None else (pieces, between, empty)
    return None


def _pieces(memory: bytes, between: bytes) -> list[bytes] | None:
    """Cut joined strings at separators; None if one string is too long for a piece."""
    pieces, start = [], 0
    while len(memory) - start > _PIECE:
        end = memory.rfind(between, start, start + _PIECE)
        if end < 0:
            return None
        pieces.append(memory[start:end])
        start = end + len(between)
    return [*pieces, memory[start:]]


def _offsets(items: Any) -> tuple[Any, Any]:
    import pyarrow as pa

    _, offsets, memory = pa.array(items, pa.large_string(), from_pandas=True).buffers()
    bounds = np.frombuffer(offsets, "<i8", len(items) + 1)
    return bounds, np.frombuffer(memory, np.uint8, bounds[-1])


def split(joined: Any, missing: object, *, checked: bool) -> Any:
    """Rebuild the array of strings; with `checked`, from a stranger's state."""
    memory, between, empty = joined
    if type(between) is not str:
        return _split_by_offsets(memory, between, empty, missing, checked=checked)
    pieces = memory if type(memory) is list else [memory.data]  # the first messages had a frame here
    if checked:
        need(type(memory) is list and len(between) == 1, "invalid text")
        need(all(type(piece) is bytes for piece in pieces), "invalid text")
        mark = between.encode()
        count = sum(piece.count(mark) + 1 for piece in pieces)
        charge(_EACH * count, _STRING * count + sum(map(len, pieces)))
    texts: list[str] = []
    for piece in pieces:
        texts += str(piece, "utf-8").split(between)
    if checked:
        need(empty is None or one_dimensional(empty, "b", len(texts)) is empty, "marks that do not fit")
    made = np.fromiter(texts, object, len(texts))
    if empty is not None:
        made[empty] = missing
    return made


def _split_by_offsets(offsets: Any, memory: object, empty: Any, missing: object, *, checked: bool) -> Any:
    if checked:
        _check_joined(offsets, memory, empty)
    try:
        import pyarrow as pa
    except ImportError:
        return _split_slowly(offsets, memory, empty, missing)
    valid = None if empty is None else pa.py_buffer(np.packbits(~empty, bitorder="little"))
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(memory)]
    array = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
    if checked:
        array.validate(full=True)
    made = array.to_numpy(zero_copy_only=False)
    if empty is not None and missing is not None:
        made[empty] = missing
    return made


def _split_slowly(offsets: Any, memory: Any, empty: Any, missing: object) -> Any:
    whole = memory.tobytes()
    items = [whole[low:high].decode() for low, high in itertools.pairwise(offsets.tolist())]
    made = np.fromiter(items, object, len(items))
    if empty is not None:
        made[empty] = missing
    return made


def _check_joined(offsets: Any, memory: Any, empty: object) -> None:
    need(one_dimensional(offsets, "i").dtype == np.dtype("<i8") and offsets.size, "invalid offsets")
    need(offsets[0] >= 0 and (offsets[1:] >= offsets[:-1]).all(), "offsets out of order")
    need(one_dimensional(memory, "u").dtype == np.uint8 and offsets[-1] <= memory.size, "too little text")
    charge(_EACH * offsets.size, (_STRING - 4) * offsets.size)  # just enough for strings of that length
    need(empty is None or one_dimensional(empty, "b", len(offsets) - 1) is empty, "marks that do not fit")


# -- arrays of text --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def text_dtype(storage: str, missing: bool) -> Any:
    """Return the dtype of text in a kind of memory, with NA or NaN for missing values."""
    need(storage in ("python", "pyarrow"), "invalid text")
    if "_na_value" in pd.StringDtype._metadata:
        return pd.StringDtype(storage, na_value=pd.NA if missing else np.nan)
    if missing:  # pandas 2.2 has a name for each
        return pd.StringDtype(storage)
    need(storage == "pyarrow", "text of Python's own with NaN, which pandas has from 2.3 on")
    return pd.StringDtype("pyarrow_numpy")


def can_text(array: Any) -> Any:
    """Return the state of an array of Python strings."""
    items, missing = array._ndarray, array.dtype.na_value
    if items.ndim != 1:
        return NotImplemented
    joined = join(items, type(missing))
    return (items.tolist() if joined is None else joined), missing is pd.NA


def text(state: object, *, checked: bool = False) -> Any:
    """Rebuild one."""
    items, missing = parts(state, (list, tuple), bool)
    dtype = text_dtype("python", missing)
    if type(items) is list:
        values = np.fromiter(items, object, len(items))
    else:
        need(len(items) == 3, "invalid text")
        values = split(items, dtype.na_value, checked=checked)
    return dtype.construct_array_type()._from_sequence(values, dtype=dtype)


checked_text: Final = partial(text, checked=True)


_FEW, _SHORT = 32, 1024
"""Texts, and their bytes, up to which they are sent as a list: names of columns take 1 µs then, not 6."""


def can_arrow_text(array: Any) -> Any:
    """Return the state of an array of text in Arrow's memory."""
    chunks = array._pa_array
    node_of, _, _, is_large = _arrow()
    if chunks.num_chunks != 1:
        nodes = list(map(node_of, chunks.chunks))
    else:
        chunk = chunks.chunk(0)
        few = len(chunk) <= _FEW and _size_of(chunk.buffers()[2]) <= _SHORT
        nodes = [chunk.to_pylist() if few else node_of(chunk)]
    name = "large_string" if is_large(chunks.type) else str(chunks.type)
    return nodes, name, array.dtype.na_value is pd.NA


@functools.lru_cache(maxsize=1)
def _arrow() -> tuple[Any, Any, Any, Any]:
    """Return the functions that use pyarrow: it may be missing, and takes 0.2 s to import."""
    import pyarrow as pa

    from . import arrow_building as building
    from . import arrow_nodes as nodes

    return nodes.node_of, building.array_of, building.checked_array_of, pa.large_string().equals


def _size_of(buffer: Any) -> int:
    return 0 if buffer is None else buffer.size


@functools.lru_cache(maxsize=256)
def _few_texts(kind: object, items: tuple[str | None, ...]) -> Any:
    """Make an immutable array of a few texts; the next message often has the same ones."""
    import pyarrow as pa

    return pa.chunked_array([pa.array(items, kind)])


@functools.lru_cache(maxsize=8)
def _arrow_text_kind(name: str, missing: bool) -> tuple[Any, Any, Any]:
    """Return the class of an array of text, the constructor's other arguments, and Arrow's type."""
    import pyarrow as pa

    need(name in ("string", "large_string"), "invalid text")
    dtype = text_dtype("pyarrow", missing)
    cls = dtype.construct_array_type()
    takes_dtype = "dtype" in inspect.signature(cls).parameters  # since pandas 3; before, the class decides
    kind = pa.string() if name == "string" else pa.large_string()
    return cls, {"dtype": dtype} if takes_dtype else {}, kind


def arrow_text(state: Any, *, checked: bool = False) -> Any:
    """Rebuild one."""
    nodes, name, missing = state
    cls, more, kind = _arrow_text_kind(name, missing)
    if len(nodes) == 1 and type(nodes[0]) is list:
        need(len(nodes[0]) <= _FEW, "more texts than go as a list")
        few = _few_texts.__wrapped__ if checked else _few_texts  # keep nothing from a stranger's message
        chunks = few(kind, tuple(nodes[0]))
    else:
        import pyarrow as pa

        _, array_of, checked_array_of, _ = _arrow()
        shape = kind if checked else (kind, (), None)
        make = checked_array_of if checked else array_of
        chunks = pa.chunked_array([make(shape, node) for node in nodes], kind)
    return cls(chunks, **more)


def checked_arrow_text(state: object) -> Any:
    """Rebuild one from a stranger's state."""
    nodes, *_ = parts(state, list, str, bool)
    if len(nodes) == 1 and type(nodes[0]) is list:
        need(all(type(item) in (str, type(None)) for item in nodes[0]), "invalid text")
        need(sum(len(item or "") for item in nodes[0]) <= _SHORT, "more text than goes as a list")
    return arrow_text(state, checked=True)
