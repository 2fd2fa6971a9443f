"""Errors: one tree, the path to the culprit, no data in their texts, and nothing broken behind them."""

from __future__ import annotations

import collections
import functools
import logging
import pickle
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zmq

import canning
from canning import (
    CannerError,
    CanningError,
    DeserializationError,
    SerializationError,
    Serializer,
    UnresolvedReference,
    deserialize_object,
    pack_apply_message,
    serialize_object,
)

from .samples import Frozen, InfoArray, OnlySlots, Pair, Plain, Point, Slotted, Stateful, Sum, give

LOCK = threading.Lock()
LARGE = np.arange(5000.0)


def local_class() -> type:
    class Local:
        pass

    return Local


def object_array(shape: tuple[int, ...], index: tuple[int, ...], item: Any) -> Any:
    array = np.empty(shape, object)
    array[index] = item
    return array


def with_default(x: Any = LOCK) -> None: ...


def local_with_default() -> Any:
    def f(a: Any = 1, b: Any = LOCK, *, c: Any = 2) -> None: ...

    return f


def local_with_keyword_default() -> Any:
    def f(*, c: Any = [LOCK]) -> None: ...  # noqa: B006 - it is what is tested

    return f


def local_with_global() -> Any:
    namespace: dict[str, Any] = {"__name__": "__main__", "lock": LOCK}
    exec("def f(): return lock", namespace)
    return namespace["f"]


def with_attribute() -> Any:
    array = InfoArray(LARGE, info={"a": [LOCK]})
    return {"array": array}


def cyclic() -> Any:
    loop: list[Any] = [1]
    loop += [loop, {"k": loop, "lock": LOCK}]
    return loop


def method() -> Any:
    return Plain(lock=LOCK).__init__


PATHS: list[tuple[Any, str]] = [
    (LOCK, "obj"),
    ([1, LOCK], "obj[1]"),
    ((1, [2, LOCK]), "obj[1][1]"),
    ({"a": 1, "model": LOCK}, "obj['model']"),
    ({"model": Plain(layers=[1, 2, 3, Plain(lock=LOCK)])}, "obj['model'].layers[3].lock"),
    ({5: {(1, "x"): {None: LOCK}}}, "obj[5][(1, 'x')][None]"),
    ({b"k": LOCK}, "obj[b'k']"),
    (Point(1, LOCK), "obj.y"),
    (Frozen(LOCK), "obj.x"),
    (Slotted(Frozen(1, LOCK)), "obj.x.y"),
    (OnlySlots([LOCK]), "obj.x[0]"),
    (Pair(1, LOCK), "obj[1]"),
    (types.SimpleNamespace(a=[LOCK]), "obj.a[0]"),
    (collections.OrderedDict(a=1, b=LOCK), "obj['b']"),
    (collections.defaultdict(list, {"a": [LOCK]}), "obj['a'][0]"),
    (functools.partial(max, 1, LOCK), "obj.args[1]"),
    (functools.partial(max, key=[LOCK]), "obj.keywords['key'][0]"),
    (functools.partial(give(LOCK)), "obj.func.<closure x>"),
    (give([1, LOCK]), "obj.<closure x>[1]"),
    (local_with_default(), "obj.__defaults__[1]"),
    (local_with_keyword_default(), "obj.__kwdefaults__['c'][0]"),
    (local_with_global(), "obj.<global lock>"),
    (object_array((2, 3), (1, 2), LOCK), "obj[1, 2]"),
    (object_array((4,), (3,), {"k": LOCK}), "obj[3]['k']"),
    (object_array((), (), LOCK), "obj[]"),
    (with_attribute(), "obj['array'].info['a'][0]"),
    (np.ma.masked_array(object_array((2,), (1,), LOCK), [0, 1]), "obj[1]"),
    ([LARGE, b"x" * 5000, bytearray(70_000), LOCK], "obj[3]"),
    (cyclic(), "obj[2]['lock']"),
    (method(), "obj.__self__.lock"),
    ([{"a": "b"}] * 1000 + [LOCK], "obj[1000]"),
]


