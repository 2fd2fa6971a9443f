"""A script whose processes have its names too: ``python -m tests.scripts.pool fork``."""

from __future__ import annotations

import collections
import enum
import multiprocessing
import sys
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd

from transport.engines.multiprocessing import canned, install


class Shape:
    def __init__(self, corners: Any) -> None:
        self.corners = corners


class Color(enum.Enum):
    RED = 1


class Row(NamedTuple):
    x: int


Pair = collections.namedtuple("Pair", "x y")
Made = attrs.make_class("Made", {"x": attrs.field(factory=list)})
LIMIT = 3


def helper(x: int) -> int:
    return x + LIMIT


def main(how: str) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    local = attrs.make_class("Local", {"x": attrs.field(factory=dict)})
    with canned(), multiprocessing.get_context(how).Pool(1, install) as pool:

        def ask(function: Any, argument: Any = 1) -> Any:
            return pool.map_async(function, [argument]).get(60)[0]

        assert ask(lambda x: (isinstance(x, Shape), x.corners.sum()), Shape(np.ones(3))) == (True, 3)
        assert ask(lambda x: (x is Color.RED, helper(1)), Color.RED) == (True, 4)
        got = ask(lambda x: (Shape(np.arange(x)), Color.RED, Pair(1, x), Row(x), Made(), lambda: x))
        assert [type(each) for each in got[:5]] == [Shape, Color, Pair, Row, Made]
        assert (got[1] is Color.RED, got[5]()) == (True, 1)
        assert ask(lambda x: next(iter(frame.itertuples())))[1:] == (1, 3.0)
        assert ask(lambda x: (local().x, Made().x)) == ({}, [])
        assert isinstance(ask(lambda x: local()), local)


if __name__ == "__main__":
    main(sys.argv[1])
