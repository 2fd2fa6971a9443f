"""List what decoders take against what they are charged: ``python -m tests.fuzz.prices``.

A header can name one state again and again, at 5 bytes a call: what a call takes beyond them has to be on the
account of `canning.types.budget`. For each type this reads a message that calls its decoder once and one that
calls it 200 times more, and prints those first whose time or memory is the most for their price. Above 2 a
message can break the law.
"""

from __future__ import annotations

import itertools
import pickletools
import sys
import time
import tracemalloc
from typing import Final
from unittest.mock import patch

from canning import CanningError, Serializer
from canning.types.budget import Work
from canning.wire.trailer import pack, parse

from ..types import Row
from ..types_rows import ROWS

DATA: Final = Serializer(trust="data")
_CALLS: Final = 200
_TURNS: Final = 3
_BYTES: Final = 5
"""Bytes of a call, each good for a microsecond and 65 bytes of memory."""


def again(frames: list[bytes], count: int) -> list[bytes] | None:
    """Let a message make its object `count` times; None where its header does not end with a call."""
    trailer = parse(frames[0])
    if trailer is None or trailer.table is not None or trailer.outside or trailer.encoded:
        return None
    body = frames[0][: trailer.pickle_length]
    steps = [(step.name, at) for step, _, at in pickletools.genops(body)]
    ends = [at for name, at in steps[-3:] if name == "REDUCE"]
    kept = sum(name == "MEMOIZE" for name, at in steps if ends and at < ends[0])
    if not ends or kept > 250:
        return None
    call = b"h" + bytes([kept + 1]) + b"h" + bytes([kept]) + b"R"
    head = body[: ends[0]] + b"\x940\x940](" + call * count + b"e."
    return [pack(head, len(head), [len(frame) for frame in frames[1:]]), *frames[1:]]


def cost(frames: list[bytes]) -> tuple[float, float, int, int]:
    """Give nanoseconds and bytes that a message takes, and those that it is charged."""
    charged = [0, 0]

    def spend(self: Work, nanoseconds: int, memory: int) -> None:
        charged[0] += nanoseconds
        charged[1] += memory

    with patch.object(Work, "spend", spend):
        took = min(_nanoseconds(frames) for _ in range(_TURNS))
        tracemalloc.start()
        value = DATA.deserialize_object(frames)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    del value
    turns = _TURNS + 1
    return took, peak, charged[0] // turns, charged[1] // turns


def _nanoseconds(frames: list[bytes]) -> int:
    began = time.thread_time_ns()
    DATA.deserialize_object(frames)
    return time.thread_time_ns() - began


def measure(row: Row, sender: Serializer) -> tuple[float, float] | None:
    """Give the time and the memory of one call as multiples of their prices; None where there is none."""
    frames = [bytes(frame) for frame in sender.serialize_object(row.make())]
    one, many = again(frames, 1), again(frames, 1 + _CALLS)
    if one is None or many is None:
        return None
    least, most = cost(one), cost(many)
    took, peak, nanoseconds, memory = ((b - a) / _CALLS for a, b in zip(least, most, strict=True))
    return took / (nanoseconds + 1000 * _BYTES), peak / (memory + 65 * _BYTES)


def main() -> int:
    """Print a line for each type; 1 if any can break the law."""
    found = []
    rows = [row for row in ROWS if row.data and row.is_here]
    for row, form in itertools.product(rows, ("", "portable")):
        try:
            ratios = measure(row, Serializer(portable=bool(form)))
        except CanningError:  # its class has to be allowed, or it is not portable
            continue
        if ratios is not None:
            found.append((max(ratios), *ratios, f"{row.name} {form}".rstrip()))
    for _, time_of, memory_of, name in sorted(found, reverse=True):
        print(f"{name}: {time_of:.2f} of its time, {memory_of:.2f} of its memory")
    return int(any(worst > 2 for worst, *_ in found))


if __name__ == "__main__":
    sys.exit(main())