REASON = (
    "cannot pickle '_thread.lock' object: "
    "leave it out, or let the class that holds it drop it in __getstate__"
)


@pytest.mark.parametrize(("obj", "path"), PATHS, ids=[row[1] for row in PATHS])
def test_the_way_to_the_culprit(obj: Any, path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        serialize_object(obj)
    assert str(caught.value) == f"{path}: {REASON}"
    assert caught.value.path == path
    assert caught.value.reason == REASON
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle", "dill"])
def test_the_way_to_the_culprit_with_other_picklers(pickler: str) -> None:
    if pickler == "dill":
        pytest.importorskip("dill")
    generator = (number for number in ())
    with pytest.raises(SerializationError) as caught:
        Serializer(pickler=pickler).serialize_object({"model": Plain(layers=[1, generator])})
    assert caught.value.path == "obj['model'].layers[1]"


async def later() -> None:
    """Wait for nothing."""


def closed(made: Any) -> Any:
    """Close it at once: it cannot be sent either way."""
    made.close()
    return made


def closed_socket() -> Any:
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        return socket


def ended_context() -> Any:
    with zmq.Context() as context:
        return context


class OwnSocket(socket.socket):
    """A class of a user's."""


INSTEAD: dict[str, tuple[Callable[[], Any], str]] = {
    "generator": (lambda: (number for number in ()), "send a list of its items"),
    "lock": (lambda: LOCK, "leave it out, or let the class that holds it drop it in __getstate__"),
    "rlock": (threading.RLock, "leave it out, or let the class that holds it drop it in __getstate__"),
    "socket": (lambda: closed(socket.socket()), "send its address, and connect there"),
    "own socket": (lambda: closed(OwnSocket()), "send its address, and connect there"),
    "zmq socket": (
        closed_socket,
        "it belongs to its process: send its address, and connect there",
    ),
    "zmq context": (
        ended_context,
        "send the addresses of its sockets, and make a context there",
    ),
    "weakref": (lambda: weakref.ref(Plain), "send the object that it refers to, or leave it out"),
    "frame": (sys._getframe, "send what you need of its f_locals, or the text of traceback.format_stack"),
    "sqlite": (
        lambda: closed(sqlite3.connect(":memory:")),
        "send the path of its file, and connect there",
    ),
    "coroutine": (lambda: closed(later()), "await it, and send its result"),
    "match": (lambda: re.match("a", "a"), r"send its groups(), or its span()"),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_the_error_says_what_to_send_instead(name: str) -> None:
    make, told = INSTEAD[name]
    with pytest.raises(SerializationError) as caught:
        serialize_object({"g": [make()]})
    assert str(caught.value).startswith("obj['g'][0]: cannot pickle '")
    assert str(caught.value).endswith(told)


def test_the_way_in_a_table_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="needs the package pandas")
    column = pandas.Series([1, LOCK], dtype=object)
    rows = [
        (pandas.DataFrame({"x": [1.0, 2.0], "y": [3, 4], "col": column}), "obj['t']['col'].iloc[1]"),
        (pandas.DataFrame({("a", 1): [1.0, 2.0], ("b", 2): column}), "obj['t'].iloc[:, 1].iloc[1]"),
        (pandas.DataFrame({"x": [1, 2]}, index=pandas.Index([1, LOCK], dtype=object)), "obj['t'].index[1]"),
        (column, "obj['t'].iloc[1]"),
    ]
    for table, path in rows:
        with pytest.raises(SerializationError) as caught:
            serialize_object({"t": table})
        assert caught.value.path == path


def test_the_way_in_state_that_the_object_gives() -> None:
    with pytest.raises(SerializationError, match=r"^obj\.<state>.*: cannot pickle '_thread.lock' object: "):
        serialize_object(Stateful(LOCK))
    with pytest.raises(SerializationError, match=r"\.items?\b|\[0\]"):
        serialize_object(Sum([LOCK]))


def test_the_way_in_sets_and_keys() -> None:
    class Hashable:
        def __init__(self) -> None:
            self.lock = LOCK

    with pytest.raises(SerializationError, match=r"^obj\.<item 0>\.lock: cannot pickle"):
        serialize_object({Hashable()})
    with pytest.raises(SerializationError, match=r"<key .*\.lock: cannot pickle"):
        serialize_object({Hashable(): 1})


def test_the_way_in_calls() -> None:
    with pytest.raises(SerializationError, match=r"cannot pickle '_thread\.lock' object"):
        pack_apply_message(max, [1, LOCK], {"k": 2})


def test_the_way_in_local_classes() -> None:
    class Local:
        def __init__(self) -> None:
            self.inner = [LOCK]

    with pytest.raises(SerializationError) as caught:
        serialize_object({"k": Local()})
    assert caught.value.path == "obj['k'].inner[0]"


# -- no data ---------------------------------------------------------------------------------------------


class Secretive:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __reduce__(self) -> Any:
        raise ValueError(f"the secret is {self.secret}")

    def __repr__(self) -> str:
        return self.secret


SECRETS = [
    Secretive("hunter2"),
    {"k": Secretive("hunter2")},
    [{"hunter2 stands in a value": 1}, "hunter2", LOCK],
    Point("hunter2", LOCK),
    functools.partial(Secretive("hunter2").__repr__, "hunter2"),
    {Secretive("hunter2"): LOCK},
    [b"hunter2" * 1000, LOCK],
]


@pytest.mark.parametrize("obj", SECRETS, ids=range(len(SECRETS)))
def test_texts_hold_no_data(obj: Any) -> None:
    with pytest.raises(SerializationError) as caught:
        serialize_object(obj)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_an_object_that_fails_by_itself_is_named() -> None:
    with pytest.raises(SerializationError) as caught:
        serialize_object({"k": [Secretive("x")]})
    assert str(caught.value).startswith("obj['k'][0]: cannot pickle 'tests.test_errors.Secretive' object")
    assert "ValueError" in str(caught.value)


def test_long_keys_are_cut() -> None:
    with pytest.raises(SerializationError) as caught:
        serialize_object({"k" * 100_000: LOCK, b"l" * 100_000: 5})
    assert len(str(caught.value)) < 300


class Loud:
    def __reduce__(self) -> Any:
        return fail, ("hunter2",)


def fail(secret: str) -> None:
    raise ValueError(secret)


def test_texts_about_messages_hold_no_data() -> None:
    for obj in (Loud(), [Loud(), LARGE]):
        with pytest.raises(DeserializationError) as caught:
            deserialize_object(serialize_object(obj))
        assert "hunter2" not in str(caught.value)
        assert isinstance(caught.value.__cause__, ValueError)


# -- messages that name what is not here -----------------------------------------------------------------


def test_a_class_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("was_here")
    cls = type("Thing", (), {"__module__": "was_here"})
    module.Thing = cls  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "was_here", module)
    messages = [serialize_object(cls()), serialize_object([cls(), LARGE])]
    monkeypatch.delitem(sys.modules, "was_here")
    for frames in messages:
        with pytest.raises(DeserializationError, match="was_here"):
            deserialize_object(frames)
    monkeypatch.setitem(sys.modules, "was_here", types.ModuleType("was_here"))
    for frames in messages:
        with pytest.raises(DeserializationError, match="Thing"):
            deserialize_object(frames)


