"""Compare `Comm` with mpi4py.util.pkl5: ``mpiexec -n 4 python -m tests.engines.mpi_times [BYTES]``.

All take turns in one run. A time is from when all ranks are ready until the last has touched each page of
what it received; medians, and as parts of pkl5's.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any, Final

import numpy as np
import pandas as pd
from mpi4py import MPI
from mpi4py.util import pkl5

from transport.engines import mpi

WORLD: Final = MPI.COMM_WORLD
ROUNDS: Final = 5


def objects(nbytes: int) -> dict[str, Any]:
    rows = nbytes // 200
    texts = [f"text {number % 1000}" for number in range(rows)]
    frame = pd.DataFrame({"t": texts, "x": np.ones(rows), "d": pd.date_range("2020", periods=rows, freq="s")})
    return {
        "array": {"x": np.ones(nbytes // 8), "n": 1},
        "every other column": {"x": np.ones((nbytes // 80, 20))[:, ::2]},
        "pandas frame with texts": {"f": frame},
    }


def touch(obj: Any) -> None:
    (found, *_) = obj.values()
    if isinstance(found, pd.DataFrame):
        found["x"].to_numpy()[::512].sum()
    else:
        found[:: 512 // found[0].size].sum()


def once(comm: Any, call: str, obj: Any) -> float:
    WORLD.Barrier()
    start = time.perf_counter()
    if call == "bcast":
        touch(comm.bcast(obj if WORLD.rank == 0 else None))
    elif WORLD.rank == 0:
        comm.send(obj, 1)
    elif WORLD.rank == 1:
        touch(comm.recv(source=0))
    WORLD.Barrier()
    return time.perf_counter() - start


def main(nbytes: int) -> None:
    comms = {
        "pkl5": pkl5.Intracomm(WORLD),
        "canning": mpi.Comm(WORLD),
        "frames": mpi.Comm(WORLD, share=False),
    }
    for name, obj in objects(nbytes).items():
        for call in ("send", "bcast"):
            times: dict[str, list[float]] = {each: [] for each in comms}
            for _ in range(ROUNDS):
                for each, comm in comms.items():
                    times[each].append(once(comm, call, obj))
            if WORLD.rank == 0:
                base = median(times["pkl5"])
                said = (
                    f"{each} {median(t) * 1e3:.0f} ms {median(t) / base:.2f}" for each, t in times.items()
                )
                print(f"{call} of {name}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 200_000_000)
