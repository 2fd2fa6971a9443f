"""torch: a tensor's elements as an array, and an array as a tensor; neither is a copy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from ...memory.buffers import foreign
from ...memory.layout import Array

WIDTHS: Final = {1: "|u1", 2: "<i2", 4: "<i4", 8: "<i8", 16: "<c16"}
"""Numbers of numpy's in whose place torch's stand, which may have no other likeness: bfloat16, float8."""
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
    """Make a tensor over an array's memory; tensors are writable always, and read-only memory is copied."""
    if not array.size:
        return torch.empty(array.shape, dtype=kind)
    core = array
    if not array.flags.c_contiguous:
        core = array[tuple(slice(None) if step else slice(1) for step in array.strides)]
    if not core.flags.writeable or any(step < 0 or step % core.itemsize for step in core.strides):
        core = core.copy(order="K")
    tensor = torch.from_numpy(core)
    tensor = tensor if tensor.dtype is kind else tensor.view(kind)
    return tensor if core.shape == array.shape else tensor.expand(array.shape)
