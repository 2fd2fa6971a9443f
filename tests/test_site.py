"""The site: every page is in its menu, every public name in its reference, every error text in the code."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import canning
import transport

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MENU = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
MADE = {"changelog.md", "contributing.md"}
"""Pages that the hooks make of files in the root."""


def test_every_page_is_in_the_menu() -> None:
    listed = re.findall(r"[\w/-]+\.md$", MENU.partition("\nnav:")[2], re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md")} | MADE
    assert sorted(listed) == sorted(pages)


def test_every_example_is_in_the_gallery() -> None:
    linked = set(
        re.findall(r"\]\((\w+\.py)\)", (DOCS / "examples" / "README.md").read_text(encoding="utf-8"))
    )
    assert linked == {path.name for path in DOCS.glob("examples/*.py")}
    assert len(linked) >= 15


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {canning.__version__}\n" in (ROOT / ".github" / "CITATION.cff").read_text(
        encoding="utf-8"
    )


def documented() -> set[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.md"))
    return set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))


METHODS = {"default_serializer", "default_registry", "default_codecs"}
"""Instances that every module shares, whose class the reference shows; so it does for their methods."""


def public() -> Iterator[str]:
    for name in set(canning.__all__) - METHODS:
        owner = getattr(getattr(canning, name), "__self__", None)
        yield f"canning.{type(owner).__name__}" if owner is not None else f"canning.{name}"
    modules = ("aio", "security", "testing", "engines")
    yield from (f"transport.{name}" for name in set(transport.__all__) - set(modules))
    for module in ("aio", "security"):
        names = importlib.import_module(f"transport.{module}").__all__
        yield from (f"transport.{module}.{name}" for name in names)


@pytest.mark.parametrize("name", sorted(set(public()) - {"canning.ReceivedModules"}))
def test_reference_has_every_public_name(name: str) -> None:
    assert name in documented() | {"canning.Marks"}


def test_reference_names_what_there_is() -> None:
    for name in documented():
        module, _, last = name.rpartition(".")
        if module.startswith("transport.engines."):
            continue  # needs the engine
        assert hasattr(importlib.import_module(module), last), name


def said() -> str:
    """Give all text in the code of both packages, with `…` for what is put in."""
    texts = []
    for path in [*ROOT.glob("canning/**/*.py"), *ROOT.glob("transport/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_errors_that_troubleshooting_explains_are_in_the_code() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    texts = [
        text
        for line in re.findall(r"^\*\*`.*", page, re.MULTILINE)
        for text in re.findall(r"\*\*`([^`]+)`", line)
    ]
    assert len(texts) >= 35
    code = said()
    missing = [text for text in texts for part in text.split("…") if part.strip(" :,") not in code]
    assert missing == []
