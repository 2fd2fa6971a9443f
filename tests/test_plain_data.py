"""What is read as plain data of numpy and the standard library, and what of it is refused."""

from __future__ import annotations

import decimal
import struct
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError

from .harness import assert_equal
from .test_trust import call, op_text

DATA = canning.Serializer(trust="data")


def sent(obj: Any) -> Any:
    """Send an object, and read it as plain data."""
    got, rest = DATA.deserialize_object(canning.serialize_object([obj]))
    assert rest == []
    return got[0]


def objects(shape: tuple[int, ...], order: Any = "C") -> Any:
    made = np.empty(shape, object, order=order)
    kinds: list[Any] = ["text", None, 1.5, {"a": [1]}, decimal.Decimal(2), np.arange(3), (1, 2)]
    for number, at in enumerate(np.ndindex(shape)):
        made[at] = kinds[number % len(kinds)]
    return made


def readonly(array: Any) -> Any:
    array.flags.writeable = False
    return array


ARRAYS = {
    "text": np.array(["a", "b", None], object),
    "no axes": objects(()),
    "two axes": objects((3, 4)),
    "Fortran order": objects((3, 4), "F"),
    "transposed": objects((2, 3, 4)).transpose(1, 2, 0),
    "no elements": objects((0, 3)),
    "read-only": readonly(objects((3,))),
    "arrays of arrays": np.array([objects((2,)), None, [objects((1,))]], object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_objects(name: str) -> None:
    assert_equal(ARRAYS[name], sent(ARRAYS[name]), writeable="same")


def test_arrays_of_objects_that_hold_themselves() -> None:
    array = np.empty(2, object)
    array[0], array[1] = array, [array]
    got = sent(array)
    assert got[0] is got
    assert got[1][0] is got


EMPTY = call("canning.calls", "objects", b"K\x01\x85N\x86") + b"\x94"
FILL = b"ccanning.arrays\nfill_objects\n"
HOSTILE = {
    "more room than items": call("canning.calls", "objects", b"\x8a\x05\0\0\0\0\1\x85N\x86"),
    "axes that are none": call("canning.calls", "objects", b"K\x01\x85(K\x01K\x02t\x86"),
    "no items": EMPTY,
    "other items": EMPTY + FILL + b"h\x00](K\x01K\x02e\x89\x86\x86R0",
    "items twice": EMPTY + 2 * (FILL + b"h\x00]K\x01a\x89\x86\x86R0"),
    "items of another array": FILL
    + call("canning.calls", "array", b"(C\x08" + bytes(8) + b"K\x01\x85" + op_text("<f8") + b"t")
    + b"]K\x01a\x89\x86\x86R",
    "a decoder gets it without items": call(
        "canning.calls", "registered", op_text("pandas.arrays.NumpyExtensionArray") + EMPTY + b"\x85N\x87"
    ),
    "a view of it": call("canning.calls", "view", EMPTY + b"NN\x89"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_arrays_of_objects_by_strangers(name: str) -> None:
    with pytest.raises(DeserializationError):
        DATA.deserialize_object([b"\x80\x05" + HOSTILE[name] + b"."])


def test_arrays_within_arrays_are_no_deeper_than_containers() -> None:
    make = call("canning.calls", "objects", b"K\x01\x85N\x86") + b"\x94"
    body = b"".join(  # from the outside in, each held by the one before
        FILL + b"j" + struct.pack("<I", number) + b"]" + make + b"a\x89\x86\x86R0" for number in range(5000)
    )
    body += FILL + b"j" + struct.pack("<I", 5000) + b"]Na\x89\x86\x86R0"
    with pytest.raises(DeserializationError, match="outside in"):
        DATA.deserialize_object([b"\x80\x05" + make + body + b"."])
