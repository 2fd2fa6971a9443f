"""Certificates of CURVE: pairs of keys, in files in the format of ``zmq.auth``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Final

import zmq

from canning.arguments import check_path
from canning.errors import shortened, warn
from canning.wire.keys import InsecureKeyWarning, read_file, write_new

from .errors import TransportError

_KEY: Final = 40
_LINE: Final = re.compile(rb'^\s*(public|secret)-key\s*=\s*"([\x21-\x7e]{40})"\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a public key, and in your own certificate the secret key; both 40 characters in Z85.

    >>> Certificate(b"p" * 40, b"s" * 40)
    Certificate(public=b'pppppppppppppppppppppppppppppppppppppppp')
    """

    public: bytes
    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, key in (("public", self.public), ("secret", self.secret)):
            if key is not None and not isinstance(key, bytes):
                raise TypeError(f"{name}= is a key of 40 bytes, not {type(key).__name__}")
            if key is not None and len(key) != _KEY:
                raise ValueError(f"{name}= is a key of 40 bytes, not of {len(key)}: see new_certificate")

    def __reduce__(self) -> Any:
        if self.secret is not None:
            raise TypeError("a certificate with a secret key cannot be sent: send Certificate(public)")
        return Certificate, (self.public,)


CertificateLike = Certificate | str | os.PathLike[str]
"""A certificate, or the path of its file."""


@shortened
def new_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Make a certificate: `path`, which only you can read, and its public key in ``path.pub``.

    Raises:
        FileExistsError: one of the files exists already.
        TransportError: this libzmq was built without CURVE.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/server.key"
    >>> new_certificate(path).public == load_certificate(f"{path}.pub").public
    True
    """
    check_curve()
    check_path("the file of a certificate", path)
    public, secret = zmq.curve_keypair()
    name = os.fspath(path)
    write_new(f"{name}.pub", b'curve\n    public-key = "%b"\n' % public, 0o666)
    try:
        write_new(name, b'curve\n    public-key = "%b"\n    secret-key = "%b"\n' % (public, secret))
    except BaseException:
        os.unlink(f"{name}.pub")
        raise
    return Certificate(public, secret)


@shortened
def load_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Load a certificate from a file, with its secret key if the file has one.

    Warns with `InsecureKeyWarning` if other users can read or replace a secret key.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a certificate.
    """
    check_path("the file of a certificate", path)
    try:
        content, exposed = read_file(path)
    except OSError as error:
        raise type(error)(error.errno, os.strerror(error.errno or 0), os.fspath(path)) from None
    keys = {found[1]: found[2] for found in _LINE.finditer(content)}
    if b"public" not in keys:
        raise ValueError(f"{os.fspath(path)!r} is not a certificate: new_certificate makes one")
    if b"secret" in keys and exposed:
        warn(f"the key file {os.fspath(path)!r} {exposed}", InsecureKeyWarning)
    return Certificate(keys[b"public"], keys.get(b"secret"))


def certificate_of(given: CertificateLike) -> Certificate:
    """Return a certificate; load it if a path is given."""
    if isinstance(given, Certificate):
        return given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"a certificate is a path or a Certificate, not {type(given).__name__}")
    return load_certificate(given)


def their_certificate(option: str, given: CertificateLike) -> Certificate:
    """Return the other side's certificate; warn if it has the secret key, which only that side may have."""
    certificate = certificate_of(given)
    if certificate.secret is not None and not isinstance(given, Certificate):
        warn(
            f"{option}= names a file with a secret key, {os.fspath(given)!r}: anyone who has it can pose as "
            "the other side; keep it there, and pass its .pub file here",
            InsecureKeyWarning,
        )
    return certificate


def own_certificate(given: CertificateLike) -> Certificate:
    """Return a certificate that has its secret key."""
    certificate = certificate_of(given)
    if certificate.secret is None:
        raise ValueError("your own certificate needs its secret key, and this is a .pub file for others")
    return certificate


def check_curve() -> None:
    """Raise `TransportError` if this libzmq has no CURVE."""
    if not zmq.has("curve"):
        raise TransportError(
            "this libzmq was built without CURVE: install a pyzmq wheel, or build with libsodium"
        )
