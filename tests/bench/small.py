"""Small messages and the rows that a change must not slow down: ``python -m tests.bench.small [CHECKOUT]``.

Measures this checkout and, where one is given, another one by turns: in processes of their own, so that
neither sees the other's modules. Each figure is the best of all, in µs; 5 % is noise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

HERE: Final = Path(__file__).parent.parent.parent
TURNS: Final = 3
"""Processes for each checkout."""
SECONDS: Final = 0.4
"""For each row of a process."""


@dataclass
class Point:
    """What stands in ``__main__``, and so goes by value."""

    x: int


def rows() -> dict[str, Callable[[], Any]]:
    """Give what is measured, by name."""
    import canning

    out, back = canning.serialize_object, canning.deserialize_object
    data = canning.Serializer(trust="data").deserialize_object
    three = {"a": 1, "b": 2.5, "c": "text"}
    array, ten = np.zeros(131_072), [np.full(100, number) for number in range(10)]
    sent = {name: out(obj) for name, obj in (("three", three), ("array", array), ("ten", ten))}
    points: list[Any] = [Point(number) for number in range(10_000)]
    made: dict[str, Callable[[], Any]] = {
        "dict of three, out": lambda: out(three),
        "the same with an option": lambda: out(three, buffer_threshold=2000),
        "dict with 1.1 KB of bytes, out": lambda: out({"a": b"x" * 1100}),
        "dict with 16 KB of bytes, out": lambda: out({"a": b"x" * 16_384}),
        "1 MB array, out": lambda: out(array),
        "1 MB array in a list, out": lambda: out([array]),
        "ten arrays, out": lambda: out(ten),
        "one instance of a class of __main__, out": lambda: out(points[0]),
        "10,000 of them with a lambda, out": lambda: out([*points, lambda: 1]),
    }
    function = out(lambda x: x)
    made["function by value, in, code"] = lambda: back(function)
    for name, frames in sent.items():
        made[f"{name}, in, code"] = partial(back, frames)
        made[f"{name}, in, data"] = partial(data, frames)
    return made


def best(run: Callable[[], Any]) -> float:
    """Give the shortest time of a call, in µs."""
    run()
    start = time.perf_counter()
    run()
    count = max(1, int(0.005 / max(time.perf_counter() - start, 1e-7)))
    shortest, end = float("inf"), start + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(count):
            run()
        shortest = min(shortest, (time.perf_counter() - start) / count)
    return shortest * 1e6


def measure(checkout: Path) -> dict[str, float]:
    """Measure a checkout in a process of its own."""
    command = [sys.executable, __file__, "--rows"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(said)
    return measured


def main(arguments: list[str]) -> None:
    """Print the figures."""
    if arguments == ["--rows"]:
        print(json.dumps({name: best(run) for name, run in rows().items()}))
        return
    checkouts = [HERE, *map(Path, arguments[:1])]
    found: list[dict[str, float]] = [{} for _ in checkouts]
    for _ in range(TURNS):
        for checkout, figures in zip(checkouts, found, strict=True):
            for name, figure in measure(checkout.resolve()).items():
                figures[name] = min(figure, figures.get(name, float("inf")))
    for name, figure in found[0].items():
        there = [figures[name] for figures in found[1:]]
        print(f"{name:45}{figure:12.2f}" + "".join(f"{each:12.2f}{figure / each:8.2f}" for each in there))


if __name__ == "__main__":
    main(sys.argv[1:])
