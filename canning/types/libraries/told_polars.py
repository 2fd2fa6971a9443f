"""polars in portable messages: frames and series by Arrow's columns; needs pyarrow."""

from __future__ import annotations

from typing import Any, Final

import polars
import pyarrow as pa

from ...errors import SerializationError
from ..canner import Canner
from .checks import need
from .polars_frames import checked_frame, checked_series, is_beyond_arrow
from .told_arrow import can_table, make_column, make_table, tell_column
from .told_columns import fields_of

pl: Any = polars


def _refuse(name: str, dtype: Any) -> None:
    """Refuse types that Arrow lacks, and an Enum, which defines its own order."""
    is_enum = isinstance(dtype, pl.Enum)
    if is_enum or is_beyond_arrow(dtype):
        way = "cast it to pl.String or pl.Categorical" if is_enum else "make it numbers of 64 bits, or text"
        raise SerializationError(
            f"the column {name[:60]!r} of polars' type {dtype.base_type()} is not portable: "
            f"{way}, or send it without portable=True"
        )


def _can_frame(frame: Any) -> Any:
    for name, dtype in frame.schema.items():
        _refuse(name, dtype)
    return can_table(frame.to_arrow())


def _frame(state: object) -> Any:
    return checked_frame((make_table(state), {}))


def _can_series(series: Any) -> Any:
    _refuse(series.name, series.dtype)
    return {"name": series.name, "values": tell_column(series.to_arrow(), series.name)}


def _series(state: object) -> Any:
    name, column = fields_of(state, "name", "values")
    need(type(name) is str and type(column) is dict, "an invalid series")
    return checked_series((pa.table({name: make_column(column)}), {}, name))


CANNERS: Final = (
    Canner("polars.DataFrame/1", _can_frame, _frame, data=True, exact=True),
    Canner("polars.Series/1", _can_series, _series, data=True, exact=True),
)