# -- depth -----------------------------------------------------------------------------------------------


def nested(depth: int, wrap: Any) -> Any:
    obj: Any = None
    for _ in range(depth):
        obj = wrap(obj)
    return obj


@pytest.mark.parametrize(
    "wrap", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}, Point, lambda x: Plain(x=x)]
)
def test_what_is_nested_too_deeply_is_said_to_be(wrap: Any) -> None:
    # Since Python 3.14 it is the stack that bounds C, and 8 MiB hold 20,000 levels:
    # https://github.com/python/cpython/issues/91079
    obj = nested(300_000, wrap)
    try:
        with pytest.raises(
            SerializationError, match="nested too deeply to be pickled: send its parts in a flat list"
        ):
            serialize_object(obj)
    finally:
        while obj is not None:  # taken apart from above: 3.11 would overflow the stack
            obj = obj[0] if isinstance(obj, list | tuple) else obj["k"] if isinstance(obj, dict) else obj.x


def test_what_is_nested_within_reason_arrives() -> None:
    for wrap in (lambda x: [x], lambda x: {"k": x}, lambda x: (x, 1)):
        obj = nested(100, wrap)
        assert deserialize_object(serialize_object([obj, LARGE]))[0][0] == obj


def test_a_deep_message_is_read_or_refused_and_does_no_harm() -> None:
    for opcodes in (b"]" * 100_000 + b"a" * 99_999, b")" * 1 + b"\x85" * 100_000, b"}" + b"\x85" * 50_000):
        try:
            obj, _ = deserialize_object([b"\x80\x05" + opcodes + b"."])
        except DeserializationError:
            continue
        while isinstance(obj, list | tuple) and obj:
            obj = obj[0]


