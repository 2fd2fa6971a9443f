"""xarray: Dataset, DataArray, DataTree, Variable, and indexes that consist of a pandas index.

Lazily indexed data stays so: xarray's own hooks send it, and open the file again at the receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray
from xarray.core import extension_array, indexes, indexing

from ..budget import charge
from ..canner import Canner
from .checks import attribute_names, label, need, parts

xr: Any = xarray
_Adapter: Any = indexing.PandasIndexingAdapter
_MultiAdapter: Any = indexing.PandasMultiIndexingAdapter
_Extension: Any = extension_array.PandasExtensionArray
_MEMORY: Final = (np.ndarray, _Adapter, _MultiAdapter, _Extension)
_DEEP: Final = 100
"""Levels of a tree, at most."""
_NODE: Final = 14_000, 5000
"""The cost of a node, or of one on the way to it, in items of 50 ns, and in bytes."""
_LEVELS: Final = 5000
"""The cost of comparing an index of several levels, in items of 50 ns."""

# -- variables -------------------------------------------------------------------------------------------


def _can_variable(variable: xarray.Variable) -> Any:
    return variable._dims, variable._data, variable._attrs, variable._encoding


def _variable_as(cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        made = cls.__new__(cls)
        made._dims, made._data, made._attrs, made._encoding = state
        return made

    return make


def _checked_variable_as(cls: type, kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    make = _variable_as(cls)

    def make_checked(state: object) -> Any:
        dims, data, attrs, encoding = parts(state, tuple, object, object, object)
        need(type(data) in kinds and data.ndim == len(dims), "a variable of something other than an array")
        need(len(set(map(label, dims))) == len(dims), "an axis that is there twice")
        _check_attributes(attrs)
        _check_attributes(encoding)
        return make(state)

    return make_checked


def _check_attributes(attributes: Any) -> None:
    need(attributes is None or type(attributes) is dict, "invalid attributes")
    attribute_names(map(label, attributes or ()))  # xarray looks them up by ``getattr``


def _dtype(dtype: object) -> Any:
    need(isinstance(dtype, np.dtype | pd.api.extensions.ExtensionDtype), "an invalid dtype")
    return dtype


def _can_adapter(adapter: indexing.PandasIndexingAdapter) -> Any:
    return adapter.array, adapter._dtype


def _adapter(state: tuple[Any, ...]) -> Any:
    array, dtype = state
    need(isinstance(array, pd.Index), "an invalid index")
    return _Adapter(array, _dtype(dtype))


def _can_multi_adapter(adapter: Any) -> Any:
    return adapter.array, adapter._dtype, adapter.level


def _multi_adapter(state: tuple[Any, ...]) -> Any:
    array, dtype, level = state
    need(isinstance(array, pd.MultiIndex), "an invalid index")
    need(level is None or label(level) in array.names, "a level that the index does not have")
    return _MultiAdapter(array, _dtype(dtype), level)


def _can_extension(wrapper: Any) -> Any:
    return (wrapper.array,)


def _extension(state: object) -> Any:
    (array,) = parts(state, object)
    need(isinstance(array, pd.api.extensions.ExtensionArray), "an invalid array of pandas")
    return _Extension(array)


# -- indexes ---------------------------------------------------------------------------------------------


def _can_index(index: indexes.PandasIndex) -> Any:
    return index.index, index.dim, index.coord_dtype


def _index(state: tuple[Any, ...]) -> Any:
    array, dim, dtype = state
    need(isinstance(array, pd.Index) and array.name is not None, "an invalid index")
    return indexes.PandasIndex(array, label(dim), _dtype(dtype), fastpath=True)


def _can_multi_index(index: Any) -> Any:
    return index.index, index.dim, dict(index.level_coords_dtype)


def _multi_index(state: object) -> Any:
    array, dim, dtypes = parts(state, pd.MultiIndex, object, dict)
    need(set(dtypes) == set(array.names), "an index of other levels")
    return indexes.PandasMultiIndex(array, label(dim), {name: _dtype(of) for name, of in dtypes.items()})


def _charge_comparison(index: Any) -> None:
    """Charge for comparing an index with another one, label by label."""
    levels = index.nlevels
    charge(levels * len(index) + (_LEVELS if levels > 1 else 0), 0)


def _check_indexes(variables: Any, found: Any) -> None:
    """Check that each index belongs to the coordinate of its name, and is as long as the axis."""
    need(type(found) is dict, "invalid indexes")
    for name, index in found.items():
        need(isinstance(index, indexes.PandasIndex) and name in variables, "an index of nothing")
        data = variables[name]._data
        need(isinstance(data, _Adapter), "an index of something else")
        if data.array is not index.index:
            _charge_comparison(index.index)
        need(data.array.equals(index.index), "an index of something else")
        need(variables[name]._dims == (index.dim,), "an index of another axis")


# -- arrays and sets of them -----------------------------------------------------------------------------


def _is_read(obj: Any, variables: Any) -> bool:
    """Tell whether all data was read from the file: only then can the file be dropped."""
    return obj._close is None or all(type(variable._data) in _MEMORY for variable in variables)


def _can_array(array: xarray.DataArray) -> Any:
    if not _is_read(array, (array._variable, *array._coords.values())):
        return NotImplemented
    return array._variable, array._coords, array._name, array._indexes


def _array(state: Any) -> Any:
    variable, coords, name, found = state
    return xr.DataArray(variable, coords, name=name, indexes=found, fastpath=True)


def _checked_array(state: object) -> Any:
    variable, coords, name, found = parts(state, (xr.Variable, xr.IndexVariable), dict, object, dict)
    _check_variables(coords)
    lengths = dict(zip(variable._dims, variable.shape, strict=True))
    for coord in coords.values():
        need(
            all(lengths.get(dim) == n for dim, n in zip(coord._dims, coord.shape, strict=True)),
            "a coordinate of other axes",
        )
    _check_indexes(coords, found)
    label(name)
    return _array(state)


def _check_variables(variables: dict[Any, Any]) -> None:
    for name, variable in variables.items():
        need(isinstance(variable, xr.Variable), "an invalid variable")
        label(name)


def _can_set(dataset: xarray.Dataset) -> Any:
    if not _is_read(dataset, dataset._variables.values()):
        return NotImplemented
    names = [name for name in dataset._variables if name in dataset._coord_names]
    axes = list(dataset._dims)  # their order may differ from that of the variables
    return dataset._variables, names, dataset._attrs, dataset._indexes, dataset._encoding, axes


def _set(state: Any) -> Any:
    variables, names, attrs, found, encoding, *axes = state
    lengths: dict[Any, int] = {}
    for variable in variables.values():
        lengths.update(zip(variable._dims, variable._data.shape, strict=True))
    if axes:  # the first messages had no order of axes
        lengths = {dim: lengths[dim] for dim in axes[0]}
    return xr.Dataset._construct_direct(variables, set(names), lengths, attrs, found, encoding)


def _checked_set(state: object) -> Any:
    variables, names, attrs, found, encoding, axes = parts(state, dict, list, object, dict, object, list)
    _check_variables(variables)
    need(all(label(name) in variables for name in names), "a coordinate that is not a variable")
    need(all(name in names for name in found), "an index of no coordinate")
    _check_attributes(attrs)
    _check_attributes(encoding)
    _check_indexes(variables, found)
    lengths: dict[Any, int] = {}
    for variable in variables.values():
        for dim, length in zip(variable._dims, variable.shape, strict=True):
            need(lengths.setdefault(dim, length) == length, "an axis of two lengths")
            need(dim not in variables or variables[dim].ndim, "an axis that is one number")
    need(set(map(label, axes)) == set(lengths) and len(axes) == len(lengths), "axes of other variables")
    return _set(state)


def _can_tree(tree: xarray.DataTree) -> Any:
    """Return the nodes of a tree; a branch has the coordinates that it inherits, as xarray's copies do."""
    root = tree if tree.parent is None else tree.copy()
    nodes = {node.relative_to(root): node.to_dataset(inherit=False) for node in root.subtree}
    return nodes, tree.name


