"""What the pages print works as printed: names, keywords and links, where doctest does not run them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import canning
import transport

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / ".github" / "SECURITY.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_TEXT = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OURS = ("canning", "transport")


def snippets(page: Path) -> Iterator[str]:
    """Give the fences of Python without prompts, and the code in text and tables that uses our names."""
    text = page.read_text(encoding="utf-8")
    for language, code in FENCE.findall(text):
        if language == "python" and ">>>" not in code:
            yield code
    for code in IN_TEXT.findall(FENCE.sub("", text)):
        code = code.replace("\\|", "|").removeprefix("with ").removesuffix(": ...")
        if re.search(r"\b(canning|transport)\.[a-z_.]*\w+\(|^(canning|transport)\.[\w.]+$", code):
            yield code


def scripts() -> Iterator[tuple[str, str]]:
    """Give the fences of Python without prompts that are run: all but those which say why they are not."""
    for page in PAGES:
        text = re.sub(
            r"<!-- not run: .+ -->\n```python\n.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S
        )
        for number, (language, code) in enumerate(FENCE.findall(text)):
            if language == "python" and ">>>" not in code:
                yield f"{page.relative_to(ROOT).as_posix()}-{number}", code


SCRIPTS = dict(scripts())


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_run(name: str, tmp_path: Path) -> None:
    for package in ("torch", "ipyparallel"):
        if f"import {package}" in SCRIPTS[name] and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    script = tmp_path / "script.py"
    script.write_text(SCRIPTS[name], encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert run.returncode == 0, run.stderr


def test_few_scripts_are_not_run() -> None:
    assert len(SCRIPTS) >= 3
    assert sum(page.read_text(encoding="utf-8").count("<!-- not run: ") for page in PAGES) <= 5


def parsed(code: str) -> ast.AST | None:
    try:
        return ast.parse(code.strip())
    except SyntaxError:
        return None


def bound_by(tree: ast.AST) -> dict[str, Any]:
    """Do the imports of ours that a snippet has."""
    names: dict[str, Any] = {name: importlib.import_module(name) for name in OURS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name.split(".")[0] in OURS:
                    module = importlib.import_module(each.name)
                    names[each.asname or each.name.split(".")[0]] = (
                        module if each.asname else names[each.name.split(".")[0]]
                    )
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            for each in node.names:
                names[each.asname or each.name] = getattr(module, each.name)
    return names


def resolved(node: ast.AST, names: dict[str, Any]) -> Any:
    """Look a dotted name up; None where it does not start with one of `names`."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, names)
        return None if owner is None else getattr(owner, node.attr)
    return None


def check(code: str) -> int:
    """Look up every name of ours that a snippet uses, and every keyword that it passes; count them."""
    tree = parsed(code)
    if tree is None:
        return 0
    names, count = bound_by(tree), 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and resolved(node, names) is not None:
            count += 1
        if not isinstance(node, ast.Call):
            continue
        called = resolved(node.func, names)
        if called is None:
            continue
        takes = inspect.signature(called).parameters
        if any(each.kind is each.VAR_KEYWORD for each in takes.values()):
            for others in (canning.Serializer, transport.send, transport.recv):
                takes = {**takes, **inspect.signature(others).parameters}
        unknown = {each.arg for each in node.keywords if each.arg} - set(takes)
        assert not unknown, f"{code!r} passes {unknown}"
        count += 1
    return count


def module_is_missing(code: str) -> bool:
    """Tell whether a snippet is about an engine that is not installed here."""
    engine = re.search(r"transport\.engines\.(\w+)", code)
    if engine is None:
        return False
    package = {"dask": "distributed", "jupyter": "jupyter_client", "mpi": "mpi4py"}.get(engine[1], engine[1])
    return importlib.util.find_spec(package) is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_and_keywords_are_there(page: Path) -> None:
    for code in snippets(page):
        if not module_is_missing(code):
            check(code)


def test_wrong_names_and_keywords_are_found() -> None:
    with pytest.raises(AttributeError):
        check("transport.no_such_name")
    with pytest.raises(AssertionError, match="no_such_keyword"):
        check("from transport import send\nsend(socket, 1, no_such_keyword=2)")
    assert check("transport.send(socket, 1, copy=True)")


def test_the_lines_for_engines_are_checked() -> None:
    lines = [code for code in snippets(ROOT / "README.md") if "transport.engines." in code]
    assert len(lines) >= 4
    assert all(parsed(line) for line in lines if "(" in line)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path) if path else page
        assert leads_to.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(leads_to), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_pages_name_are_there(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    named = re.findall(r"`((?:canning|transport|tests|docs|notebooks)/[\w./-]+)`", text)
    assert [each for each in named if not (ROOT / each).exists()] == []
