"""Tell what came of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .run import GOOD, Tally
from .sources import Source, blob


def lines(tally: Tally) -> list[tuple[str, str]]:
    """Give what there is to say, each with its heading."""
    rate = tally.inputs / tally.seconds if tally.seconds else 0
    said = [("inputs", f"{tally.inputs:,} in {tally.seconds:,.1f} s, {rate:,.0f} a second")]
    for heading, place in (("outcome", 2), ("way", 0), ("surface", 1)):
        counts: Counter[str] = Counter()
        for key, count in tally.outcomes.items():
            counts[key[place]] += count
        said += [(f"{heading} {name or 'unknown'}", f"{count:,}") for name, count in counts.most_common()]
    if tally.slowest:
        took, number = tally.slowest[0]
        said.append(("slowest", f"{took * 1000:,.1f} ms, input {number}"))
    said.append(
        (
            "peak memory",
            f"{tally.peak / 1024:,.0f} MB, {(tally.peak - tally.started) / 1024:,.0f} more than at first",
        )
    )
    return said


def show(tally: Tally, title: str) -> None:
    """Print it, in a table where rich is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title)
        print("\n".join(f"{heading:<24} {text}" for heading, text in lines(tally)))
        return
    table = Table("", title, header_style="bold")
    for heading, text in lines(tally):
        table.add_row(heading, text)
    Console().print(table)


def keep(tally: Tally, source: Source, folder: Path) -> list[str]:
    """Write the inputs that went wrong into a folder, as files that `canning.load` reads; say which."""
    said = []
    for number, what in tally.bad[:100]:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number}.canned"
        path.write_bytes(blob(source.make(number).frames))
        said.append(f"input {number}, kept in {path}: {what}")
    return said


def fine(tally: Tally) -> bool:
    """Tell whether every input ended in a value or was refused."""
    return bool(tally.inputs) and not tally.bad and all(key[2] in GOOD for key in tally.outcomes)
