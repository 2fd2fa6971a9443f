"""msgspec's Structs that go by value: such a class is made whole by `msgspec.defstruct`, and never altered.

cloudpickle makes an empty class and fills it, which leaves a Struct without fields.
"""

from __future__ import annotations

from typing import Any, Final

from cloudpickle import cloudpickle

_OPTIONS: Final = (
    *("tag", "tag_field", "omit_defaults", "forbid_unknown_fields", "frozen", "eq", "order"),
    *("repr_omit_defaults", "array_like", "gc", "weakref", "dict", "cache_hash"),
)
_FIRST: Final = "__post_init__"
"""What a Struct must have when it is made."""


def is_struct(cls: type) -> bool:
    """Tell whether a class is a Struct of msgspec's, which then has been imported."""
    return type(cls).__module__ == "msgspec._core" and hasattr(cls, "__struct_config__")


def reduce_struct(cls: Any, reduced: Any) -> Any:
    """Give what makes a Struct of its fields and options, where cloudpickle has `reduced` it."""
    _, (_, name, _, _, same, _), (attributes, slots), *rest = reduced
    attributes = {key: value for key, value in attributes.items() if key not in ("__slots__", _FIRST)}
    options = {option: getattr(cls.__struct_config__, option) for option in _OPTIONS}
    fields = _fields_of(cls)
    options["kw_only"] = bool({field[0] for field in fields} - set(cls.__match_args__))
    first = {_FIRST: vars(cls)[_FIRST]} if _FIRST in vars(cls) else {}
    parts = (name, cls.__module__, cls.__bases__, fields, options, first, same)
    return make_struct, parts, (attributes, slots), *rest


def _fields_of(cls: Any) -> list[tuple[str, Any, str, dict[str, Any]]]:
    """List the fields that a Struct adds to its bases: name, type, name on the wire, default."""
    from msgspec import NODEFAULT

    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    default_of = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    encoded = dict(zip(names, cls.__struct_encode_fields__, strict=True))
    fields = []
    for name, kind in vars(cls).get("__annotations__", {}).items():
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


def make_struct(
    name: str,
    module: str,
    bases: tuple[type, ...],
    fields: list[tuple[str, Any, str, dict[str, Any]]],
    options: dict[str, Any],
    first: dict[str, Any],
    same: str | None,
) -> Any:
    """Make a Struct, or give the one that came before and is the `same`."""
    import msgspec

    made = msgspec.defstruct(
        name,
        [(field, kind, msgspec.field(name=encoded, **said)) for field, kind, encoded, said in fields],
        bases=bases,
        module=module,
        namespace=first,
        **options,
    )
    return made if same is None else cloudpickle._lookup_class_or_track(same, made)
