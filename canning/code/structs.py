"""msgspec's Structs sent by value: `msgspec.defstruct` makes such a class complete, and nothing changes it.

cloudpickle makes an empty class and fills it, which leaves a Struct without fields.
"""

from __future__ import annotations

from typing import Any, Final

from ..provided import provides
from .annotations import annotations_of
from .classes import class_of, mark_of, set_all, split_body, track

_OPTIONS: Final = (
    *("tag", "tag_field", "omit_defaults", "forbid_unknown_fields", "frozen", "eq", "order"),
    *("repr_omit_defaults", "array_like", "gc", "weakref", "dict", "cache_hash"),
)
_FIRST: Final = "__post_init__"
"""Attributes that a Struct must have when it is made."""


def is_struct(cls: type) -> bool:
    """Tell whether a class is a Struct of msgspec's, which then has been imported."""
    return type(cls).__module__ == "msgspec._core" and hasattr(cls, "__struct_config__")


def parts_of_struct(cls: Any, body: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of `make_struct`, and the rest of a Struct's body."""
    options = {option: getattr(cls.__struct_config__, option) for option in _OPTIONS}
    fields = _fields_of(cls)
    options["kw_only"] = bool({field[0] for field in fields} - set(cls.__match_args__))
    given = {_FIRST: body.pop(_FIRST)} if _FIRST in body else {}
    first, rest = split_body(
        {name: value for name, value in body.items() if name not in ("__slots__", "__module__")}
    )
    return (cls.__name__, cls.__module__, cls.__bases__, fields, options, given, first, mark_of(cls)), rest


def _fields_of(cls: Any) -> list[tuple[str, Any, str, dict[str, Any]]]:
    """List the fields that a Struct adds to its bases: name, type, name on the wire, default."""
    from msgspec import NODEFAULT

    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    default_of = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    encoded = dict(zip(names, cls.__struct_encode_fields__, strict=True))
    fields = []
    for name, kind in annotations_of(cls).items():
        if name not in encoded:  # a class variable
            continue
        default = default_of.get(name, NODEFAULT)
        said: dict[str, Any] = {}
        if type(default).__name__ == "Factory":
            said = {"default_factory": default.factory}
        elif default is not NODEFAULT:
            said = {"default": default}
        fields.append((name, kind, encoded[name], said))
    return fields


@provides("struct")
def make_struct(
    name: str,
    module: str,
    bases: tuple[type, ...],
    fields: list[tuple[str, Any, str, dict[str, Any]]],
    options: dict[str, Any],
    given: dict[str, Any],
    first: dict[str, Any],
    mark: str,
) -> Any:
    """Make a Struct, or return the one that came before with the same mark."""
    if (known := class_of(mark)) is not None:
        return known
    import msgspec

    made = msgspec.defstruct(
        name,
        [(field, kind, msgspec.field(name=encoded, **said)) for field, kind, encoded, said in fields],
        bases=bases,
        module=module,
        namespace=given,
        **options,
    )
    set_all(made, first)
    return track(mark, made)
