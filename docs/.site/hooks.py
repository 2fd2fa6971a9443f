"""What the site needs besides the pages: programs as pages, pages from the root, prompts in colour."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parent.parent.parent
FROM_ROOT = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
INTO_SITE = {"README.md": "index.md", **{name: page for page, name in FROM_ROOT.items()}}
LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([^)#]*)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from other files."""
    for page, name in FROM_ROOT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=re.sub(r"\]\(docs/", "](", text)))
    for program in sorted((ROOT / "docs" / "examples").glob("*.py")):
        page = f"examples/{program.stem}.md"
        inclusion = InclusionLevel.NOT_IN_NAV  # the gallery links them
        files.append(File.generated(config, page, content=program_page(program), inclusion=inclusion))
    return files


def program_page(program: Path) -> str:
    """Show a program below its own description."""
    code = program.read_text(encoding="utf-8")
    title = program.stem.replace("_", " ").capitalize()
    lead = (ast.get_docstring(ast.parse(code)) or "").split("\n\n")[0]
    return f"# {title}\n\n{lead}\n\n[Download {program.name}]({program.name})\n\n```python\n{code}```\n"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Colour sessions as sessions, and lead links to sources to the pages that show them."""
    source = page.file.src_uri
    markdown = re.sub(r"^```python\n(?=>>>)", "```pycon\n", markdown, flags=re.MULTILINE)
    if not re.fullmatch(r"examples/\w+\.md", source) or source == "examples/README.md":
        markdown = re.sub(r"\]\(((?:[./]*examples/)?\w+)\.py\)", r"](\1.md)", markdown)
    markdown = re.sub(
        r"\[([\w./-]+\.md)\]\(([^)#]+\.md)([^)]*)\)", lambda link: titled(link, source), markdown
    )
    return LINK.sub(lambda link: relinked(link, source.count("/")), markdown)


def titled(link: re.Match[str], source: str) -> str:
    """Name the page that a link leads to by its title, where the link has the name of its file."""
    target, anchor = link[2], link[3]
    page = ROOT / "docs" / Path(source).parent / target
    if not page.is_file():
        return link[0]
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{title}]({target}{anchor})"


def relinked(link: re.Match[str], depth: int) -> str:
    """Lead a link that leaves docs/ to its page on the site; where there is none, keep its text."""
    text, up, target, anchor = link.groups()
    if up.count("../") <= depth:
        return link[0]
    if target not in INTO_SITE:
        return text
    return f"[{text}]({'../' * depth}{INTO_SITE[target]}{anchor or ''})"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Take the search's helper for pages that are opened as files from here, and nothing from elsewhere."""
    return offline(output, "../" * page.file.dest_uri.count("/"))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """Do so with the page that says that there is no such page."""
    return offline(output_content, "") if template_name.endswith(".html") else output_content


def offline(html: str, root: str) -> str:
    """Replace the one script that the theme loads from elsewhere; raises if there is another."""
    html = html.replace("https://unpkg.com/iframe-worker/shim", f"{root}worker.js")
    loaded = re.findall(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]+\"", html)
    if loaded:
        raise PluginError(f"the site would load {loaded} from elsewhere")
    return html
