"""The demo from end to end: load, send, measure, prove, print."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Final

import zmq

import canning
from canning import CanningError

from .proofs import Arrival, Frame, find, place, prove
from .samples import DemoError, from_file, shipped
from .session import Session, start

__all__ = ["DemoError", "run"]

MOST_FRAMES: Final = 24  # are shown; a wide table may have hundreds, and the rest is summed up
MOST_NAMES: Final = 4  # are shown for one frame
ENOUGH: Final = 1.0  # seconds after which no new round starts
FEWEST_ROUNDS, MOST_ROUNDS = 3, 50


def run(file: Path | None, *, tcp: bool, timeout: float) -> bool:
    """Send real data and a function to a second process, and print the proofs.

    The data comes from a file, or from matplotlib's samples. Returns whether all proofs hold.

    Raises:
        DemoError: the file cannot be read, or the engine did not answer.
        ImportError: a package is missing.
    """
    sample = shipped() if file is None else from_file(file)
    print(f"Sending {sample.title}\n")
    frames = place(canning.serialize_object((sample.function, sample.payload)), find(sample.payload))
    try:
        with start(tcp=tcp, timeout=timeout) as session:
            reply = session.call(sample.function, sample.payload)
            _show_frames(frames, reply.arrivals)
            back = _show_times(session, sample.payload)
    except (CanningError, zmq.ZMQError) as error:
        raise DemoError(f"{type(error).__name__}: {error}") from error
    proofs = prove(sample, frames, reply, back)
    for claim, holds in proofs:
        print("proved" if holds else "FAILED", claim, sep="  ")
    return all(holds for _, holds in proofs)


def _show_frames(frames: list[Frame], arrivals: dict[str, Arrival]) -> None:
    """Print for each frame its size, the owner of its memory, its contents, and how these arrived."""
    print(f"One message, {len(frames)} frames:")
    for number, frame in enumerate(frames[:MOST_FRAMES]):
        memory = f"the sender's own memory, 0x{frame.start:x}" if frame.holds else "new"
        # Paths are shown in short form: nested['face'].
        names = [re.sub(r"^\['(\w+)'\]", r"\1", path) for path in frame.holds]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        holds = ", ".join(names[:MOST_NAMES]) + more or "structure, function, small things"
        print(f"{number:4} {frame.nbytes:12,} bytes  {memory}: {holds}")
        # The ten columns of a table are mostly alike.
        for arrived in dict.fromkeys(str(arrivals[path]) for path in frame.holds if path in arrivals):
            print(f"{'':24}arrived as {arrived}")
    if rest := frames[MOST_FRAMES:]:
        own = sum(bool(frame.holds) for frame in rest)
        size = sum(frame.nbytes for frame in rest)
        print(f"{'':4} {size:12,} bytes  in {len(rest)} more frames, {own} of them the sender's own memory")


def _show_times(session: Session, payload: object) -> object:
    """Send the payload there and back in both ways alternately, print the times, return the object.

    The first round is a warm-up, and not measured.
    """
    _, back = session.echo(payload)
    session.echo(payload, pyobj=True)
    rounds: list[tuple[float, float]] = []
    end = time.monotonic() + ENOUGH
    while len(rounds) < FEWEST_ROUNDS or (time.monotonic() < end and len(rounds) < MOST_ROUNDS):
        rounds.append((session.echo(payload)[0], session.echo(payload, pyobj=True)[0]))
    ours, theirs = (statistics.median(seconds) * 1e3 for seconds in zip(*rounds, strict=True))
    scheme = session.address.partition(":")[0]
    print(
        f"\nThere and back over {scheme}, in turn on one socket, median of {len(rounds)} rounds each:\n"
        f"  transport.send / recv     {ours:9.2f} ms\n"
        f"  send_pyobj / recv_pyobj   {theirs:9.2f} ms   ({theirs / ours:.2f} times as long)\n"
        "  The object is the payload without the lambda, which send_pyobj cannot pickle.\n"
    )
    return back
