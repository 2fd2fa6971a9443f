"""Messages, and what they hold or why they are refused: what any reader of the format can be judged by.

    python -m tests.vectors COMMAND...   judge a reader
    python -m tests.vectors.make         write the vectors again

Each file of this folder that ends with ``.jsonl`` is a group. A line is a JSON object, a *vector*:

- ``name``;
- ``message``: a blob, as Base64. Its frames may hold several messages, one behind the other; each ends
  with a trailer, none is a plain pickle;
- ``key``: the reader's key, in hexadecimal digits, if it has one. It then takes signed messages alone, and
  the signature in the first header is for all frames, those of later messages too;
- ``containers``: what the trailer of each message says, see `tests.vectors.containers`;
- ``values``: what each message holds, as neutral JSON, see `tests.vectors.neutral`;
- ``refused``: why the message must be refused; such a vector has neither of the other two.

A reader gets the vectors on its standard input, a line each, with no more than ``message`` and ``key``. It
answers each by a line on its standard output, before the next: ``{"containers": …, "values": …}`` with what
it can tell, ``{"refused": "why"}``, or ``{"unsupported": "why"}`` with what it cannot read, beside
``containers`` if it got so far. Where a vector states only one of ``containers`` and ``values``, nobody
looks at the other. A message that must be refused may also be unsupported.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from canning.wire.blob import blob_of

FOLDER: Final = Path(__file__).parent
ASKED: Final = ("message", "key")
"""What of a vector a reader is told."""


@dataclass(frozen=True)
class Row:
    """A vector as the tests make it: `holds` is what belongs beside the name, the message and the key."""

    name: str
    message: bytes
    holds: dict[str, Any]
    key: bytes | None = None

    def line(self) -> dict[str, Any]:
        """Give the vector itself."""
        key = {} if self.key is None else {"key": self.key.hex()}
        return {"name": self.name, "message": base64.b64encode(self.message).decode(), **key, **self.holds}


def in_blob(frames: Iterable[Any]) -> bytes:
    """Put frames into a blob."""
    return b"".join(map(bytes, blob_of(list(frames))))


def vectors(folder: Path = FOLDER) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give all vectors with the name of their group."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield path.stem, json.loads(line)
