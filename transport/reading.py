"""The options of a receiver, checked before anything is received."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from canning import Codecs, Serializer, default_serializer
from canning.arguments import check_bools, check_namespace
from canning.progress import OnProgress
from canning.types.allowed import names_of
from canning.wire.keys import KeyOption

from .checks import Trust, check_count, check_serializer, check_trust, shared_package
from .joining import Array, check_into
from .pool import Pool

if TYPE_CHECKING:
    from .shared import SharedMemory


class Reading(NamedTuple):
    """How to read objects; `reading` makes one from the receiver's options."""

    reader: Serializer
    prefix: int = 0
    many: bool = False
    g: dict[str, Any] | None = None
    alias: bool = False
    into: Array | None = None
    pool: Pool | None = None
    joined: Callable[[int], object] = lambda _: None
    most: int | None = None  # the most frames of a message; a stranger's has a limit
    ordinary: bool = False  # one object, and no other option
    lazy: bool = False  # give the object of a stream before its arrays have come
    on_progress: OnProgress | None = None  # what to tell of a stream that comes


def reading(
    *,
    trust: Trust | None = None,
    allow: Iterable[type | str] | type | str = (),
    prefix: int = 0,
    many: bool = False,
    g: dict[str, Any] | None = None,
    writable: bool = False,
    alias: bool = False,
    serializer: Serializer | None = None,
    key: KeyOption = None,
    into: Array | None = None,
    pool: Pool | None = None,
    shared_memory: bool | SharedMemory = False,
) -> Reading:
    """Check the receiver's options, before anything is received.

    Raises:
        ValueError: trust or a key is not valid, or prefix is negative.
    """
    given = g is not None or serializer is not None or key is not None or into is not None or pool is not None
    if prefix == 0 and not (given or many or writable or alias or shared_memory or allow):
        check_trust(trust)
        return _ORDINARY[trust]
    check_trust(trust)
    check_count(prefix)
    if into is not None:
        check_into(into, many)
    if serializer is not None:
        check_serializer(serializer)
    check_bools(many=many, writable=writable, alias=alias)
    if g is not None:
        check_namespace(g)
    if pool is not None and not callable(getattr(pool, "allocate", None)):
        raise TypeError(
            f"pool= takes a transport.Pool, not {type(pool).__name__}: make one with "
            "Pool('1GiB'), and keep it"
        )
    reader = _with_memory(_reader(trust, writable, serializer, key, names_of(allow)), shared_memory)
    return Reading(reader, prefix, many, g, alias, into, pool, most=_most(reader, prefix))


def _most(reader: Serializer, prefix: int) -> int | None:
    return None if reader.trust == "code" and reader.key is None else prefix + reader.limits.frames


def _reader(
    trust: Trust | None,
    writable: bool,
    serializer: Serializer | None,
    key: KeyOption,
    allow: frozenset[type | str],
) -> Serializer:
    if serializer is None and key is None:
        trust = trust or "data"
        if not (writable or allow):
            return _READERS[trust]
    if key is None or isinstance(key, bytes):
        return _made(trust, writable, serializer, key, allow)
    return _made.__wrapped__(trust, writable, serializer, key, allow)  # the file's key may change later


@lru_cache(maxsize=64)
def _made(
    trust: Trust | None,
    writable: bool,
    serializer: Serializer | None,
    key: KeyOption,
    allow: frozenset[type | str],
) -> Serializer:
    """Make the reader for options that are passed with each call; recent readers are cached."""
    reader = serializer or default_serializer
    if key is not None:
        reader = reader.evolve(key=key)
    if trust is None:
        trust = reader.trust if reader.key is not None else "data"
    if (reader.trust, reader.writable or not writable) == (trust, True) and allow <= reader.allow:
        return reader
    return reader.evolve(trust=trust, writable=writable or reader.writable, allow=reader.allow | allow)


def _with_memory(reader: Serializer, shared_memory: bool | SharedMemory) -> Serializer:
    if not shared_memory:
        return reader
    shared = shared_package()
    if shared_memory is not True and not isinstance(shared_memory, shared.SharedMemory):
        raise TypeError(
            f"shared_memory= is True, or a transport.SharedMemory, not {type(shared_memory).__name__}"
        )
    memory = shared.default_memory if shared_memory is True else shared_memory
    if memory is shared.default_memory and reader is _READERS[reader.trust]:
        if reader.trust not in _SHARED:
            _SHARED[reader.trust] = reader.evolve(codecs=Codecs([memory], beside=reader.codecs))
        return _SHARED[reader.trust]
    return reader.evolve(codecs=Codecs([memory], beside=reader.codecs))


_READERS: Final = {"code": default_serializer, "data": default_serializer.evolve(trust="data")}
_ORDINARY: Final = {
    trust: Reading(_READERS[trust or "data"], most=_most(_READERS[trust or "data"], 0), ordinary=True)
    for trust in ("data", "code", None)
}
"""The most frequent options: only a trust, or nothing."""
_SHARED: Final[dict[str, Serializer]] = {}
