"""polars: DataFrame and Series, by Arrow's buffers, which polars exports without a copy.

Columns of Python's objects or integers of 128 bits, for which pyarrow has no type, are sent as lists. polars'
own pickling sends a LazyFrame, with the frames in it, and without pyarrow all types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import polars as pl

from ...errors import DeserializationError
from ..budget import charge
from ..canner import Canner
from .checks import need, parts

_COLUMN: Final = 2000
_WORD: Final = 20
"""The cost of a column, and of one of its words, in items of 50 ns."""
_WORD_SIZE: Final = 200
"""Bytes of a word that is looked up: as a Python string, as a value, and in the table of its categories."""
_CATEGORY: Final = 130
"""Bytes of a word of unnamed categories, besides its letters, in the table that polars makes."""
_PANIC: Final = "PanicException"
_CODES: Final = ("UInt8", "UInt16", "UInt32")
_OWN: Final = b"_PL_"
"""The start of the metadata in which polars keeps the categories of a column."""


def _table_of(frame: pl.DataFrame) -> Any:
    """View a frame as an Arrow table; text stays in views, as in polars, and is not copied."""
    return frame.to_arrow(compat_level=pl.CompatLevel.newest())


def _can_frame(frame: object) -> Any:
    try:
        return _state_of(frame)
    except BaseException as error:  # a panic is not an `Exception`; polars' own pickling may work
        if type(error).__name__ == _PANIC:
            return NotImplemented
        raise


def _state_of(frame: Any) -> Any:
    listed = [at for at, kind in enumerate(frame.dtypes) if kind in _LISTED]
    if not _has_arrow():
        return NotImplemented
    lists = [(at, frame.dtypes[at].base_type().__name__, frame.to_series(at).to_list()) for at in listed]
    if lists:
        lists.append(frame.columns)
        frame = frame.drop([frame.columns[at] for at in listed])
    if any(is_beyond_arrow(kind) for kind in frame.dtypes):
        return NotImplemented
    words = {at: _words_of(kind) for at, kind in enumerate(frame.dtypes) if _has_words(kind)}
    return _table_of(frame), words, *((lists,) if lists else ())


def _has_words(kind: object) -> bool:
    """Tell whether a column has categories other than the unnamed ones, which all columns share."""
    if isinstance(kind, pl.Categorical) and hasattr(pl, "Categories"):
        return not kind.categories.is_global()
    return isinstance(kind, pl.Enum)


def _words_of(kind: Any) -> Any:
    """Describe categories: a list of words, or the name, the namespace and the type of their codes."""
    if isinstance(kind, pl.Enum):
        return kind.categories.to_list()
    named = kind.categories
    return named.name(), named.namespace(), str(named.physical())


def _frame(state: tuple[Any, ...]) -> Any:
    table, _, *lists = state
    made: Any = _renamed(table)
    return _with_lists(made, *lists[0]) if lists else made


def _renamed(table: Any) -> Any:
    """Make a frame of a table; polars would give an unnamed column a new name."""
    if not table.num_columns:
        return _only_rows(table.num_rows)
    made: Any = pl.from_arrow(table, rechunk=False)
    if made.columns != table.column_names:
        made.columns = table.column_names
    return made


def _only_rows(rows: int) -> Any:
    """Make a frame that has rows, and no columns; the oldest versions of polars lack such frames."""
    return pl.DataFrame({"": pl.repeat(None, rows, eager=True)}).drop("") if rows else pl.DataFrame()


def _with_lists(made: Any, *more: Any) -> Any:
    *lists, names = more
    columns = made.get_columns()
    for at, kind, items in lists:
        columns.insert(at, pl.Series(names[at], items, dtype=_KINDS[kind], strict=True))
    made = pl.DataFrame(columns)
    made.columns = names
    return made


def _without_panic(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Turn a panic in polars, which is not an `Exception`, into an error."""

    def make_or_raise(state: object) -> Any:
        try:
            return make(state)
        except BaseException as error:
            if type(error).__name__ != _PANIC:
                raise
            raise DeserializationError("a frame that polars cannot make") from error

    return make_or_raise


@_without_panic
def checked_frame(state: tuple[Any, ...]) -> Any:
    """Make a frame without polars' metadata, which polars does not check; look up the words of enums."""
    import pyarrow as pa

    table, words, *lists = parts(state, pa.Table, dict, *[list] * (len(state) - 2))
    need(len(lists) < 2, "invalid columns")
    need(not any("\0" in name for name in table.column_names), "a name that polars cannot give to Arrow")
    charge(_COLUMN * (1 + table.num_columns))
    for column in table.columns:
        charge(0, sum(_anew(chunk.__reduce__()[1][0]) for chunk in column.chunks))
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    need(_OWN not in schema.serialize().to_pybytes(), "categories within lists or structs")
    bare = pa.Table.from_arrays(table.columns, schema=schema) if table.num_columns else table
    made: Any = _renamed(_without_words(bare, words))
    known: dict[int, Any] = {}
    columns = made.get_columns()
    for at, described in words.items():
        if id(described) not in known:
            known[id(described)] = _kind_of(described), {}
        columns[at] = _looked_up(table.column(at), columns[at], *known[id(described)])
    made = pl.DataFrame(columns) if words else made
    if not lists:
        return made
    need(lists[0], "invalid columns")
    *columns, names = lists[0]
    need(type(names) is list and all(type(name) is str for name in names), "columns without names")
    need(not any("\0" in name for name in names), "a name that polars cannot give to Arrow")
    need(len(columns) + made.width == len(names), "columns that do not fit")
    for column in columns:
        at, kind, items = parts(column, int, str, list)
        need(0 <= at < len(names) and kind in _KINDS, "a column of no type of polars'")
        need(kind != "Object", "a column of objects, which polars sorts and hashes by panics")
        need(all(type(item) in (int, type(None)) for item in items), "odd integers")
    return _with_lists(made, *lists[0])


