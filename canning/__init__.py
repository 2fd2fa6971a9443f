"""Turn any Python object into a list of frames without copying its data, and back.

>>> import numpy as np
>>> frames = serialize_object({"id": 7, "x": np.arange(1000.0)})
>>> obj, rest = deserialize_object(frames)
>>> obj["x"].sum(), rest
(np.float64(499500.0), [])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .can import can
from .code.functions import interactive
from .code.stubs import Stub
from .codecs.coding import Chooser, Codec, Codecs, default_codecs
from .codecs.compression import Blosc2, Lz4, Zstd
from .errors import (
    AuthenticationError,
    CannerError,
    CanningError,
    DeserializationError,
    MissingClass,
    MissingModule,
    SerializationError,
    UnresolvedReference,
    VersionMismatch,
    VersionWarning,
)
from .limits import Limits
from .reading.reader import split
from .serializer import (
    Serializer,
    default_serializer,
    deserialize_object,
    dump,
    dumps,
    load,
    loads,
    pack_apply_message,
    serialize_object,
    unpack_apply_message,
)
from .types.arrays import CannedArray
from .types.canned import (
    CannedBytes,
    CannedCell,
    CannedMemoryView,
    CannedObject,
    CannedPartial,
    PrePickled,
    Reference,
    uncan,
)
from .types.registry import Registry, default_registry
from .wire.keys import InsecureKeyWarning, Key, new_key

if TYPE_CHECKING:
    from .code.by_value_pickler import CannedClass, CannedFunction
    from .code.received import ReceivedModule, forget, received_modules
    from .codecs.adaptive import Adaptive
    from .inspection.explaining import Explanation, explain
    from .inspection.reports import Global, Report, ScanResult, inspect, scan

__version__ = "0.1.0"

_LATER: Final = {
    **dict.fromkeys(("CannedClass", "CannedFunction"), "code.by_value_pickler"),
    **dict.fromkeys(("ReceivedModule", "forget", "received_modules"), "code.received"),
    "Adaptive": "codecs.adaptive",
    **dict.fromkeys(("Explanation", "explain"), "inspection.explaining"),
    **dict.fromkeys(("Global", "Report", "ScanResult", "inspect", "scan"), "inspection.reports"),
}
"""Names whose modules are imported on demand: most programs never need them."""


def __getattr__(name: str) -> Any:
    """Import a name of `_LATER` on demand."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *_LATER})


by_reference: Final = default_registry.by_reference
by_value: Final = default_registry.by_value
register: Final = default_registry.register
register_rename: Final = default_registry.register_rename
unregister: Final = default_registry.unregister
unregister_rename: Final = default_registry.unregister_rename
register_codec: Final = default_codecs.register
unregister_codec: Final = default_codecs.unregister

__all__ = [
    "Adaptive",
    "AuthenticationError",
    "Blosc2",
    "CannedArray",
    "CannedBytes",
    "CannedCell",
    "CannedClass",
    "CannedFunction",
    "CannedMemoryView",
    "CannedObject",
    "CannedPartial",
    "CannerError",
    "CanningError",
    "Chooser",
    "Codec",
    "Codecs",
    "DeserializationError",
    "Explanation",
    "Global",
    "InsecureKeyWarning",
    "Key",
    "Limits",
    "Lz4",
    "MissingClass",
    "MissingModule",
    "PrePickled",
    "ReceivedModule",
    "Reference",
    "Registry",
    "Report",
    "ScanResult",
    "SerializationError",
    "Serializer",
    "Stub",
    "UnresolvedReference",
    "VersionMismatch",
    "VersionWarning",
    "Zstd",
    "by_reference",
    "by_value",
    "can",
    "default_codecs",
    "default_registry",
    "default_serializer",
    "deserialize_object",
    "dump",
    "dumps",
    "explain",
    "forget",
    "inspect",
    "interactive",
    "load",
    "loads",
    "new_key",
    "pack_apply_message",
    "received_modules",
    "register",
    "register_codec",
    "register_rename",
    "scan",
    "serialize_object",
    "split",
    "uncan",
    "unpack_apply_message",
    "unregister",
    "unregister_codec",
    "unregister_rename",
]
