"""Run all attacks, each in a process of its own: ``python -m tests.gadgets.child control|offer FOLDER``.

``control`` reads them with what they are meant for, ``offer`` with what reads for strangers. A line of JSON
for each says what came of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import logging
import os
import pickle
import resource
import signal
import sys
import time
import types
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import canning
from canning.wire.trailer import pack

from .assembly import CODE, FIRED, Call, Ground, assemble
from .gadget import CRASH, FILE, GONE, LOAD, Gadget
from .offers import offer, reader
from .table import GADGETS
from .victims import Registered, fire
from .watch import differences, snapshot

SECONDS: Final = 0.3
"""What a control may take before it counts as endless."""
ENOUGH: Final = 10.0
"""What anything else may take."""
MEMORY: Final = 1 << 29
STACK: Final = 1 << 20
"""Bytes; set before the interpreter starts, since from 3.14 on it asks once how far it may go into C:
https://docs.python.org/3/whatsnew/3.14.html, "Thread stack size".
"""

SLOW: Final = (
    *("pandas", "idlelib.pyshell", "idlelib.autocomplete", "idlelib.run", "numpy.f2py", "dill", "joblib"),
    *("requests", "asyncio", "concurrent.futures.thread", "multiprocessing.pool", "multiprocessing.util"),
    *("unittest", "test.support.script_helper", "doctest", "pdb", "pydoc", "urllib.request", "imaplib"),
    *("xmlrpc.server", "http.server", "logging.config", "webbrowser", "cProfile", "lib2to3.pgen2.pgen"),
    *(
        "pip._internal.cli.main",
        "venv",
        "ensurepip",
        "shelve",
        "sqlite3",
        "mailcap",
        "multiprocessing.connection",
    ),
)
"""What controls would import one by one: once is enough."""


def lay(folder: Path) -> None:
    """Lay out the files that attacks find in their folder."""
    folder.mkdir(exist_ok=True)
    attack = assemble(Call("builtins:eval", CODE), Ground(folder, folder))
    (folder / "script.py").write_text(CODE)
    (folder / "gadget_marker.py").write_text(CODE)
    (folder / "attack.pth").write_text(f"import sys; {CODE}\n")
    (folder / "attack.pkl").write_bytes(attack)
    header = str({"descr": "|O", "fortran_order": False, "shape": (1,)}).ljust(117) + "\n"
    (folder / "attack.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + header.encode() + attack)
    with zipfile.ZipFile(folder / "zipped.zip", "w") as file:
        file.writestr("gadget_zipped.py", CODE)


def lay_victims(folder: Path) -> None:
    """Lay out, again, what attacks destroy."""
    (folder / "victims").mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / "victim").unlink()
    (folder / "victim").write_text("victim")


# -- what reads ----------------------------------------------------------------------------------------


def attack(gadget: Gadget, body: bytes) -> Any:
    """Read an attack with what it is meant for."""
    if gadget.by == "code":
        return canning.deserialize_object([pack(body, len(body), [])], trust="code")
    if gadget.by == "stream":
        file = io.BytesIO(body)
        return [pickle.load(file) for _ in range(2)]
    return pickle.loads(body)


# -- a process for each ----------------------------------------------------------------------------------


def run(gadget: Gadget, ground: Ground, body: bytes) -> dict[str, Any]:
    """Read an attack with what it is meant for, in a forked process; say what was seen of it."""
    limit = SECONDS if gadget.fires == LOAD else ENOUGH
    started = time.monotonic()
    said, code, _ = forked(lambda: [_control(gadget, ground, body, limit)])
    victim = ground.laid / "victim"
    return {
        "name": gadget.name,
        "died": code,
        "silent": not said,
        "seconds": time.monotonic() - started,
        FILE: os.path.lexists(ground.mark),
        GONE: not victim.exists() or victim.read_text() != "victim",
        **(said[0] if said else {"events": {}, "changed": []}),
    }


def forked(work: Callable[[], Iterable[dict[str, Any]]]) -> tuple[list[dict[str, Any]], int, int]:
    """Do work in a forked process; give what it said, how it ended, and the memory it took in kB."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        with contextlib.suppress(BaseException):
            pid = os.getpid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for said in work():
                if os.getpid() == pid:  # not an attack's own child
                    os.write(theirs, json.dumps(said).encode() + b"\n")
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        lines = pipe.read().split(b"\n")[:-1]
    _, status, used = os.wait4(pid, 0)
    return list(map(json.loads, lines)), os.waitstatus_to_exitcode(status), used.ru_maxrss


