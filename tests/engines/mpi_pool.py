"""A script of ``mpi4py.futures``: ``mpiexec -n 3 python -m mpi4py.futures tests/engines/mpi_pool.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py.futures import MPIPoolExecutor

import transport.engines.mpi

transport.engines.mpi.install()


def total(part: dict[str, Any]) -> float:
    return float(part["x"].sum())


if __name__ == "__main__":
    scale = 3
    with MPIPoolExecutor() as pool:
        parts = [{"x": np.full((1000, 100), number)[:, ::2]} for number in range(5)]
        assert list(pool.map(total, parts)) == [50_000.0 * number for number in range(5)]
        assert pool.submit(lambda x: scale * x, 4).result() == 12  # pickle sends no lambdas
        assert pool.submit(lambda: np.arange(100_000)).result().flags.writeable
    print("pool is done")
