"""torch in portable messages: tensors as arrays, with the name of the dtype beside them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from ...errors import SerializationError
from ..canner import Canner
from .checks import need
from .told_columns import fields_of
from .torch_layouts import DTYPES, WIDTHS, array_of, name_of, tensor_over

_NUMPY: Final = {
    "bool": "|b1",
    **{name: np.dtype(name).str for name in ("float16", "float32", "float64", "complex64", "complex128")},
    **{name: np.dtype(name).str for name in ("int8", "int16", "int32", "int64")},
    **{name: np.dtype(name).str for name in ("uint8", "uint16", "uint32", "uint64")},
}
"""Dtypes that numpy has too, by torch's names; the memory of others is sent as unsigned numbers."""


def _can(tensor: Any) -> Any:
    name = name_of(tensor.dtype)
    strided = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not strided or (name not in _NUMPY and name not in _RAW) or vars(tensor) or tensor._backward_hooks:
        raise SerializationError(
            "a tensor that is not plain numbers on the CPU is not portable: "
            "send what cpu(), to_dense() or to() makes of it"
        )
    plain = tensor.detach().resolve_conj().resolve_neg()
    array = array_of(plain)
    values = array.view(_NUMPY[name]) if name in _NUMPY else array
    return {"values": values, "dtype": name, "requires_grad": tensor.requires_grad}


_RAW: Final = frozenset(name for name in DTYPES if name == "bfloat16" or name.startswith("float8"))


def _tensor(state: object) -> Any:
    values, name, grad = fields_of(state, "values", "dtype", "requires_grad")
    need(type(name) is str and (name in _NUMPY or name in _RAW) and type(grad) is bool, "an invalid tensor")
    need(type(values) is np.ndarray, "an invalid tensor")
    kind = DTYPES[name]
    expected = _NUMPY.get(name, WIDTHS[kind.itemsize])
    need(values.dtype.str == expected, "a tensor of another dtype than its numbers")
    need(not grad or kind.is_floating_point or kind.is_complex, "a gradient of whole numbers")
    made = tensor_over(values.view(WIDTHS[kind.itemsize]), kind)
    return made.requires_grad_() if grad else made


CANNERS: Final = (Canner("torch.Tensor/1", _can, _tensor, data=True, exact=True),)
