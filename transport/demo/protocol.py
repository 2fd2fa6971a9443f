"""What the demo's two processes say to each other, and how long they wait for it.

The sender binds a PAIR socket, starts the engine, and hands it a token through its environment. The engine
connects and says the token: until then nothing that arrives is unpickled, since on TCP anyone on this host
could have connected first; from then on the socket is the engine's, as a PAIR has one peer only.

==================  ==========================================================
the sender says     the engine answers
==================  ==========================================================
``call``, object    ``done`` and a `Reply`, or ``failed`` and the traceback
``echo``            ``ready``; then sends the next object back by `transport`
``echo_pyobj``      ``ready``; then sends the next object back by ``send_pyobj``
``stop``            nothing: it ends
==================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .arrivals import Arrival

CALL: Final = b"call"
DONE: Final = b"done"
ECHO: Final = b"echo"
ECHO_PYOBJ: Final = b"echo_pyobj"
FAILED: Final = b"failed"
READY: Final = b"ready"
STOP: Final = b"stop"
TOKEN: Final = "CANNING_DEMO_TOKEN"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine tells of a call.

    Attributes:
        pid: the engine's process.
        result: what the function returned there.
        function_name: the qualified name of the function that came.
        arrivals: the payload's arrays and columns, as the engine sees them.
        shared: pairs of paths whose arrays share memory in the engine.
    """

    pid: int
    result: Any
    function_name: str
    arrivals: list[Arrival]
    shared: set[frozenset[str]]
