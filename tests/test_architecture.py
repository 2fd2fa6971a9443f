"""The map of the modules names all of them, and none that is gone; the codec knows no sockets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAP = set(
    re.findall(r"`((?:canning|transport)/[\w/]*(?:\.py|/))`", (ROOT / "docs/architecture.md").read_text())
)


def there(package: str) -> set[str]:
    """List a package's modules and folders, as the map names them."""
    found = set()
    for path in (ROOT / package).iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            found.add(f"{package}/{path.name}")
        elif (path / "__init__.py").exists():
            found.add(f"{package}/{path.name}/")
    return found


@pytest.mark.parametrize("package", ["canning", "transport"])
def test_the_map_names_every_module(package: str) -> None:
    assert {name for name in MAP if name.startswith(f"{package}/")} == there(package)


@pytest.mark.parametrize(("package", "who"), [("zmq", []), ("transport", ["cli.py"])])
def test_the_codec_imports_no_sockets(package: str, who: list[str]) -> None:
    """The command line alone starts what needs sockets: the demo and the benchmark."""
    importing = re.compile(rf"^\s*(?:import|from) +{package}\b", re.M)
    assert [
        path.name for path in (ROOT / "canning").rglob("*.py") if importing.search(path.read_text())
    ] == who
