"""torch: tensors and parameters of the CPU, of any dtype and stride, as arrays over their storage.

What a tensor's elements cover is sent, not its whole storage, and tensors that share memory share it again.
torch's own pickling copies a storage into one bytes object. Modules are made of dicts of these, so that they
need nothing of their own; a ``state_dict`` is read under ``trust="data"``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from ..buffers import foreign
from ..layout import Array
from ..registry import Canner
from .checks import need, parts

_WIDTHS: Final = {1: "|u1", 2: "<i2", 4: "<i4", 8: "<i8", 16: "<c16"}
"""Numbers of numpy's in whose place torch's stand, which may have no other likeness: bfloat16, float8."""


def _plain(tensor: Any) -> bool:
    """Tell whether a tensor is its strided elements in memory of the CPU, and nothing else."""
    return bool(
        tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and tensor.element_size() in _WIDTHS
        and not tensor._backward_hooks
        and not vars(tensor)
    )


def _array_of(tensor: Any) -> Any:
    size, shape = tensor.element_size(), tuple(tensor.shape)
    if not tensor.numel():
        return np.empty(shape, _WIDTHS[size])
    storage = tensor.untyped_storage()
    strides = None if tensor.is_contiguous() else tuple(step * size for step in tensor.stride())
    return foreign(tensor.data_ptr(), shape, storage, storage.data_ptr(), _WIDTHS[size], strides)


def _check_device(tensor: Any) -> None:
    if tensor.device.type not in ("cpu", "meta"):
        raise ValueError(
            f"a tensor on {tensor.device.type} is sent from the host only: use tensor.cpu() first"
        )


def _can_tensor(tensor: Any) -> Any:
    _check_device(tensor)
    if not _plain(tensor) or (tensor.requires_grad and not tensor.is_leaf):
        return NotImplemented
    flags = (tensor.requires_grad, tensor.is_conj(), tensor.is_neg())
    kind = str(tensor.dtype).removeprefix("torch.")
    return (_array_of(tensor), kind, *flags)


def _tensor(state: Any) -> Any:
    array, name, *flags = state
    grad, conj, neg = flags
    need(type(array) is np.ndarray and type(name) is str, "a tensor that is none")
    need(all(type(flag) is bool for flag in flags), "a tensor that is none")
    need(name in _DTYPES, "a tensor of no dtype of torch's")
    kind = _DTYPES[name]
    need(array.dtype.str == _WIDTHS[kind.itemsize], "a tensor of no dtype of torch's")
    need(not grad or kind.is_floating_point or kind.is_complex, "a gradient of whole numbers")
    tensor = _strided(array, kind)
    if not (grad or conj or neg):
        return tensor
    tensor = torch._neg_view(tensor) if neg else tensor
    if conj:
        need(kind.is_complex, "the conjugate of real numbers")
        tensor = tensor.conj()
    return tensor.requires_grad_() if grad else tensor


def _strided(array: Array, kind: Any) -> Any:
    if not array.size:
        return torch.empty(array.shape, dtype=kind)
    core = array
    if not array.flags.c_contiguous:
        core = array[tuple(slice(None) if step else slice(1) for step in array.strides)]
    if not core.flags.writeable or any(step < 0 or step % core.itemsize for step in core.strides):
        core = core.copy(order="K")  # tensors are writable always
    tensor = torch.from_numpy(core)
    tensor = tensor if tensor.dtype is kind else tensor.view(kind)
    return tensor if core.shape == array.shape else tensor.expand(array.shape)


_DTYPES: Final = {
    str(kind).removeprefix("torch."): kind
    for kind in vars(torch).values()
    if isinstance(kind, torch.dtype) and kind.itemsize in _WIDTHS
}


def _can_parameter(parameter: Any) -> Any:
    state = _can_tensor(parameter.data)
    if state is NotImplemented or vars(parameter) or parameter._backward_hooks:
        return NotImplemented
    return parameter.data, parameter.requires_grad


def _parameter(state: Any) -> Any:
    tensor, grad = parts(state, torch.Tensor, bool)
    return torch.nn.Parameter(tensor, grad)


def _can_dtype(kind: Any) -> Any:
    return (str(kind).removeprefix("torch."),)


def _dtype(state: Any) -> Any:
    (name,) = parts(state, str)
    found = getattr(torch, name, None)
    need(isinstance(found, torch.dtype), "a dtype that torch does not have")
    return found


def _can_size(size: Any) -> Any:
    return (tuple(size),)


def _size(state: Any) -> Any:
    (lengths,) = parts(state, tuple)
    need(all(type(length) is int and 0 <= length < 1 << 62 for length in lengths), "a size that is none")
    return torch.Size(lengths)


CANNERS: Final = (
    Canner("torch.Tensor", _can_tensor, _tensor, data=True, exact=True),
    Canner("torch.nn.Parameter", _can_parameter, _parameter, data=True, exact=True),
    Canner("torch.dtype", _can_dtype, _dtype, data=True, exact=True),
    Canner("torch.Size", _can_size, _size, data=True, exact=True),
)