# -- the tree, and what stands behind an error -----------------------------------------------------------


def test_one_tree() -> None:
    assert issubclass(SerializationError, CanningError)
    assert issubclass(DeserializationError, CanningError)
    assert issubclass(CannerError, SerializationError)
    assert issubclass(UnresolvedReference, DeserializationError)
    assert issubclass(UnresolvedReference, NameError)
    assert not issubclass(SerializationError, DeserializationError)


@pytest.mark.parametrize(
    "error",
    [
        SerializationError("cannot", "obj[0]"),
        SerializationError("cannot"),
        CannerError("does not fit", "obj"),
        DeserializationError("cut"),
        UnresolvedReference("nowhere"),
    ],
    ids=repr,
)
def test_errors_travel(error: CanningError) -> None:
    for got in (pickle.loads(pickle.dumps(error)), deserialize_object(serialize_object(error))[0]):
        assert type(got) is type(error)
        assert str(got) == str(error)
        assert vars(got) == vars(error)


class Interrupts:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_is_not_an_error_of_ours() -> None:
    serializer = Serializer()
    with pytest.raises(KeyboardInterrupt):
        serializer.serialize_object([LARGE, Interrupts()])
    assert len(serializer.serialize_object([LARGE])) == 2


class ExitsOnArrival:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def test_an_exit_on_arrival_is_not_swallowed() -> None:
    with pytest.raises(SystemExit):
        deserialize_object(serialize_object(ExitsOnArrival()))


class NoMemory:
    def __reduce__(self) -> Any:
        raise MemoryError


def test_a_lack_of_memory_is_one() -> None:
    with pytest.raises(MemoryError):
        serialize_object([NoMemory()])


def test_finding_the_culprit_costs_nothing_while_all_goes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("nothing failed")

    monkeypatch.setattr("canning.writing.messages.explain_failure", refuse)
    serialize_object([LARGE, lambda: 1, Plain(x=LARGE[3:5]), b"x" * 5000])


def test_the_culprit_is_not_found_twice_in_one_object() -> None:
    """The search tries parts, and each part once."""
    times = 0

    class Counted:
        def __reduce__(self) -> Any:
            nonlocal times
            times += 1
            return int, ()

    shared = [Counted() for _ in range(50)]
    with pytest.raises(SerializationError):
        serialize_object([shared, shared, shared, {"k": [shared, LOCK]}])
    assert times < 50 * 30


@pytest.mark.parametrize("kind", [AttributeError, TypeError, ValueError, pickle.PicklingError])
def test_an_error_of_an_objects_own_is_not_taken_for_one_of_the_picklers(kind: type[Exception]) -> None:
    """By value nothing would change, and the object's methods would run once more, with all that they do."""
    times = 0

    class Failing:
        def __init__(self, error: type[Exception]) -> None:
            self.error = error

        def __reduce__(self) -> Any:
            nonlocal times
            times += 1
            raise self.error("own")

    for pickler in ("auto", "named", "pickle", "cloudpickle"):
        times = 0
        with pytest.raises(SerializationError, match=rf"^obj\['k'\]\[1\].*{kind.__name__} from its own"):
            serialize_object({"first": Plain(x=[1]), "k": (3, Failing(kind))}, pickler=pickler)
        assert times == 1


