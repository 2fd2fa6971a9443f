"""polars: DataFrame and Series, by Arrow's buffers, which polars hands out without a copy.

Columns that pyarrow has no type for, of Python's objects or integers of 128 bits, go as lists. A LazyFrame is
a plan, and polars' own pickling sends it, the frames in it too. Without pyarrow it sends all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import polars as pl

from ..canner import Canner
from ..errors import DeserializationError
from .checks import need, parts

_OWN: Final = b"_PL_"
"""How the metadata begins in which polars keeps the categories of a column."""


def _table_of(frame: Any) -> Any:
    """Look at a frame as a table of Arrow; text stays in views, as polars keeps it, and is not copied."""
    return frame.to_arrow(compat_level=pl.CompatLevel.newest())


def _can_frame(frame: Any) -> Any:
    listed = [at for at, kind in enumerate(frame.dtypes) if kind in _LISTED]
    if not _has_arrow():
        return NotImplemented
    lists = [(at, frame.dtypes[at].base_type().__name__, frame.to_series(at).to_list()) for at in listed]
    if lists:
        lists.append(frame.columns)
        frame = frame.drop([frame.columns[at] for at in listed])
    if any(_holds_listed(kind) for kind in frame.dtypes):
        return NotImplemented
    enums = {at: kind.categories.to_list() for at, kind in enumerate(frame.dtypes) if kind == pl.Enum}
    return _table_of(frame), enums, *((lists,) if lists else ())


def _frame(state: Any) -> Any:
    table, _, *lists = state
    made: Any = _renamed(table)
    return _with_lists(made, *lists[0]) if lists else made


def _renamed(table: Any) -> Any:
    """Make a frame of a table; polars names a column without a name anew."""
    if not table.num_columns:
        return pl.DataFrame()
    made: Any = pl.from_arrow(table, rechunk=False)
    if made.columns != table.column_names:
        made.columns = table.column_names
    return made


def _with_lists(made: Any, *more: Any) -> Any:
    *lists, names = more
    columns = made.get_columns()
    for at, kind, items in lists:
        columns.insert(at, pl.Series(names[at], items, dtype=_KINDS[kind], strict=True))
    made = pl.DataFrame(columns)
    made.columns = names
    return made


def _checked_frame(state: Any) -> Any:
    """Make a frame; polars does not check what its metadata says, so that goes, and enums are cast."""
    import pyarrow as pa

    table, enums, *lists = parts(state, pa.Table, dict, *[list] * (len(state) - 2))
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    need(_OWN not in schema.serialize().to_pybytes(), "categories within lists or structs")
    made: Any = _renamed(pa.Table.from_arrays(table.columns, schema=schema))
    for at, words in enums.items():
        at = made.columns.index(at) if type(at) is str else at  # by name, in messages of an older version
        need(type(at) is int and 0 <= at < made.width and type(words) is list, "categories of no column")
        need(all(type(word) is str for word in words), "categories that are no text")
        made.replace_column(at, made.to_series(at).cast(pl.String).cast(pl.Enum(words)))
    if not lists:
        return made
    need(len(lists) == 1 and lists[0], "columns that are none")
    *columns, names = lists[0]
    need(type(names) is list and all(type(name) is str for name in names), "columns without names")
    need(len(columns) + made.width == len(names), "columns that do not fit")
    for column in columns:
        at, kind, items = parts(column, int, str, list)
        need(0 <= at < len(names) and kind in _KINDS, "a column of no type of polars'")
        need(kind == "Object" or all(type(item) in (int, type(None)) for item in items), "odd integers")
    return _with_lists(made, *lists[0])


def _can_series(series: Any) -> Any:
    state = _can_frame(series.to_frame())
    return state if state is NotImplemented else (*state, series.name)


def _series(state: Any) -> Any:
    *frame, name = state
    return _frame(frame).to_series().rename(name)


def _checked_series(state: Any) -> Any:
    need(type(state) is tuple and len(state) in (3, 4) and type(state[-1]) is str, "a series that is none")
    frame = _checked_frame(state[:-1])
    need(frame.width == 1, "a series of several columns")
    return frame.to_series().rename(state[-1])


def _without_panic(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a panic in polars, which is no `Exception`, be an error."""

    def make_or_raise(state: Any) -> Any:
        try:
            return make(state)
        except BaseException as error:
            if isinstance(error, Exception | KeyboardInterrupt | SystemExit):
                raise
            raise DeserializationError("a frame that polars cannot make") from error

    return make_or_raise


_KINDS: Final = {name: getattr(pl, name) for name in ("Object", "Int128", "UInt128") if hasattr(pl, name)}
_LISTED: Final = tuple(_KINDS.values())
"""Types of columns that go as lists."""


def _holds_listed(kind: Any) -> bool:
    return kind in _LISTED or any(_holds_listed(inner) for inner in _inner(kind))


def _inner(kind: Any) -> list[Any]:
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
    Canner("polars.DataFrame", _can_frame, _frame, data=_without_panic(_checked_frame), exact=True),
    Canner("polars.Series", _can_series, _series, data=_without_panic(_checked_series), exact=True),
)
