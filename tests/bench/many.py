"""Many small buffers in one message: each a frame costs, and so they are joined."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from .links import ALL_LINKS, JOINED
from .pairs import Payload
from .results import Result, Times
from .timing import Effort
from .wire import KINDS, Row, run_rows

_COUNT: Final = 256
_NBYTES: Final = 10_000


def _payload() -> Payload:
    return {"id": 7, "x": [np.full(_NBYTES // 8, number, "f8") for number in range(_COUNT)]}


ROWS: Final = (Row("256x10KB", "256 arrays of 10 kB", _payload, 40, bars=(Times(1.1, JOINED),)),)
NAMES: Final = tuple(f"{kind}-{row.name}" for kind in KINDS for row in ROWS)


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    return run_rows("many", ROWS, ALL_LINKS, only, {*peers, JOINED}, effort, tell)
