"""polars: DataFrame and Series, by Arrow's buffers, which polars hands out without a copy.

A LazyFrame is a plan, and polars' own pickling sends it. Without pyarrow, polars' own pickling sends all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import polars as pl

from ..errors import DeserializationError
from ..registry import Canner
from .checks import need, parts

_OWN: Final = b"_PL_"
"""How the metadata begins in which polars keeps the categories of a column."""


def _table_of(frame: Any) -> Any:
    """Look at a frame as a table of Arrow; text stays in views, as polars keeps it, and is not copied."""
    return frame.to_arrow(compat_level=pl.CompatLevel.newest())


def _can_frame(frame: Any) -> Any:
    if any(_holds_objects(kind) for kind in frame.dtypes) or not _has_arrow():
        return NotImplemented
    enums = {name: kind.categories.to_list() for name, kind in frame.schema.items() if kind == pl.Enum}
    return _table_of(frame), enums


def _frame(state: Any) -> Any:
    return pl.from_arrow(state[0], rechunk=False) if state[0].num_columns else pl.DataFrame()


def _checked_frame(state: Any) -> Any:
    """Make a frame; polars does not check what its metadata says, so that goes, and enums are cast."""
    import pyarrow as pa

    table, enums = parts(state, pa.Table, dict)
    schema = pa.schema([field.remove_metadata() for field in table.schema])
    need(_OWN not in schema.serialize().to_pybytes(), "categories within lists or structs")
    made: Any = _frame((pa.Table.from_arrays(table.columns, schema=schema),))
    for name, words in enums.items():
        need(name in made.columns and type(words) is list, "categories of no column")
        need(all(type(word) is str for word in words), "categories that are no text")
        made = made.with_columns(made[name].cast(pl.String).cast(pl.Enum(words)))
    return made


def _can_series(series: Any) -> Any:
    state = _can_frame(series.to_frame())
    return state if state is NotImplemented else (*state, series.name)


def _series(state: Any) -> Any:
    *frame, name = state
    return _frame(frame).to_series().rename(name)


def _checked_series(state: Any) -> Any:
    table, enums, name = parts(state, object, dict, str)
    frame = _checked_frame((table, enums))
    need(frame.width == 1, "a series of several columns")
    return frame.to_series().rename(name)


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


def _holds_objects(kind: Any) -> bool:
    return kind == pl.Object or any(_holds_objects(inner) for inner in _inner(kind))


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
