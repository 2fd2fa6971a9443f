"""What a stranger's message may not hold is named with the way to it, and with advice that helps."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError

AS_TEXT = "data holds no functions and no classes, so let its sender send the name as text"
ROWS: list[tuple[Any, str]] = [
    ({"dtype": np.float64}, rf"^obj\['dtype'\]: this message needs numpy.float64 \(a class\): {AS_TEXT}"),
    ({"o": [int, 1]}, rf"^obj\['o'\]\[0\]: this message needs builtins.int \(a class\): {AS_TEXT}"),
    ({"o": [1, np.matrix]}, rf"^obj\['o'\]\[1\]: this message needs numpy.matrix \(a class\): {AS_TEXT}"),
    ({"o": ({"k": print},)}, rf"^obj\['o'\]\[0\]\['k'\]: .*builtins.print \(a function\): {AS_TEXT}"),
    (
        {"n": [7, 10**5000]},
        r"^obj\['n'\]\[1\]: an int of 2077 bytes: .*integer_bytes=1786 of canning.Limits$",
    ),
    ({"n": (1, {"k": (10**5000,)})}, r"^obj\['n'\]\[1\]\['k'\]\[0\]: an int of 2077 bytes"),
]


@pytest.mark.parametrize(("obj", "text"), ROWS, ids=[row[1][6:20] for row in ROWS])
def test_the_path_is_named(obj: Any, text: str) -> None:
    for frames in (canning.serialize_object(obj), [pickle.dumps(obj)]):
        with pytest.raises(DeserializationError, match=text) as caught:
            canning.deserialize_object(frames, trust="data")
        assert str(caught.value).startswith(f"{caught.value.path}: ")


def test_the_class_of_an_instance_is_named_and_not_its_maker() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DeserializationError, match=r"^obj\['m'\]\[0\]: this message needs scipy.sparse.*dok"):
        canning.loads(canning.dumps({"m": [sparse.dok_matrix((3, 3))]}))


def test_a_package_that_is_not_imported_is_named_with_the_path(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    canning.dump({"t": [pandas.DataFrame({"a": [1]})]}, tmp_path / "table.canned")
    script = "import canning, sys\ntry: canning.load(sys.argv[1])\nexcept canning.CanningError as e: print(e)"
    ran = [sys.executable, "-c", script, str(tmp_path / "table.canned")]
    said = subprocess.run(ran, capture_output=True, text=True, check=True).stdout
    assert said.startswith("obj['t'][0]"), said
    assert "import pandas before you read it" in said
