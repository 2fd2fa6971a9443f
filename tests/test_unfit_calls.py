"""What is called with other arguments than it takes is named, with the way to it."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

import canning
from canning import DeserializationError


class Refused(Exception):
    def __init__(self, code: int, where: str) -> None:
        super().__init__(f"{code} at {where}")


class Named(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(code)


class Pair:
    def __init__(self, one: Any) -> None:
        self.one = one

    def __reduce__(self) -> Any:
        return Pair, (1, "secret")


class Fails:
    def __init__(self, text: str = "secret") -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return fails, (self.text,)


def fails(text: str) -> Any:
    raise TypeError(text)


class Odd:
    __signature__ = "none"

    def __reduce__(self) -> Any:
        return Odd, (1,)


def local() -> Any:
    class Local:
        def __init__(self, a: int, b: int) -> None:
            self.a = a, b

        def __reduce__(self) -> Any:
            return Local, (1,)

    return Local(1, 2)


ROWS = [
    ({"e": [1, Pair(1)]}, r"^obj\['e'\]\[1\]: .*Pair\(one\) cannot be called with 2 arguments"),
    ([Pair(1)], r"^obj\[0\]: .*Pair\(one\) cannot be called with 2 arguments, as the message asks$"),
    ([0, local()], r"^obj\[1\]: .*Local\(a, b\) cannot be called with 1 argument, as"),
    ([Fails()], r"^obj\[0\]: .*test_unfit_calls\.fails cannot read this message: TypeError$"),
    ([Odd()], r"^the message cannot be read: TypeError: Odd\(\) takes no arguments$"),
]


IDS = ["nested", "reduced", "by value", "own error", "no signature"]


@pytest.mark.parametrize(("obj", "text"), ROWS, ids=IDS)
def test_a_call_that_does_not_fit_is_named(obj: Any, text: str) -> None:
    frames = canning.serialize_object(obj)
    for options in ({}, {"missing": "stub"}):
        with pytest.raises(DeserializationError, match=text) as caught:
            canning.deserialize_object(frames, **options)
        assert isinstance(caught.value.__cause__, TypeError)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("error", "said"), [(Refused(1, "x"), "code, where"), (Named(code=3), "code")])
def test_exceptions_in_pickles_of_others_are_explained(error: BaseException, said: str) -> None:
    text = rf"^obj\[0\]: .*\({said}\) cannot be called with 1 argument.*is made of its \.args"
    with pytest.raises(DeserializationError, match=text):
        canning.deserialize_object([by_pickle([error])])


def by_pickle(obj: Any) -> bytes:
    """Pickle as Python does, whatever others have told it of exceptions."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dispatch_table = {}
    pickler.dump(obj)
    return file.getvalue()


def test_canning_itself_calls_no_exception() -> None:
    got = canning.deserialize_object(canning.serialize_object([Refused(1, "x"), Named(code=3)]))[0]
    assert list(map(str, got)) == ["1 at x", "3"]
