"""References: names, attributes and items that the receiver looks up, and never evaluates."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from canning import (
    DeserializationError,
    Reference,
    UnresolvedReference,
    deserialize_object,
    pack_apply_message,
    serialize_object,
    uncan,
    unpack_apply_message,
)

from .samples import Plain, double

G: dict[str, Any] = {
    "a": 5,
    "größe": 7,
    "_private": 8,
    "model": Plain(layers=[Plain(w=np.arange(3.0)), {"k": (1, [2, 3])}], name="m"),
    "rows": [{"x": 7, "y z": 8, "0": 9, 0: "zero"}, [10, 20, 30]],
    "self": {"a.b": "dotted"},
}

FOUND = [
    ("a", 5),
    ("größe", 7),
    ("_private", 8),
    ("model.name", "m"),
    ("model.layers[0].w[2]", 2.0),
    ("model.layers[1]['k'][1][0]", 2),
    ("rows[0]['x']", 7),
    ('rows[0]["y z"]', 8),
    ("rows[0]['0']", 9),
    ("rows[0][0]", "zero"),
    ("rows[-1][-1]", 30),
    ("self['a.b']", "dotted"),
    ("a.real", 5),
]
MISSING = [
    "b",
    "model.nothing",
    "rows[5]",
    "rows[0]['nothing']",
    "a[0]",
    "model['name']",
    "rows.x",
    "__import__",
]
MALFORMED = [
    "",
    " ",
    "a b",
    "a.",
    ".a",
    "a..b",
    "[0]",
    "a[",
    "a[]",
    "a[b]",
    "a[1.5]",
    "a['x]",
    "a['x\"]",
    "a()",
    "a+1",
    "1a",
    "a[0]b",
    "a; import os",
    "__import__('os').system('true')",
    "a[0:1]",
    "lambda: 1",
    "a\n",
]


@pytest.mark.parametrize(("path", "expected"), FOUND)
def test_paths_that_lead_somewhere(path: str, expected: Any) -> None:
    assert Reference(path).get_object(G) == expected
    assert deserialize_object(serialize_object(Reference(path)), G)[0] == expected
    assert (
        deserialize_object(serialize_object([{"k": Reference(path)}, np.ones(500)]), G)[0][0]["k"] == expected
    )


def test_what_arrives_is_the_receivers_own_object() -> None:
    assert deserialize_object(serialize_object((Reference("model"), 1)), G)[0][0] is G["model"]


@pytest.mark.parametrize("path", MISSING)
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(UnresolvedReference, match=r"not defined|leads nowhere"):
        Reference(path).get_object(G)
    with pytest.raises(NameError):
        deserialize_object(serialize_object([Reference(path)]), G)
    with pytest.raises(DeserializationError):
        deserialize_object(serialize_object([Reference(path)]), {})


@pytest.mark.parametrize("path", MALFORMED)
def test_malformed_paths_cannot_be_made(path: str) -> None:
    with pytest.raises(ValueError, match="a path is a name"):
        Reference(path)


@pytest.mark.parametrize("name", [None, 5, b"a", ["a"]])
def test_references_are_made_of_text(name: Any) -> None:
    with pytest.raises(TypeError, match="made from a str"):
        Reference(name)


@pytest.mark.parametrize("path", ["__import__('os').getcwd()", "a if a else b", "[x for x in a]"])
def test_nothing_is_evaluated_that_a_message_brings(path: str) -> None:
    """A sender who bends the rules gets an error, and nothing else."""
    honest = pickle.dumps(Reference("x" * len(path)), 5)
    with pytest.raises(DeserializationError):
        deserialize_object([honest.replace(b"x" * len(path), path.encode())], {"a": 1})


def test_builtins_are_not_found_but_for_what_g_holds() -> None:
    with pytest.raises(UnresolvedReference):
        Reference("len").get_object({"__builtins__": __builtins__})


def test_without_a_namespace_the_reference_itself_arrives() -> None:
    got = deserialize_object(serialize_object([Reference("a.b"), np.ones(500)]))[0][0]
    assert got == Reference("a.b")
    assert isinstance(got, Reference)
    assert deserialize_object(serialize_object(Reference("a")))[0] == Reference("a")


def test_references_compare_and_pickle() -> None:
    assert len({Reference("a"), Reference("a"), Reference("b")}) == 2
    assert Reference("a") != "a"
    assert pickle.loads(pickle.dumps(Reference("a[0]"))) == Reference("a[0]")
    assert repr(Reference("a")) == "Reference('a')"
    assert uncan(Reference("a")) == Reference("a")


def test_subclasses_stay_what_they_are() -> None:
    assert type(deserialize_object(serialize_object([MyReference("a")]))[0][0]) is MyReference


class MyReference(Reference):
    pass


def test_references_in_calls() -> None:
    frames = pack_apply_message(double, [Reference("rows[1][0]")])
    f, args, kwargs = unpack_apply_message(frames, G)
    assert f(*args, **kwargs) == 20
    f, args, kwargs = unpack_apply_message(
        pack_apply_message(Reference("f"), [2], {"y": Reference("a")}), {**G, "f": max}
    )
    assert (f, args, kwargs) == (max, (2,), {"y": 5})


def test_a_reference_at_a_time_when_its_name_changes() -> None:
    frames = serialize_object([Reference("x")])
    assert [deserialize_object(frames, {"x": value})[0][0] for value in (1, 2)] == [1, 2]
