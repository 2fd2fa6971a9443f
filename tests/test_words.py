"""The words of errors and docstrings: turns of phrase that readers stumble over are not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("canning/**/*.py"), *ROOT.glob("transport/**/*.py")])
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("notebooks/*.ipynb")),
]
STUMBLES = re.compile(
    r"that (?:is|are) none\b|\bfor ever\b|something else than|in the place of|takes? the place of"
    r"|[Ww]hoever|one's own|by turns|takes? apart|stands? behind|from 0 on\b"
    r"|\b(?:is|are) no (?:speed|codec|class|certificate|number|text|regular|dotted|pickle|dict|list|str)"
)
"""What to say instead: an invalid ...; without a limit; something other than; instead of; your own; ..."""


def texts(path: Path) -> list[str]:
    """List the strings of a module, docstrings among them, as they read: those that are split, joined."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def test_strings_of_modules() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {stumble[0]!r} in {text[:80]!r}"
        for path in FILES
        for text in texts(path)
        if (stumble := STUMBLES.search(re.sub(r"\s+", " ", text)))
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages(page: Path) -> None:
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    assert [text[max(0, each.start() - 30) : each.end() + 30] for each in STUMBLES.finditer(text)] == []


def test_advice_to_install_names_packages_that_an_index_has() -> None:
    """Wherever this copy of canning came from, its extras need not be there."""
    assert [
        text for path in FILES for text in texts(path) if re.search(r"pip install \S*canning\[", text)
    ] == []


def test_stumbles_are_found() -> None:
    assert STUMBLES.search("an index that is none")
    assert STUMBLES.search("this would wait for ever")
    assert not STUMBLES.search("there is no room, and none is free")
