"""pyarrow in portable messages: tables of numbers, flags, text, times and categories, as columns.

Numbers, times and text of one chunk without missing values are sent without a copy; numbers are also read
without one.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import SerializationError
from ..canner import Canner
from .arrow_building import checked_array_of
from .checks import need, one_dimensional, private_copy
from .told_columns import Column, arrow_column, columns_of, fields_of, mask_of, text_parts, values_of

_kinds: Any = pa.types
_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)")
_NUMBERS: Final = "iufb"
_CODES: Final = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


# -- columns ---------------------------------------------------------------------------------------------


def tell_column(values: Any, name: str = "") -> Column:
    """Describe a column, which is an array or a chunked array; errors have its name."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # older versions return one
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if _kinds.is_string(kind) or _kinds.is_large_string(kind) or str(kind) == "string_view":
        return {**arrow_column(array.cast(pa.large_string())), "dtype": str(kind)}
    if _kinds.is_timestamp(kind) or _kinds.is_duration(kind) or _kinds.is_date32(kind):
        return _tell_times(array)
    if _kinds.is_dictionary(kind):
        codes, dtype = array.indices, str(kind.index_type)
        if codes.null_count:
            codes = codes.cast(pa.int64() if dtype.startswith("u") else codes.type).fill_null(-1)
        told = {"codes": codes.to_numpy(zero_copy_only=False), "categories": tell_column(array.dictionary)}
        return {"kind": "categories", **told, "ordered": kind.ordered, "dtype": dtype}
    if not (_kinds.is_integer(kind) or _kinds.is_floating(kind) or _kinds.is_boolean(kind)):
        column = f"the column {name[:60]!r}" if name else "a column"
        raise SerializationError(
            f"{column} of Arrow's type {str(kind)[:60]} is not portable: cast it to numbers, text or times"
        )
    if not array.null_count:
        return {"kind": "array", "values": array.to_numpy(zero_copy_only=False)}
    mask = array.is_null().to_numpy(zero_copy_only=False)
    filled = pc.fill_null(array, False if _kinds.is_boolean(kind) else pa.scalar(0, kind))
    return {"kind": "masked", "values": filled.to_numpy(zero_copy_only=False), "mask": mask}


def _tell_times(array: Any) -> Column:
    kind = array.type
    day = _kinds.is_date32(kind)
    unit = "D" if day else kind.unit
    counts = array.cast(pa.int32()).cast(pa.int64()) if day else array.cast(pa.int64())
    if counts.null_count:
        counts = pc.fill_null(counts, pa.scalar(-(2**63), pa.int64()))
    code = "m8" if _kinds.is_duration(kind) else "M8"
    told = {"kind": "array", "values": counts.to_numpy(zero_copy_only=False).view(f"{code}[{unit}]")}
    zone = None if day or code == "m8" else kind.tz
    return told if zone is None else {**told, "kind": "times", "zone": _zone_of(zone)}


