"""The tests in numpy's and pandas' own wheels that pickle something, with canning in the place of pickle."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.peers.checkouts import HERE, Outcomes, known, run_pytest

NOT_OURS: dict[str, str] = {}
"""Tests that do not apply, by name, with the reason."""


def files_of(package: str, *folders: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    top = Path(spec.origin).parent
    found = [path for folder in folders for path in top.glob(f"{folder}/**/test_*.py")]
    return sorted(path for path in found if "pickle" in path.read_text("utf-8") and "pytables" not in path.parts)


def run(files: list[Path], stand_in):
    return run_pytest([*map(str, files), *sys.argv[3:], "-p", "only_pickling"], links={"only_pickling.py": HERE / "only_pickling.py"}, stand_in=stand_in)

if __name__ == "__main__":
    import sys,time
    from tests.peers.checkouts import report
    a=time.time()
    files=files_of(sys.argv[1],sys.argv[2])
    print(len(files))
    p=run(files,None)
    b=time.time()
    c=run(files,"as_pickle")
    print(b-a,time.time()-b)
    report(p,c,{},whose=sys.argv[1])
