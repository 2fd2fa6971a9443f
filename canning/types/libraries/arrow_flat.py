"""pyarrow: how much a serialized schema says, before Arrow reads it.

A schema is a message of FlatBuffers, in which tables, text and vectors are found by offsets. Nothing keeps a
stranger from naming one part many times: a schema of 200 KB named its one long text a thousand times, and
took 200 MB. Arrow's own writer puts down each part once. https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import struct
from typing import Final

from .checks import need

_u16: Final = struct.Struct("<H").unpack_from
_u32: Final = struct.Struct("<I").unpack_from
_i32: Final = struct.Struct("<i").unpack_from
_CONTINUES: Final = b"\xff\xff\xff\xff"
_HEADER: Final = 2
_FIELDS, _METADATA_OF_SCHEMA, _FEATURES = 1, 2, 3
_NAME, _KIND, _TYPE, _DICTIONARY, _CHILDREN, _METADATA = 0, 2, 3, 4, 5, 6
_INDEX: Final = 1
_WITH_PARTS: Final = {10: 1, 14: 4}
"""By the number of a type, the bytes of an item of its second slot: a time zone's name, codes of a union."""


def check_parts(text: bytes) -> None:
    """Check that the parts of a schema, each as often as it is named, are no larger than the schema."""
    _Parts(text).check()


class _Parts:
    """Follow the offsets of one schema; `left` is what its parts may yet come to."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.left = len(text)

    def check(self) -> None:
        """Follow all that Arrow makes something of."""
        start = 8 if self.text.startswith(_CONTINUES) else 4
        schema = self._table(self._slot(self._table(start), _HEADER))
        need(schema, "a schema of Arrow that is none")
        self._pairs(self._slot(schema, _METADATA_OF_SCHEMA))
        self._items(self._slot(schema, _FEATURES), 8)
        rest = self._tables(self._slot(schema, _FIELDS))
        while rest:
            field = rest.pop()
            self._items(self._slot(field, _NAME), 1)
            self._pairs(self._slot(field, _METADATA))
            kind, made = self._slot(field, _KIND), self._table(self._slot(field, _TYPE))
            width = _WITH_PARTS.get(self.text[kind]) if kind else None
            if width and made:
                self._items(self._slot(made, 1), width)
            dictionary = self._table(self._slot(field, _DICTIONARY))
            if dictionary:
                self._table(self._slot(dictionary, _INDEX))
            rest += self._tables(self._slot(field, _CHILDREN))

    def _take(self, size: int) -> None:
        self.left -= size
        need(self.left >= 0, "a schema of Arrow that says one thing many times")

    def _follow(self, at: int) -> int:
        found: int = at + _u32(self.text, at)[0]
        return found

    def _slot(self, table: int, number: int) -> int:
        """Tell where a slot of a table is, or 0 where it has none."""
        named = table - _i32(self.text, table)[0]
        need(named >= 0, "a schema of Arrow that is none")
        at = 4 + 2 * number
        offset: int = _u16(self.text, named + at)[0] if at < _u16(self.text, named)[0] else 0
        return table + offset if offset else 0

    def _table(self, at: int) -> int:
        if at:
            self._take(4)
        return self._follow(at) if at else 0

    def _items(self, at: int, width: int) -> tuple[int, int]:
        """Take a vector, or a text; tell where its items are, and how many."""
        if not at:
            return 0, 0
        vector = self._follow(at)
        count = _u32(self.text, vector)[0]
        self._take(4 + width * count)
        return vector + 4, count

    def _tables(self, at: int) -> list[int]:
        start, count = self._items(at, 4)
        return [self._table(start + 4 * number) for number in range(count)]

    def _pairs(self, at: int) -> None:
        for pair in self._tables(at):
            self._items(self._slot(pair, 0), 1)
            self._items(self._slot(pair, 1), 1)
