"""Read portable messages by their page alone: struct, json and numpy, nothing of canning, no unpickler."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import importlib
import json
import struct
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np


def read(frames: list[Any]) -> Any:
    """Give the object of a portable message that no codec has encoded."""
    return TreeReader([bytes(frames[0]), *(memoryview(bytearray(frame)) for frame in frames[1:])]).object()


class TreeReader:
    """Read one message."""

    def __init__(self, frames: list[Any]) -> None:
        self.head: bytes = frames[0]
        head = self.head
        at = len(head) - 44
        length, count, entries, _, more, stamp, flags, rest, _, magic = struct.unpack_from(
            "<QIIII5sHBI8s", head, at
        )
        assert magic == b"\x93CANNED\n"
        assert stamp[4] == 3
        assert flags & 256
        assert rest == 0
        assert count == len(frames)
        start = at - more - 24 * entries
        table = list(struct.iter_unpack("<IIQQ", head[start : start + 24 * entries]))
        places = table or [(number, 1, 0, len(frame)) for number, frame in enumerate(frames[1:], 1)]
        self.buffers = [self._buffer(frames, length, *place) for place in places]
        self.tree = json.loads(_extensions(head[at - more : at])[0x8005])
        self.known: dict[int, Any] = {}

    def _buffer(
        self, frames: list[Any], inline: int, first: int, count: int, offset: int, length: int
    ) -> Any:
        if count > 1:
            return memoryview(bytearray().join(frames[first : first + count]))
        start = offset if first else inline + offset
        return frames[first][start : start + length]

    def object(self) -> Any:
        """Give the object."""
        assert self.tree["portable"] == 1
        return self.value(self.tree["object"])

    def value(self, node: Any) -> Any:
        if type(node) is list:
            return [self.value(item) for item in node]
        if type(node) is not dict:
            return node
        if "$" not in node:
            return {key: self.value(item) for key, item in node.items()}
        made = READERS[node["$"]](self, node)
        if "id" in node:
            self.known[node["id"]] = made
        return made

    def source(self, node: Any) -> Any:
        if "buffer" in node:
            return self.buffers[node["buffer"]]
        return self.head[node["at"] : node["at"] + node["length"]]

    def array(self, node: Any) -> Any:
        layout = (node["offset"], node["strides"]) if "strides" in node else ()
        memory = self.source(node) if "buffer" in node else bytearray(self.source(node) or b"\0")
        made: Any = np.ndarray(node["shape"], dtype_of(node["dtype"]), memory, *layout)
        made.flags.writeable = not node.get("readonly", False)
        return made

    def container(self, node: Any) -> Any:
        kind = {"list": list, "dict": dict}[node["$"]]
        made = kind()
        if "id" in node:
            self.known[node["id"]] = made
        items = [self.value(item) for item in node["items"]]
        made.update(zip(items[::2], items[1::2], strict=True)) if kind is dict else made.extend(items)
        return made

    def objects(self, node: Any) -> Any:
        shape = node["shape"]
        axes = node.get("axes", list(range(len(shape))))
        made = np.empty([shape[axis] for axis in axes], object)
        whole = made.transpose(np.argsort(axes)) if axes else made
        if "id" in node:
            self.known[node["id"]] = whole
        made.reshape(-1)[...] = np.fromiter(map(self.value, node["items"]), object, made.size)
        whole.flags.writeable = not node.get("readonly", False)
        return whole

    def clock(self, node: Any) -> Any:
        kind = getattr(dt, node["$"]).fromisoformat(node["v"])
        zone = self.value(node["zone"]) if "zone" in node else None
        return kind.replace(fold=node.get("fold", 0), tzinfo=zone)

    def zone(self, node: Any) -> Any:
        return dt.timezone(self.value(node["offset"]), *([node["name"]] if "name" in node else []))

    def masked(self, node: Any) -> Any:
        data, mask, fill = (self.value(node[key]) for key in ("data", "mask", "fill_value"))
        mask = np.ma.nomask if mask is None else mask
        return np.ma.MaskedArray(data, mask, fill_value=fill, hard_mask=node["hard_mask"])

    def scalar(self, node: Any) -> Any:
        if node["dtype"] == "U":
            return np.str_(node["v"])
        if node["dtype"] == "S":
            return np.bytes_(self.source(node))
        return np.frombuffer(self.source(node), dtype_of(node["dtype"]))[0]


def _extensions(block: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(block):
        tag, rest, length = struct.unpack_from("<HHI", block, at)
        assert rest == 0
        found[tag] = block[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def dtype_of(told: Any) -> Any:
    """Make a dtype of numpy's."""
    if type(told) is str:
        return np.dtype(told if told[0] in "|<>" else getattr(importlib.import_module("ml_dtypes"), told))
    if "fields" not in told:
        return np.dtype((dtype_of(told["dtype"]), tuple(told["shape"])))
    fields = told["fields"]
    columns = {
        "names": [field["name"] for field in fields],
        "formats": [dtype_of(field["dtype"]) for field in fields],
        "offsets": [field["offset"] for field in fields],
        "itemsize": told["itemsize"],
    }
    return np.dtype(columns, align=told.get("aligned", False))  # type: ignore[call-overload]


def _view(reader: TreeReader, node: Any) -> memoryview:
    view = memoryview(reader.array({**node, "readonly": False}))
    return view.toreadonly() if node.get("readonly") else view


READERS: dict[str, Callable[[TreeReader, Any], Any]] = {
    "int": lambda reader, node: int(node["v"]),
    "float": lambda reader, node: float(node["v"]),
    "str": lambda reader, node: str(reader.source(node), "utf-8"),
    "bytes": lambda reader, node: bytes(reader.source(node)),
    "bytearray": lambda reader, node: bytearray(reader.source(node)),
    "list": TreeReader.container,
    "dict": TreeReader.container,
    "tuple": lambda reader, node: tuple(map(reader.value, node["items"])),
    "set": lambda reader, node: set(map(reader.value, node["items"])),
    "frozenset": lambda reader, node: frozenset(map(reader.value, node["items"])),
    "complex": lambda reader, node: complex(float(node["real"]), float(node["imag"])),
    "date": lambda reader, node: dt.date.fromisoformat(node["v"]),
    "datetime": TreeReader.clock,
    "time": TreeReader.clock,
    "timedelta": lambda reader, node: dt.timedelta(node["days"], node["seconds"], node["microseconds"]),
    "timezone": TreeReader.zone,
    "zoneinfo": lambda reader, node: zoneinfo.ZoneInfo(node["key"]),
    "decimal": lambda reader, node: decimal.Decimal(node["v"]),
    "fraction": lambda reader, node: fractions.Fraction(node["v"]),
    "uuid": lambda reader, node: uuid.UUID(node["v"]),
    "range": lambda reader, node: range(*(reader.value(node[key]) for key in ("start", "stop", "step"))),
    "array": TreeReader.array,
    "memoryview": _view,
    "scalar": TreeReader.scalar,
    "dtype": lambda reader, node: dtype_of(node["dtype"]),
    "objects": TreeReader.objects,
    "masked": TreeReader.masked,
    "ref": lambda reader, node: reader.known[node["id"]],
    "object": lambda reader, node: (
        node["type"],
        node["version"],
        reader.value(node.get("fields", node.get("state"))),
    ),
}
