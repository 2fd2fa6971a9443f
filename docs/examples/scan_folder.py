"""Sort a folder of pickles by how dangerous they are, and run none of them.

    python scan_folder.py FOLDER

Without a folder, this program makes one. `python -m canning scan FOLDER` does the same.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import canning

ORDER = ("dangerous", "unreadable", "needs code", "clean")


class Harmful:
    """Be a pickle that runs a command when it is read."""

    def __reduce__(self) -> Any:
        return os.system, ("echo this ran",)


def sort(folder: Path) -> None:
    """Print the worst files first, and why."""
    results = [(path, canning.scan(path)) for path in sorted(folder.iterdir())]
    results.sort(key=lambda pair: ORDER.index(pair[1].verdict))
    for path, result in results:
        print(f"{result.verdict:<11} {path.name}  {'; '.join(result.reasons)}")
    print(dict(Counter(result.verdict for _, result in results)))


def main() -> None:
    """Scan the folder that was named, or one that is made here."""
    if len(sys.argv) > 1:
        sort(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "numbers.pkl").write_bytes(pickle.dumps({"x": [1, 2, 3]}))
        (folder / "job.pkl").write_bytes(pickle.dumps(len))
        (folder / "gift.pkl").write_bytes(pickle.dumps(Harmful()))
        (folder / "half.pkl").write_bytes(pickle.dumps(list(range(1000)))[:100])
        canning.dump({"image": np.zeros((400, 300)), "ratio": Fraction(1, 3)}, folder / "image.canned")
        sort(folder)


if __name__ == "__main__":
    main()
