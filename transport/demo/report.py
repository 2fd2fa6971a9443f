"""The demo's output: the table of frames, the times, and what was proved."""

from __future__ import annotations

import re
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .arrivals import Arrival
from .memory import FramePlace
from .proofs import Proof
from .timing import Timing

MOST_ROWS: Final = 24
"""Frames shown; a wide table may have hundreds, of which the rest are summed up."""
MOST_NAMES: Final = 4
"""Names shown for one frame."""


def show_frames(console: Console, frames: list[FramePlace], arrivals: list[Arrival]) -> None:
    """Print a row for each frame: what it holds, whose memory it is, and what came of it."""
    told = {arrival.path: arrival for arrival in arrivals}
    table = Table(title=f"One message, {len(frames)} frames", title_justify="left", show_lines=True)
    table.add_column("", justify="right")
    table.add_column("holds", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("at the sender", overflow="fold")
    table.add_column("as it arrived", overflow="fold")
    for number, frame in enumerate(frames[:MOST_ROWS]):
        holds = _holds(number, frame)
        arrived = _arrived([told[path] for path in frame.holds if path in told])
        table.add_row(
            str(number), escape(holds), f"{frame.nbytes:,}", _memory(number, frame), escape(arrived)
        )
    rest = frames[MOST_ROWS:]
    if rest:
        aliases = sum(frame.aliases for frame in rest)
        nbytes = sum(frame.nbytes for frame in rest)
        table.add_row("", f"{len(rest)} more frames", f"{nbytes:,}", f"{aliases} alias its memory", "")
    console.print(table)


def _holds(number: int, frame: FramePlace) -> str:
    if not frame.holds:
        return "the header: structure, function, small things" if number == 0 else "?"
    names = ", ".join(map(_name, frame.holds[:MOST_NAMES]))
    more = len(frame.holds) - MOST_NAMES
    return f"{names} and {more} more" if more > 0 else names


def _name(path: str) -> str:
    """Write a path from a name on, as in ``nested['face']``: that of the payload says nothing."""
    return re.sub(r"^\['(\w+)'\]", r"\1", path)


def _memory(number: int, frame: FramePlace) -> str:
    if frame.aliases:
        return f"its own memory, 0x{frame.start:x}"
    return "new" if number == 0 else "a copy"


def _arrived(arrivals: list[Arrival]) -> str:
    """Tell of each kind of array once: the ten columns of a table are mostly alike."""
    return "\n".join(dict.fromkeys(map(_flags, arrivals)))


def _flags(arrival: Arrival) -> str:
    dtype = "structured" if arrival.dtype.startswith(("[", "{")) else arrival.dtype
    words = [dtype, str(arrival.shape)]
    if arrival.writable is not None:
        words.append("writable" if arrival.writable else "read-only")
    if arrival.aligned is not None:
        words.append("aligned" if arrival.aligned else "NOT ALIGNED")
    return " ".join(words)


def show_times(console: Console, address: str, timing: Timing) -> None:
    """Print the round trips, and what exactly was compared."""
    scheme = address.partition(":")[0]
    canning, pyobj = timing.medians
    rounds = len(timing.canning)
    console.print(
        f"\nThere and back over {scheme}, in turn on one socket, median of {rounds} rounds each:\n"
        f"  transport.send / recv     {canning * 1e3:9.2f} ms\n"
        f"  send_pyobj / recv_pyobj   {pyobj * 1e3:9.2f} ms   ({pyobj / canning:.2f} times as long)\n"
        "  The object is the payload without the lambda, which send_pyobj cannot pickle.\n",
        highlight=False,
    )


def show_proofs(console: Console, proofs: list[Proof]) -> None:
    """Print one line for each proof."""
    for proof in proofs:
        mark = "[green]proved[/]" if proof.holds else "[bold red]FAILED[/]"
        console.print(f"{mark}  {escape(proof.claim)}", highlight=False, soft_wrap=True)
