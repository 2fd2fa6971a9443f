"""Keys: make them, store them in files, keep them secret; sign messages with them, and check the signatures.

The signature is the last extension of the trailer and has a fixed size, so that it is at a fixed distance
from the end of frame 0, and is found without parsing anything else. The code covers the number of frames,
the length of each, all of frame 0 except the code itself and the checksum, and all other frames.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from ..arguments import check_path
from ..errors import AuthenticationError, SerializationError, shortened, warn
from ..memory.buffers import Frame, flat
from .trailer import FLAGS, FOOTER, MAGIC, SIGNATURE, SIGNED, extend, extension, seal

SHORTEST: Final = 16
"""Bytes that a key must have."""
LONGEST: Final = 4096
"""Bytes that a key may have; a longer file does not hold a key."""
_DOMAIN: Final = b"canning signature 1\n"
_DERIVED: Final = b"canning derived key 1\n"


class InsecureKeyWarning(UserWarning):
    """Warns that other users can read or replace a key file."""


class Key:
    """Hold a secret that signs messages and checks signatures. It is never displayed and never sent.

    `secret` has 16 to 4096 bytes; other lengths raise `ValueError`.

    >>> Key(b"sixteen bytes at least")
    <Key>
    """

    __slots__ = ("_derive", "_sign")

    @shortened
    def __init__(self, secret: bytes) -> None:
        if type(secret) is not bytes:
            raise TypeError(f"a key is made of bytes, not of {type(secret).__name__}")
        if not SHORTEST <= len(secret) <= LONGEST:
            raise ValueError(
                f"a key has {SHORTEST} to {LONGEST} bytes, and this one {len(secret)}: "
                "canning.new_key() makes a good one"
            )
        import hmac  # 2 ms with OpenSSL, only for users with keys

        self._sign = hmac.new(secret, _DOMAIN, "sha256")
        self._derive = hmac.new(secret, _DERIVED, "sha256")

    def derive(self, purpose: bytes) -> Key:
        """Derive a key for one purpose, from which this key cannot be computed."""
        state = self._derive.copy()
        state.update(purpose)
        return Key(state.digest())

    def code(self, lengths: Sequence[int], parts: Iterable[Any]) -> bytes:
        """Compute the authentication code, 32 bytes, of frames of these lengths.

        HMAC-SHA256 of the name of this use, the number of frames, the length of each, and `parts`, the signed
        bytes of the frames: two messages never have the same input, however they are split.
        """
        state = self._sign.copy()
        count = len(lengths)
        state.update(struct.pack(f"<{count + 1}Q", count, *lengths))
        for part in parts:
            state.update(part)
        return state.digest()

    def __repr__(self) -> str:
        return "<Key>"

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Key:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SerializationError("a key cannot be sent: let the other side load it from a file of its own")


Keys = tuple[Key, ...]
KeyLike = bytes | str | os.PathLike[str] | Key
"""A key itself, or the path of a key file."""
KeyOption = KeyLike | Sequence[KeyLike] | None
"""The option ``key``: one key, a list or tuple of several, or none."""


def as_keys(key: KeyOption) -> Keys | None:
    """Return the keys that an option names, the signing key first; None for None.

    `bytes` are a key; str and paths are files that hold one. Raises `ValueError` for unusable keys and
    `OSError` for a file that cannot be read.
    """
    if key is None:
        return None
    if not isinstance(key, list | tuple):
        return (_as_key(key),)
    if not key:
        raise ValueError("key=() names no key: give one, several, or None")
    return tuple(map(_as_key, key))


def _as_key(key: object) -> Key:
    if isinstance(key, Key):
        return key
    if isinstance(key, str | os.PathLike):
        return load_key(key)
    if isinstance(key, bytes):
        return Key(key)
    raise TypeError(f"a key is bytes, or the path of a file, not {type(key).__name__}")


@shortened
def new_key(path: str | os.PathLike[str] | None = None) -> bytes:
    """Make a key of 32 random bytes; with a path, store it in a new file that only the user can read.

    Raises `FileExistsError` if the file exists: a key in use is never replaced.

    >>> len(new_key())
    32
    """
    key = os.urandom(32)
    if path is not None:
        write_new(path, key)
    return key


def load_key(path: str | os.PathLike[str]) -> Key:
    """Load a key from a file, which holds nothing else.

    Warns with `InsecureKeyWarning` if other users can access the file.
    """
    content = read_secret(path)
    try:
        return Key(content)
    except ValueError:
        raise ValueError(
            f"{shown(path)} holds no key: it has {len(content)} bytes"
            f"{' or more' if len(content) > LONGEST else ''}, and a key {SHORTEST} to {LONGEST}"
        ) from None


def write_new(path: str | os.PathLike[str], content: bytes, mode: int = 0o600) -> None:
    """Write a new file, completely or not at all; by default, only the user can read it."""
    check_path("the file of a key", path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with open(handle, "wb") as file:
            file.write(content)
    except BaseException:
        os.unlink(path)
        raise


def read_secret(path: str | os.PathLike[str]) -> bytes:
    """Read a file of up to `LONGEST` bytes (one more if it is longer), and warn if it is not private."""
    content, exposed = read_file(path)
    if exposed:
        warn(f"{shown(path)} {exposed}", InsecureKeyWarning)
    return content


def read_file(path: str | os.PathLike[str]) -> tuple[bytes, str | None]:
    """Read a file as `read_secret` does; return it and the reason why it is not private, or None."""
    check_path("the file of a key", path)
    try:
        with open(path, "rb") as file:
            return file.read(LONGEST + 1), _exposure(os.fstat(file.fileno()))
    except OSError as error:
        # The text of an OSError names the file, but a str may be a key that was meant to be bytes.
        raise type(error)(error.errno, f"{error.strerror}: {shown(path)}") from None


def shown(path: str | os.PathLike[str]) -> str:
    """Name a file in an error, unless the name might be a key given as a str by mistake.

    >>> from pathlib import PurePath
    >>> shown(PurePath("cluster.key"))
    "the key file 'cluster.key'"
    >>> shown("correct horse battery staple")
    'the key file (a str is a path, a key itself is bytes; pass a Path to have it named here)'
    """
    if isinstance(path, str) and not os.path.lexists(path):
        return "the key file (a str is a path, a key itself is bytes; pass a Path to have it named here)"
    return f"the key file {os.fspath(path)!r}"


def _exposure(status: os.stat_result) -> str | None:
    """Return the reason why other users can access a file, or None."""
    if not hasattr(os, "geteuid"):
        return None
    if status.st_uid != os.geteuid():
        return "belongs to another user, who knows the key"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"can be read or written by others: chmod 600, its mode is {stat.S_IMODE(status.st_mode):o}"
    return None


# -- signatures ------------------------------------------------------------------------------------------

CODE: Final = 32
"""Bytes of an authentication code."""
_HEADER: Final = extension(SIGNATURE, bytes(CODE))[:-CODE]
_SEAL: Final = 12
"""Bytes of the checksum and the magic, at the end of the footer."""


def sign(frames: Sequence[Frame], keys: Keys, extensions: bytes = b"") -> list[Frame]:
    """Sign a message with the first of the keys; only frame 0 is replaced.

    `frames` may be the chained frames of several objects: the signature, in the first header, covers all.
    `extensions` are added to that header, and signed too.
    """
    front, footer, start = extend(bytes(frames[0]), extensions + _HEADER, SIGNED, CODE)
    rest = frames[1:]
    lengths = [len(front) + CODE + FOOTER.size, *map(len, rest)]
    code = keys[0].code(lengths, (front, footer, MAGIC, *rest))
    return [seal(front + code, footer, start), *rest]


def verify(frames: Sequence[Any], keys: Keys, *, chained: bool = False) -> list[Any]:
    """Check the signature of a message; return its frames, frame 0 as `bytes` that nobody else can change.

    Only the frames of the first object are checked, and the others are returned unchanged; with `chained`,
    all of them are checked. Raises `AuthenticationError`, with nothing parsed, unless the signature is there
    and was made with one of the keys.
    """
    from hmac import compare_digest  # 2 ms with OpenSSL, only for users with keys

    head = bytes(flat(frames[0]))
    at = len(head) - FOOTER.size
    mark = at - CODE - len(_HEADER)
    if mark < 0 or head[-8:] != MAGIC or not head[FLAGS] & SIGNED or head[mark : at - CODE] != _HEADER:
        raise AuthenticationError(
            "the message is not signed, and this reader has a key: its sender needs the same key"
        )
    count = len(frames) if chained else FOOTER.unpack_from(head, at)[1]
    rest = [flat(frame) for frame in frames[1:count]]
    lengths = [len(head), *(view.nbytes for view in rest)]
    parts = (memoryview(head)[: at - CODE], head[at:-_SEAL], MAGIC, *rest)
    stated = head[at - CODE : at]
    if not any(compare_digest(key.code(lengths, parts), stated) for key in keys):
        raise AuthenticationError(
            "the signature does not match: the message was changed on the way, or its sender has another key"
        )
    return [head, *frames[1:]]
