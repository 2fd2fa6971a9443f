"""Arguments that make no sense: each is told at once, by its name, and the traceback ends in the caller."""

from __future__ import annotations

import asyncio
import inspect
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from canning.errors import shorten
from transport import security

KEY = canning.new_key()
PATHS = (Path(canning.__file__).parent, Path(transport.__file__).parent)
Call = Callable[[], Any]


def socket() -> Any:
    return transport.fake_pair()[0]


def closed() -> Any:
    """Give a closed socket, which `send` knows."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as left, context.socket(zmq.PAIR) as right:
        left.bind("inproc://closed")
        right.connect("inproc://closed")
        transport.send(left, 1)
        transport.recv(right)
    return left


def arena(**options: Any) -> transport.SharedArena:
    return transport.SharedArena("1MiB", **options)


def frames_of_library(error: BaseException) -> int:
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return sum(any(file.is_relative_to(path) for path in PATHS) for file in files)


OPTIONS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (
        lambda **o: transport.recv(socket(), **o),
        {"timeout": "1"},
        "timeout must be None or a number of seconds",
    ),
    (
        lambda **o: transport.recv(socket(), **o),
        {"timeout": True},
        "timeout must be None or a number of seconds",
    ),
    (lambda **o: transport.recv(socket(), **o), {"pool": "1GiB"}, "pool= takes a transport.Pool, not str"),
    (lambda **o: transport.recv(socket(), **o), {"shared_memory": "yes"}, "shared_memory= is True, or a"),
    (lambda **o: transport.recv(socket(), **o), {"writable": "no"}, "writable= is True or False, not str"),
    (lambda **o: transport.recv(socket(), **o), {"many": 2}, "many= is True or False, not int"),
    (lambda **o: transport.recv(socket(), **o), {"g": 1}, "g= is a dict"),
    (lambda **o: transport.recv(socket(), **o), {"on_progress": 3}, "on_progress= is a function, not int"),
    (
        lambda **o: transport.recv(socket(), **o),
        {"allow": 3},
        "allow= takes classes and dotted names, not int",
    ),
    (lambda **o: transport.recv(socket(), **o), {"prefix": 1.0}, "prefix of recv is the number"),
    (lambda **o: transport.send(socket(), 1, **o), {"timeout": "1"}, "timeout must be None or a number of"),
    (lambda **o: transport.send(socket(), 1, **o), {"copy": "no"}, "copy= is True or False, not str"),
    (
        lambda **o: transport.send(socket(), 1, **o),
        {"copy_threshold": "1"},
        "copy_threshold= is a whole number",
    ),
    (
        lambda **o: transport.send(socket(), 1, **o),
        {"copy_threshold": -1},
        "copy_threshold=-1 is not a number",
    ),
    (
        lambda **o: transport.send(socket(), 1, **o),
        {"progress": "no"},
        "progress= is True or False, not str",
    ),
    (
        lambda **o: transport.send(socket(), 1, **o),
        {"on_progress": 3},
        "on_progress= is a function, not int",
    ),
    (
        lambda **o: transport.send(socket(), 1, **o),
        {"arena": "1GiB"},
        "arena= takes a transport.SharedArena",
    ),
    (
        lambda **o: transport.Sender(socket(), **o),
        {"copy_threshold": "1"},
        "copy_threshold= is a whole number",
    ),
    (lambda **o: transport.Sender(socket(), **o), {"arena": 5}, "arena= takes a transport.SharedArena"),
    (lambda **o: transport.Receiver(socket(), **o), {"pool": 1}, "pool= takes a transport.Pool, not int"),
    (
        lambda **o: transport.Receiver(socket()).recv(**o),
        {"timeout": "1"},
        "timeout must be None or a number",
    ),
    (lambda **o: transport.SharedArena(**o), {"lease": "10"}, "lease= is a number of seconds, not str"),
    (lambda **o: transport.SharedArena(**o), {"lease": None}, "lease= is a number of seconds, not NoneType"),
    (lambda **o: transport.SharedArena(**o), {"linger": "1"}, "linger= is a number of seconds, not str"),
    (lambda **o: transport.SharedArena(**o), {"threshold": 1.5}, "threshold= is a whole number of bytes"),
    (lambda **o: transport.SharedArena(**o), {"capacity": 1.5}, "capacity= is a whole number of bytes"),
    (
        lambda **o: arena().drain(**o),
        {"timeout": "1"},
        "timeout must be None or a number of seconds, not str",
    ),
    (
        lambda **o: arena().drain(**o),
        {"timeout": -1},
        "timeout must be None or a number of seconds, 0 or more",
    ),
    (lambda **o: arena().close(**o), {"linger": "1"}, "linger= is a number of seconds, not str"),
    (lambda **o: arena().to(**o), {"readers": "1"}, "readers= is a whole number of receivers, not str"),
    (lambda **o: transport.Pool(**o), {"capacity": None}, "capacity= is a whole number of bytes"),
    (lambda **o: transport.drain(**o), {"timeout": "1"}, "timeout must be None or a number of seconds"),
    (lambda **o: transport.drain(**o), {"timeout": float("nan")}, "timeout must be None or a number of"),
    (lambda **o: transport.fake_pair(**o), {"hwm": "1"}, "hwm= is a whole number of messages, not str"),
    (
        lambda **o: transport.send(socket(), 1).wait(**o),
        {"timeout": "1"},
        "timeout must be None or a number",
    ),
    (
        lambda **o: transport.Channel(socket(), key=KEY, **o),
        {"max_age": "1"},
        "max_age= is a number of seconds",
    ),
    (
        lambda **o: transport.Channel(socket(), key=KEY, **o),
        {"sessions": "1"},
        "sessions= is a whole number",
    ),
    (
        lambda **o: transport.Channel(socket(), key=KEY).recv(**o),
        {"timeout": "1"},
        "timeout must be None or",
    ),
    (lambda **o: canning.loads(canning.dumps(1), **o), {"g": "r"}, "g= is a dict"),
    (lambda **o: canning.loads(canning.dumps(1), **o), {"codecs": 3}, "codecs= is a canning.Codecs"),
    (
        lambda **o: canning.loads(canning.dumps(1), **o),
        {"allow": 3},
        "allow= takes classes and dotted names",
    ),
    (lambda **o: canning.loads(canning.dumps(1), **o), {"renames": 3}, "renames= is a dict from old dotted"),
    (lambda **o: canning.loads(canning.dumps(1), **o), {"writable": "no"}, "writable= is True or False"),
    (lambda **o: canning.dumps(1, **o), {"buffer_threshold": "1"}, "buffer_threshold= is a whole number"),
    (lambda **o: canning.dumps(1, **o), {"interactive": "no"}, "interactive= is True or False, not str"),
    (lambda **o: canning.dumps(1, **o), {"by_value": 3}, 'by_value= is "local", or a list of modules'),
    (lambda **o: canning.dumps(1, **o), {"dispatch_table": 3}, "dispatch_table= is a dict from types"),
    (
        lambda **o: canning.dumps(1, **o),
        {"dispatch_table": {int: 3}},
        r"dispatch_table\[int\]= is a function",
    ),
    (
        lambda **o: canning.pack_apply_message(len, **o),
        {"args": "ab"},
        "args= is a list of arguments, not str",
    ),
    (lambda **o: canning.pack_apply_message(len, **o), {"kwargs": [1]}, "kwargs= is a dict of arguments"),
    (lambda **o: canning.Zstd(**o), {"level": "3"}, "level= is a whole number of steps, not str"),
    (lambda **o: canning.Zstd(**o), {"level": 99}, "level=99 is above the highest, 22"),
    (lambda **o: canning.Adaptive(**o), {"link": None}, "link= is a number of bytes a second, not NoneType"),
    (lambda **o: canning.explain(1, **o), {"buffer_threshold": "1"}, "buffer_threshold= is a whole number"),
]


@pytest.mark.parametrize(
    ("call", "options", "text"),
    OPTIONS,
    ids=[f"{number}-{next(iter(row[1]))}" for number, row in enumerate(OPTIONS)],
)
def test_a_value_that_makes_no_sense(call: Callable[..., Any], options: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text) as caught:
        call(**options)
    assert frames_of_library(caught.value) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: transport.recv(socket(), 10),  # type: ignore[call-overload]
        lambda: transport.Receiver(socket(), 10),  # type: ignore[call-overload]
        lambda: transport.Receiver(socket()).recv(10),
        lambda: transport.Sender(socket(), 10),  # type: ignore[call-overload]
        lambda: asyncio.run(transport.aio.recv(socket(), 10)),  # type: ignore[call-overload]
    ],
)
def test_an_option_without_its_name(call: Call) -> None:
    with pytest.raises(TypeError, match=r"takes options by name, as timeout=10: which one is this int\?"):
        call()


@pytest.mark.parametrize("name", sorted(vars(canning.Limits())))
@pytest.mark.parametrize("value", ["3", 1.5, None, True, 0, -1])
def test_a_limit_is_a_whole_number(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"{name}="):
        canning.Limits(**{name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    here, there = transport.fake_pair()
    transport.send(here, [1], timeout=np.float32(1), copy_threshold=np.int64(5))
    assert transport.recv(there, timeout=np.int64(1), writable=np.bool_(True)) == [1]  # type: ignore[arg-type]


def test_mmap_is_a_flag_and_not_a_mode(tmp_path: Path) -> None:
    canning.dump([1], tmp_path / "file")
    with pytest.raises(TypeError, match="mmap= is True or False, not str"):
        canning.load(tmp_path / "file", mmap="r")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="g= is a dict"):
        canning.load(tmp_path / "file", "rb")  # type: ignore[arg-type]


def test_a_file_with_more_objects_says_so(tmp_path: Path) -> None:
    path = tmp_path / "two.canned"
    path.write_bytes(canning.dumps({"first": np.arange(500)}) + canning.dumps("second"))
    for read in (
        canning.load,
        lambda path: canning.load(path, mmap=False),
        lambda p: canning.loads(p.read_bytes()),
    ):
        with pytest.raises(canning.DeserializationError, match="holds more than one object"):
            read(path)
    with path.open("rb") as file:
        objects = []
        while file.peek(1):
            objects.append(canning.load(file))
    assert objects[0]["first"][-1] == 499
    assert objects[1:] == ["second"]


@pytest.mark.parametrize("number", [0, 3, 50])
def test_no_file_is_opened_by_its_number(number: int) -> None:
    """As `open` would, which closes it, too."""
    for call in (security.load_certificate, security.new_certificate, canning.new_key):
        with pytest.raises(TypeError, match="is named by a str or a Path, not by int"):
            call(number)  # type: ignore[arg-type, operator]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server", "alice"):
        security.new_certificate(tmp_path / name)
    (tmp_path / "junk").write_bytes(b"junk" * 20)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"), [("none", FileNotFoundError), ("folder", OSError), ("junk", ValueError)]
)
@pytest.mark.parametrize("option", ["certificate", "server"])
def test_the_error_names_the_file_of_a_certificate(
    folder: Path, option: str, name: str, kind: type[Exception]
) -> None:
    files = {"certificate": f"{folder}/alice", "server": f"{folder}/server.pub", option: f"{folder}/{name}"}
    with zmq.Context() as context, context.socket(zmq.PUSH) as client:
        with pytest.raises(kind, match=f"{folder}/{name}'") as caught:
            security.connect(client, "tcp://127.0.0.1:9", **files)
        assert frames_of_library(caught.value) == 1


def test_a_secret_key_is_not_what_the_other_side_gets(folder: Path) -> None:
    with zmq.Context() as context:
        with (
            context.socket(zmq.PUSH) as client,
            pytest.warns(canning.InsecureKeyWarning, match="server= names"),
        ):
            security.connect(
                client, "tcp://127.0.0.1:9", certificate=f"{folder}/alice", server=f"{folder}/server"
            )
        with context.socket(zmq.PULL) as server:
            address, mine = "tcp://127.0.0.1:*", f"{folder}/server"
            with pytest.warns(canning.InsecureKeyWarning, match="clients= names a file with a secret key"):
                guard = security.serve(server, address, certificate=mine, clients=[f"{folder}/alice"])
            with guard, warnings.catch_warnings():
                warnings.simplefilter("error")
                guard.allow(f"{folder}/alice.pub")


# -- tracebacks ------------------------------------------------------------------------------------------


def test_an_error_of_a_users_own_keeps_its_traceback() -> None:
    def broken(_: Any) -> Any:
        raise ValueError("of the user")

    class Mine:
        pass

    registry = canning.Registry()
    registry.register(Mine, can=broken)
    with pytest.raises(ValueError, match="of the user") as caught:
        _call(lambda: broken(1))
    assert "broken" in {entry.name for entry in caught.traceback}


def _call(function: Call) -> Any:
    try:
        return function()
    except Exception as error:
        shorten(error)
        raise error


def test_an_error_from_within_a_callback_keeps_the_callback() -> None:
    here, _ = transport.fake_pair()

    def callback(*_: int) -> None:
        transport.recv(here, timeout="1")  # type: ignore[call-overload]

    with pytest.raises(TypeError, match="timeout must be") as caught:
        transport.send(here, 1, on_progress=callback)
    assert "callback" in {entry.name for entry in caught.traceback}


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transport.sending.check_timeout", lambda _: len(5))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has no len") as caught:
        transport.send(socket(), 1, timeout=1)
    assert len(caught.traceback) > 3


def test_what_an_error_comes_of_is_kept() -> None:
    def user() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904 (what is tested)

    with pytest.raises(ValueError, match="second") as caught:
        _call(user)
    assert isinstance(caught.value.__context__, KeyError)
    assert not caught.value.__suppress_context__


@pytest.mark.parametrize(
    "function",
    [transport.drain, transport.SharedArena.close, canning.new_key, canning.explain, security.connect],
)
def test_entry_points_show_their_own_signature(function: Any) -> None:
    assert "kwargs" not in inspect.signature(function).parameters or function is canning.explain
    assert function.__doc__


def test_a_flag_is_not_an_object() -> None:
    here, there = transport.fake_pair()
    with pytest.raises(TypeError, match=r"every object after the socket is sent: pass flags=zmq.DONTWAIT"):
        transport.send(here, {"a": 1}, zmq.NOBLOCK)
    with pytest.raises(zmq.Again):
        there.recv(zmq.NOBLOCK)


def test_engines_take_their_own_clients() -> None:
    pytest.importorskip("ipyparallel", reason="an engine")
    pytest.importorskip("distributed", reason="an engine")
    for function in (transport.engines.ipyparallel.install, transport.engines.ipyparallel.uninstall):
        with pytest.raises(TypeError, match=r"an ipyparallel.Client is needed, not str"):
            function("tcp://somewhere")  # type: ignore[arg-type]
    for other in (transport.engines.dask.register, transport.engines.dask.unregister):
        with pytest.raises(TypeError, match=r"a distributed.Client is needed, not str"):
            other("tcp://somewhere")  # type: ignore[arg-type]
    with (
        pytest.raises(TypeError, match=r"writable= is True or False, not str"),
        transport.engines.multiprocessing.canned(writable="no"),  # type: ignore[arg-type]
    ):
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda: canning.serialize_object(threading.Lock()),
        lambda: canning.load("/none/such"),
        lambda: canning.loads(b"junk"),
        lambda: canning.Key("text"),  # type: ignore[arg-type]
        lambda: canning.Serializer(key="no such file"),
        lambda: transport.send({}, socket()),  # type: ignore[call-overload]
        lambda: transport.recv(closed()),
        lambda: transport.send(closed(), 1),
        lambda: transport.Channel(socket(), key=KEY).recv(timeout=0),
        lambda: transport.recv(socket(), timeout=0),
    ],
)
def test_what_the_user_was_handling_stays_visible(call: Call) -> None:
    """As with any call in Python; errors that the library handled on its way are left out."""
    handled = KeyError("of the user")
    try:
        raise handled
    except KeyError:
        caught = _error_of(call)
    shown = caught
    while shown.__cause__ is not None:
        shown = shown.__cause__
    assert shown.__context__ is handled
    assert not shown.__suppress_context__
    alone = _error_of(call)
    assert alone.__suppress_context__ or alone.__context__ is None


def test_what_a_coroutine_was_handling_stays_visible() -> None:
    handled = KeyError("of the user")

    async def receive_in_vain() -> BaseException | None:
        with zmq.asyncio.Context() as context, context.socket(zmq.PAIR) as end:
            end.bind("inproc://in-vain")
            try:
                raise handled
            except KeyError:
                with pytest.raises(transport.TransportTimeout) as caught:
                    await transport.aio.Channel(end, key=KEY).recv(timeout=0.01)
        return caught.value.__context__

    assert asyncio.run(receive_in_vain()) is handled


def _error_of(call: Call) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: canning.register(3), "a type or its dotted name, not an instance of int"),
        (lambda: canning.register("x", can=str), "'x' names no type"),
        (lambda: canning.register(dict, can=str), "dict cannot be registered"),
        (lambda: canning.unregister(3), "a type or its dotted name, not int"),
        (lambda: canning.by_value(3), "functions, classes and modules written in Python, not int"),
        (lambda: canning.by_value("no.such"), "there is no module 'no.such'"),
        (lambda: canning.by_reference(3), "functions, classes and modules written in Python, not int"),
        (lambda: canning.register_rename(3, 4), "renames are dotted names"),
        (lambda: canning.register_codec(3), "int is not a codec"),
        (lambda: canning.unregister_codec(3), "int is not a codec"),
        (lambda: canning.Codecs("x"), "str is not a codec"),
        (lambda: canning.Adaptive(codecs="x"), "str is not a codec"),
        (lambda: canning.Limits(depth="x"), "depth= is a whole number of levels, not str"),
        (lambda: canning.loads(3), "bytes, or an object that gives its memory, is needed, not int"),
        (lambda: canning.load(b"abc"), "is needed, not bytes: canning.loads reads bytes"),
        (lambda: canning.inspect(3), "bytes, or an object that gives its memory, is needed, not int"),
        (lambda: canning.inspect(b"", expanded="x"), "expanded= is a whole number of bytes, not str"),
        (lambda: canning.scan(3), "bytes, or an object that gives its memory, is needed, not int"),
        (lambda: canning.split([3]), "bytes, or an object that gives its memory, is needed, not int"),
        (lambda: transport.engines.dask.register("x"), "a distributed.Client is needed, not str"),
        (lambda: transport.Channel(3, key=KEY), "takes a socket first, not int"),
        (lambda: transport.aio.Channel(socket(), key=KEY), "is not a zmq.asyncio socket"),
    ],
)
def test_a_wrong_argument_is_told_in_the_line_of_the_user(call: Call, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text) as caught:
        call()
    assert frames_of_library(caught.value) == 1