def _anew(data: Any) -> int:
    """Count the bytes that polars allocates for an array of a type that it has to convert."""
    kind, length, _, offset, _, children, words = data
    each = _each(getattr(kind, "storage_type", kind))
    made: int = (length + offset) * each + (_CATEGORY * words[1] if words else 0)
    return made + sum(map(_anew, children))


def _each(kind: Any) -> int:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return 4 if kind.index_type.bit_width < 32 else 0
    if types.is_decimal(kind):
        return 16 if kind.bit_width != 128 else 0
    if _is_text(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return 0 if types.is_string_view(kind) else 16
    if types.is_fixed_size_binary(kind):
        return 16
    return 12 if types.is_time32(kind) or types.is_list(kind) or types.is_map(kind) else 0


def _without_words(table: Any, words: dict[Any, Any]) -> Any:
    """Return a table with codes instead of words in some columns."""
    import pyarrow as pa

    columns, names = table.columns, table.column_names
    for at in words:
        need(type(at) is int and 0 <= at < table.num_columns, "categories of no column")
        kind = table.schema.field(at).type
        need(pa.types.is_dictionary(kind) and _is_text(kind.value_type), "categories that are not text")
        codes = [chunk.indices for chunk in columns[at].chunks]
        columns[at] = pa.chunked_array(codes, kind.index_type)
    return pa.Table.from_arrays(columns, names) if words else table


def _is_text(kind: object) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _kind_of(described: object) -> Any:
    """Make the type of a column with categories from their description."""
    if type(described) is list:
        need(all(type(word) is str for word in described), "categories that are not text")
        need(not any("\0" in word for word in described), "a category that polars cannot give to Arrow")
        charge(_WORD * len(described), _WORD_SIZE * len(described))
        return pl.Enum(described)
    name, namespace, physical = parts(described, str, str, str)
    need(0 < len(name) < 1000 and len(namespace) < 1000 and physical in _CODES, "categories without a name")
    return pl.Categorical(pl.Categories(name, namespace, getattr(pl, physical)))


def _looked_up(column: Any, codes: Any, kind: Any, known: dict[Any, Any]) -> Any:
    """Look up codes among words, which are cast once, so that the order of the codes is harmless."""
    made = []
    at = 0
    for chunk in column.chunks:
        count = len(chunk.dictionary)
        charge(_WORD * count, _WORD_SIZE * count)
        words = tuple(chunk.dictionary.to_pylist())
        if words not in known:
            known[words] = pl.Series(words, dtype=pl.String).cast(kind)
        made.append(known[words].gather(codes.slice(at, len(chunk))))
        at += len(chunk)
    if len(made) == 1:
        return made[0].rename(codes.name)
    return pl.concat(made, rechunk=False).rename(codes.name) if made else pl.Series(codes.name, [], kind)


def _can_series(series: pl.Series) -> Any:
    state = _can_frame(series.to_frame())
    return state if state is NotImplemented else (*state, series.name)


def _series(state: Any) -> Any:
    *frame, name = state
    return _frame(frame).to_series().rename(name)


@_without_panic
def checked_series(state: tuple[Any, ...]) -> Any:
    """Make a series from a stranger's state, that of a frame and a name, as `checked_frame` does."""
    need(type(state) is tuple and len(state) in (3, 4) and type(state[-1]) is str, "an invalid series")
    need("\0" not in state[-1], "a name that polars cannot give to Arrow")
    frame = checked_frame(state[:-1])
    need(frame.width == 1, "a series of several columns")
    return frame.to_series().rename(state[-1])


_KINDS: Final = {name: getattr(pl, name) for name in ("Object", "Int128", "UInt128") if hasattr(pl, name)}
_LISTED: Final = tuple(_KINDS.values())
"""Types of columns that are sent as lists."""


def is_beyond_arrow(kind: object) -> bool:
    """Tell whether polars cannot read columns of a type from Arrow, or cannot hold their values."""
    if isinstance(kind, pl.Array) and 0 in kind.shape:
        return True
    return kind in _LISTED or any(is_beyond_arrow(inner) for inner in _inner(kind))


def _inner(kind: object) -> list[Any]:
    if isinstance(kind, pl.Struct):
        return [field.dtype for field in kind.fields]
    return [kind.inner] if isinstance(kind, pl.List | pl.Array) else []


def _has_arrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


CANNERS: Final = (
    Canner("polars.DataFrame", _can_frame, _frame, data=checked_frame, exact=True),
    Canner("polars.Series", _can_series, _series, data=checked_series, exact=True),
)
