"""Check what `make package` has built: what is in the wheel, what an index would show, and that it works.

python -m tests.package dist
"""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("canning", "transport")


def sources() -> set[str]:
    """List what belongs into a wheel, next to its metadata."""
    files = {path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()}
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def links(text: str) -> list[str]:
    """List the links and pictures of a description that lead to files beside it."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith("https://")]


def check(folder: Path) -> None:
    """Raise AssertionError where something is wrong."""
    [wheel] = folder.glob("*.whl")
    [archive] = folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as contents:
        names = set(contents.namelist())
        information = next(name.split("/")[0] for name in names if ".dist-info/" in name)
        metadata = email.message_from_bytes(contents.read(f"{information}/METADATA"))
        contents_of_wheel = {name for name in names if not name.startswith(information)}
        assert contents_of_wheel == sources(), contents_of_wheel ^ sources()
        assert {f"{name}/py.typed" for name in PACKAGES} <= names
        assert f"{information}/licenses/LICENSE" in names
        with tempfile.TemporaryDirectory() as target:
            contents.extractall(target)
            run = "import canning, transport; canning.loads(canning.dumps([1])); print(canning.__file__)"
            command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {target!r}); {run}"]
            said = subprocess.run(
                command, cwd=target, capture_output=True, text=True, check=True, timeout=120
            ).stdout
            assert said.startswith(target), said
    description = metadata.get_payload()
    assert isinstance(description, str)
    assert "# canning" in description
    assert links(description) == []
    print(f"{wheel.name}: {len(contents_of_wheel)} files; {archive.name}: {archive.stat().st_size:,} bytes")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