def _zone_of(text: str) -> dt.tzinfo:
    found = _OFFSET.fullmatch(text)
    if found:
        offset = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return dt.timezone(-offset if found[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(text)
    except (ValueError, OSError) as error:
        raise SerializationError("times in a zone that this machine does not know") from error


def make_column(column: Column) -> Any:
    """Make a column from a stranger's description."""
    make = _MAKERS.get(column.get("kind"))
    need(make is not None, "a column of a kind that Arrow does not have")
    return make(column)  # type: ignore[misc]


def _make_array(column: Column) -> Any:
    values = values_of(column, _NUMBERS + "mM")
    if values.dtype.kind in "mM":
        return _times_over(values, None)
    return pa.array(values)


def _make_masked(column: Column) -> Any:
    values = values_of(column, _NUMBERS)
    mask = mask_of(column, len(values))
    need(mask is not None, "a column without its mask")
    return pa.array(values, mask=mask)


def _times_over(values: Any, zone: str | None) -> Any:
    unit, step = np.datetime_data(values.dtype)
    need(step == 1 and unit in ("D", "s", "ms", "us", "ns"), "times in a unit that Arrow does not have")
    mask = np.isnat(values)
    counts = values.view(np.int64)
    if unit == "D":
        need(values.dtype.kind == "M" and zone is None, "days in a time zone")
        need((mask | ((counts >= -(1 << 31)) & (counts < 1 << 31))).all(), "days out of range")
        return _over(pa.date32(), mask, counts.astype(np.int32))
    kind = pa.duration(unit) if values.dtype.kind == "m" else pa.timestamp(unit, zone)
    return _over(kind, mask, counts)


def _over(kind: Any, mask: Any, *memory: Any) -> Any:
    """Make an array as from any message: data that others use unchecked is copied, then checked."""
    length = len(memory[0]) - (kind == pa.large_string())
    valid = np.packbits(~mask, bitorder="little") if mask is not None and mask.any() else None
    return checked_array_of(kind, (length, -1, 0, (valid, *memory), (), None))


def _make_times(column: Column) -> Any:
    zone = column.get("zone")
    if isinstance(zone, zoneinfo.ZoneInfo):
        return _times_over(values_of(column, "M"), zone.key)
    need(type(zone) is dt.timezone, "times without their zone")
    seconds = int(zone.utcoffset(None).total_seconds())  # type: ignore[union-attr]
    need(seconds % 60 == 0, "a time zone that Arrow does not have")
    sign = "-" if seconds < 0 else "+"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return _times_over(values_of(column, "M"), f"{sign}{hours:02}:{minutes:02}")


def make_text(column: Column) -> Any:
    """Make a column of text from a stranger's description."""
    offsets, data, mask = text_parts(column)
    made = _over(pa.large_string(), mask, offsets, data)
    return made.cast(pa.string()) if column.get("dtype") == "string" else made


def _make_categories(column: Column) -> Any:
    categories, ordered = column.get("categories"), column.get("ordered")
    need(type(categories) is dict and categories.get("kind") != "categories", "invalid categories")
    need(type(ordered) is bool, "invalid categories")
    codes, words = private_copy(one_dimensional(column.get("codes"), "iu")), make_column(categories)  # type: ignore[arg-type]
    missing = codes == -1 if codes.dtype.kind == "i" else np.zeros(len(codes), bool)
    inside = codes[~missing]
    need(not inside.size or (inside.min() >= 0 and inside.max() < len(words)), "codes out of range")
    indices = pa.array(np.where(missing, 0, codes).astype(codes.dtype), mask=missing)
    dtype = column.get("dtype")
    if dtype is not None:
        need(dtype in _CODES, "invalid categories")
        indices = indices.cast(pa.type_for_alias(dtype))
    return pa.DictionaryArray.from_arrays(indices, words, ordered=ordered)


_MAKERS: Final[dict[Any, Any]] = {
    "array": _make_array,
    "masked": _make_masked,
    "times": _make_times,
    "text": make_text,
    "categories": _make_categories,
}


# -- tables ----------------------------------------------------------------------------------------------


def can_table(table: Any) -> Any:
    """Describe a table."""
    if not table.num_columns and table.num_rows:
        raise SerializationError("a table of rows without columns is not portable")
    names = list(table.column_names)
    told = [tell_column(column, name) for column, name in zip(table.columns, names, strict=True)]
    return {"names": names, "columns": told}


def make_table(state: object) -> Any:
    """Make a table from a stranger's description."""
    names, columns = fields_of(state, "names", "columns")
    told = columns_of(names, columns)
    need(all(type(name) is str for name, _ in told), "names that are not text")
    made = [make_column(column) for _, column in told]
    need(len(set(map(len, made))) <= 1, "columns of different lengths")
    return pa.Table.from_arrays(made, names=names)


CANNERS: Final = (Canner("pyarrow.Table/1", can_table, make_table, data=True, exact=True),)