def test_an_object_that_refuses_is_the_culprit_and_not_its_class() -> None:
    """As wrapt's proxies do, whose classes no name leads to either."""

    class Refusing:
        lock = LOCK

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise NotImplementedError

    with pytest.raises(SerializationError, match="NotImplementedError from its own") as caught:
        serialize_object([1, Refusing()])
    assert caught.value.path == "obj[1]"


class Friend:
    """Is in the set of a friend that is in its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.friends: set[Friend] = set()

    def __hash__(self) -> int:
        return hash(self.name)


def test_sets_that_are_part_of_what_they_hold() -> None:
    one, other = Friend("one"), Friend("other")
    one.friends, other.friends = {other}, {one}
    with pytest.raises(DeserializationError, match="send the set as a list"):
        deserialize_object(serialize_object([one, other]))


def test_what_only_cloudpickle_takes_still_goes_by_value() -> None:
    logger = logging.getLogger("canning.tests.not.the.root")
    cases = [logger, types.CellType(1), {1: 2}.keys(), give(1).__code__, types, lambda: 1]
    for each in cases:
        deserialize_object(serialize_object({"k": [each]}))
    stranger = logging.Logger("not known to logging")  # whose own pickling fails, in Python
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(stranger)
    assert deserialize_object(serialize_object([stranger]))[0][0].name == stranger.name


@pytest.mark.parametrize(("obj", "what"), [(give(1), "function"), (local_class(), "class")])
def test_code_that_only_goes_by_value_says_so(obj: Any, what: str) -> None:
    with pytest.raises(SerializationError) as caught:
        Serializer(pickler="pickle").serialize_object({"f": obj})
    assert caught.value.path == "obj['f']"
    assert f"this {what} cannot be imported by its name" in caught.value.reason


def test_versions_are_told() -> None:
    assert canning.__version__.count(".") == 2


def test_an_object_that_cannot_be_looked_at_gives_the_error_all_the_same() -> None:
    class Closed(dict[str, int]):
        def items(self) -> Any:
            raise KeyError("no")

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyError("no")

    with pytest.raises(SerializationError, match="obj"):
        serialize_object(Closed(a=1))


class Slow:
    """Takes its time to be pickled, and counts how often it was."""

    times = 0

    def __reduce__(self) -> Any:
        Slow.times += 1
        time.sleep(0.02)
        return int, ()


class Alarm(Exception):
    """What a signal handler raises."""


def ring(*_: object) -> None:
    raise Alarm


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarms")
@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("obj", [Slow(), [{"a": Slow(), "b": (1, 2)}], [Slow(), lambda: 1]])
def test_what_a_signal_handler_raises_is_no_failure_of_the_object(obj: Any, resets: bool) -> None:
    def handler(*_: object) -> None:
        if resets:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Alarm):
            canning.serialize_object(obj)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Rings:
    """Is slow, and then fails by itself."""

    def __reduce__(self) -> Any:
        time.sleep(0.02)
        raise ValueError


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarms")
def test_an_alarm_while_the_culprit_is_looked_for() -> None:
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            canning.serialize_object([Slow(), Slow(), Rings()])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(SerializationError, match=r"ValueError from its own") as caught:
        canning.serialize_object([1, Rings()])
    assert caught.value.path == "obj[1]"


def _rings(*_: object, **__: object) -> Any:
    signal.raise_signal(signal.SIGALRM)
    time.sleep(1)


class SlowCodec:
    id = "slow"

    def encode(self, frame: Any, *, itemsize: int) -> Any:
        return bytes(frame)

    def decode(self, frame: Any, length: int, *, writable: bool) -> Any:
        _rings()


def _through_a_codec() -> Any:
    serializer = canning.Serializer(codec=SlowCodec(), buffer_threshold=1)
    serializer.deserialize_object(serializer.serialize_object(np.arange(5000)))


def _through_an_import() -> Any:
    sys.modules.pop("tests.slow_to_import", None)
    finder = types.SimpleNamespace(
        find_spec=lambda name, *_: _rings() if name == "tests.slow_to_import" else None
    )
    sys.meta_path.insert(0, finder)
    try:
        canning.loads(b"\x80\x04ctests.slow_to_import\nname\n.", trust="code")
    finally:
        sys.meta_path.remove(finder)


def _through_a_metaclass() -> Any:
    from canning.code.classes import _new_class

    _new_class(type("Slow", (type,), {"__new__": _rings}), "Local", (), {})


def _through_polars() -> Any:
    pytest.importorskip("polars")
    from canning.types.libraries.polars_frames import _without_panic

    _without_panic(_rings)(())


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarms")
@pytest.mark.parametrize(
    "read", [_through_a_codec, _through_an_import, _through_a_metaclass, _through_polars]
)
@pytest.mark.parametrize("kind", [Exception, BaseException])
def test_what_a_signal_handler_raises_is_no_fault_of_the_message(read: Any, kind: Any) -> None:
    class Rung(kind):  # type: ignore[misc]
        pass

    def handler(*_: object) -> None:
        raise Rung

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Rung):
            read()
    finally:
        signal.signal(signal.SIGALRM, before)


class Sayings:
    """Fail in its own pickling, by Python or by a statement of its own."""

    def __init__(self, out: Any = None, back: Any = None) -> None:
        self.out, self.back = out, back

    def __getstate__(self) -> Any:
        if self.out is not None:
            self.out()
        return self.back

    def __setstate__(self, back: Any) -> None:
        back()


def adds() -> None:
    1 + "a"  # type: ignore[operator] # noqa: B018


def names() -> None:
    nowhere  # type: ignore[name-defined] # noqa: B018, F821


def raises() -> None:
    raise TypeError("secret")


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (adds, r"TypeError: unsupported operand type\(s\) for \+: 'int' and 'str'"),
        (names, "NameError: name 'nowhere' is not defined"),
        (raises, "TypeError"),
    ],
)
def test_what_python_says_is_told_and_what_others_say_is_not(fails: Any, said: str) -> None:
    with pytest.raises(SerializationError, match=rf"\({said} from its own pickling\)$"):
        serialize_object([Sayings(fails)])
    with pytest.raises(DeserializationError, match=f"cannot read this message: {said}$"):
        deserialize_object(serialize_object([Sayings(None, fails)]))


class _Refusal(SerializationError):
    def __init__(self, count: int) -> None:
        super().__init__(f"refused {count} times", "obj")


class _Refusing:
    def __reduce__(self) -> Any:
        raise _Refusal(3)


class _Nested:
    def __reduce__(self) -> Any:
        return give, (canning.dumps(LOCK),)


class _Recursive:
    def __reduce__(self) -> Any:
        raise ValueError("the recursion of this model is wrong")


def test_errors_of_ours_that_an_object_raises_keep_its_frames() -> None:
    for obj in (_Refusing(), _Nested()):
        with pytest.raises(SerializationError) as raised:
            serialize_object([obj])
        shown = "".join(traceback.format_exception(raised.value))
        assert "__reduce__" in shown, shown


def test_an_error_with_arguments_of_its_own_names_the_path() -> None:
    with pytest.raises(SerializationError, match=r"obj\[1\].*refused 3 times|refused 3 times.*obj\[1\]"):
        serialize_object([1, _Refusing()])


def test_a_text_that_speaks_of_recursion_is_not_one_of_depth() -> None:
    with pytest.raises(SerializationError) as raised:
        serialize_object([_Recursive()])
    assert "nested too deeply" not in str(raised.value)


class _Lost:
    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise state["kind"]("card 4111")


@pytest.mark.parametrize("kind", [AttributeError, ImportError])
def test_what_a_class_says_while_it_is_read_is_not_repeated(kind: type[Exception]) -> None:
    frames = serialize_object(_Lost(kind))
    with pytest.raises(DeserializationError) as raised:
        deserialize_object(frames)
    assert "4111" not in str(raised.value)
    assert kind.__name__ in str(raised.value)
