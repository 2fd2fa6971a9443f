"""Programs that send and then end, each in its way, for `test_exit`.

Each is run as ``python -c``, with `BEGIN` before it: `address`, `nbytes` and `send` are there, and a context
and a socket of the module.
"""

from __future__ import annotations

from typing import Final, NamedTuple

COUNT: Final = 3

BEGIN: Final = """
import asyncio, atexit, gc, os, signal, sys, threading, time
import numpy as np, zmq, zmq.asyncio
import transport

address, nbytes = sys.argv[1], int(sys.argv[2])

def message(number):
    return number, np.arange(nbytes, dtype="u1") + np.uint8(number)

def send(to):
    return [transport.send(to, message(number)) for number in range(3)][-1]

def opened(kind=zmq.PUSH):
    context = zmq.Context()
    to = context.socket(kind)
    to.connect(address)
    return context, to

"""


def spawned(address: str, nbytes: int) -> None:
    """Send as `BEGIN` does, in a child that is not forked."""
    import numpy as np
    import zmq

    import transport

    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.connect(address)
    for number in range(COUNT):
        transport.send(socket, (number, np.arange(nbytes, dtype="u1") + np.uint8(number)))


AT_MODULE_LEVEL: Final = "context, socket = opened(); send(socket)\n"


class Way(NamedTuple):
    """How a program ends: its source, whether all must arrive, what it returns, and from which size on.

    What a tracker tells of is memory that was not copied, so that it says nothing of smaller messages.
    """

    source: str
    arrives: bool = True
    status: int = 0
    least: int = 0


WAYS: Final = {
    "the end of the script": Way(AT_MODULE_LEVEL),
    "a function that returns": Way("def main(): send(opened()[1])\nmain()"),
    "with blocks": Way("with zmq.Context() as c, c.socket(zmq.PUSH) as s: s.connect(address); send(s)"),
    "term": Way(AT_MODULE_LEVEL + "socket.close(); context.term()"),
    "destroy with a long linger": Way(AT_MODULE_LEVEL + "context.destroy(linger=60_000)"),
    "destroy with no linger": Way(AT_MODULE_LEVEL + "context.destroy(linger=0)", arrives=False),
    "close with no linger": Way(AT_MODULE_LEVEL + "socket.close(linger=0)", arrives=False),
    "close": Way(AT_MODULE_LEVEL + "socket.close()"),
    "references dropped, the socket first": Way(AT_MODULE_LEVEL + "del socket; gc.collect(); del context"),
    "references dropped, the context first": Way(AT_MODULE_LEVEL + "del context; gc.collect(); del socket"),
    "a cycle of both": Way(AT_MODULE_LEVEL + "cycle = [context, socket]; cycle.append(cycle); del cycle"),
    "another context collected before": Way("opened(); gc.collect()\n" + AT_MODULE_LEVEL),
    "references in builtins": Way(AT_MODULE_LEVEL + "import builtins; builtins.kept = context, socket"),
    "sys.exit": Way(AT_MODULE_LEVEL + "sys.exit(3)", status=3),
    "an unhandled exception": Way(AT_MODULE_LEVEL + "raise ValueError", status=1),
    "an interrupt": Way(
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        + AT_MODULE_LEVEL
        + "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
        status=-2,
    ),
    "sys.exit in a thread": Way(
        "def work(): send(opened()[1]); sys.exit(3)\nthreading.Thread(target=work).start()"
    ),
    "a daemon thread that has ended": Way(
        "t = threading.Thread(target=lambda: send(opened()[1]), daemon=True); t.start(); t.join()"
    ),
    "a daemon thread that goes on": Way(
        """
kept = opened()
def work():
    while True: send(kept[1])
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""",
        arrives=False,
    ),
    "an executor": Way(
        """
from concurrent.futures import ThreadPoolExecutor
kept = opened()
executor = ThreadPoolExecutor()
executor.submit(send, kept[1])
"""
    ),
    "asyncio.run": Way(
        """
async def main():
    context = zmq.asyncio.Context(); s = context.socket(zmq.PUSH); s.connect(address)
    for number in range(3): await transport.aio.send(s, message(number))
    return s
kept = asyncio.run(main())
"""
    ),
    "a loop that was closed": Way(
        """
loop = asyncio.new_event_loop()
async def main():
    s = zmq.asyncio.Context.instance().socket(zmq.PUSH); s.connect(address)
    for number in range(3): tracker = await transport.aio.send(s, message(number))
    asyncio.ensure_future(transport.aio.wait(tracker))
loop.run_until_complete(main())
loop.close()
"""
    ),
    "a hook that destroys the context": Way(
        "context, socket = opened(); atexit.register(context.destroy); send(socket)"
    ),
    "a hook registered later that sends": Way(AT_MODULE_LEVEL + "atexit.register(lambda: send(socket))"),
    "a hook registered earlier that sends": Way(
        """
context, socket = opened()
atexit.register(lambda: (transport.send(socket, message(2)), context.destroy()))
transport.send(socket, message(0)); transport.send(socket, message(1))
"""
    ),
    "a finalizer that sends at the end": Way(
        """
class Last:
    def __init__(self): self.kept = opened(); send(self.kept[1])
    def __del__(self): send(self.kept[1])
last = Last()
"""
    ),
    "a forked child of multiprocessing": Way(
        """
import multiprocessing
def work(): kept = opened(); send(kept[1])
p = multiprocessing.get_context("fork").Process(target=work); p.start(); p.join()
sys.exit(p.exitcode)
"""
    ),
    "a spawned child of multiprocessing": Way(
        """
import multiprocessing
from tests.transport.exits import spawned
p = multiprocessing.get_context("spawn").Process(target=spawned, args=(address, nbytes)); p.start(); p.join()
sys.exit(p.exitcode)
"""
    ),
    "a thread of such a child": Way(
        """
import multiprocessing
def later(kept): time.sleep(0.2); send(kept[1])
def work():
    kept = opened()
    send(kept[1])
    threading.Thread(target=later, args=(kept,)).start()
p = multiprocessing.get_context("fork").Process(target=work); p.start(); p.join()
sys.exit(p.exitcode)
"""
    ),
    "a forked child whose parent has sent": Way(
        """
import multiprocessing
kept = opened(); transport.send(kept[1], message(0))
def work(): own = opened(); transport.send(own[1], message(1)); transport.send(own[1], message(2))
p = multiprocessing.get_context("fork").Process(target=work); p.start(); p.join()
sys.exit(p.exitcode)
"""
    ),
    "a worker of a pool": Way(
        """
import multiprocessing
def work(_): global kept; kept = opened(); send(kept[1])
pool = multiprocessing.get_context("fork").Pool(1); pool.map(work, [0]); pool.close(); pool.join()
"""
    ),
    "os.fork and sys.exit": Way(
        """
if os.fork() == 0: kept = opened(); send(kept[1]); sys.exit()
os.wait()
"""
    ),
    "os._exit": Way(AT_MODULE_LEVEL + "os._exit(0)", arrives=False),
    "os._exit after drain": Way(AT_MODULE_LEVEL + "transport.drain(60); os._exit(0)"),
    "os._exit after the tracker": Way(
        "context, socket = opened(); send(socket).wait(60); os._exit(0)", least=300_000
    ),
    "a signal that kills": Way(
        AT_MODULE_LEVEL + "os.kill(os.getpid(), signal.SIGTERM)", arrives=False, status=-15
    ),
}
