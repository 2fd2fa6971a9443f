"""The options of a `Serializer` that take one of a few words."""

from __future__ import annotations

from typing import Final

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "pickler": ("auto", "pickle", "cloudpickle", "dill"),
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
