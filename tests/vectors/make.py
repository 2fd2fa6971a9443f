"""Write the vectors: ``python -m tests.vectors.make``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from . import FOLDER, Row, containers, headers, values

GROUPS: Final[dict[str, Callable[[], Iterable[Row]]]] = {
    "containers": containers.rows,
    "headers": headers.rows,
    "pickles": values.pickles,
    "values": values.rows,
}
"""The files, and the rows of each."""


def write(folder: Path) -> None:
    """Write all groups."""
    for group, rows in GROUPS.items():
        lines = [json.dumps(row.line(), allow_nan=False) for row in rows()]
        (folder / f"{group}.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
