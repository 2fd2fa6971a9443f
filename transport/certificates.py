"""Certificates of CURVE: pairs of keys, in files of the form that ``zmq.auth`` reads and writes."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Final

import zmq

from canning.wire.keys import InsecureKeyWarning, read_file, shown, write_secret

from .errors import TransportError

_LINE: Final = re.compile(rb'^\s*(public|secret)-key\s*=\s*"([\x21-\x7e]{40})"\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a public key, and in your own certificate the secret key; both 40 characters in Z85.

    >>> Certificate(b"p" * 40, b"s" * 40)
    Certificate(public=b'pppppppppppppppppppppppppppppppppppppppp')
    """

    public: bytes
    secret: bytes | None = field(default=None, repr=False)

    def __reduce__(self) -> Any:
        if self.secret is not None:
            raise TypeError("a certificate with a secret key cannot be sent: send Certificate(public)")
        return Certificate, (self.public,)


CertificateLike = Certificate | str | os.PathLike[str]
"""A certificate, or the path of the file that it is in."""


def new_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Make a certificate: `path`, which only you can read, and its public key in ``path.pub``.

    Raises:
        FileExistsError: one of the files is there already.
        TransportError: this libzmq was built without CURVE.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/server.key"
    >>> new_certificate(path).public == load_certificate(f"{path}.pub").public
    True
    """
    check_curve()
    public, secret = zmq.curve_keypair()
    name = os.fspath(path)
    with open(f"{name}.pub", "xb") as file:
        file.write(b'curve\n    public-key = "%b"\n' % public)
    try:
        write_secret(name, b'curve\n    public-key = "%b"\n    secret-key = "%b"\n' % (public, secret))
    except BaseException:
        os.unlink(f"{name}.pub")
        raise
    return Certificate(public, secret)


def load_certificate(path: str | os.PathLike[str]) -> Certificate:
    """Load a certificate from a file, with its secret key if the file has one.

    Warns with `InsecureKeyWarning` if other users can read or replace a secret key.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a certificate.
    """
    content, exposed = read_file(path)
    keys = {found[1]: found[2] for found in _LINE.finditer(content)}
    if b"public" not in keys:
        raise ValueError(f"{shown(path)} is not a certificate: new_certificate makes one")
    if b"secret" in keys and exposed:
        warnings.warn(f"{shown(path)} {exposed}", InsecureKeyWarning, stacklevel=2)
    return Certificate(keys[b"public"], keys.get(b"secret"))


def certificate_of(given: CertificateLike) -> Certificate:
    """Give a certificate, from its file if need be."""
    return given if isinstance(given, Certificate) else load_certificate(given)


def own_certificate(given: CertificateLike) -> Certificate:
    """Give a certificate that has its secret key."""
    certificate = certificate_of(given)
    if certificate.secret is None:
        raise ValueError("your own certificate needs its secret key, and this is a .pub file for others")
    return certificate


def check_curve() -> None:
    """Raise `TransportError` where this libzmq has no CURVE."""
    if not zmq.has("curve"):
        raise TransportError(
            "this libzmq was built without CURVE: install a pyzmq wheel, or build with libsodium"
        )
