"""How objects of other packages are looked into and compared; see `tests.types`."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

# -- memory ----------------------------------------------------------------------------------------------


def arrow_memory(obj: Any) -> list[Any]:
    """List the buffers of an object of Arrow as arrays, dictionaries too."""
    import pyarrow as pa

    if isinstance(obj, pa.Buffer):
        array = np.frombuffer(obj, np.uint8)
        return (
            [array[: array.size // 8 * 8].view("u8")]
            if obj.address % 8 == 0 and obj.size % 8 == 0
            else [array]
        )
    if isinstance(obj, pa.Table | pa.RecordBatch):
        return [array for column in obj.columns for array in arrow_memory(column)]
    if isinstance(obj, pa.ChunkedArray):
        return [array for chunk in obj.chunks for array in arrow_memory(chunk)]
    if isinstance(obj, pa.DictionaryArray):
        return arrow_memory(obj.indices) + arrow_memory(obj.dictionary)
    return [array for buffer in obj.buffers() if buffer is not None for array in arrow_memory(buffer)]


def pandas_memory(obj: Any) -> list[Any]:
    """List the memory behind an object of pandas."""
    import pandas as pd

    if isinstance(obj, pd.DataFrame):
        parts = [block.values for block in obj._mgr.blocks] + [obj.index, obj.columns]
    elif isinstance(obj, pd.Series):
        parts = [obj._values, obj.index]
    elif isinstance(obj, pd.MultiIndex):
        parts = [*obj._levels, *obj._codes]
    elif isinstance(obj, pd.RangeIndex):
        parts = []
    elif isinstance(obj, pd.Index):
        parts = [obj._data]
    elif isinstance(obj, np.ndarray):
        return [] if obj.dtype.hasobject else [obj]
    elif isinstance(obj, pd.api.extensions.ExtensionArray):
        parts = _array_parts(obj)
    else:
        return []
    return [array for part in parts for array in pandas_memory(part)]


def _array_parts(array: Any) -> list[Any]:
    if hasattr(array, "_pa_array"):
        return arrow_memory(array._pa_array)
    found = [vars(array)[name] for name in vars(array) if name in ("_data", "_mask", "_left", "_right")]
    if hasattr(array, "sp_values"):
        found += [array.sp_values, array.sp_index.indices]
    if hasattr(array, "_ndarray"):
        found.append(array._ndarray)
    if hasattr(array, "categories"):
        found.append(array.categories)
    return found


def polars_memory(obj: Any) -> list[Any]:
    """List the buffers that polars hands out."""
    import polars as pl

    frame = obj.to_frame() if isinstance(obj, pl.Series) else obj
    return arrow_memory(frame.to_arrow(compat_level=pl.CompatLevel.newest()))


def torch_memory(obj: Any) -> list[Any]:
    """View the storage that a tensor covers whole, as numbers of its width."""
    storage = obj.untyped_storage()
    memory = (ctypes.c_uint8 * storage.nbytes()).from_address(storage.data_ptr())
    return [np.frombuffer(memory, f"u{min(obj.element_size(), 8)}")]


def parts_memory(obj: Any) -> list[Any]:
    """List the arrays among the attributes of an object."""
    return [
        part
        for value in vars(obj).values()
        for part in (value if isinstance(value, tuple) else (value,))
        if isinstance(part, np.ndarray)
    ]


def buffer_memory(obj: Any) -> list[Any]:
    """View what offers the buffer protocol."""
    return [np.frombuffer(obj, np.uint8)]


def fields_memory(obj: Any) -> list[Any]:
    """List the arrays among the fields of an object."""
    names = [*getattr(obj, "__slots__", ()), *getattr(obj, "__dict__", ())]
    fields = [getattr(obj, name, None) for name in names if name != "__weakref__"]
    return [field for field in fields if isinstance(field, np.ndarray)]


def xarray_memory(obj: Any) -> list[Any]:
    """List the memory of variables, and of the indexes behind coordinates."""
    import xarray as xr

    if isinstance(obj, xr.Dataset):
        found = [variable._data for variable in obj.variables.values()]
    elif isinstance(obj, xr.DataArray):
        found = [obj.variable._data, *(coord.variable._data for coord in obj.coords.values())]
    else:
        found = [obj._data]
    arrays = [data for data in found if isinstance(data, np.ndarray)]
    behind = [data.array for data in found if not isinstance(data, np.ndarray)]
    if not isinstance(obj, xr.Variable):
        behind += [index.index for index in obj.xindexes.values()]
    return arrays + [memory for index in behind for memory in pandas_memory(index)]


def image_memory(obj: Any) -> list[Any]:
    """View the memory that Pillow shows to Arrow, which may not be written to there, but is by Pillow."""
    import pyarrow as pa

    buffers = [buffer for buffer in pa.array(obj).buffers() if buffer is not None]
    return [
        np.frombuffer((ctypes.c_uint8 * buffer.size).from_address(buffer.address), np.uint8)
        for buffer in buffers
    ]


# -- comparison ------------------------------------------------------------------------------------------


def same_value(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert got == sent or (got is sent) or (got != got and sent != sent)


def same_arrow(sent: Any, got: Any, *, writeable: str = "") -> None:
    import pyarrow as pa

    assert type(got) is type(sent)
    assert got.equals(sent)
    if isinstance(got, pa.Tensor):
        assert (got.strides, list(got.dim_names)) == (sent.strides, list(sent.dim_names))
    if isinstance(got, pa.Table | pa.RecordBatch):
        assert got.schema.equals(sent.schema, check_metadata=True)
    if isinstance(got, pa.Table | pa.ChunkedArray | pa.RecordBatch | pa.Array):
        got.validate(full=True)
    if isinstance(got, pa.Table):
        assert [c.num_chunks for c in got.columns] == [c.num_chunks for c in sent.columns]


def same_pandas(sent: Any, got: Any, *, writeable: str = "") -> None:
    import pandas as pd

    assert type(got) is type(sent)
    if isinstance(sent, pd.DataFrame):
        pd.testing.assert_frame_equal(sent, got, check_exact=True, check_flags=True)
        ours, theirs = (
            [(type(b.values), b.shape, b.mgr_locs.as_array.tolist()) for b in f._mgr.blocks]
            for f in (sent, got)
        )
        assert ours == theirs
        _same_index(sent.index, got.index)
        _same_index(sent.columns, got.columns)
        assert got.attrs == sent.attrs
    elif isinstance(sent, pd.Series):
        pd.testing.assert_series_equal(sent, got, check_exact=True, check_flags=True)
        _same_index(sent.index, got.index)
        assert got.attrs == sent.attrs
    elif isinstance(sent, pd.Index):
        _same_index(sent, got)
    elif isinstance(sent, pd.api.extensions.ExtensionArray):
        assert sent.dtype == got.dtype
        assert getattr(sent, "freq", None) == getattr(got, "freq", None)  # an array had one up to pandas 3.0
        pd.testing.assert_series_equal(pd.Series(sent), pd.Series(got), check_exact=True)
    elif sent is pd.NaT or sent is pd.NA:
        assert got is sent
    else:
        assert got == sent
        assert getattr(got, "unit", None) == getattr(sent, "unit", None)
        assert str(getattr(got, "tz", None)) == str(getattr(sent, "tz", None))
    if writeable == "same" and isinstance(sent, pd.DataFrame | pd.Series):
        ours, theirs = (
            [
                block.values.flags.writeable
                for block in obj._mgr.blocks
                if isinstance(block.values, np.ndarray)
            ]
            for obj in (sent, got)
        )
        assert ours == theirs


def _same_index(sent: Any, got: Any) -> None:
    import pandas as pd

    assert type(got) is type(sent)
    pd.testing.assert_index_equal(sent, got, exact=True)
    assert getattr(got, "freq", None) == getattr(sent, "freq", None)
    assert got.names == sent.names


def same_sparse(sent: Any, got: Any, *, writeable: str = "") -> None:
    from .harness import assert_equal

    assert type(got) is type(sent)
    assert (got.shape, got.dtype, got.nnz) == (sent.shape, sent.dtype, sent.nnz)
    ours, theirs = vars(sent), vars(got)
    for name in ours.keys() & theirs.keys() - {"_dict"}:
        assert_equal(ours[name], theirs[name], writeable="at most")
    assert (got.toarray() == sent.toarray()).all()


def same_exception(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert (got.args, vars(got)) == (sent.args, vars(sent))


def same_bytes(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert bytes(got) == bytes(sent)
    assert not isinstance(sent, ctypes.Array) or got._length_ == sent._length_


def same_mapping(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert (got[:], got.tell()) == (sent[:], sent.tell())


def same_file(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert (got.getvalue(), got.tell()) == (sent.getvalue(), sent.tell())


def same_format(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert (type(got), got.format) == (type(sent), sent.format)


def same_polars(sent: Any, got: Any, *, writeable: str = "") -> None:
    import polars as pl

    assert type(got) is type(sent)
    if isinstance(sent, pl.LazyFrame):
        sent, got = sent.collect(), got.collect()
    kinds = [sent.dtype] if isinstance(sent, pl.Series) else sent.dtypes
    if pl.Object in kinds:  # such columns have no `equals`
        assert repr(got.to_dict(as_series=False) if isinstance(got, pl.DataFrame) else got.to_list()) == repr(
            sent.to_dict(as_series=False) if isinstance(sent, pl.DataFrame) else sent.to_list()
        )
    else:
        assert got.equals(sent)
        assert got.n_chunks() == sent.n_chunks()
    if isinstance(sent, pl.Series):
        assert (got.dtype, got.name) == (sent.dtype, sent.name)
    else:
        assert got.schema == sent.schema


def same_torch(sent: Any, got: Any, *, writeable: str = "") -> None:
    import torch

    assert type(got) is type(sent)
    if isinstance(sent, torch.nn.Module):
        return same_state(sent.state_dict(), got.state_dict())
    if isinstance(sent, dict):
        return same_state(sent, got)
    if isinstance(sent, torch.UntypedStorage):
        assert got.tolist() == sent.tolist()
        return None
    if not isinstance(sent, torch.Tensor):
        assert got == sent
        return None
    assert (got.dtype, got.shape, got.layout) == (sent.dtype, sent.shape, sent.layout)
    assert (got.requires_grad, got.device) == (sent.requires_grad, sent.device)
    assert vars(got) == vars(sent)
    if sent.is_quantized:
        assert got.equal(sent)
    elif sent.layout is torch.strided and sent.device.type == "cpu" and sent.dim():
        assert got.stride() == sent.stride()
        assert (got.is_conj(), got.is_neg()) == (sent.is_conj(), sent.is_neg())
        ours, theirs = (tensor.detach().resolve_conj().resolve_neg().contiguous() for tensor in (sent, got))
        assert ours.view(torch.uint8).equal(theirs.view(torch.uint8))
    elif sent.device.type == "cpu":
        assert sent.to_dense().equal(got.to_dense())
    return None


def same_state(sent: Any, got: Any) -> None:
    assert list(got) == list(sent)
    assert getattr(got, "_metadata", None) == getattr(sent, "_metadata", None)
    assert _one_storage(got) == _one_storage(sent)
    for name in sent:
        same_torch(sent[name], got[name])


def _one_storage(state: Any) -> list[list[str]]:
    """List the names of those tensors that have one storage together."""
    names: dict[int, list[str]] = {}
    for name, tensor in state.items():
        names.setdefault(tensor.untyped_storage()._cdata, []).append(name)
    return sorted(names.values())


def same_xarray(sent: Any, got: Any, *, writeable: str = "") -> None:
    import xarray as xr

    assert type(got) is type(sent)
    assert got.identical(sent)
    assert getattr(got, "encoding", None) == getattr(sent, "encoding", None)
    for one, other in zip(xarray_variables(sent), xarray_variables(got), strict=True):
        assert type(one) is type(other)
        assert type(one._data) is type(other._data)
        assert one.dtype == other.dtype
        if writeable == "same" and isinstance(one._data, np.ndarray):
            assert one._data.flags.writeable == other._data.flags.writeable
    if isinstance(sent, xr.Dataset | xr.DataArray):
        assert list(got.xindexes) == list(sent.xindexes)
        for name, index in sent.xindexes.items():
            assert type(got.xindexes[name]) is type(index)
            _same_index(index.index, got.xindexes[name].index)


def xarray_variables(obj: Any) -> list[Any]:
    """List the variables of an object of xarray, those of coordinates last."""
    import xarray as xr

    if isinstance(obj, xr.Dataset):
        return list(obj.variables.values())
    if isinstance(obj, xr.DataTree):
        return [variable for node in obj.subtree for variable in node.variables.values()]
    if isinstance(obj, xr.DataArray):
        return [obj.variable, *(coord.variable for coord in obj.coords.values())]
    return [obj]


def same_image(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert got == sent
    assert (got.info, got.getpalette()) == (sent.info, sent.getpalette())
    assert got.convert("RGBA").tobytes() == sent.convert("RGBA").tobytes() or sent.mode in ("LAB", "I", "F")
    got.copy().load()[3, 4] = got.getpixel((0, 0))
    got.load()[3, 4] = sent.getpixel((3, 4))  # an image can be drawn on


def same_quantity(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    if not hasattr(sent, "unit") and not hasattr(sent, "magnitude"):
        assert got == sent
        return
    assert str(got) == str(sent)
    assert bool(np.all(got == sent))
    if hasattr(sent, "unit"):
        assert (got.unit, got.dtype, got.strides) == (sent.unit, sent.dtype, sent.strides)
        assert getattr(got, "wrap_angle", None) == getattr(sent, "wrap_angle", None)
    else:
        assert got.units == sent.units
        assert type(got.magnitude) is type(sent.magnitude)
    got.to(getattr(got, "unit", None) or got.units)


def same_jax(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert (got.dtype, got.shape, getattr(got, "weak_type", None)) == (
        sent.dtype,
        sent.shape,
        getattr(sent, "weak_type", None),
    )
    assert (got == sent).all()


def same_geo(sent: Any, got: Any, *, writeable: str = "") -> None:
    assert type(got) is type(sent)
    assert (got == sent).all() if type(sent).__name__ == "GeometryArray" else got.equals(sent)
    assert got.crs == sent.crs
