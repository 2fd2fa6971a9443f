"""Let joblib's `Parallel` pass arrays through shared memory, at any depth."""

from __future__ import annotations

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor, set_loky_pickler


def mean_of(job: dict[str, np.ndarray]) -> float:
    """Return the mean of an image in a dict, which joblib's memory maps would not find."""
    return float(job["image"].mean())


def main() -> None:
    """Call a function for each image, in two processes."""
    set_loky_pickler("transport.engines.joblib")
    jobs = [{"image": np.full((1000, 1000), number, np.float32)} for number in range(4)]
    means = joblib.Parallel(n_jobs=2)(joblib.delayed(mean_of)(job) for job in jobs)
    print("means:", means)
    get_reusable_executor().shutdown(wait=True)


if __name__ == "__main__":
    main()
