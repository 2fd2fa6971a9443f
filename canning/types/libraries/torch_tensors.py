"""torch: tensors and parameters of the CPU, of any dtype, stride and layout, as arrays over their storage.

The memory that a tensor's elements cover is sent, not its whole storage, and tensors that share memory share
it again; in read-only memory, which torch cannot use, only those that cover the same storage do. torch's own
pickling copies a storage into one bytes object. Modules consist of dicts of tensors, so they need no code
here; a ``state_dict`` is read under ``trust="data"``. `torch_layouts` sends tensors of other layouts as
several strided ones. In portable messages a tensor is an array, with the name of its dtype beside it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from ...errors import SerializationError
from ...memory.buffers import aligned_copy, foreign
from ..canner import Canner
from ..registry import Registry, default_registry
from .checks import attributes, need, parts
from .told_columns import fields_of
from .torch_layouts import DTYPES, WIDTHS, array_of, can_layout, make_layout, name_of, tensor_over


def _plain(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor consists of strided elements in memory of the CPU."""
    return bool(
        tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and tensor.element_size() in WIDTHS
    )


def _shared_storage(tensor: torch.Tensor) -> Any:
    """Return the storage of a tensor that covers all of it, if others use it too, to share it again."""
    storage = tensor.untyped_storage()
    whole = tensor.is_contiguous() and 0 < tensor.nbytes == storage.nbytes()
    return storage if whole and _USERS(storage._cdata) > _OWN_USERS else None


_USERS: Final[Callable[[int], int]] = getattr(torch._C, "_storage_Use_Count", lambda storage: 0)
_OWN_USERS: Final = 2
"""Users of a storage that one tensor has: it, and the object that Python sees."""


def _device(tensor: torch.Tensor) -> str:
    kind: str = tensor.device.type
    return kind


def _can_tensor(tensor: torch.Tensor) -> Any:
    if _device(tensor) not in ("cpu", "meta"):
        raise SerializationError(
            f"a tensor on {_device(tensor)} is sent from the host only: use tensor.cpu() first, or call "
            "canning.types.libraries.torch_tensors.send_from_host() once, which lets all of them be copied "
            "there"
        )
    if tensor._backward_hooks:
        return NotImplemented
    if _plain(tensor):
        flags = (tensor.requires_grad, tensor.is_conj(), tensor.is_neg())
        memory = _shared_storage(tensor)
        rest: Any = (array_of(tensor),) if memory is None else ("of", memory, tuple(tensor.shape))
        state: Any = (*rest, name_of(tensor.dtype), *flags)
    else:
        state = can_layout(tensor)
    more = vars(tensor)
    return ("with", state, dict(more)) if more and state is not NotImplemented else state


def _tensor(state: tuple[Any, ...], *, check: bool = False) -> Any:
    if type(state) is tuple and state and type(state[0]) is str:
        if state[0] == "with":
            return _with(state, check)
        if state[0] != "of":
            return make_layout(state, check=check)
        _, storage, shape, name, *flags = state
    else:
        storage, shape = None, ()
        array, name, *flags = state
    grad, conj, neg = flags
    need(all(type(flag) is bool for flag in flags), "an invalid tensor")
    need(type(name) is str and name in DTYPES, "a tensor of a dtype that torch does not have")
    kind = DTYPES[name]
    need(not grad or kind.is_floating_point or kind.is_complex, "a gradient of whole numbers")
    if storage is None:
        need(type(array) is np.ndarray, "an invalid tensor")
        need(array.dtype.str == WIDTHS[kind.itemsize], "a tensor of a dtype that torch does not have")
        tensor = tensor_over(array, kind)
    else:
        tensor = _over_storage(storage, shape, kind)
    if not (grad or conj or neg):
        return tensor
    tensor = torch._neg_view(tensor) if neg else tensor
    if conj:
        need(kind.is_complex, "the conjugate of real numbers")
        tensor = tensor.conj()
    return tensor.requires_grad_() if grad else tensor


def _over_storage(storage: torch.UntypedStorage, shape: Any, kind: torch.dtype) -> Any:
    """Make a tensor that covers a storage."""
    lengths = type(shape) is tuple and all(type(n) is int and 0 < n < 1 << 62 for n in shape)
    need(type(storage) is torch.UntypedStorage and lengths, "an invalid tensor")
    need(math.prod(shape) * kind.itemsize == storage.nbytes(), "a tensor that does not fit its storage")
    need(storage.data_ptr() % min(kind.itemsize, 8) == 0, "a tensor out of place")
    made: Any = torch.empty(0, dtype=kind)  # torch's stubs lack this signature of `set_`
    return made.set_(storage, 0, shape)


def _with(state: object, check: bool) -> Any:
    """Make a tensor with attributes, such as those of `torch.nn.Buffer`; none may hide a method."""
    _, inner, more = parts(state, str, tuple, dict)
    need(inner and not (type(inner[0]) is str and inner[0] == "with"), "an invalid tensor")
    made = _tensor(inner, check=check)
    _attach(made, more, check)
    return made


def _attach(made: object, more: Any, check: bool) -> None:
    if check:
        attributes(made, more, torch.Tensor, torch.nn.Parameter)
        return
    for name, value in more.items():
        setattr(made, name, value)


