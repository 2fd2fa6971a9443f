"""mpi4py's own tests of objects, with canning: ``python -m tests.engines.run_mpi4py RANKS``.

They come with mpi4py's sources, which are fetched from the index. All pass as they do without canning; those
of `MPI.pickle` itself set it anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

from tests.engines.test_mpi import MPIEXEC, environment

MODULES = ("p2p_obj", "cco_obj", "cco_ngh_obj", "pickle", "util_pkl5", "util_pool")
PROGRAM = """
import runpy, sys, transport.engines.mpi
transport.engines.mpi.install()
sys.path.insert(0, ".")
runpy.run_path("main.py", run_name="__main__")
"""


def main(ranks: int) -> int:
    version = metadata.version("mpi4py")
    with tempfile.TemporaryDirectory() as folder:
        fetch = ("download", "--quiet", "--no-deps", "--no-binary=:all:", f"--dest={folder}")
        subprocess.run([sys.executable, "-m", "pip", *fetch, f"mpi4py=={version}"], check=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as sources:
            sources.extractall(folder, filter="data")
        wanted = [word for module in MODULES for word in ("-i", f"test_{module}")]
        command = [
            str(MPIEXEC),
            "-n",
            str(ranks),
            sys.executable,
            "-m",
            "mpi4py",
            "-c",
            PROGRAM,
            "-q",
            *wanted,
        ]
        tests = Path(folder, f"mpi4py-{version}", "test")
        return subprocess.run(command, cwd=tests, env={**os.environ, **environment()}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