def limit_memory() -> None:
    """Leave this process half a gigabyte more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def listen() -> dict[str, int]:
    """Count audit events from here on, of all but what harms nobody and is the reader's own.

    That is ``id()``, and the look at the traceback of an error, for what a signal handler raised.
    """
    events: dict[str, int] = {}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        looks = event == "object.__getattr__" and type(args[0]) in (types.TracebackType, types.FrameType)
        if event != "builtins.id" and not looks:
            events[event] = events.get(event, 0) + 1

    sys.addaudithook(hook)
    return events


def _control(gadget: Gadget, ground: Ground, body: bytes, seconds: float) -> dict[str, Any]:
    if gadget.fires == LOAD:
        limit_memory()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    look: Callable[[], dict[str, Any]] = snapshot if gadget.fires.startswith("state:") else dict
    before = look()
    events, outcome = listen(), "value"
    try:
        attack(gadget, body)
    except BaseException as error:
        outcome = type(error).__name__
    gc.collect()
    _wait(gadget, ground, events)
    events = dict(events)
    changed = differences(before, look()) + (["exit"] if outcome == "SystemExit" else [])
    return {"events": events, "changed": changed, "outcome": outcome}


def offers(bodies: list[tuple[Gadget, Ground, bytes]], data: canning.Serializer) -> Iterator[dict[str, Any]]:
    """Hand attacks to what reads for strangers, one after the other; say what was seen of each."""
    limit_memory()
    events, after = listen(), snapshot()
    for gadget, ground, body in bodies:
        signal.setitimer(signal.ITIMER_REAL, ENOUGH)
        before = after
        events.clear()
        started = time.monotonic()
        outcome = offer(body, data)
        took, seen = time.monotonic() - started, dict(events)
        after = snapshot()
        yield {
            "name": gadget.name,
            "outcome": outcome,
            "seconds": took,
            "events": seen,
            "changed": differences(before, after),
            FILE: os.path.lexists(ground.mark),
            GONE: (ground.laid / "victim").read_text() != "victim",
        }


def _wait(gadget: Gadget, ground: Ground, events: dict[str, int]) -> None:
    """Give processes and threads that were started the time to leave their traces."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        there = ground.mark.exists() if gadget.fires == FILE else gadget.fires in events
        if there or gadget.fires not in (FILE, FIRED):
            return
        time.sleep(0.002)


def fired(gadget: Gadget, seen: dict[str, Any]) -> bool:
    """Tell whether an attack left the traces that it should."""
    if gadget.fires == CRASH:
        return bool(seen["silent"])
    if gadget.fires == LOAD:
        return seen["died"] == -signal.SIGALRM or seen.get("outcome") == "MemoryError"
    if gadget.fires in (FILE, GONE):
        return bool(seen[gadget.fires])
    part = gadget.fires.removeprefix("state:")
    return part in seen["changed"] if part != gadget.fires else gadget.fires in seen["events"]


def missing(gadget: Gadget) -> str:
    """Name what an attack needs and does not find."""
    for module in gadget.needs:
        name, _, attribute = module.partition(":")
        with contextlib.suppress(ImportError):
            if hasattr(importlib.import_module(name), attribute or "__name__"):
                continue
        return module
    return ""


def warm_up(data: canning.Serializer) -> None:
    """Read messages good and bad once, so that what is imported late is there."""
    good = pickle.dumps([1, {"a": np.arange(3)}], 5)
    for body in (
        canning.serialize_object([np.arange(9.0)])[0],
        good,
        b"\x80\x05cos\nsystem\n.",
        b"x" * 99,
        b"Vx\n.",
        b"",
    ):
        offer(bytes(body), data)


def main(kind: str, folder: Path) -> None:
    """Run all attacks."""
    lay(folder)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    canning.register(Registered, can=lambda obj: None, uncan=lambda state: fire())
    __import__("copyreg").add_extension("sys", "audit", 240)
    for module in SLOW if kind == "control" else ():
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    logging.getLogger("transport").setLevel(logging.CRITICAL)  # a record looks for its caller's frame
    data = reader()
    warm_up(data)
    gc.collect()
    gc.freeze()
    grounds = [Ground(folder, folder / f"mark-{number}") for number in range(len(GADGETS))]
    bodies = [
        (gadget, ground, gadget.pickle(ground)) for gadget, ground in zip(GADGETS, grounds, strict=True)
    ]
    lay_victims(folder)
    for said in controls(bodies) if kind == "control" else all_offers(bodies, data):
        print(json.dumps(said), flush=True)


def controls(bodies: list[tuple[Gadget, Ground, bytes]]) -> Iterator[dict[str, Any]]:
    """Show of each attack that it works, where it can."""
    for gadget, ground, body in bodies:
        lay_victims(ground.laid)
        if missing(gadget) or sys.version_info >= gadget.below:
            yield {"name": gadget.name, "needs": missing(gadget) or f"Python before {gadget.below}"}
        else:
            seen = run(gadget, ground, body)
            yield {**seen, "fired": fired(gadget, seen)}


def all_offers(
    bodies: list[tuple[Gadget, Ground, bytes]], data: canning.Serializer
) -> Iterator[dict[str, Any]]:
    """Hand all attacks over; a process that dies of one is followed by one for those behind it."""
    while bodies:
        said, code, rss = forked(lambda rest=bodies: offers(rest, data))  # type: ignore[misc]
        yield from ({**seen, "rss": rss, "died": 0} for seen in said)
        bodies = bodies[len(said) :]
        if bodies:
            yield {"name": bodies[0][0].name, "died": code or "in silence"}
            bodies = bodies[1:]


if __name__ == "__main__":
    if resource.getrlimit(resource.RLIMIT_STACK)[0] != STACK:
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))
        os.execv(sys.executable, [sys.executable, "-m", "tests.gadgets.child", *sys.argv[1:]])
    main(sys.argv[1], Path(sys.argv[2]))
