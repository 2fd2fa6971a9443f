"""Signing and checking, beside the bare hash over the same bytes."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from canning import Serializer, new_key

from .results import OURS, Cell, Result, Times
from .timing import Action, Effort, best

HASH: Final = "HMAC-SHA256"
"""What messages are signed with."""
OTHER: Final = "BLAKE2b"
_SIZES: Final = {"100B": 100, "1MB": 2**20, "100MB": 100 * 2**20}
_BARRED: Final = 2**20
"""Bytes from which the bar is for; below, it is the message that takes time, not the hash."""
_BAR: Final = Times(1.25, HASH)
"""Signing is to go at 0.8 of the hash's own speed."""
NAMES: Final = tuple(f"{what}-{size}" for size in _SIZES for what in ("sign", "check"))


def run(only: Collection[str], effort: Effort, tell: Callable[[str], object]) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    results = []
    for size, nbytes in _SIZES.items():
        for what in ("sign", "check"):
            if f"{what}-{size}" in only:
                tell(f"signing: {what}-{size}")
                results.append(_measure(what, size, nbytes, effort))
    return results


def _measure(what: str, size: str, nbytes: int, effort: Effort) -> Result:
    key, data = new_key(), np.random.default_rng(0).bytes(nbytes)
    signer = Serializer(key=key)
    frames = signer.serialize_object(data)
    actions: dict[str, Action] = {
        OURS: lambda: signer.serialize_object(data),
        HASH: lambda: hmac.digest(key, data, hashlib.sha256),
        OTHER: lambda: hashlib.blake2b(data, key=key, digest_size=32).digest(),
    }
    if what == "check":
        actions[OURS] = lambda: signer.deserialize_object(frames)
    seconds = best(actions, {name: _once(action) for name, action in actions.items()}, effort)
    problem = "" if signer.deserialize_object(frames) == (data, []) else "changed"
    cells = {name: Cell(value, problem if name == OURS else "") for name, value in seconds.items()}
    result = Result(
        "signing", f"{what}-{size}", f"{what} one bytes object of {nbytes:,} bytes", cells, nbytes
    )
    result.judge((_BAR,) if nbytes >= _BARRED else ())
    return result


def _once(action: Action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
