"""Let `multiprocessing.Pool` pass arrays through shared memory, and a lambda to another process."""

from __future__ import annotations

import multiprocessing

import numpy as np

import transport.engines.multiprocessing


def brightest(image: np.ndarray) -> int:
    """Return the largest value."""
    return int(image.max())


def main() -> None:
    """Map over images; in the block, what goes through the pool's pipes is canned."""
    images = [np.full((1000, 1000), number, np.uint8) for number in range(4)]
    install = transport.engines.multiprocessing.install
    with (
        transport.engines.multiprocessing.canned(),
        multiprocessing.get_context("spawn").Pool(2, initializer=install) as pool,
    ):
        print("brightest:", pool.map(brightest, images))
        print("darkest:", pool.map(lambda image: int(image.min()), images))  # pickle cannot send this one
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
