"""What instances in a script have, each with a question to it."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import sys
import unittest.mock
from typing import Any

import numpy as np

import canning

from . import ask, write

LARGE = np.arange(500.0)


class Ordering(collections.OrderedDict[str, Any]):
    pass


class Row2(collections.deque[Any]):
    pass


class Wrapping(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, ("wrapped", value))


class Listing(list[Any]):
    pass


class Number(int):
    pass


class Whole(bytes):
    pass


class Changing(bytearray):
    pass


class Viewing:
    def __init__(self) -> None:
        self.a = LARGE

    def __getstate__(self) -> Any:
        return memoryview(self.a)

    def __setstate__(self, state: Any) -> None:
        self.a = np.frombuffer(state)


def set_state(obj: Any, state: Any) -> None:
    vars(obj).update(state, via="the setter")


class Six:
    def __init__(self, *args: Any) -> None:
        self.items: list[Any] = []
        self.pairs: dict[str, Any] = {}

    def append(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: Any) -> None:
        self.items.extend(items)

    def __setitem__(self, key: str, value: Any) -> None:
        self.pairs[key] = value

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Six, (LARGE,), {"state": LARGE}, iter([1, LARGE]), iter([("k", LARGE)]), set_state


class Registered:
    def __init__(self, a: Any) -> None:
        self.a = a


copyreg.pickle(Registered, lambda obj: (Registered, (obj.a,)))


class Arguments:
    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        made = super().__new__(cls)
        made.args = args, keywords
        return made

    def __getnewargs_ex__(self) -> Any:
        return (LARGE,), {"k": LARGE}


class Node:
    def __init__(self, value: Any) -> None:
        self.value = value
        self.parent: Any = None
        self.children: list[Any] = []


class Iterating:
    def __init__(self) -> None:
        self.items = iter([1, LARGE, 3])
        next(self.items)

    def __next__(self) -> Any:
        return next(self.items)


class Proxy:
    """Answers for any name from what it does not have yet when it is read."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Slotted(Proxy):
    __slots__ = ("own",)


class Attributes(dict[str, Any]):
    def __init__(self) -> None:
        self.names = {"a": LARGE}

    def __getattr__(self, name: str) -> Any:
        return self.names[name]


def with_attribute(obj: Any) -> Any:
    obj.extra = LARGE
    return obj


ordering = with_attribute(Ordering(a=LARGE, b=LARGE[:50]))
listing = Listing([LARGE])
listing.append(listing)
wrapping = Wrapping()
wrapping["a"] = LARGE
holes = np.empty(3, object)
holes[0], holes[1], holes[2] = holes, LARGE, Node(holes)
parent, child = Node(LARGE), Node(LARGE[:3])
parent.children.append(child)
child.parent = parent

ask("subclass: OrderedDict", ordering, lambda o: (list(o), o.extra is o["a"], o["b"].base is not None))
ask("subclass: deque", with_attribute(Row2([LARGE, 1], 4)), lambda d: (d.maxlen, d[0] is d.extra, d[1]))
ask("subclass: dict with __setitem__", wrapping, lambda d: d["a"][0])
ask("subclass: list that holds itself", listing, lambda o: (o[1] is o, o[0].sum()))
ask("subclass: int", with_attribute(Number(5)), lambda i: (i + 1, i.extra.sum(), type(i).__name__))
ask(
    "subclass: bytes", with_attribute(Whole(b"x" * 5000)), lambda b: (len(b), b.extra.sum(), type(b).__name__)
)
ask("subclass: bytearray", with_attribute(Changing(b"x" * 5000)), lambda b: (len(b), b.extra.sum()))
ask("state: a memoryview", Viewing(), lambda o: o.a.sum())
ask(
    "state: all six parts",
    Six(),
    lambda o: sorted(vars(canning.deserialize_object(canning.serialize_object(o))[0])),
)
ask("state: copyreg", Registered(LARGE), lambda o: o.a.sum())
ask("state: __getnewargs_ex__", Arguments(1), lambda o: len(vars(o)["args"]))
ask("cycle: array of objects", holes, lambda a: (a[0] is a, a[2].value is a, a[1].sum()))
ask("cycle: parent and child", parent, lambda n: (n.children[0].parent is n, n.children[0].value.sum()))
ask("answers for all: a proxy", Proxy(Proxy(LARGE)), lambda o: (o.sum(), type(o.inner), list(vars(o))))
ask("answers for all: slots", Slotted(LARGE), lambda o: (o.mean(), list(vars(o))))
ask("answers for all: dict", Attributes(), lambda o: (o.a.sum(), dict(o)))
magic, mock = unittest.mock.MagicMock(return_value=3), unittest.mock.Mock(a=1)
magic(1), magic.method(LARGE[0], x=1), mock(2)
ask("mocks", [magic, mock], lambda m: (m[0].mock_calls[:2], m[0].return_value, m[1].mock_calls, m[1].a))
ask("missing", [dataclasses.MISSING], lambda o: o[0] is dataclasses.MISSING)
ask("iterators", Iterating(), lambda o: (next(o).sum(), next(o)))

if __name__ == "__main__":
    write(*sys.argv[1:])
