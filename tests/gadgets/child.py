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
import os
import pickle
import resource
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import canning
import transport
from canning.files import _blob
from canning.wire import CALL, pack

from .assembly import CODE, FIRED, Call, Ground, assemble
from .gadget import CRASH, FILE, GONE, LOAD, Gadget
from .table import GADGETS
from .victims import ALLOWED, Proper, Registered, fire
from .watch import differences, snapshot

SECONDS: Final = 0.4
"""What a control may take before it counts as endless."""
ENOUGH: Final = 10.0
"""What anything else may take."""
MEMORY: Final = 1 << 29

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

Surface = Callable[[], Any]


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


def reader() -> canning.Serializer:
    """Make the reader for strangers: one that allows some classes, as applications do."""
    return canning.Serializer(trust="data", allow=(*ALLOWED, f"{Proper.__module__}.Proper"))


def surfaces(body: bytes, data: canning.Serializer) -> Iterator[tuple[str, Surface]]:
    """Give all that a stranger's bytes may be handed to."""
    head = pack(body, len(body), [])
    options: dict[str, Any] = {"trust": "data", "allow": data.allow}
    within = assemble(Call("canning.canned:CannedMessage", body), Ground(Path(), Path()))
    yield "a pickle", lambda: data.deserialize_object([body])
    yield "frames", lambda: data.deserialize_object([head])
    yield "frames, writable", lambda: data.deserialize_object([bytearray(head)], writable=True)
    yield "a call", lambda: data.unpack_apply_message([pack(body, len(body), [], flags=CALL)])
    yield "within", lambda: data.deserialize_object([pack(within, len(within), [])])
    yield "loads of a pickle", lambda: canning.loads(body, **options)
    yield "loads of a blob", lambda: canning.loads(b"".join(_blob([head])), **options)
    yield "split", lambda: canning.split([head, body])
    yield "recv", lambda: receive([head], data)
    yield "recv of a pickle", lambda: receive([body], data)
    for name in ("inspect", "scan"):
        look = getattr(canning, name, None)
        if look is not None:
            yield name, lambda look=look: told(look([head]))  # type: ignore[misc]
            yield f"{name} of a pickle", lambda look=look: told(look([body]))  # type: ignore[misc]


def told(report: Any) -> Any:
    """Have a report say all that it has to say."""
    str(report)
    return getattr(report, "verdict", "value")


def receive(frames: list[bytes], data: canning.Serializer) -> Any:
    """Receive frames from somebody else."""
    here, there = transport.fake_pair()
    here.send_multipart(frames)
    return transport.recv(there, serializer=data, timeout=5)


def offer(body: bytes, data: canning.Serializer) -> dict[str, str]:
    """Hand an attack to all surfaces; say how each took it."""
    taken = {}
    for name, surface in surfaces(body, data):
        try:
            value = surface()
            taken[name] = value if isinstance(value, str) and "scan" in name else "value"
            del value
        except canning.DeserializationError:
            taken[name] = "DeserializationError"
        except BaseException as error:
            taken[name] = f"{type(error).__name__}: {error}"[:200]
        gc.collect()
    return taken


# -- a process for each ----------------------------------------------------------------------------------


def run(
    gadget: Gadget, ground: Ground, work: Callable[[], Any], seconds: float, wait: bool
) -> dict[str, Any]:
    """Do work in a forked process under watch and limits; say what was seen of it."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        with contextlib.suppress(BaseException):
            _forked(gadget, ground, work, seconds, wait, theirs)
        os._exit(0)
    os.close(theirs)
    started = time.monotonic()
    with open(ours, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(pid, 0)
    seen: dict[str, Any] = json.loads(said) if said.endswith(b"}") else {"events": {}, "changed": []}
    code = os.waitstatus_to_exitcode(status)
    return {
        "name": gadget.name,
        "died": code if code or not said else 0,
        "silent": not said,
        "seconds": time.monotonic() - started,
        "rss": used.ru_maxrss,
        FILE: os.path.lexists(ground.mark),
        GONE: (ground.laid / "victim").read_text() != "victim" if (ground.laid / "victim").exists() else True,
        **seen,
    }


def _forked(
    gadget: Gadget, ground: Ground, work: Callable[[], Any], seconds: float, wait: bool, pipe: int
) -> None:
    pid, events = os.getpid(), dict[str, int]()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    if not wait or gadget.fires == LOAD:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    before, watching = snapshot(), True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and event != "builtins.id":
            events[event] = events.get(event, 0) + 1

    sys.addaudithook(hook)
    outcome: Any = "value"
    try:
        outcome = work()
    except BaseException as error:
        outcome = type(error).__name__
    finally:
        gc.collect()
    if wait:
        _wait(gadget, ground, events)
    watching = False
    changed = differences(before, snapshot())
    if os.getpid() == pid:
        changed += ["exit"] if outcome == "SystemExit" else []
        said = {
            "events": events,
            "changed": changed,
            "outcome": outcome if wait is False else str(outcome)[:99],
        }
        os.write(pipe, json.dumps(said).encode())


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
    data = reader()
    warm_up(data)
    gc.collect()
    gc.freeze()
    for number, gadget in enumerate(GADGETS):
        ground = Ground(folder, folder / f"mark-{number}")
        lay_victims(folder)
        body = gadget.pickle(ground)
        if kind == "offer":
            seen = run(gadget, ground, lambda body=body: offer(body, data), ENOUGH, wait=False)  # type: ignore[misc]
        elif missing(gadget) or sys.version_info >= gadget.below:
            seen = {"name": gadget.name, "needs": missing(gadget) or f"Python before {gadget.below}"}
        else:
            seconds = SECONDS if gadget.fires == LOAD else ENOUGH
            seen = run(gadget, ground, lambda g=gadget, b=body: attack(g, b) and None, seconds, wait=True)  # type: ignore[misc]
            seen["fired"] = fired(gadget, seen)
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
