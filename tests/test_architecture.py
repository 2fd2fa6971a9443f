"""The map of the modules names all of them, and none that is gone; the codec knows no sockets."""

from __future__ import annotations

import ast
import pickletools
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


def test_the_drawing_has_the_layers_of_the_table() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = [
        re.findall(r"`canning/([\w/.]+)`", row.split("|")[1])
        for row in page.split("\n")
        if row.startswith("| `can")
    ]
    drawing = (ROOT / "docs/images/layers.svg").read_text()
    drawn = [text.split(", ") for text in re.findall(r"font-weight=\"600\"[^>]*>([^<]*)<", drawing)]
    assert drawn == [["transport/"], *reversed(rows)]


def test_the_drawing_of_the_way_names_packages() -> None:
    drawing = (ROOT / "docs/images/way.svg").read_text()
    named = set(re.findall(r">(\w+/)<", drawing))
    assert {f"canning/{name}" for name in named - {"transport/"}} <= there("canning")
    assert {"types/", "writing/", "codecs/", "wire/", "reading/"} <= named


def test_the_ways_to_a_change_lead_somewhere() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("## Where to change what")[2].partition("\n## ")[0]
    paths = re.findall(r"`([\w/]+(?:\.py|/))`", table.partition("\n|")[2])
    here = [
        path if path.startswith("transport/") else f"canning/{path}" for path in paths if path != "canning/"
    ]
    assert len(here) > 15
    assert [path for path in here if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", ["zmq", "transport"])
def test_the_codec_imports_no_sockets(package: str) -> None:
    importing = re.compile(rf"^\s*(?:import|from) +{package}\b", re.M)
    assert [path for path in (ROOT / "canning").rglob("*.py") if importing.search(path.read_text())] == []


def imports_of(path: Path) -> set[str]:
    """List the modules of this project that a file imports, wherever in it: what is for types alone too."""
    names = {name_of(each) for package in ("canning", "transport") for each in (ROOT / package).rglob("*.py")}
    own = name_of(path)
    package = own.split(".") if path.name == "__init__.py" else own.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            within = {f"{base}.{alias.name}" for alias in node.names}
            found |= (within & names) or {base}
    return (found & names) - {own}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("package", ["canning"])
def test_no_modules_import_each_other(package: str) -> None:
    rest = {name_of(path): imports_of(path) for path in (ROOT / package).rglob("*.py")}
    del rest[package]  # whose `__init__` only gives names to users
    while free := [name for name, needed in rest.items() if not needed & rest.keys()]:
        for name in free:
            del rest[name]
    assert rest == {}


LAYERS = (
    "errors arguments forking progress limits provided values",
    "memory",
    "wire",
    "pickles",
    "types",
    "calls codecs",
    "code",
    "writing",
    "reading",
    "options replacing files serializer",
    "can inspection",
    "cli __main__",
)


def test_layers_import_those_below_them_alone() -> None:
    rank = {name: number for number, names in enumerate(LAYERS) for name in names.split()}
    for path in (ROOT / "canning").rglob("*.py"):
        module = name_of(path)
        for other in imports_of(path) - {"canning"} if module != "canning" else ():
            if other.startswith("canning."):
                assert rank[other.split(".")[1]] <= rank[module.split(".")[1]], (module, other)


def test_four_files_know_opcodes() -> None:
    names = "|".join(opcode.name for opcode in pickletools.opcodes)
    written = re.compile(rf"^(?! *>>>).*(?:0x[0-9A-F]{{2}}\b.*# .*\b(?:{names})\b|\\x(?:94|8c))", re.M)
    knowing = {path for path in (ROOT / "canning").rglob("*.py") if written.search(path.read_text())}
    assert {name_of(path).removeprefix("canning.") for path in knowing} == {
        *("pickles.machine", "pickles.headers"),
        *("reading.untrusted.opcodes", "reading.untrusted.short_cuts"),
    }
