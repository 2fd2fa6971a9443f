"""numba: typed containers, which cannot be sent, and an error that names the alternative.

Only compiled code can reach their memory, numba does not pickle them, and compiling access to one takes 0.3 s
for each type of item, in every process.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ...errors import SerializationError
from ..canner import Canner


def _can(container: object) -> NoReturn:
    plain = "dict(container.items())" if hasattr(container, "items") else "list(container)"
    raise SerializationError(f"numba cannot pickle its typed containers: send {plain}, or arrays")


def _uncan(state: object) -> NoReturn:
    raise TypeError("numba's typed containers cannot be sent")


CANNERS: Final = (
    Canner("numba.typed.List", _can, _uncan, data=True),
    Canner("numba.typed.Dict", _can, _uncan, data=True),
)
