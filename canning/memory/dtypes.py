"""Every dtype as plain data, and back: a closed grammar that needs no evaluation.

A description is one of

* ``"<f8"``: the value of `numpy.dtype.str`, for all dtypes built into numpy that have no parts;
* ``("struct", itemsize, aligned, record, ((name, title, offset, description), ...))``;
* ``("array", description, shape)``: a sub-array field;
* ``("string", coerce, has_na, na_object)``: `numpy.dtypes.StringDType`;
* ``("named", module, name)``: a dtype of another package, by its scalar type (``ml_dtypes.bfloat16``);
* ``("metadata", description, {...})``;
* ``("typed", description, module, name)``: a structured dtype whose scalars are of another class;
* ``("parted", description, "<i8")``: a dtype that has fields without being a structure.
"""

from __future__ import annotations

import importlib
import operator
from typing import Any, Final

import numpy as np

Description = Any

_SIMPLE: Final = "?bhilqBHILQefdgFDG"
BY_DTYPE: Final[dict[int, str]] = {id(np.dtype(c)): np.dtype(c).str for c in _SIMPLE}
"""Descriptions of numpy's own dtype instances, by identity: they live as long as numpy does.

By identity, since a dtype with metadata equals the one without.
"""
BY_NAME: Final[dict[Description, np.dtype[Any]]] = {
    np.dtype(c).str: np.dtype(np.dtype(c).str) for c in _SIMPLE
}


def describe(dtype: np.dtype[Any]) -> Description:
    """Describe a dtype as plain data.

    >>> describe(np.dtype([("x", "<f4"), ("y", "<i2", (2,))]))
    ('struct', 8, False, False, (('x', None, 0, '<f4'), ('y', None, 4, ('array', '<i2', (2,)))))
    """
    known = BY_DTYPE.get(id(dtype))
    if known is not None:
        return known
    if dtype.metadata:
        return ("metadata", _describe_parts(dtype), dict(dtype.metadata))
    return _describe_parts(dtype)


def _describe_parts(dtype: np.dtype[Any]) -> Description:
    if dtype.names is not None:
        if dtype.kind != "V":
            return ("parted", _describe_struct(dtype), dtype.str)
        if dtype.type not in (np.void, np.record):
            return ("typed", _describe_struct(dtype), dtype.type.__module__, dtype.type.__qualname__)
        return _describe_struct(dtype)
    if dtype.subdtype is not None:
        item, shape = dtype.subdtype
        return ("array", describe(item), shape)
    if dtype.kind == "T":
        has_na = hasattr(dtype, "na_object")
        return ("string", dtype.coerce, has_na, dtype.na_object if has_na else None)  # type: ignore[attr-defined]
    if dtype.type.__module__ != "numpy":
        return ("named", dtype.type.__module__, dtype.type.__qualname__)
    return dtype.str


def _describe_struct(dtype: np.dtype[Any]) -> Description:
    assert dtype.names is not None
    assert dtype.fields is not None
    fields = []
    for name in dtype.names:
        item, offset, *title = dtype.fields[name]
        fields.append((name, title[0] if title else None, offset, describe(item)))
    return ("struct", dtype.itemsize, dtype.isalignedstruct, dtype.type is np.record, tuple(fields))


def build(description: Description) -> np.dtype[Any]:
    """Make the dtype that `describe` described.

    >>> build(("array", "<i2", (2,)))
    dtype(('<i2', (2,)))
    """
    if isinstance(description, str):
        return BY_NAME.get(description) or np.dtype(description)
    kind, *parts = description
    dtype: np.dtype[Any] = _BUILDERS[kind](*parts)
    return dtype


def _build_struct(itemsize: int, aligned: bool, record: bool, fields: Any) -> np.dtype[Any]:
    built = [(name, title, offset, build(item)) for name, title, offset, item in fields]
    return struct_of(itemsize, aligned, record, built)


def struct_of(itemsize: int, aligned: bool, record: bool, fields: Any) -> np.dtype[Any]:
    """Make a structured dtype from its fields, each a name, a title or None, an offset, a dtype."""
    layout: dict[str, Any] = {
        "names": [name for name, _, _, _ in fields],
        "formats": [item for _, _, _, item in fields],
        "offsets": [offset for _, _, offset, _ in fields],
        "itemsize": itemsize,
    }
    if any(title is not None for _, title, _, _ in fields):
        layout["titles"] = [title for _, title, _, _ in fields]
    dtype: np.dtype[Any] = np.dtype(layout, align=aligned)  # type: ignore[call-overload]
    return np.dtype((np.record, dtype)) if record else dtype


def _build_array(item: Description, shape: tuple[int, ...]) -> np.dtype[Any]:
    return np.dtype((build(item), shape))


def _build_string(coerce: bool, has_na: bool, na_object: object) -> np.dtype[Any]:
    string: Any = np.dtypes.StringDType  # type: ignore[attr-defined,unused-ignore]
    dtype: np.dtype[Any] = string(coerce=coerce, na_object=na_object) if has_na else string(coerce=coerce)
    return dtype


def _build_named(module: str, name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(_import(module, name))
    return dtype


def _build_metadata(description: Description, metadata: dict[str, Any]) -> np.dtype[Any]:
    return np.dtype(build(description), metadata=metadata)


def _build_typed(description: Description, module: str, name: str) -> np.dtype[Any]:
    return np.dtype((_import(module, name), build(description)))


def parted(structure: np.dtype[Any], code: str) -> np.dtype[Any]:
    """Add the fields of a structure to a dtype of numbers, text or times.

    >>> parted(np.dtype([("low", "<u2"), ("high", "<u2")]), "<u4")
    dtype((numpy.uint32, [('low', '<u2'), ('high', '<u2')]))
    """
    return np.dtype((np.dtype(code), structure))


def _build_parted(description: Description, code: str) -> np.dtype[Any]:
    return parted(build(description), code)


def _import(module: str, name: str) -> Any:
    return operator.attrgetter(name)(importlib.import_module(module))


_BUILDERS: Final[dict[str, Any]] = {
    "typed": _build_typed,
    "parted": _build_parted,
    "struct": _build_struct,
    "array": _build_array,
    "string": _build_string,
    "named": _build_named,
    "metadata": _build_metadata,
}
