"""States of registered types are as ``docs/states.md`` says, in all rows of `tests.types` and some more."""

from __future__ import annotations

import re
import sys
import warnings

import pytest

import canning
from canning.types.libraries.known import LIBRARIES

from .states import PAGE, WORDS, Header, Matcher, Met, Type, definitions, expected
from .states_rows import MORE
from .types import Row
from .types_rows import PACKAGES, ROWS

TEXT = PAGE.read_text(encoding="utf-8")
STATES = definitions(TEXT)
KNOWN = {
    name: library.package
    for module, library in LIBRARIES.items()
    for name in library.types
    if module != "numba_typed"  # which are never sent
}
PORTABLE = canning.Serializer(portable=True)


def owners() -> dict[str, str]:
    """Tell of which package each definition of the page is: one without a package is of that above it."""
    found, package = {}, ""
    for name in STATES:
        package = KNOWN.get(name, package)
        found[name] = package
    return found


OLDER = ("pandas.arrays.DatetimeArray", "pandas.arrays.TimedeltaArray")
"""What has a frequency in versions of pandas before 3.1 alone."""


def header_of(obj: object) -> Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Header(canning.serialize_object([obj])[0])


def headers_of(obj: object) -> list[Header]:
    """Give the header, and that of the portable message, if it can be one: then it is read as data."""
    try:
        frames = PORTABLE.serialize_object([obj])
    except canning.SerializationError:
        return [header_of(obj)]
    canning.deserialize_object(frames, trust="data")
    return [header_of(obj), Header(frames[0])]


def match(headers: list[Header], what: str) -> Met:
    """Match all registered states in headers."""
    matcher, found = Matcher(STATES), frozenset[Type | tuple[Type, int, bool]]()
    for name, state, _ in (args for header in headers for args in header.registered):
        met = matcher.match(STATES[name], state)
        assert met is not None, f"{what}: a state of {name} is not as docs/states.md says"
        found |= met
    return found


def test_every_registered_type_is_on_the_page() -> None:
    assert {name for name in STATES if "." in name} == set(KNOWN)


def test_every_word_of_the_page_is_defined() -> None:
    words = {part.text for kind in STATES.values() for part in kind.walk() if part.kind == "word"}
    assert {word for word in words if "." not in word} <= {*WORDS, *STATES}
    called = {"datetime.timedelta", "canning.calls.dtype"}
    assert {word for word in words if "." in word} <= {*KNOWN, *called}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_state_is_as_the_page_says_and_every_part_of_it_is_met(package: str) -> None:
    rows = [row for row in ROWS if row.package == package]
    if not all(row.is_here for row in rows):
        pytest.skip(f"needs {package}")
    found: Met = frozenset()
    for row in rows:
        found |= match(headers_of(row.make()), row.name)
    for obj in MORE.get(package, list)():
        found |= match(headers_of(obj), "more")
    if package == "pandas" and hasattr(sys.modules["pandas"].arrays.DatetimeArray, "freq"):
        return  # before 3.1 it cannot make everything on the page
    for name, kind in STATES.items():
        if owners()[name] == package:
            parts = [kind] if name in OLDER else expected(kind)
            unmet = [part for part in parts if part not in found]
            assert not unmet, f"{name}: nothing meets {unmet}"


def unspecified(row: Row) -> bool:
    """Tell whether a header names something that is neither on the pages nor the class of an object."""
    header = header_of(row.make())
    classes = {value.name for args in header.registered for value in args if isinstance(value, type)}
    classes |= {value.name for _, state, _ in header.registered for value in state if isinstance(value, type)}
    return any(not name.startswith("canning.calls.") for name in header.names - classes)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_not_specified_is_on_the_page(package: str) -> None:
    rows = [row for row in ROWS if row.package == package]
    if not all(row.is_here for row in rows):
        pytest.skip(f"needs {package}")
    title = PACKAGES[package][0]
    listed = re.search(rf"^\| {title.lower()} \| (.*) \|$", TEXT, re.MULTILINE | re.IGNORECASE)
    names = listed[1].split("; ") if listed else []
    # what is read as data has names of the standard library that wire-format.md lists, and no others
    assert names == [row.name for row in rows if not row.data and unspecified(row)]
