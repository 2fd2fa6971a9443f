"""ipyparallel's own tests, with canning in every client and every engine."""

from __future__ import annotations

import pytest

pytest.importorskip("ipyparallel", reason="needs the package ipyparallel")

from tests.engines.run_ipyparallel import MODULES, main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("module", MODULES)
def test_ipyparallels_own(module: str, capfd: pytest.CaptureFixture[str]) -> None:
    failed = main([module])
    said = capfd.readouterr().out
    assert not failed, said
    assert "canning: 0 passed" not in said, said
