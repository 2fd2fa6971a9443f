"""What is read as plain data of numpy and the standard library, and what of it is refused."""

from __future__ import annotations

import collections
import decimal
import importlib
import itertools
import struct
import traceback
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, calls

from .harness import assert_equal
from .test_trust import call, op_text

DATA = canning.Serializer(trust="data")
MOST_AXES = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32


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


EMPTY = call("canning.calls", "objects", b"K\x01\x85N\x86") + b"\x94"
FILL = b"ccanning.calls\nitems\n"
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
    with pytest.raises(DeserializationError, match="without any"):
        DATA.deserialize_object([b"\x80\x05" + make + body + b"."])


def raised(call: Any) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError


def noted() -> ValueError:
    error = ValueError("bad", 3)
    error.add_note("in row 7")
    return error


STANDARD: dict[str, Any] = {
    "defaultdict of lists": collections.defaultdict(list, {1: [2]}),
    "defaultdict of ints": collections.defaultdict(int, a=1),
    "defaultdict without values": collections.defaultdict(None, a=1),
    "SimpleNamespace": types.SimpleNamespace(a=1, b=[2], c=types.SimpleNamespace()),
    "an exception with notes": noted(),
    "KeyError": KeyError("a"),
    "OSError": raised(lambda: Path("/not/here").read_bytes()),
    "UnicodeDecodeError": raised(lambda: b"\xff".decode()),
    "UnicodeEncodeError": raised(lambda: "é".encode("ascii")),
    "ImportError": raised(lambda: importlib.import_module("not_here")),
    "AttributeError": raised(lambda: getattr(None, "not_here")),  # noqa: B009 - it is to raise
    "ExceptionGroup": ExceptionGroup("both", [ValueError(1), KeyError("a")]),
    "one masked value": np.ma.masked,
    "masked matrix": np.ma.array(np.arange(4).reshape(2, 2).view(np.matrix), mask=[[0, 1], [0, 0]]),
    "masked records": np.ma.array(np.rec.array([(1, 2.0)], names="a,b"), mask=True),
    "dtype of objects": np.dtype(object),
    "dtype with metadata": np.dtype("f8", metadata={"unit": "m"}),
    "array with metadata": np.zeros(3, np.dtype("f8", metadata={"unit": "m"})),
    "numbers with fields": np.arange(3, dtype=np.dtype((">u4", {"lo": (">u2", 2), "hi": (">u2", 0)}))),
    "64 axes": np.zeros((2, 3) + (1,) * (MOST_AXES - 2)),
}


@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_library_and_numpy(name: str) -> None:
    obj = STANDARD[name]
    got = sent(obj)
    assert type(got) is type(obj)
    assert repr(got) == repr(obj)
    assert getattr(got, "__notes__", None) == getattr(obj, "__notes__", None)
    if isinstance(obj, np.ndarray | np.dtype):
        assert_equal(obj, got, writeable="same")
        assert vars(got).keys() == vars(obj).keys() if hasattr(obj, "__dict__") else True


def with_all() -> BaseException:
    def fail() -> None:
        try:
            raise KeyError("k")
        except KeyError as first:
            try:
                raise FileNotFoundError(2, "not here", "a.txt", None, "b.txt")
            except OSError as second:
                second.code = [5, {"a": 1}]  # type: ignore[attr-defined]
                second.add_note("a note")
                raise ValueError("v", first) from second

    return raised(fail)


def test_what_was_raised_arrives_with_all_but_its_traceback() -> None:
    error = with_all()
    got = sent(error)
    assert repr(got) == repr(error)
    cause = got.__cause__
    assert cause is got.__context__
    assert type(cause) is FileNotFoundError
    assert str(cause) == "[Errno 2] not here: 'a.txt' -> 'b.txt'"
    assert (cause.code, cause.__notes__) == ([5, {"a": 1}], ["a note"])  # type: ignore[attr-defined]
    assert cause.__context__ is got.args[1], "one object is one"
    assert (got.__suppress_context__, cause.__suppress_context__) == (True, False)
    assert got.__traceback__ is cause.__traceback__ is cause.__context__.__traceback__ is None


