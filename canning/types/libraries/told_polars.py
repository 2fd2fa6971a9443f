"""polars in portable messages: frames and series by Arrow's columns; needs pyarrow."""

from __future__ import annotations

from typing import Any, Final

import polars
import pyarrow as pa

from ...errors import SerializationError
from ..canner import Canner
from .checks import need
from .polars_frames import checked_frame, checked_series
from .told_arrow import can_table, make_column, make_table, tell_column
from .told_columns import fields_of

pl: Any = polars


def _refuse_enum(name: str, dtype: Any) -> None:
    """Refuse an Enum, which sorts by an order of its own: what arrived would sort by its text."""
    if isinstance(dtype, pl.Enum):
        raise SerializationError(
            f"the column {name[:60]!r} of polars' type Enum is not portable: "
            "cast it to pl.String or pl.Categorical, or send it without portable=True"
        )


def _can_frame(frame: Any) -> Any:
    for name, dtype in frame.schema.items():
        _refuse_enum(name, dtype)
    return can_table(frame.to_arrow())


def _frame(state: object) -> Any:
    return checked_frame((make_table(state), {}))


def _can_series(series: Any) -> Any:
    _refuse_enum(series.name, series.dtype)
    return {"name": series.name, "values": tell_column(series.to_arrow())}


def _series(state: object) -> Any:
    name, column = fields_of(state, "name", "values")
    need(type(name) is str and type(column) is dict, "an invalid series")
    return checked_series((pa.table({name: make_column(column)}), {}, name))


CANNERS: Final = (
    Canner("polars.DataFrame/1", _can_frame, _frame, data=True, exact=True),
    Canner("polars.Series/1", _can_series, _series, data=True, exact=True),
)
