"""What the tests of both kinds of socket share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from transport.outgoing import COPY_BELOW

SCHEMES: Final = ("tcp", "ipc", "inproc")

LARGE: Final = 2 * COPY_BELOW
"""Elements enough, of any size, that an array is sent without a copy."""

Open = Callable[[int], Any]
Connect = Callable[..., tuple[Any, Any]]
Endpoint = Callable[[str], str]
