"""A script as a user of Dask writes it: its functions and classes are those of ``__main__``.

    python dask_script.py SCHEDULER_FILE

prints one JSON object: what each call gave, or the name of its error.
"""

from __future__ import annotations

import ctypes
import functools
import json
import sys
from typing import Any

import dask.array
import distributed
import numpy as np

import transport.engines.dask as canned

ARRAY = np.ones(200_000)


class Lazy:
    @functools.cached_property
    def value(self) -> int:
        return 5


class Structure(ctypes.Structure):
    _fields_ = (("a", ctypes.c_int),)


@functools.singledispatch
def dispatch(given: Any) -> Any:
    return given


class Counter:
    def __init__(self) -> None:
        self.total = 0.0

    def add(self, given: Any) -> float:
        self.total += given["x"].sum()
        return self.total


def total(given: Any) -> float:
    return float(given["x"].sum())


def same(given: Any) -> Any:
    return given


def fails() -> None:
    raise ZeroDivisionError


def calls(client: Any) -> dict[str, Any]:
    """Give what to call, by name; each is called when the ones before it are done."""

    def submit(function: Any, *arguments: Any) -> Any:
        return client.submit(function, *arguments, pure=False).result(30)

    def scatter(direct: bool) -> Any:
        [there] = client.scatter([{"x": ARRAY}], direct=direct, hash=False)
        back = client.gather(there, direct=direct)["x"]
        return [submit(total, there), float(back.sum()), bool(back.flags.writeable)]

    def publish() -> Any:
        client.publish_dataset(left=client.scatter([{"deep": [ARRAY, ARRAY]}], hash=False)[0])

    return {
        "sum": lambda: submit(sum, [1, 2]),
        "lambda": lambda: submit(lambda x: x + 1, 1),
        "array": lambda: submit(total, {"x": ARRAY}),
        "closure": lambda: submit(lambda: float(ARRAY[:3].sum())),
        "map": lambda: client.gather(client.map(lambda x: x + 1, range(4), pure=False)),
        "scatter": lambda: scatter(False),
        "scatter, direct": lambda: scatter(True),
        "graph": lambda: float(client.compute(dask.array.ones((40, 40), chunks=10).sum()).result(30)),
        "actor": lambda: client.submit(Counter, actor=True).result(30).add({"x": ARRAY}).result(30),
        "error": lambda: submit(fails),
        "cached property": lambda: type(submit(same, Lazy.value)).__name__,
        "structure": lambda: submit(same, Structure(3)),
        "dispatch": lambda: submit(same, dispatch),
        "frame": lambda: submit(same, sys._getframe()),
        "structure, scattered": lambda: submit(same, client.scatter([Structure(3)], hash=False)[0]).a,
        "after these": lambda: submit(sum, [1, 2]),
        "publish": publish,
    }


def main(scheduler_file: str) -> None:
    found = {}
    with distributed.Client(scheduler_file=scheduler_file, timeout=30) as client:
        client.wait_for_workers(2, timeout=30)
        canned.register(client)
        for name, call in calls(client).items():
            try:
                found[name] = call()
            except Exception as error:
                found[name] = type(error).__name__
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
