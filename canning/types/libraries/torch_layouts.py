"""torch: convert tensors to arrays and back without a copy; and tensors that are not strided.

A tensor that is sparse, quantized, or has no memory (meta) is sent as a tuple: a word for its layout, and the
tensors that it consists of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from ...memory.buffers import foreign, to_write_to
from ...memory.layout import Array
from ..budget import charge
from .checks import need, parts

WIDTHS: Final = {1: "|u1", 2: "<i2", 4: "<i4", 8: "<i8", 16: "<c16"}
"""By width, the dtype under which the memory of any tensor is sent: numpy lacks bfloat16 and float8."""
DTYPES: Final = {
    str(kind).removeprefix("torch."): kind
    for kind in vars(torch).values()
    if isinstance(kind, torch.dtype) and kind.itemsize in WIDTHS
}
_NAMES: Final = {kind: str(kind).removeprefix("torch.") for kind in DTYPES.values()}


def name_of(kind: torch.dtype) -> str:
    """Name a dtype as torch does, without its package.

    >>> name_of(torch.bfloat16)
    'bfloat16'
    """
    return _NAMES.get(kind) or str(kind).removeprefix("torch.")


def array_of(tensor: torch.Tensor) -> Any:
    """View the elements of a strided tensor of the CPU as numbers of their width."""
    size, shape = tensor.element_size(), tuple(tensor.shape)
    if not tensor.numel():
        return np.empty(shape, WIDTHS[size])
    storage = tensor.untyped_storage()
    strides = None if tensor.is_contiguous() else tuple(step * size for step in tensor.stride())
    return foreign(tensor.data_ptr(), shape, storage, storage.data_ptr(), WIDTHS[size], strides)


def tensor_over(array: Array, kind: torch.dtype) -> Any:
    """Make a tensor over an array's memory, which is made writable: every tensor is."""
    if not array.size:
        return torch.empty(array.shape, dtype=kind)
    core = array
    if not array.flags.c_contiguous:
        core = array[tuple(slice(None) if step else slice(1) for step in array.strides)]
    if any(step < 0 or step % core.itemsize for step in core.strides):
        core = core.copy(order="K")
    elif not core.flags.writeable:
        core = to_write_to(core)
    tensor = torch.from_numpy(core)
    tensor = tensor if tensor.dtype is kind else tensor.view(kind)
    return tensor if core.shape == array.shape else tensor.expand(array.shape)


_COMPRESSED: Final = {
    torch.sparse_csr: ("csr", "crow_indices", "col_indices"),
    torch.sparse_csc: ("csc", "ccol_indices", "row_indices"),
    torch.sparse_bsr: ("bsr", "crow_indices", "col_indices"),
    torch.sparse_bsc: ("bsc", "ccol_indices", "row_indices"),
}
_LAYOUTS: Final = {word: layout for layout, (word, *_) in _COMPRESSED.items()}
_QUANTIZED: Final = {torch.quint8: "|u1", torch.qint8: "|u1", torch.qint32: "<i4"}


def can_layout(tensor: torch.Tensor) -> Any:
    """Return the state of such a tensor; NotImplemented leaves other layouts to torch."""
    shape, grad = tuple(tensor.shape), tensor.requires_grad
    if tensor.device.type == "meta":
        if tensor.layout is not torch.strided:
            return NotImplemented
        return "meta", shape, tensor.stride(), name_of(tensor.dtype), grad
    if tensor.is_quantized:
        return _can_quantized(tensor)
    bare = tensor.detach()
    if tensor.layout is torch.sparse_coo:
        return "coo", shape, bare._indices(), bare._values(), tensor.is_coalesced(), grad
    if tensor.layout in _COMPRESSED:
        word, rows, columns = _COMPRESSED[tensor.layout]
        return word, shape, getattr(bare, rows)(), getattr(bare, columns)(), bare.values(), grad
    return NotImplemented


def _can_quantized(tensor: torch.Tensor) -> Any:
    if tensor.dtype not in _QUANTIZED:
        return NotImplemented
    whole = tensor if tensor.is_contiguous() else tensor.contiguous()
    kind = name_of(tensor.dtype)
    if tensor.qscheme() is torch.per_tensor_affine:
        return "quantized", array_of(whole), kind, tensor.q_scale(), tensor.q_zero_point()
    if tensor.qscheme() is torch.per_channel_affine:
        scales, points = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
        return "quantized channels", array_of(whole), kind, scales, points, tensor.q_per_channel_axis()
    return NotImplemented


def make_layout(state: tuple[Any, ...], *, check: bool) -> Any:
    """Rebuild such a tensor; with `check`, the state is a stranger's, and torch checks every index."""
    word, *rest = state
    make = _MAKERS.get(word)
    need(make is not None, "a tensor of a layout that torch does not have")
    assert make is not None
    charge(14_000, 3000)  # independent of its size
    return make(word, tuple(rest), check)


def _check_shape(shape: object) -> None:
    need(
        type(shape) is tuple and all(type(n) is int and 0 <= n < 1 << 40 for n in shape),
        "an invalid shape",
    )


def _meta(word: str, state: object, check: bool) -> Any:
    shape, strides, kind, grad = parts(state, tuple, tuple, str, bool)
    _check_shape(shape)
    _check_shape(strides)
    need(kind in DTYPES and len(shape) == len(strides), "a tensor of a dtype that torch does not have")
    need(not grad or _may_have_gradient(DTYPES[kind]), "a gradient of whole numbers")
    return torch.empty_strided(shape, strides, dtype=DTYPES[kind], device="meta", requires_grad=grad)


