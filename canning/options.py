"""What the options of a `Serializer` may be."""

from __future__ import annotations

from typing import Any, Final

from .limits import Limits
from .types.registry import Registry

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "pickler": ("auto", "named", "pickle", "cloudpickle", "dill"),
    "trust": ("code", "data"),
    "missing": ("error", "stub"),
    "prefer": ("own", "sent"),
    "by_value_as": ("code", "source"),
    "on_version_mismatch": ("auto", "error", "warn", "ignore"),
}


def check_choices(**options: str) -> None:
    """Raise `ValueError` for a word that an option does not know.

    >>> check_choices(trust="nobody")
    Traceback (most recent call last):
    ValueError: trust='nobody' is none of code, data
    """
    for name, value in options.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name}={value!r} is none of {', '.join(CHOICES[name])}")
    if options.get("missing") == "stub" and options.get("trust") == "data":
        raise ValueError("missing='stub' needs trust=\"code\"")


def check_kinds(registry: Any, limits: Any, buffer_threshold: Any) -> None:
    """Raise `TypeError` or `ValueError` for what would fail only when a message is made or read.

    >>> check_kinds(Registry(), Limits(), 0)
    Traceback (most recent call last):
    ValueError: buffer_threshold=0 is not a positive number of bytes
    """
    for name, value, kind in (("registry", registry, Registry), ("limits", limits, Limits)):
        if not isinstance(value, kind):
            raise TypeError(f"{name}= is a canning.{kind.__name__}, and this is {type(value).__name__}")
    if not isinstance(buffer_threshold, int):
        raise TypeError(f"buffer_threshold= is a number of bytes, not {type(buffer_threshold).__name__}")
    if buffer_threshold < 1:
        raise ValueError(f"buffer_threshold={buffer_threshold} is not a positive number of bytes")
