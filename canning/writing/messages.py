"""An object to its message: the shape of the message is decided here, once.

Single numbers, texts and arrays are written without a pickler. An object whose pickle needs nothing of
this package becomes a `plain` message. Any other becomes a `Draft`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from .. import code
from ..code.versions import versions_in
from ..memory.buffers import Body, bytes_of
from ..types.canned import PrePickled
from ..wire.trailer import (
    ALONE,
    CALL,
    CODE,
    LIVE,
    MODULES,
    PLAIN,
    PORTABLE,
    TREE,
    VERSIONS,
    extension,
    pack_alone,
)
from .attempts import WriteOptions, new_writer, pickled
from .diagnose import explain_failure
from .draft import Draft, Message
from .packing import NOTHING, Packed
from .reducers import Reducers
from .single import write_single


def write(options: WriteOptions, obj: object, flags: int = 0) -> Message:
    """Write an object; `flags` are those of the trailer that do not follow from its pickle.

    Raises `SerializationError`, with the path to the culprit, and `MemoryError`.
    """
    by_type = None if options.portable else _BY_TYPE.get(type(obj))
    if by_type is not None:
        message = by_type(options, obj)
        if message is not None:
            return message
    try:
        writer = options.writers.pop()
    except IndexError:
        writer = new_writer(options)
    try:
        body, packed = pickled(options, writer, obj)
    except MemoryError:  # not the object's fault, and there is no memory to search it
        raise
    except Exception as error:
        told = explain_failure(obj, error, options)
        if told is error:
            raise
        raise told from error
    if writer.plain and not (flags or options.by_value or options.registry.marks or options.portable):
        options.writers.append(writer)
        return [pack_alone(body, PLAIN)]
    message = _message(options, body, packed, writer.reducers, flags)
    writer.clear()
    options.writers.append(writer)
    return message


def write_call(
    options: WriteOptions, f: Callable[..., Any], args: Iterable[object], kwargs: dict[str, Any] | None
) -> Message:
    """Write a call, as `write` writes an object."""
    return write(options, (f, tuple(args), dict(kwargs or {})), CALL)


def _write_atom(options: WriteOptions, obj: object) -> Message:
    return [pack_alone(pickle.dumps(obj, 5), PLAIN)]


def _write_single(options: WriteOptions, obj: object) -> Message | None:
    if options.codec is not None:
        return None
    if type(obj) is np.ndarray and (
        options.registry.overrides_arrays or np.ndarray in options.dispatch_table
    ):
        return None
    return write_single(obj, options.buffer_threshold)


def _write_ready(options: WriteOptions, obj: Any) -> Message:
    return list(obj.frames)


_BY_TYPE: Final[dict[type, Callable[[WriteOptions, Any], Message | None]]] = {
    **dict.fromkeys((int, float, bool, str, type(None)), _write_atom),
    **dict.fromkeys((bytes, np.ndarray), _write_single),
    PrePickled: _write_ready,
}
"""The writers of objects that are the whole message, by type; None if the pickler must write it."""


def _message(options: WriteOptions, body: Body, packed: Packed, reducers: Reducers, flags: int) -> Message:
    """Assemble the pickle of an object, its modules and versions, and the flags that follow."""
    extensions = b""
    named: object = reducers.named or reducers.entries or reducers.small
    if options.by_value or options.registry.marked_modules or reducers.versions:
        modules = _modules_for(options, bytes_of(body), reducers)
        named = named or modules  # an unpickler alone would not find them
        extensions = modules + _versions_in(bytes_of(body), reducers)
    if not named:
        flags |= LIVE if reducers.by_value else PLAIN
    if reducers.bytecode:
        flags |= CODE
    if options.portable:
        from ..pickles.trees import tree_of  # few messages are portable, and the import is slow

        flags |= PORTABLE
        extensions += extension(TREE, tree_of(bytes_of(body), options.registry.is_users))
    if packed is NOTHING and not extensions and flags in ALONE:
        return [pack_alone(body, flags)]
    buffers, table, inline = packed
    return Draft(body, buffers, table, inline, flags, extensions, len(reducers.outside))


def _modules_for(options: WriteOptions, body: bytes, reducers: Reducers) -> bytes:
    """Return the extension of the modules sent along; nothing if there are none."""
    wanted = options.by_value.also(options.registry.marked_modules)
    bundle = code.modules.modules_for(wanted, body, reducers.codes) if wanted else None
    if bundle is None or not (bundle.sources or bundle.absent):
        return b""
    return extension(MODULES, bundle.pack())


def _versions_in(body: bytes, reducers: Reducers) -> bytes:
    """Return the extension of the versions of packages that a header names; nothing if there are none."""
    said = versions_in(body, reducers.versions)
    return extension(VERSIONS, said) if said else b""
