"""Frames to object, with the trust that the receiver chose."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..code.versions import check_versions, packages, say_whence
from ..errors import CanningError, DeserializationError, is_of_signal, shortened, text_of_lookup
from ..memory.buffers import flat, listed
from ..memory.coming import views
from ..pickles.headers import ARRAYS, NO_ARRAYS
from ..types.canned import Namespace
from ..wire.keys import verify
from ..wire.shapes import Shape, shape_of
from ..wire.trailer import (
    CALL,
    CODE,
    COUNT,
    LIVE,
    MODULES,
    PLAIN,
    VERSIONS,
    Trailer,
    check_frames,
    count_frames,
    parse,
)
from ..writing.single import read_single
from .builder import Buffers, Builder, read, read_plain
from .options import Read, ReadOptions, decode_frames

if TYPE_CHECKING:
    from ..code.finding import Finder
    from ..types.budget import Work

_TINY: Final = 24
"""Up to this many bytes, a frame is not taken for a truncated header: the unpickler reports the error."""

_PLACED: Final = 8192
"""Up to this many bytes, a header that was refused is searched for the path to what it may not name."""


def read_message(options: ReadOptions, frames: list[Any], g: Namespace | None) -> Read:
    """Read the first object of a message."""
    if options.key is not None and frames:
        frames = verify(frames, options.key)
    return read_verified(options, frames, g)


def read_call(
    options: ReadOptions, frames: list[Any], g: Namespace | None
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Read a message that is one call; raises `DeserializationError` for any other."""
    obj, rest, flags = read_message(options, frames, g)
    if not flags & CALL or rest:
        raise DeserializationError(
            f"this message is not a call: it has {'more frames' if rest else 'no call flag'}; "
            "read it with deserialize_object"
        )
    if type(obj) is not tuple or list(map(type, obj[1:])) != [tuple, dict]:
        raise DeserializationError("this message says that it is a call, and holds something else")
    f, args, kwargs = obj
    return f, args, kwargs


def read_verified(
    options: ReadOptions,
    frames: list[Any],
    g: Namespace | None,
    account: Work | None = None,
    trailer: Trailer | None = None,
) -> Read:
    """Read the first object of a message whose signature was checked, or that needs none.

    `account` is the account of a stranger's message that holds several objects; `trailer` is that of
    frame 0, if it was parsed already.
    """
    if not frames:
        raise DeserializationError("there is no frame to read an object from")
    head = frames[0] if type(frames[0]) is bytes else flat(frames[0])
    shape = shape_of(head) if trailer is None else "general"
    if options.trust == "data":
        try:
            return _data_reader()(options, head, frames, shape, account, trailer)
        except DeserializationError as error:
            placed = explainer().placed_refusal(head, error, _PLACED)
            if placed is error:
                raise
            raise placed from error.__cause__
    finder = None
    try:
        if options.finds or options.registry.renames:
            finder = new_finder(options)
            return _found(options, head, frames, g, finder)
        if shape == "general":
            return _read_general(options, head, frames, g, trailer=trailer)
        try:
            return _BY_SHAPE[shape](options, head, frames, g)
        except (CanningError, MemoryError):
            raise
        except Exception as error:
            _blame(error)
    except DeserializationError as error:
        if error.__cause__ is None:
            raise
        if finder is None and explainer().moved(head):
            return _found(options, head, frames, g, new_finder(options))
        told = explainer().explain_reading(head, error, new_finder(options).look_up)
        told.__cause__ = error.__cause__
        raise say_whence(told, head) from error.__cause__


def explainer() -> Any:
    """Return the module that explains why a message cannot be read; few programs need it."""
    from . import missing

    return missing


@cache
def _data_reader() -> Callable[..., Read]:
    """Return the reader of strangers' messages; importing it takes as long as a third of this package."""
    from .untrusted.data_message import read_data

    return read_data


def new_finder(options: ReadOptions) -> Finder:
    """Make the finder of names."""
    from ..code.finding import finder_of  # few messages need it, and it takes a tenth of this import

    return finder_of(options.renames, options.registry.renames, options.missing)


def _found(
    options: ReadOptions, head: bytes | memoryview, frames: list[Any], g: Namespace | None, finder: Finder
) -> Read:
    """Read a message with a finder for its names."""
    try:
        return _read_general(options, head, frames, g, finder)
    finally:
        finder.close()


def _read_plain(
    options: ReadOptions, head: bytes | memoryview, frames: list[Any], g: Namespace | None
) -> Read:
    return pickle.loads(head), frames[1:], 0


def _read_named(
    options: ReadOptions, head: bytes | memoryview, frames: list[Any], g: Namespace | None
) -> Read:
    builder = Builder((), options.registry, g, _reader_within(options))
    return read(head, builder, None), frames[1:], 0


