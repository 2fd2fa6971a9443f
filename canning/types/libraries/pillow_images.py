"""Pillow: images, by the memory that Pillow exports through Arrow's C data interface.

Its own pickling converts an image to bytes, and copies them once more. Images of more than one block (16
MiB), and of modes that cannot be read from their memory, are sent as bytes here too. An image that arrives
owns its memory, as every image does that you can draw on.
https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
from PIL import Image

from ...memory.buffers import flat, foreign
from ..budget import charge
from ..canner import Canner
from .checks import label, need, parts

_MEMORY: Final = {
    "1": ("1;8", 1),
    "L": ("L", 1),
    "P": ("P", 1),
    "I;16": ("I;16", 2),
    "I": ("I", 4),
    "F": ("F;32NF", 4),
    "RGB": ("RGBX", 4),
    "RGBA": ("RGBA", 4),
    "RGBX": ("RGBX", 4),
    "RGBa": ("RGBa", 4),
    "CMYK": ("CMYK", 4),
    "YCbCr": ("YCbCrX", 4),
}
"""By mode, the name under which Pillow reads the memory of an image, and bytes of a pixel."""
_PALETTES: Final = ("P", "PA")
_SMALL: Final = 1024
_ROW: Final = 8
"""Bytes of the address of a row, which Pillow keeps even if the row is empty; rows are multiples of 4."""
_pointer: Any = ctypes.pythonapi["PyCapsule_GetPointer"]
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


class _ArrowArray(ctypes.Structure):
    """The first fields of Arrow's structure of this name."""


_ArrowArray._fields_ = (
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
)


def _memory_of(image: Any, width: int) -> Any:
    """View the memory of an image; None if it is not one block."""
    try:
        _, capsule = image.__arrow_c_array__()
    except (AttributeError, ValueError):  # Pillow is older, or there are several blocks
        return None
    node = _ArrowArray.from_address(_pointer(capsule, b"arrow_array"))
    while node.n_children:
        node = node.children[0].contents
    where = node.buffers[1]
    return foreign(where, (image.width * image.height * width,), capsule, where)


def _can(image: Any) -> Any:
    image.load()
    mode, size = image.mode, image.size
    raw, width = _MEMORY.get(mode, ("", 0))
    memory = None
    if raw and size[0] * size[1] * width >= _SMALL:
        memory = _memory_of(image, width)
    if memory is None:
        memory, raw = image.tobytes(), ""
    return memory, raw, mode, size, _palette_of(image), image.info


def _palette_of(image: Any) -> Any:
    if image.mode not in _PALETTES or image.palette is None:
        return None
    mode = image.im.getpalettemode()
    return mode, image.im.getpalette(mode, mode)


def _image(state: Any) -> Any:
    memory, raw, mode, size, palette, info = state
    image: Any = Image.new(mode, size)
    if palette is not None:
        image.putpalette(palette[1], palette[0])
    if memory.nbytes if raw else memory:
        image.frombytes(flat(memory) if raw else memory, "raw", raw or mode)
    image.info = info
    return image


def _checked(state: object) -> Any:
    memory, raw, mode, size, palette, info = parts(
        state, (np.ndarray, bytes), str, str, tuple, (tuple, type(None)), dict
    )
    nbytes = memory.nbytes if raw else len(memory)
    need(all(0 <= n <= max(8 * nbytes, 1 << 16) for n in parts(size, int, int)), "an image of no size")
    need(mode in Image.MODES or mode in _MEMORY, "an image of no mode of Pillow's")
    for name in info:
        label(name)
    need(palette is None or mode in _PALETTES, "a palette where none belongs")
    if palette is not None:
        kind, colours = parts(palette, str, bytes)
        need(kind in ("RGB", "RGBA") and len(colours) <= 256 * len(kind), "an invalid palette")
    width = 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4
    memory_of_rows = size[1] * (_ROW + -(-width * size[0] // 4) * 4)
    charge(size[1] // 4, max(memory_of_rows - nbytes, 0))
    if raw:
        found, width = _MEMORY.get(mode, ("", 0))
        need(
            raw == found and type(memory) is np.ndarray and memory.dtype == np.uint8,
            "an image in memory of another mode",
        )
        need(memory.flags.c_contiguous and nbytes == size[0] * size[1] * width, "too few pixels")
    else:
        need(type(memory) is bytes and _rows_fit(mode, size, nbytes), "too few pixels")
    return _image(state)


_BYTES: Final = {
    **dict.fromkeys(("L", "P"), 1),
    **dict.fromkeys(("LA", "La", "PA", "I;16", "I;16L", "I;16B", "I;16N"), 2),
    **dict.fromkeys(("RGB", "YCbCr", "LAB", "HSV"), 3),
    **dict.fromkeys(("RGBA", "RGBa", "RGBX", "CMYK", "I", "F"), 4),
}
"""By mode, bytes of a pixel in an image sent as bytes; mode 1 has eight pixels in one."""


def _rows_fit(mode: str, size: Any, nbytes: int) -> bool:
    """Tell whether the number of bytes fits the pixels of a mode, before memory is allocated for them."""
    if mode == "1":
        return bool((size[0] + 7) // 8 * size[1] == nbytes)
    return mode in _BYTES and bool(size[0] * size[1] * _BYTES[mode] == nbytes)


def _can_file(image: object) -> Any:
    return *_can(image), getattr(image, "filename", "")


def _file(state: Any, cls: Any) -> Any:
    """Make an image of the class that read it from a file, as Pillow unpickles one."""
    *plain, filename = state
    made = cls.__new__(cls)
    vars(made).update(vars(_image(plain)), tile=[], filename=filename)
    return made


CANNERS: Final = (
    Canner("PIL.Image.Image", _can, _image, data=_checked, exact=True),
    Canner("PIL.ImageFile.ImageFile", _can_file, _file, wants_class=True),
)
