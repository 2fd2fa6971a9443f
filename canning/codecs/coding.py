"""Codecs: each replaces the memory of a frame by other bytes for sending, and restores it.

A codec encodes the memory of one frame, or leaves it unchanged. The extension `CODECS` of the trailer
lists the encoded frames and their decoded lengths. So a reader knows the codec and the length of every
frame before it decodes the first, and a codec is told the exact length that it may return.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, Protocol, runtime_checkable

from ..errors import CanningError, DeserializationError, is_of_signal, shortened
from ..memory.buffers import Frame, flat
from ..wire.encoded import ENTRY, Encoded, is_id
from .compression import SMALL, BlockCodec, Blosc2, Lz4, Zstd

LOG: Final = logging.getLogger("canning")
"""The logger of events, at level INFO; nothing is shown unless the application enables it."""
COUNTS: Final = {"uncompressed": 0}
"""The number of events of each kind in this process; `transport.stats` shows it."""
_WHERE: Final = {
    "arena": "it lies in shared memory of the sender's host: read it with "
    "transport.recv(..., shared_memory=True), or Serializer(codec=transport.SharedMemory())",
}
"""The advice for a codec that is known to exist and is not registered here."""


@runtime_checkable
class Codec(Protocol):
    """Encode the memory of frames for the wire, and decode it.

    Attributes:
        id: the name by which readers find the codec: up to 32 of ``a-z 0-9 . _ + -``.

    If `decode` returns memory that exists already, set ``shares = True``. If the codec's library is not safe
    with input from strangers, set ``code_only = True``: readers under ``trust="data"`` then do not use it.
    """

    id: str

    def encode(self, buffer: memoryview, *, itemsize: int) -> Frame | None:
        """Return the bytes to send instead of a flat buffer; None sends the buffer itself.

        `itemsize` is that of the buffer's array, or 1 if it is not the memory of an array. Do not change the
        bytes until the message has been sent.
        """
        ...

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> Any:
        """Return the decoded memory of a frame: exactly `length` bytes, with the buffer protocol.

        `frame` can hold anything: check it, and never allocate more than `length`. With `writable`, return
        memory that the reader can change. Raises `DeserializationError`.
        """
        ...


@runtime_checkable
class Chooser(Protocol):
    """Choose a codec for each frame, as `canning.Adaptive` does."""

    def choose(self, buffer: memoryview, *, itemsize: int) -> Codec | None:
        """Return the codec for a flat buffer; None sends it uncompressed."""
        ...


class Codecs:
    """Hold codecs by id, and those of `beside` too, now and later.

    >>> Codecs().find("rot13")
    Traceback (most recent call last):
        ...
    canning.errors.DeserializationError: the message was encoded by 'rot13', a codec that is not ...
    """

    @shortened
    def __init__(self, codecs: Iterable[Codec] = (), beside: Codecs | None = None) -> None:
        self._by_id: dict[str, Codec] = {}
        self._beside = beside
        for codec in codecs:
            self.register(codec)

    @shortened
    def register(self, codec: Codec) -> None:
        """Register a codec, so that messages encoded with it can be read.

        Raises `TypeError` if it is not a codec, `ValueError` if its id is invalid or taken.

        >>> import numpy as np
        >>> from canning import Lz4, Serializer
        >>> codecs = Codecs()
        >>> codecs.register(Lz4())
        >>> len(Serializer(codec="lz4", codecs=codecs).serialize_object(np.zeros(10_000))[1]) < 1000
        True
        """
        checked = check_codec(codec)
        if self._by_id.setdefault(checked.id, checked) is not checked:
            raise ValueError(f"there is a codec {checked.id!r} already: unregister it first")

    @shortened
    def unregister(self, codec: Codec) -> None:
        """Forget a codec; raises `ValueError` if it is not registered."""
        check_codec(codec)
        if self._by_id.get(codec.id) is not codec:
            raise ValueError(f"the codec {codec.id!r} is not registered")
        del self._by_id[codec.id]

    def find(self, name: str) -> Codec:
        """Return the codec of an id; raises `DeserializationError` that says where to get it."""
        found = self._by_id.get(name)
        if found is None and self._beside is not None:
            return self._beside.find(name)
        if found is None:
            hint = _WHERE.get(name, "register it with canning.register_codec")
            raise DeserializationError(
                f"the message was encoded by {name!r}, a codec that is not registered here: {hint}"
            )
        return found

    def __reduce__(self) -> Any:
        """Pickle with the registered codecs; the default ones by name."""
        if self is default_codecs:
            return "default_codecs"
        return Codecs, (list(self._by_id.values()), self._beside)

    def __contains__(self, name: str) -> bool:
        return name in self._by_id or (self._beside is not None and name in self._beside)

    def __iter__(self) -> Iterator[str]:
        """List all ids, in alphabetical order."""
        return iter(sorted({*self._by_id, *(self._beside or ())}))


def check_codec(codec: object) -> Codec:
    """Check a codec; raises `TypeError` for anything else, `ValueError` for an invalid id."""
    if isinstance(codec, type):
        raise TypeError(f"{codec.__name__} is a class: make a codec of it")
    if not isinstance(codec, Codec):
        raise TypeError(f"{type(codec).__name__} is not a codec: it needs id, encode and decode")
    name: Any = codec.id
    if not isinstance(name, str) or not is_id(name.encode()):
        raise ValueError(f"the id {name!r} of a codec is not 1 to 32 of a-z 0-9 . _ + -")
    return codec


def codec_of(codec: Codec | Chooser | str | None, codecs: Codecs) -> Codec | Chooser | None:
    """Return the codec of an option; raises as `check_codec`, and `ValueError` for an unknown name.

    Raises `ImportError` at once if its package is not installed, not at the first large payload.
    """
    if isinstance(codec, str):
        if codec not in codecs:
            raise ValueError(
                f"codec={codec!r} is not registered: there are {', '.join(codecs)}, and "
                "canning.register_codec adds one of yours"
            )
    elif codec is None or (isinstance(codec, Chooser) and not isinstance(codec, type)):
        return codec
    found = codecs.find(codec) if isinstance(codec, str) else check_codec(codec)
    if isinstance(found, BlockCodec):
        found.load()
    return found


default_codecs: Final = Codecs([Lz4(), Zstd(), Blosc2()])
"""The codecs that `canning.register_codec` adds to, and that readers look up."""

_SKIPPED: Final = "a frame of %d bytes goes uncompressed, since that would gain nothing"


def _choose_of(codec: Codec | Chooser) -> Any:
    """Return the method of an object that chooses a codec, None for a codec; a protocol check takes 20 µs."""
    return getattr(codec, "choose", None)


# -- out -------------------------------------------------------------------------------------------------


def encode(codec: Codec | Chooser, frames: Sequence[memoryview]) -> tuple[list[Any], bytes]:
    """Encode frames; return the frames to send, and the content of the extension."""
    sent: list[Any] = []
    said = []
    choose = _choose_of(codec)
    chosen: Any = codec
    for number, frame in enumerate(frames, 1):
        itemsize = getattr(getattr(frame.obj, "dtype", None), "itemsize", 1) or 1
        if choose is not None:
            chosen = choose(frame, itemsize=itemsize)
        made = None if chosen is None else chosen.encode(frame, itemsize=itemsize)
        if made is None and frame.nbytes >= SMALL and not getattr(codec, "shares", False):
            COUNTS["uncompressed"] += 1
            LOG.info(_SKIPPED, frame.nbytes)
        elif made is not None:
            name = chosen.id.encode()
            said.append(ENTRY.pack(number, frame.nbytes, len(name)) + name)
        sent.append(frame if made is None else made)
    return sent, b"".join(said)


# -- in --------------------------------------------------------------------------------------------------


def _codecs_of(encoded: Iterable[Encoded], own: Codec | Chooser | None, others: Codecs) -> list[Codec]:
    mine: dict[str, Any] = {}
    if own is not None and _choose_of(own) is None:
        mine[own.id] = own  # type: ignore[union-attr] # not a chooser
    return [mine.get(name) or others.find(name) for _, name, _ in encoded]


def made_by_decoding(encoded: tuple[Encoded, ...], own: Codec | Chooser | None, others: Codecs) -> int:
    """Count the new memory that decoding a stranger's message takes; none for a codec that `shares`.

    Raises `DeserializationError` if a codec is not safe with a stranger's input, or its package is not
    imported: nothing is imported for a message.
    """
    codecs = _codecs_of(encoded, own, others)
    for codec in dict.fromkeys(codecs):
        _check_safe(codec)
    return sum(
        length
        for (_, _, length), codec in zip(encoded, codecs, strict=True)
        if not getattr(codec, "shares", False)
    )


_PACKAGES: Final = {"zstd": "zstandard"}
"""pip's name of a codec's library, if it differs from the id."""


def _check_safe(codec: Any) -> None:
    if getattr(codec, "code_only", False):
        raise DeserializationError(
            f"the message was encoded by {codec.id!r}, whose library is not safe with what anybody may have "
            "written: let the sender use codec='lz4' or 'zstd', or load the message with trust=\"code\" only "
            "if you trust who sent it"
        )
    if not getattr(codec, "ready", True):
        raise DeserializationError(
            f"the message was encoded by {codec.id!r}, which was not installed when this reader was made, "
            f"and nothing is imported for a message: pip install {_PACKAGES.get(codec.id, codec.id)}"
        )


@cache
def load_safe_codecs() -> None:
    """Import the packages of the codecs that strangers' messages may use, if they are installed.

    Readers with ``trust="data"`` call this when they are made: 2 ms, once, independent of any message.
    """
    for codec in (Lz4(), Zstd()):
        with suppress(ImportError):
            codec.load()


def decode(
    encoded: tuple[Encoded, ...],
    frames: Sequence[Any],
    own: Codec | Chooser | None,
    others: Codecs,
    *,
    writable: bool,
) -> list[Any]:
    """Decode frames; `own` is asked before `others`.

    Every codec is looked up before the first frame is decoded. Raises `DeserializationError`.
    """
    codecs = _codecs_of(encoded, own, others)
    decoded = list(frames)
    for (number, name, length), codec in zip(encoded, codecs, strict=True):
        try:
            view = flat(codec.decode(flat(frames[number - 1]), length, writable=writable))
        except (CanningError, MemoryError):
            raise
        except ImportError as error:  # names what is missing
            raise DeserializationError(str(error)) from error
        except Exception as error:
            if is_of_signal(error):
                raise
            raise DeserializationError(
                f"the codec {name!r} cannot decode frame {number}: {type(error).__name__}"
            ) from error
        if view.nbytes != length:
            raise DeserializationError(
                f"frame {number} was decoded to {view.nbytes} bytes, and {length} were encoded"
            )
        decoded[number - 1] = view
    return decoded
