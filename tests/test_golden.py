"""Golden frames: what each version of the format wrote is read, whatever has changed since."""

from __future__ import annotations

from pathlib import Path

import pytest

from .golden.make import FILES, build, check, kept_rows, write


def test_every_object_has_its_golden_frames() -> None:
    assert {path.stem for path in FILES} >= {
        *build(),
        *(row.file for row in kept_rows()),
        "call",
    }


# torch says once a process that it will give quantized tensors up one day.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor.* are deprecated:UserWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_frames_are_read(path: Path, tmp_path: Path) -> None:
    if path.stem == "array-strings" and "array-strings" not in build():
        pytest.skip("this numpy has no StringDType")
    if path.stem.startswith("type-") and path.stem not in {row.file for row in kept_rows()}:
        pytest.skip("the package of this type is not here")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    assert check(tmp_path) == [path.stem]


def test_what_is_written_today_is_read_today(tmp_path: Path) -> None:
    names = write(tmp_path)
    assert sorted(check(tmp_path)) == sorted(names)
    assert write(tmp_path) == []
