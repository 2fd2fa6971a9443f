"""The valid values of a `Serializer`'s options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, TypedDict, get_args

from .arguments import check_callable, check_whole
from .code.renaming import Renames
from .code.wanted import Wanted
from .codecs.coding import Chooser, Codec, Codecs
from .limits import Limits
from .reading.options import Mismatch, Missing, Prefer, Trust
from .types.registry import Registry
from .wire.keys import KeyOption
from .writing.attempts import ByValueAs, Pickler

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "pickler": get_args(Pickler),
    "trust": get_args(Trust),
    "readable_as": get_args(Trust),
    "missing": get_args(Missing),
    "prefer": get_args(Prefer),
    "by_value_as": get_args(ByValueAs),
    "on_version_mismatch": get_args(Mismatch),
}
_LASTING: Final = frozenset((bool, bytes, int, str, type(None), Limits))
"""Types of options whose value is complete in itself and keeps no object alive."""


class WithoutTrust(TypedDict, total=False):
    """The options of `Serializer`, for one call of a function that has a `trust` of its own."""

    registry: Registry
    pickler: Pickler
    buffer_threshold: int
    writable: bool
    allow: Iterable[type | str] | type | str
    limits: Limits
    renames: Mapping[str, str] | Renames
    missing: Missing
    by_value: str | Iterable[ModuleType | str] | Wanted
    prefer: Prefer
    by_value_as: ByValueAs
    on_version_mismatch: Mismatch
    key: KeyOption
    codec: Codec | Chooser | str | None
    codecs: Codecs
    interactive: bool
    dispatch_table: Mapping[type, Callable[[Any], Any]] | None
    portable: bool


class SerializerOptions(WithoutTrust, total=False):
    """The options of `Serializer`, as given for one call."""

    trust: Trust


def unknown_option(
    function: Callable[..., object],
    unknown: Iterable[str],
    known: Iterable[str] | None = None,
    given: Sequence[object] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> TypeError:
    """Make the error for options that a function does not have; it suggests similar ones.

    `known` are the function's options, if its signature does not list them; `given` are positional options;
    `elsewhere` says for options of others how to pass them.

    >>> unknown_option(check_kinds, ["limit"])
    TypeError("check_kinds() has no option 'limit': did you mean 'limits'?")
    """
    if given:
        return TypeError(
            f"{function.__name__}() takes options by name, as timeout=10: which one is this "
            f"{type(given[0]).__name__}?"
        )
    from difflib import get_close_matches  # 1 ms, only for errors

    known = set(_options_of(function) if known is None else known)
    name = next((name for name in unknown if name not in known), next(iter(unknown)))
    if elsewhere and name in elsewhere:
        return TypeError(f"{function.__name__}() has no option {name!r}: {elsewhere[name]} has it")
    near = get_close_matches(name, sorted(known), 1)
    hint = f": did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
    return TypeError(f"{function.__name__}() has no option {name!r}{hint}")


def _options_of(function: Callable[..., object]) -> set[str]:
    parameters = inspect.signature(function).parameters
    named = {
        name for name, each in parameters.items() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    return named | SerializerOptions.__annotations__.keys() if "options" in parameters else named


def check_choices(**options: str) -> None:
    """Raise `ValueError` for a word that an option does not allow.

    >>> check_choices(trust="nobody")
    Traceback (most recent call last):
    ValueError: trust='nobody' is not one of code, data
    """
    for name, value in options.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(CHOICES[name])}")
    if options.get("missing") == "stub" and options.get("trust") == "data":
        raise ValueError("missing='stub' needs trust=\"code\"")


def check_kinds(registry: object, limits: object, codecs: object, buffer_threshold: int) -> None:
    """Raise `TypeError` or `ValueError` for an option that would fail only when a message is made or read.

    >>> check_kinds(Registry(), Limits(), Codecs(), 0)
    Traceback (most recent call last):
    ValueError: buffer_threshold=0 is not a positive number of bytes
    """
    kinds = (("registry", registry, Registry), ("limits", limits, Limits), ("codecs", codecs, Codecs))
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise TypeError(f"{name}= is a canning.{kind.__name__}, and this is {type(value).__name__}")
    check_whole("buffer_threshold", buffer_threshold, "bytes", least=1)


def reducers_of(table: Mapping[type, Callable[[Any], Any]] | None) -> dict[type, Callable[[Any], Any]]:
    """Check and copy a dispatch table."""
    if table is not None and not isinstance(table, Mapping):
        raise TypeError(f"dispatch_table= is a dict from types to functions, not {type(table).__name__}")
    table = dict(table or {})
    for cls, reduce in table.items():
        check_callable(f"dispatch_table[{getattr(cls, '__name__', type(cls).__name__)}]", reduce)
    return table


def lasts(name: str, value: object) -> bool:
    """Tell whether an option means the same the next time: a name may refer to something else then."""
    return type(value) in _LASTING and (
        type(value) is not str or name not in ("allow", "by_value", "codec", "key")
    )