def test_exceptions_in_a_circle() -> None:
    one, other = ValueError("one"), OSError(2, "other")
    one.__context__, other.__context__ = other, one
    got = sent([one, other])
    assert (got[0].__context__, got[1].__context__) == (got[1], got[0])
    assert "one" in "".join(traceback.format_exception(got[1]))


class Of:
    """Stand for a call of ours in a stranger's message."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def chain_of(count: int) -> list[Any]:
    """Give exceptions that each are filled before what they were raised from is."""
    errors = [Of(calls.exception, (OSError, (number,))) for number in range(count)]
    links = itertools.pairwise(errors)
    return [
        errors,
        [Of(calls.fill_exception, (error, ({}, {}, {"__cause__": cause}))) for error, cause in links],
    ]


STATES: dict[str, Any] = {
    "a cause that is none": ({}, {}, {"__cause__": [1]}),
    "a context that is no Exception": ({}, {}, {"__context__": KeyboardInterrupt()}),
    "a traceback that is none": ({}, {}, {"__traceback__": "a"}),
    "notes that are none": ({}, {}, {"__notes__": [1]}),
    "links of another name": ({}, {}, {"__class__": 1}),
    "attributes that Python looks for": ({"__class__": 1}, {}, {}),
    "attributes that exceptions have": ({"with_traceback": 1}, {}, {}),
    "a name that is no text": ({}, {"name": [1]}, {}),
    "a name where there is none": ({}, {"filename": "a"}, {}),
    "no state": 5,
    "a state of lists": ([1], [2], [3]),
}


@pytest.mark.parametrize("name", STATES)
def test_states_of_exceptions_that_nobody_sends(name: str) -> None:
    made = Of(calls.exception, (KeyError if "where" in name else ImportError, ("a",)))
    with pytest.raises(DeserializationError):
        DATA.deserialize_object(
            canning.serialize_object([made, Of(calls.fill_exception, (made, STATES[name]))])
        )


@pytest.mark.parametrize("cls", [KeyboardInterrupt, SyntaxError, int, uuid.UUID])
def test_exceptions_that_are_none(cls: type) -> None:
    with pytest.raises(DeserializationError):
        DATA.deserialize_object(canning.serialize_object(Of(calls.exception, (cls, ()))))


def test_a_chain_of_causes_that_is_filled_from_the_outside_in() -> None:
    DATA.deserialize_object(canning.serialize_object(chain_of(8)))
    with pytest.raises(DeserializationError, match="outside in"):
        DATA.deserialize_object(canning.serialize_object(chain_of(50_000)))


REFUSED: dict[str, Any] = {
    "defaultdict of a function": collections.defaultdict(lambda: 1),
    "defaultdict of another class": collections.defaultdict(collections.Counter),
    "a name that a protocol looks for": types.SimpleNamespace(__array_interface__={"data": (1, False)}),
    "another such name": types.SimpleNamespace(_as_parameter_=1),
    "an exception that is no Exception": KeyboardInterrupt(),
    "SyntaxError": SyntaxError("x"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_of_the_standard_library(name: str) -> None:
    with pytest.raises(DeserializationError):
        DATA.deserialize_object(canning.serialize_object([REFUSED[name]]))


@pytest.mark.parametrize("start", [-(10**12), -1, 2, 10**12])
def test_an_error_of_a_place_that_its_text_does_not_have(start: int) -> None:
    for error in (
        UnicodeDecodeError("ascii", b"a", start, start + 1, ""),
        UnicodeTranslateError("a", start, start + 1, ""),
    ):
        with pytest.raises(DeserializationError, match="place"):
            DATA.deserialize_object(canning.serialize_object([error]))
