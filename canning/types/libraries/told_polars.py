"""polars in portable messages: frames and series by Arrow's columns; needs pyarrow."""

from __future__ import annotations

from typing import Any, Final

import polars

from ...errors import SerializationError
from ..canner import Canner
from .checks import need
from .told_arrow import can_table, make_column, make_table, tell_column
from .told_columns import fields_of

pl: Any = polars


def _can_frame(frame: Any) -> Any:
    if not frame.columns and len(frame):
        raise SerializationError("a DataFrame of rows without columns is not portable")
    return can_table(frame.to_arrow())


def _frame(state: object) -> Any:
    table = make_table(state)
    need(not any("\0" in name for name in table.column_names), "a name that polars does not take")
    need(len(set(table.column_names)) == table.num_columns, "a name that is there twice")
    return pl.from_arrow(table) if table.num_columns else pl.DataFrame()


def _can_series(series: Any) -> Any:
    return {"name": series.name, "values": tell_column(series.to_arrow())}


def _series(state: object) -> Any:
    name, column = fields_of(state, "name", "values")
    need(type(name) is str and "\0" not in name and type(column) is dict, "an invalid series")
    return pl.from_arrow(make_column(column)).alias(name)


CANNERS: Final = (
    Canner("polars.DataFrame/1", _can_frame, _frame, data=True, exact=True),
    Canner("polars.Series/1", _can_series, _series, data=True, exact=True),
)
