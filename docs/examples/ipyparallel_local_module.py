"""Call a function of a module that the engines do not have, on a cluster of ipyparallel.

The module, `recipes.py`, is written into a folder that only this process imports from.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ipyparallel
import numpy as np

import transport

RECIPES = """
import numpy as np

def brighten(image, by):
    return np.clip(image.astype(int) + by, 0, 255).astype(np.uint8)
"""


def main() -> None:
    """Start a cluster of one engine, make it use canning, and send it the module along with a call."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "recipes.py").write_text(RECIPES)
        sys.path.append(folder)
        import recipes  # type: ignore[import-not-found]

        with ipyparallel.Cluster(n=1, log_level=40) as client:
            client.wait_for_engines(1, timeout=60)
            # Modules that are not installed go along where a call needs them.
            with transport.engines.ipyparallel.installed(client, by_value="local"):
                image = np.full((1000, 1000), 100, np.uint8)
                bright = client[0].apply_sync(recipes.brighten, image, 50)
                print(f"brightest: {bright.max()}")


if __name__ == "__main__":
    main()