_checked_tensor: Final = functools.partial(_tensor, check=True)


# -- parameters and storages -----------------------------------------------------------------------------


def _can_parameter(parameter: torch.nn.Parameter) -> Any:
    if parameter._backward_hooks:
        return NotImplemented
    more = vars(parameter)
    return parameter.data, parameter.requires_grad, *((dict(more),) if more else ())


def _parameter(state: tuple[Any, ...], *, check: bool = False) -> Any:
    tensor, grad, *more = parts((*state, {}) if len(state) == 2 else state, torch.Tensor, bool, dict)
    made = torch.nn.Parameter(tensor, grad)
    _attach(made, more[0], check)
    return made


_checked_parameter: Final = functools.partial(_parameter, check=True)


_WIDEST: Final = 16
"""Bytes of torch's widest number."""


def _can_storage(storage: torch.UntypedStorage) -> Any:
    if storage.device.type != "cpu":
        return NotImplemented
    where = storage.data_ptr()
    size = storage.nbytes()
    return (foreign(where, (size,), storage, where) if size else np.empty(0, np.uint8),)


def _storage(state: object) -> Any:
    (memory,) = parts(state, np.ndarray)
    need(memory.dtype == np.uint8 and memory.ndim == 1, "a storage of something other than bytes")
    if memory.ctypes.data % _WIDEST:
        memory = np.frombuffer(aligned_copy(memory.data), np.uint8)
    return tensor_over(memory, torch.uint8).untyped_storage()


def send_from_host(registry: Registry = default_registry) -> None:
    """Let tensors of other devices be copied to the host and sent from there; they arrive on the CPU.

    Without this, sending one is an error: a copy from a device is slow, and waits for the device to finish
    its work. It applies to `registry`, by default the one that all serializers use.

    >>> send_from_host(default_registry.copy())
    """
    for canner in CANNERS[:2]:
        registry.register(
            canner.name, can=_on_host(canner.can), uncan=canner.uncan, data=canner.data, exact=True
        )


def _on_host(can: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def can_on_host(tensor: torch.Tensor) -> Any:
        if _device(tensor) in ("cpu", "meta"):
            return can(tensor)
        cls, grad = type(tensor), tensor.requires_grad
        moved = tensor.detach().cpu()
        return can(moved.requires_grad_(grad) if cls is torch.Tensor else cls(moved, grad))

    return can_on_host


# -- dtypes, sizes and devices ---------------------------------------------------------------------------


def _can_dtype(kind: torch.dtype) -> Any:
    return (name_of(kind),)


def _dtype(state: object) -> Any:
    (name,) = parts(state, str)
    found = vars(torch).get(name)  # ``getattr`` would import modules that are not imported yet
    need(isinstance(found, torch.dtype), "a dtype that torch does not have")
    return found


def _can_device(device: torch.device) -> Any:
    return device.type, device.index


def _device_of(state: object) -> Any:
    kind, index = parts(state, str, (int, type(None)))
    return torch.device(kind) if index is None else torch.device(kind, index)


def _can_size(size: torch.Size) -> Any:
    return (tuple(size),)


def _size(state: object) -> Any:
    (lengths,) = parts(state, tuple)
    need(all(type(length) is int and 0 <= length < 1 << 62 for length in lengths), "an invalid size")
    return torch.Size(lengths)


# -- in portable messages --------------------------------------------------------------------------------

_NUMPY: Final = {
    "bool": "|b1",
    **{name: np.dtype(name).str for name in ("float16", "float32", "float64", "complex64", "complex128")},
    **{name: np.dtype(name).str for name in ("int8", "int16", "int32", "int64")},
    **{name: np.dtype(name).str for name in ("uint8", "uint16", "uint32", "uint64")},
}
"""Dtypes that numpy has too, by torch's names; the memory of others is sent as unsigned numbers."""


def _tell(tensor: Any) -> Any:
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


def _tensor_told(state: object) -> Any:
    values, name, grad = fields_of(state, "values", "dtype", "requires_grad")
    need(type(name) is str and (name in _NUMPY or name in _RAW) and type(grad) is bool, "an invalid tensor")
    need(type(values) is np.ndarray, "an invalid tensor")
    kind = DTYPES[name]
    expected = _NUMPY.get(name, WIDTHS[kind.itemsize])
    need(values.dtype.str == expected, "a tensor of another dtype than its numbers")
    need(not grad or kind.is_floating_point or kind.is_complex, "a gradient of whole numbers")
    made = tensor_over(values.view(WIDTHS[kind.itemsize]), kind)
    return made.requires_grad_() if grad else made


CANNERS: Final = (
    Canner("torch.Tensor", _can_tensor, _tensor, data=_checked_tensor, exact=True),
    Canner("torch.nn.Parameter", _can_parameter, _parameter, data=_checked_parameter, exact=True),
    Canner("torch.UntypedStorage", _can_storage, _storage, data=True, exact=True),
    Canner("torch.dtype", _can_dtype, _dtype, data=True, exact=True),
    Canner("torch.device", _can_device, _device_of, data=True, exact=True),
    Canner("torch.Size", _can_size, _size, data=True, exact=True),
    Canner("torch.Tensor/1", _tell, _tensor_told, data=True, exact=True),
)