def _tree(state: object) -> Any:
    nodes, name = parts(state, dict, object)
    ways: dict[str, Any] = {}
    need(name is None or type(name) is str, "a tree of an unusual name")
    for path, node in nodes.items():
        need(type(path) is str and type(node) is xr.Dataset, "an invalid node")
        need(path.count("/") < _DEEP, "a tree that is too deep")
        at = ways
        for step in path.split("/"):
            charge(*_NODE if step not in at else (0, 0))
            at = at.setdefault(step, {})
    return xr.DataTree.from_dict(
        {"/" if path == "." else path: node for path, node in nodes.items()}, name=name
    )


def _row(name: str, can: Callable[[Any], Any], uncan: Callable[[Any], Any], data: Any = True) -> Canner:
    return Canner(f"xarray.{name}", can, uncan, data=data, exact=True)


CANNERS: Final = (
    _row(
        "Variable",
        _can_variable,
        _variable_as(xr.Variable),
        _checked_variable_as(xr.Variable, _MEMORY),
    ),
    _row(
        "IndexVariable",
        _can_variable,
        _variable_as(xr.IndexVariable),
        _checked_variable_as(xr.IndexVariable, (_Adapter, _MultiAdapter)),
    ),
    _row("PandasIndexingAdapter", _can_adapter, _adapter),
    _row("PandasMultiIndexingAdapter", _can_multi_adapter, _multi_adapter),
    _row("PandasExtensionArray", _can_extension, _extension),
    _row("indexes.PandasIndex", _can_index, _index),
    _row("indexes.PandasMultiIndex", _can_multi_index, _multi_index),
    _row("DataArray", _can_array, _array, _checked_array),
    _row("Dataset", _can_set, _set, _checked_set),
    _row("DataTree", _can_tree, _tree),
)
