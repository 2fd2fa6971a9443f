"""Random scripts, of which what goes by value arrives as it was; see `programs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import compare


@pytest.mark.parametrize(("count", "seed"), [(150, 1), pytest.param(3000, 2, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_what_scripts_define_arrives_as_it_was(count: int, seed: int, tmp_path: Path) -> None:
    outcomes, wrong = compare(count, seed, tmp_path)
    assert not wrong, wrong[0]
    assert outcomes["canning right"] > 0.9 * count
