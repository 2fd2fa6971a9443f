"""Types that are known from the start: the rows of `tests.types`, and what strangers make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import canning

from .harness import check_round_trip
from .types import NOTHING, Row, describe, page
from .types_rows import ROWS

DOCS = Path(__file__).parents[1] / "docs" / "types.md"
HERE = [
    pytest.param(row, id=row.name, marks=[] if row.is_here else pytest.mark.skip(f"needs {row.package}"))
    for row in ROWS
]
DEPTHS = ("itself", "dict", "slots", "object array", "closure", "depth 3")


@pytest.mark.parametrize("row", HERE)
def test_round_trip(row: Row) -> None:
    obj = row.make()
    check_round_trip(obj, same=row.same, uncopied=False, depths=DEPTHS)


@pytest.mark.parametrize("row", HERE)
def test_plain_data(row: Row) -> None:
    obj = row.make()
    frames = canning.serialize_object({"k": [obj]})
    if row.data:
        got, rest = row.reader.deserialize_object(frames)
        assert rest == []
        row.same(obj, got["k"][0], writeable="at most")
    else:
        with pytest.raises(canning.DeserializationError):
            row.reader.deserialize_object(frames)


@pytest.mark.parametrize("row", HERE)
def test_memory_is_sent_uncopied(row: Row) -> None:
    uncopied, _, aligned, data = describe(row)
    assert uncopied in ("yes", NOTHING) or row.remark, "what is copied has its reason in the page"
    assert aligned in ("yes", NOTHING)
    assert data == ("yes" if row.data else "no")


def test_the_page_of_types_is_up_to_date() -> None:
    text = DOCS.read_text()
    assert page(text) == text, "run python -m tests.types --write docs/types.md"