def _may_have_gradient(kind: torch.dtype) -> bool:
    return bool(kind.is_floating_point or kind.is_complex)


def _check_parts(shape: object, grad: object, *tensors: Any) -> None:
    _check_shape(shape)
    need(all(type(t) is torch.Tensor and t.layout is torch.strided for t in tensors), "invalid parts")
    need(all(t.device.type == "cpu" and not t.is_quantized for t in tensors), "invalid parts")
    need(not grad or _may_have_gradient(tensors[-1].dtype), "a gradient of whole numbers")


def _private_copy(indices: torch.Tensor) -> Any:
    """Copy indices before they are checked: other objects of the message can write to theirs."""
    need(indices.dtype in (torch.int32, torch.int64), "indices that are not integers")
    nbytes = indices.numel() * indices.element_size()
    charge(nbytes // 50, nbytes)
    return indices.detach().clone(memory_format=torch.contiguous_format)


def _coo(word: str, state: object, check: bool) -> Any:
    shape, indices, values, coalesced, grad = parts(state, tuple, object, object, bool, bool)
    _check_parts(shape, grad, indices, values)
    indices = _private_copy(indices) if check else indices
    made = torch.sparse_coo_tensor(indices, values, shape, check_invariants=check)
    if coalesced:
        _check_order(indices if check else indices[:, :0])
        made = made._coalesced_(True)
    return made.requires_grad_() if grad else made


def _check_order(indices: torch.Tensor) -> None:
    """Check that places are in order, and none is repeated."""
    before, after = indices[:, :-1], indices[:, 1:]
    larger = torch.zeros(before.shape[1], dtype=torch.bool)
    for row in range(len(indices) - 1, -1, -1):
        larger = (after[row] > before[row]) | ((after[row] == before[row]) & larger)
    need(bool(larger.all()), "places of a sparse tensor out of order")


def _check_compressed(word: str, shape: Any, rows: Any, columns: Any, values: Any) -> None:
    """Check the start of each row, and each place, even without values: torch checks less then."""
    block = values.shape[rows.dim() : rows.dim() + 2] if word in ("bsr", "bsc") else (1, 1)
    batch = rows.dim() - 1
    need(rows.dim() and rows.shape[-1] and len(shape) >= batch + 2 and 0 not in block, "invalid rows")
    need(rows.dtype is columns.dtype and rows.shape[:-1] == columns.shape[:-1], "indices that do not fit")
    lengths = [length // size for length, size in zip(shape[batch : batch + 2], block, strict=True)]
    down, across = lengths if word in ("csr", "bsr") else lengths[::-1]
    need(rows.shape[-1] == down + 1, "more or fewer rows than the shape has")
    steps = rows[..., 1:] - rows[..., :-1]
    ends = bool((rows[..., 0] == 0).all() and (rows[..., -1] == columns.shape[-1]).all())
    need(ends and bool((steps >= 0).all() and (steps <= across).all()), "rows that do not follow each other")
    places = not columns.numel() or (int(columns.min()) >= 0 and int(columns.max()) < across)
    need(places, "a place out of range")


def _compressed(word: str, state: object, check: bool) -> Any:
    shape, rows, columns, values, grad = parts(state, tuple, object, object, object, bool)
    _check_parts(shape, grad, rows, columns, values)
    if check:
        rows, columns = _private_copy(rows), _private_copy(columns)
        _check_compressed(word, shape, rows, columns, values)
    made = torch.sparse_compressed_tensor(
        rows, columns, values, shape, layout=_LAYOUTS[word], check_invariants=check
    )
    return made.requires_grad_() if grad else made


def _over(array: Any, name: str, empty: Callable[[Any], Any]) -> Any:
    kind = next((kind for kind in _QUANTIZED if name_of(kind) == name), None)
    need(kind is not None and type(array) is np.ndarray, "an invalid quantized tensor")
    assert kind is not None
    need(array.dtype.str == _QUANTIZED[kind] and array.flags.c_contiguous, "an invalid quantized tensor")
    made = empty(kind)
    if not array.size:
        return made.reshape(array.shape)
    memory = tensor_over(array, torch.uint8 if array.itemsize == 1 else torch.int32).untyped_storage()
    typed: Any = torch.storage.TypedStorage
    storage = typed(wrap_storage=memory, dtype=kind, _internal=True)
    strides = tuple(step // array.itemsize for step in array.strides)
    return made.set_(storage, 0, array.shape, strides)


def _quantized(word: str, state: object, check: bool) -> Any:
    array, name, scale, point = parts(state, object, str, float, int)

    def empty(kind: torch.dtype) -> Any:
        return torch._empty_affine_quantized((0,), scale=scale, zero_point=point, dtype=kind)

    return _over(array, name, empty)


def _quantized_channels(word: str, state: object, check: bool) -> Any:
    array, name, scales, points, axis = parts(state, object, str, object, object, int)
    _check_parts((), False, scales, points)
    need(type(array) is np.ndarray and 0 <= axis < array.ndim, "channels of no axis")
    need(all(t.shape == (array.shape[axis],) for t in (scales, points)), "channels that do not fit")
    return _over(
        array,
        name,
        lambda kind: torch._empty_per_channel_affine_quantized(
            array.shape, scales=scales, zero_points=points, axis=axis, dtype=kind
        ),
    )


_MAKERS: Final[dict[Any, Callable[[str, Any, bool], Any]]] = {
    "meta": _meta,
    "coo": _coo,
    **dict.fromkeys(_LAYOUTS, _compressed),
    "quantized": _quantized,
    "quantized channels": _quantized_channels,
}
