"""canning in an ipyparallel cluster: one client and all its engines.

    import ipyparallel, transport.engines.ipyparallel as canned
    client = ipyparallel.Client()
    canned.install(client)

ipyparallel has no setting for the serializer, so its functions are replaced where it looks them up: in the
client's process while one of its clients uses canning, and in an engine while one of its clients does. The
last bytes of frame 0 tell the two formats apart, and every process with canning reads both. The client
chooses the format of a call, and the reply has the same. So no message is lost in the switch, and clients
without canning can use the same engines. As in ipyparallel itself, anyone who can connect to a cluster can
run code in its engines and clients.

Functions run where they ran before: those of ``__main__`` in the engine's namespace, others in their module.
The first call that may reach a later engine switches it, and still has ipyparallel's own format; engines with
this start-up command understand canning from the start:

    c.IPEngine.startup_command = "import transport.engines.ipyparallel as canned; canned.install_engine()"
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from canning.arguments import check_number
from canning.errors import shortened
from canning.wire.trailer import VERSION

from .adapting import EngineError
from .ipp import TRIED, engine
from .ipp.client import CLIENTS, LINKS, Link, Modules, check_client, request
from .ipp.sharing import opens, probe

if TYPE_CHECKING:
    import ipyparallel as ipp

_PATIENCE: Final = 2.0
"""Seconds to wait for engines to report that they are idle, which may never happen."""

__all__ = ["TRIED", "install", "install_engine", "installed", "uninstall"]


def install_engine() -> None:
    """Let the engine of this process understand canning, for every client, until it ends.

    For ``c.IPEngine.startup_command``: a call that waits for the first engine to start is not lost then.
    """
    engine.ENGINE.join(engine.ALWAYS)


@shortened
def install(client: ipp.Client, *, by_value: Modules = (), timeout: float = 60.0) -> None:
    """Let a client and all its engines use canning, until `uninstall`.

    It first asks every engine, waits until each has finished its call, and changes nothing before all have
    answered. Calling it again is harmless, and changes nothing.

    Args:
        client: a client of a running cluster.
        by_value: modules to send along if a call needs them and the engines may not have them: ``"local"``,
            which means every module that is not installed, or a list of modules and names, as for
            `canning.Serializer`.
        timeout: seconds to wait for the engines.

    Raises:
        EngineError: an engine lacks canning, has another format, or does not answer in time.
        ValueError: `by_value` is not valid, or differs from the client's present one.
    """
    check_client(client)
    check_number("timeout", timeout, "seconds")
    link = LINKS.get(client)
    if link is None:
        link = Link(client, by_value)
    elif by_value and by_value != link.by_value:
        raise ValueError("this client has canning already, with another by_value=: uninstall(client) first")
    _ask(client, engine.report, (), timeout)
    CLIENTS.join(link.session)
    try:
        asking = link.session, probe(link.arena, max(len(client.ids), 1))
        answers = _ask(client, engine.join, asking, timeout)
    except BaseException:
        if client not in LINKS:
            CLIENTS.leave(link.session)
        raise
    near = {}
    for uuid, answer in answers.items():
        link.greet(uuid, answer)
        if opens(answer["probe"]):
            near[uuid] = link.session
    if near:
        _ask(client, engine.share, (near,), timeout)
    if client not in LINKS:
        LINKS[client] = link
        client.send_apply_request = link.send_apply_request
        weakref.finalize(client, CLIENTS.leave, link.session)


@shortened
def uninstall(client: ipp.Client, *, timeout: float = 60.0) -> None:
    """Make a client and its engines serialize as they did before `install`.

    Waits for the client's unanswered calls, since they are canned. Raises `EngineError` if these or an engine
    take longer than `timeout` seconds: by then the client itself is switched back, and it can still read
    replies that it has not read yet.
    """
    check_client(client)
    check_number("timeout", timeout, "seconds")
    link = LINKS.pop(client, None)
    if link is None:
        return
    del client.send_apply_request
    if client._closed:
        CLIENTS.leave(link.session)
        return
    if wait(link.unanswered(), timeout).not_done:
        raise EngineError(f"{len(link.unanswered())} calls are on their way: the engines still read canning")
    _ask(client, engine.leave, (link.session,), timeout)
    CLIENTS.leave(link.session)


@contextmanager
def installed(client: ipp.Client, *, by_value: Modules = (), timeout: float = 60.0) -> Iterator[ipp.Client]:
    """Let a client and all its engines use canning until the block ends: `install`, and then `uninstall`."""
    install(client, by_value=by_value, timeout=timeout)
    try:
        yield client
    finally:
        uninstall(client, timeout=timeout)


def _ask(client: Any, what: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> dict[str, Any]:
    """Call a function of this module in every engine, in ipyparallel's format; return the answers."""
    ids = list(client.ids)
    if not ids:
        return {}
    uuids = [client._engines[number] for number in ids]
    waiting = [request(client, uuid, what, args) for uuid in uuids]
    if wait(waiting, timeout).not_done:
        raise EngineError(f"not all engines answered within {timeout} s; are some busy?")
    wait([future.output for future in waiting], _PATIENCE)  # after that, the client forgets the call
    answers = {}
    for number, uuid, future in zip(ids, uuids, waiting, strict=True):
        answer = answers[uuid] = future.result()
        _check_answer(number, answer)
    return answers


def _check_answer(number: int, answer: Any) -> None:
    unchanged = "no engine and no client was changed"
    if isinstance(answer, Exception):
        said = f"{getattr(answer, 'ename', type(answer).__name__)}: {getattr(answer, 'evalue', answer)}"
        raise EngineError(
            f"engine {number} cannot use canning ({said}): install it where that engine runs; {unchanged}"
        )
    if isinstance(answer, dict) and answer["format"] != VERSION:
        raise EngineError(
            f"engine {number} has canning {answer['canning']}, whose format is {answer['format']}, and "
            f"this client's is {VERSION}: install the same version; {unchanged}"
        )
