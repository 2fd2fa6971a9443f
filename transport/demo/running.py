"""The demo from end to end: load, send, measure, prove, print."""

from __future__ import annotations

from pathlib import Path

import zmq

import canning
from canning import CanningError

from .errors import DemoError, require


def run(file: Path | None = None, *, tcp: bool = False, timeout: float = 60.0) -> bool:
    """Send real data with a function to a second process, and print what that proves.

    Args:
        file: an array, table or image to send; by default what matplotlib ships.
        tcp: whether to use ``tcp://127.0.0.1`` instead of ``ipc://``.
        timeout: seconds to wait for any one answer.

    Returns:
        Whether all proofs hold.

    Raises:
        DemoError: a package or the file is missing, or the engine did not answer.
    """
    require("rich")
    # Imported here, as rich comes with an extra.
    from rich.console import Console

    from . import report, samples
    from .memory import leaves, place
    from .proofs import prove
    from .session import Session
    from .timing import measure

    console = Console()
    sample = samples.shipped() if file is None else samples.from_file(file)
    console.print(f"Sending {sample.title}", highlight=False, markup=False)
    frames = place(canning.serialize_object((sample.function, sample.payload)), list(leaves(sample.payload)))
    try:
        with Session(tcp=tcp, timeout=timeout) as session:
            reply = session.call(sample.function, sample.payload)
            timing = measure(session, sample.payload)
    except (CanningError, zmq.ZMQError) as error:
        raise DemoError(f"{type(error).__name__}: {error}") from error
    proofs = prove(sample, frames, reply, timing.back)
    report.show_frames(console, frames, reply.arrivals)
    report.show_times(console, session.address, timing)
    report.show_proofs(console, proofs)
    return all(proof.holds for proof in proofs)