def _read_single(
    options: ReadOptions, head: bytes | memoryview, frames: list[Any], g: Namespace | None
) -> Read:
    obj = read_single(head if type(head) is bytes else bytes(head), frames, options.writable)
    if obj is None:
        return _read_general(options, head, frames, g)
    return obj, frames[head[COUNT] :], 0


_BY_SHAPE: Final[
    dict[Shape, Callable[[ReadOptions, bytes | memoryview, list[Any], Namespace | None], Read]]
] = {
    "plain": _read_plain,
    "named": _read_named,
    "single": _read_single,
}
"""The reader for each shape of message; `_read_general` reads all others, and can read these too."""


def _read_general(
    options: ReadOptions,
    head: bytes | memoryview,
    frames: list[Any],
    g: Namespace | None,
    finder: Finder | None = None,
    trailer: Trailer | None = None,
) -> Read:
    trailer = trailer or parse(head)
    if trailer is None:
        return _read_foreign(head, frames, finder)
    if trailer.flags & CODE or VERSIONS in trailer.extensions:
        check_versions(trailer, options.on_version_mismatch)
    if finder is not None and finder.stubs is not None:
        finder.stubs.versions.update(packages(trailer.extensions.get(VERSIONS, b"")))
    said = trailer.extensions.get(MODULES)
    if said is not None:
        finder = finder or new_finder(options)
        finder.receive(said, options.prefer)
    live = trailer.flags & (PLAIN if g is not None else PLAIN | LIVE)
    if live and trailer.frames == 1 and finder is None:  # most often functions, or a signed message
        return _guard(pickle.loads, head), frames[1:], trailer.flags
    parts = check_frames(trailer, frames[1 : trailer.frames])
    if trailer.extensions:
        parts = decode_frames(options, trailer, parts)
    buffers: Any = parts
    outside = None
    if trailer.table is not None or trailer.outside or options.writable:
        buffers = Buffers(trailer, flat(head), views(parts), writable=options.writable)
        outside = buffers.outside()
    builder = Builder(buffers, options.registry, g, _reader_within(options), finder)
    return _guard(read, head, builder, outside), frames[trailer.frames :], trailer.flags


def _reader_within(options: ReadOptions) -> Callable[..., Any]:
    """Return the function that reads a message inside this one; the outer signature covers both."""
    return lambda frames, g: read_verified(options, listed(frames), g)[:2]


def _read_foreign(head: bytes | memoryview, frames: list[Any], finder: Finder | None) -> Read:
    cut = len(head) > _TINY and bytes(head[-1:]) != b"."
    if cut or bytes(head[:5]) in (ARRAYS[:5], NO_ARRAYS[:5]):
        raise DeserializationError(
            f"frame 0, {len(head)} bytes, is neither a header with its trailer nor a pickle"
        )
    taken = iter(frames[1:])
    obj, end = _guard(read_plain, head, taken, finder)
    if end != len(head):  # probably the rest of a trailer
        raise DeserializationError(
            f"frame 0 is damaged: {len(head) - end} bytes follow its pickle that are not a trailer"
        )
    return obj, list(taken), 0


def _guard(load: Callable[..., Any], *args: Any) -> Any:
    """Read a header; any error in it is reported as the message's fault, and no object is returned."""
    try:
        return load(*args)
    except (CanningError, MemoryError):
        raise
    except Exception as error:
        _blame(error)


def _blame(error: Exception) -> NoReturn:
    """Tell whether an error is the message's fault, and was not raised by a signal handler."""
    if is_of_signal(error):
        raise error
    if isinstance(error, RecursionError):
        raise DeserializationError("the message is nested too deeply to be read") from error
    what = text_of_lookup(error)
    if isinstance(error, pickle.UnpicklingError) and "persistent" in str(error):
        what = "it holds persistent ids, which only readers of the program that wrote it know (torch.load?)"
    if any(frame.f_code.co_name == "__hash__" for frame, _ in traceback.walk_tb(error.__traceback__)):
        what += (
            ", asked for its hash before it has its attributes: it is in a set, or a key of a dict, that it "
            "reaches itself, and no pickle can say that: send the set as a list"
        )
    raise DeserializationError(f"the message cannot be read: {what}") from error


@shortened
def split(frames: Iterable[Any]) -> list[list[Any]]:
    """Split a chained message into the frames of its objects, and unpickle nothing.

    Raises `DeserializationError` if the message ends in the middle of an object.

    >>> from canning import serialize_object
    >>> [len(part) for part in split(serialize_object(1) + serialize_object([memoryview(b"x" * 2000)]))]
    [1, 2]
    """
    whole, at = list(frames), 0
    parts = []
    while at < len(whole):
        count = count_frames(whole[at])
        if count > len(whole) - at:
            raise DeserializationError(
                f"the message is cut: it has {count} frames, of which {len(whole) - at} are here"
            )
        parts.append(whole[at : at + count])
        at += count
    return parts
