"""Write files, look into them without running anything, and read them."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import canning


@dataclass
class Scan:
    """What a file holds: an image and where it was taken."""

    image: np.ndarray
    place: str


class Action:
    """Be what a harmful pickle is made of: something that is called while the file is read."""

    def __reduce__(self) -> Any:
        return print, ("this ran while the file was read",)


def main() -> None:
    """Make a folder of files, and judge each before it is read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = np.zeros((400, 300), np.uint8)
        canning.dump({"image": image, "place": "roof"}, folder / "plain.canned", readable_as="data")
        # Classes of a script are written with their code, which a reader of data refuses; with "named", by
        # name. Classes of modules always go by name.
        named = canning.Serializer(pickler="named", allow={Scan})
        named.dump(Scan(image, "roof"), folder / "scan.canned", readable_as="data")
        (folder / "received.pkl").write_bytes(pickle.dumps(Action()))

        for path in sorted(folder.iterdir()):
            print(f"{path.name}: {canning.scan(path).verdict}")

        plain = canning.load(folder / "plain.canned")  # data only: nothing of the file is run
        assert not plain["image"].flags.writeable  # a view of the file; writable=True copies it
        scan = canning.load(folder / "scan.canned", allow={Scan})  # the reader names the classes it wants
        print(f"a Scan of the {scan.place}, {scan.image.shape}")
        try:
            canning.load(folder / "received.pkl")
        except canning.DeserializationError as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    main()
