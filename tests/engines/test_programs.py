"""Small programs give the same with canning as without; where an engine falls short, what they should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

import numpy as np
import pytest

from tests.transport.engine import ROOT

for package in ("pandas", "scipy", "pyarrow", "polars", "xarray"):
    pytest.importorskip(package)

from tests.engines import work  # noqa: E402 - only where its packages are
from tests.engines.programs import said  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="forks"),
]
PACKAGES: Final = {
    "pool": None,
    "executor": None,
    "joblib": "joblib",
    "dask": "dask.array",
    "ipyparallel": "ipyparallel",
}
SHARED: Final = said((True, True, np.arange(50_000.0).sum()))
CIRCLE: Final = said(work.circle(3))
BETTER: Final[dict[str, dict[str, Any]]] = {
    "dask": {"shared": SHARED, "a circle": CIRCLE},
    "ipyparallel": {
        "shared": SHARED,
        "a circle": CIRCLE,
        "kinds of arrays": said(work.kinds(5)),
        "a closure": said([np.float64(70_001)] * 2),
    },
}
"""What the engine alone does not send, or sends as something else."""


def run(engine: str, how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.programs", engine, how],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("engine", PACKAGES)
def test_programs_give_the_same_with_canning(engine: str) -> None:
    if PACKAGES[engine]:
        pytest.importorskip(PACKAGES[engine])
    alone, canned = run(engine, "stock"), run(engine, "canning")
    assert sum(given[0] != "raised" for given in alone.values()) >= 27
    assert canned == {**alone, **json.loads(json.dumps(BETTER.get(engine, {})))}
