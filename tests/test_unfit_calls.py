"""What is called with other arguments than it takes is named, with the way to it."""

from __future__ import annotations

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
    class Local(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(a)

    return Local(1, 2)


ADVICE = r".*is made of its \.args"
ROWS = [
    (
        {"e": [1, Refused(1, "secret")]},
        r"^obj\['e'\]\[1\]: .*Refused\(code, where\) .* with 1 argument," + ADVICE,
    ),
    (Named(code=3), r"^obj: .*Named\(code\) cannot be called with 1 argument, as the message asks" + ADVICE),
    ([Pair(1)], r"^obj\[0\]: .*Pair\(one\) cannot be called with 2 arguments, as the message asks$"),
    ([0, local()], r"^obj\[1\]: .*Local\(a, b\) cannot be called with 1 argument" + ADVICE),
    ([Fails()], "^the message cannot be read: TypeError$"),
    ([Odd()], "^the message cannot be read: TypeError$"),
]


IDS = ["nested", "keywords", "reduced", "by value", "own error", "no signature"]


@pytest.mark.parametrize(("obj", "text"), ROWS, ids=IDS)
def test_a_call_that_does_not_fit_is_named(obj: Any, text: str) -> None:
    frames = canning.serialize_object(obj)
    for options in ({}, {"missing": "stub"}):
        with pytest.raises(DeserializationError, match=text) as caught:
            canning.deserialize_object(frames, **options)
        assert isinstance(caught.value.__cause__, TypeError)
        assert "secret" not in str(caught.value)


def test_pickles_of_others_are_explained_too() -> None:
    with pytest.raises(DeserializationError, match=r"^obj\[0\]: .*Refused\(code, where\) cannot be called"):
        canning.deserialize_object([pickle.dumps([Refused(1, "x")])])
