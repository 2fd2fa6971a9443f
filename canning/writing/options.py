"""What a writer is told: the options of a `Serializer` that have to do with writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..code.modules import Wanted
from ..codecs.coding import Chooser, Codec
from ..types.registry import Registry
from .dilled import DillWriter
from .pickling import Writer

Pickler = Literal["auto", "named", "pickle", "cloudpickle", "dill"]
ByValueAs = Literal["code", "source"]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class WriteOptions:
    """What a `Serializer` says to who writes, and its writers that have nothing to do."""

    registry: Registry
    pickler: Pickler
    buffer_threshold: int
    by_value: Wanted
    by_value_as: ByValueAs
    codec: Codec | Chooser | None
    interactive: bool
    dispatch_table: Mapping[type, Callable[[Any], Any]]
    writers: list[Writer | DillWriter]
