"""A class of attrs that other processes can import."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define(eq=False)
class Record:
    """Slots, some of which hold arrays."""

    values: Any
    name: str
