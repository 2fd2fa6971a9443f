"""Runs of instances of one class, and of dicts of scalars, followed by the C unpickler.

A run is the opcodes of instances whose fields are scalars, and nothing else; a regular expression checks it
to the last byte. The C unpickler then makes a dict of the fields of each instance: where the message names
the class, it finds a class of this module, whose instances hold nothing but these dicts and are dropped. It
can look up 256 entries of the memo, and finds texts there, and that class. The instances themselves are made
as all others are, field by field, and the account is charged for the same. A run of dicts has keys from the
memo alone, and these are texts: nothing else there can be a key.
"""

from __future__ import annotations

import io
import itertools
import pickle
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ...errors import is_of_signal
from ...pickles.headers import NEW_DICT, NEW_INSTANCE, TO_MEMO, framed
from .short_cuts import scalars

LEAST: Final = 128
"""Bytes of the shortest run: opcode by opcode, fewer take less time."""
_MOST: Final = 1 << 15
_REACH: Final = 256
"""Entries of the memo that a run can look up: their numbers take one byte."""
_SCALARS: Final = frozenset((int, float, str, bool, type(None)))


class _Dropped:
    """Stand for an instance while its fields are read."""


class _Other:
    """Stand for an entry of the memo that a run does not use."""

    __hash__ = None  # type: ignore[assignment]


@cache
def _pattern() -> re.Pattern[bytes]:
    value = b"(?:h.|" + scalars() + b")"
    instance = b"h." + re.escape(NEW_INSTANCE) + b"(?:h." + value + b")++ub"
    return re.compile(b"(?:" + instance + b")++", re.DOTALL)


def read_alike(
    data: bytes, at: int, memo: list[Any], is_class: Callable[[Any], bool], names: frozenset[str]
) -> tuple[list[Any], int]:
    """Read the fields of a run of instances that starts at `at`.

    `is_class` tells whether an entry of the memo names the class, whose fields are `names`. Returns what the
    memo has from then on, None in place of each instance, the dict of its fields behind it; and the offset
    behind the run. No entries if there is no run of `LEAST` bytes; raises `ValueError` if anything in it is
    not as it should be.
    """
    found = _pattern().match(data, at, at + _MOST)
    if found is None or found.end() - at < LEAST:
        return [], at
    known: list[Any] = [_Other()] * _REACH
    for number, item in enumerate(memo[:_REACH]):
        if type(item) is str or is_class(item):
            known[number] = item if type(item) is str else _Dropped
    _, entries = _load(found[0], known)
    for number, entry in enumerate(entries):
        if type(entry) is _Dropped:
            entries[number] = None
        elif type(entry) is dict and not (
            entry.keys() == names and _SCALARS.issuperset(map(type, entry.values()))
        ):
            raise ValueError
    return entries, found.end()


@cache
def _rows_pattern() -> re.Pattern[bytes]:
    pair = b"(?:h.(?:h.|" + scalars() + b"))"
    row = re.escape(NEW_DICT) + rb"(?:\(" + pair + b"++u|" + pair + b"s)"
    return re.compile(b"(?:" + row + b")++", re.DOTALL)


def read_rows(data: bytes, at: int, memo: list[Any]) -> tuple[list[dict[str, Any]], list[Any], int]:
    """Read a run of dicts of scalars that starts at `at`.

    Returns the dicts, what the memo has from then on, and the offset behind the run. No dicts if there is no
    run of `LEAST` bytes, or if the memo is shorter than what a run can look up; raises `ValueError` if
    anything in the run is not as it should be.
    """
    found = _rows_pattern().match(data, at, at + _MOST) if len(memo) >= _REACH else None
    if found is None or found.end() - at < LEAST:
        return [], [], at
    known = [item if type(item) is str else _Other() for item in memo[:_REACH]]
    rows, entries = _load(found[0], known)
    if not _SCALARS.issuperset(map(type, itertools.chain.from_iterable(map(dict.values, rows)))):
        raise ValueError
    return rows, entries, found.end()


def _load(run: bytes, known: list[Any]) -> tuple[list[Any], list[Any]]:
    """Let the C unpickler read a run; return its objects, and what it has put into the memo."""
    body = b"".join((TO_MEMO * _REACH, b"(", run, b"l."))
    reader = pickle.Unpickler(io.BytesIO(framed(body)), buffers=known)
    try:
        objects: list[Any] = reader.load()
    except Exception as error:
        if is_of_signal(error):
            raise
        raise ValueError from error
    return objects, list(reader.memo.copy().values())[_REACH:]
