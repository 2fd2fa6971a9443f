"""Time the cases of joblib's example of serialization, and canning beside them, in one table.

    python -m tests.engines.joblib_example

An interactive function and a list of a million numbers go to two processes; then an array of 200 MB in a
dict does. Every case runs in processes of its own, in turn. `first` starts the workers, `next` finds them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

CASES: dict[str, tuple[str, str]] = {
    "loky, cloudpickle": ("cloudpickle", "delayed(func_async)"),
    "multiprocessing, pickle": ("multiprocessing", "delayed(func_async)"),
    "loky, pickle, `id` for the function": ("pickle", "delayed(id_of)"),
    "loky, pickle, wrapped function": ("pickle", "delayed(wrap_non_picklable_objects(func_async))"),
    "loky, canning": ("transport.engines.joblib", "delayed(func_async)"),
}
ARGUMENTS: dict[str, str] = {
    "list": "21, list(range(1_000_000))",
    "array": "21, {'x': np.arange(25_000_000.0)}",
}
SCRIPT = """
import sys, time, warnings
import numpy as np
from joblib import Parallel, delayed, parallel_config, wrap_non_picklable_objects

def func_async(i, *args):
    return 2 * i

id_of = id
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with parallel_config("multiprocessing" if {kind!r} == "multiprocessing" else "loky"):
        call, arguments = {call}, ({arguments},)
        arguments = arguments[1:] if {call!r} == "delayed(id_of)" else arguments
        for _ in range({times}):
            start = time.perf_counter()
            [result] = Parallel(n_jobs=2)(call(*arguments) for _ in range(1))
            print(time.perf_counter() - start)
            assert result == 42 or {call!r} == "delayed(id_of)"
"""


def seconds(case: str, what: str, times: int = 4) -> list[float]:
    """Run a case in a process of its own; the first time and the median of the others."""
    kind, call = CASES[case]
    script = SCRIPT.format(kind=kind, call=call, arguments=ARGUMENTS[what], times=times)
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles canning anew
    if kind != "multiprocessing":
        environment["LOKY_PICKLER"] = kind
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    first, *others = map(float, done.stdout.split())
    return [first, statistics.median(others)]


def table(rounds: int = 3, times: int = 4) -> str:
    """Give the table, in Markdown: medians of some rounds, in seconds."""
    took: dict[tuple[str, str], list[list[float]]] = {
        (case, what): [] for case in CASES for what in ARGUMENTS
    }
    for _ in range(rounds):
        for key, found in took.items():
            found.append(seconds(*key, times))
    lines = ["| | list: first | next | array: first | next |", "|---|---|---|---|---|"]
    for case in CASES:
        cells = [
            statistics.median(column) for what in ARGUMENTS for column in zip(*took[case, what], strict=True)
        ]
        lines.append(f"| {case} | " + " | ".join(f"{cell * 1000:.0f} ms" for cell in cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table."""
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
