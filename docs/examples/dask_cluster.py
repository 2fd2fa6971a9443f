"""Use canning between the workers of a Dask cluster that `dask scheduler` and `dask worker` have started.

    dask scheduler --port 8786
    dask worker tcp://127.0.0.1:8786 --preload transport.engines.dask
    python dask_cluster.py tcp://127.0.0.1:8786

Without an address, this program starts both commands itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from distributed import Client

import transport


@contextmanager
def command(*arguments: str) -> Iterator[None]:
    """Run a command of Dask's, and stop it in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def work(address: dict[str, str]) -> None:
    """Scatter an array to a worker, and fetch what a task makes of it."""
    with Client(**address, timeout=60) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(1, timeout=60)
        transport.engines.dask.register(client)  # this process, and all workers that there are
        image = client.scatter(np.full((1000, 1000), 7, np.uint8))  # large arguments: scatter them
        total = client.submit(lambda array: int(array.sum()), image).result(timeout=60)
        print(f"the sum is {total}")


def main() -> None:
    """Use the cluster of a given address, or start one."""
    if len(sys.argv) > 1:
        work({"address": sys.argv[1]})
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = str(Path(folder, "scheduler.json"))
        scheduler = (
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            file,
        )
        stack.enter_context(command(*scheduler))
        worker = ("worker", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", folder)
        preload = ("--preload", "transport.engines.dask", "--scheduler-file", file)
        stack.enter_context(command(*worker, *preload))
        work({"scheduler_file": file})


if __name__ == "__main__":
    main()
