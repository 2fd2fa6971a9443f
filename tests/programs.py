"""Random scripts, whose classes and functions go by value to another process and are compared with what went.

``python -m tests.programs 1000 7`` makes 1,000 of them of the seed 7, sends their objects through canning and
through cloudpickle, each from one interpreter to another, and shows those that did not arrive as they were.
"""

from __future__ import annotations

import copy
import enum
import functools
import inspect
import json
import os
import pickle
import random
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import cloudpickle

import canning

HEAD = """
import abc, collections, collections.abc, dataclasses, enum, functools, typing
from typing import Any, Generic, NamedTuple, TypeVar
T = TypeVar("T")
LIMIT = 3
def helper(x): return (x, LIMIT)
def key_of(obj):
    a = getattr(obj, "a", 0)
    return (type(obj).__name__, a if isinstance(a, int) else 0)
class Loud(property):
    def __get__(self, obj, owner=None): return self if obj is None else ("loud", super().__get__(obj, owner))
class Meta(type):
    made = []
    def __new__(cls, name, bases, body, **options):
        made = super().__new__(cls, name, bases, body)
        made.options = sorted(options)
        cls.made.append(name)
        return made
    def __init__(cls, name, bases, body, **options): super().__init__(name, bases, body)
class AbstractMeta(abc.ABCMeta):
    def __new__(cls, name, bases, body, *, tag="none"):
        made = super().__new__(cls, name, bases, body)
        made.tag = tag
        return made
class Hooked:
    subclasses = []
    def __init_subclass__(cls, /, kind="plain", **keywords):
        super().__init_subclass__(**keywords)
        cls.kind = kind
        Hooked.subclasses.append((cls.__name__, kind, getattr(cls, "label", None)))
class Strict:
    def __init_subclass__(cls, *, level, **keywords):
        super().__init_subclass__(**keywords)
        cls.level = level
class Mixin:
    flag = True
    def mixed(self): return ("mixed", self.flag)
"""
BASES = (
    *("", "", "", "Hooked", "Hooked, kind='other'", "Strict, level=2", "Mixin", "abc.ABC", "Generic[T]"),
    *("metaclass=Meta", "metaclass=Meta, unit='m'", "metaclass=AbstractMeta, tag='t'", "dict", "list", "int"),
    *(
        "Exception",
        "ValueError",
        "OSError",
        "collections.OrderedDict",
        "collections.UserDict",
        "str",
        "tuple",
    ),
    *("Mixin, Hooked, kind='both'", "Generic[T], Hooked", "collections.abc.Mapping"),
)
MEMBERS = (
    "    {n} = {atom}",
    "    {n}: int = {atom}",
    "    {n} = [{atom}, {atom}]",
    "    {n} = helper",
    "    {n} = staticmethod(helper)",
    "    def {n}(self): return ('{n}', {atom})",
    "    def {n}(self): return helper({atom})",
    "    def {n}(self, x={atom}, *, y=[{atom}]): return (x, y)",
    "    @classmethod\n    def {n}(cls): return cls.__name__",
    "    @staticmethod\n    def {n}(): return {atom}",
    "    @property\n    def {n}(self): return helper({atom})",
    "    @Loud\n    def {n}(self): return {atom}",
    "    @functools.cached_property\n    def {n}(self): return [{atom}]",
    "    @functools.singledispatchmethod\n    def {n}(self, x=1): return 'any'",
    "    @functools.lru_cache\n    def {n}(self): return {atom}",
    "    class {N}:\n        x = {atom}\n        def m(self): return self.x",
    "    {n} = property(lambda self: {atom})",
    "    {n} = functools.partialmethod(helper)",
    "    def {n}(self): return super().__hash__() is not None",
    "    def {n}(self): return __class__.__name__",
    "    async def {n}(self): return {atom}",
    "    def {n}(self): yield {atom}",
    "    {n} = [lambda self, i=i: i for i in range(2)][1]",
    "    __doc__ = 'documented {n}'",
    "    def __repr__(self): return 'shown {n}'",
    "    def __getattr__(self, name):\n"
    "        if name[:1] == '_': raise AttributeError(name)\n"
    "        return 'dynamic'",
    "    def __eq__(self, other): return type(other) is type(self) and key_of(self) == key_of(other)\n"
    "    def __hash__(self): return hash(key_of(self))",
    "    def __getstate__(self): return dict(vars(self))\n"
    "    def __setstate__(self, state): self.__dict__.update(state)",
    "    def __init_subclass__(cls, **keywords): super().__init_subclass__(**keywords); cls.below = '{n}'",
    "    def __class_getitem__(cls, item): return (cls.__name__, item)",
    "    def __private(self): return {atom}\n    def {n}(self): return self.__private()",
)
GENERATED = (
    "{N} = collections.namedtuple('{N}', 'a b')",
    "{N} = collections.namedtuple('{N}', 'a b', defaults=[{atom}])",
    "class {N}(NamedTuple):\n    a: int\n    b: Any = {atom}\n    def total(self): return (self.a, LIMIT)",
    "@dataclasses.dataclass\nclass {N}:\n"
    "    a: int = {atom}\n    b: Any = dataclasses.field(default_factory=list)",
    "@dataclasses.dataclass(frozen=True)\nclass {N}:\n    a: int = {atom}\n    b: Any = {atom}",
    "@dataclasses.dataclass(slots=True)\nclass {N}:\n"
    "    a: Any = 1\n    b: Any = {atom}\n    def m(self): return self.a",
    "@dataclasses.dataclass(order=True, kw_only=True)\nclass {N}:\n    a: int = 1\n    b: Any = {atom}",
    "class {N}(enum.Enum):\n    A = 1\n    B = {atom}\n    def m(self): return (self.name, LIMIT)",
    "class {N}(enum.IntFlag):\n    A = 1\n    B = 2\n    C = 3",
    "class {N}(str, enum.Enum):\n    A = 'a'\n    def __init__(self, value): self.own = value * 2",
    "class {N}(typing.TypedDict, total=False):\n    a: int",
    "@typing.runtime_checkable\nclass {N}(typing.Protocol):\n    def f(self) -> int: ...",
    "class {N}(Exception):\n"
    "    def __init__(self, a=1, b=2):\n        super().__init__('made of %s' % a)\n        self.b = b",
)
ATTRS = (
    "import attrs\n@attrs.define\nclass {N}:\n    a: int = {atom}\n    b: Any = attrs.field(factory=list)",
    "import attrs\n@attrs.frozen\nclass {N}:\n    a: int = {atom}\n    b: Any = attrs.field(factory=dict)",
    "import attrs\n{N} = attrs.make_class('{N}', ['a', 'b'])",
)
TIES = (
    "{N}.known = [{new}]",
    "{N}.pool = {{{new}}}",
    "{N}.index = {{{new}: {atom}}}",
    "{N}.other = {M}",
    "{N}.method = lambda self, make={new_class}: make.__name__",
    "{N}.bound = getattr({new}, {attr!r}, None)",
    "{N}.of_class = getattr({N}, {attr!r}, None)",
    "REGISTRY = {{{atom!r}: {N}, 'new': {new}, 'made': getattr({N}, {attr!r}, None)}}\n"
    "{N}.look = lambda self: sorted(map(str, REGISTRY))",
    "KNOWN = {{{new}}}\n{N}.is_known = lambda self: (self in KNOWN, len(KNOWN))",
    "{N}.again = functools.partial({N}.__repr__, {new})",
)


def program(rand: random.Random) -> str:
    """Write a script that leaves what is to be sent in ``OBJ``."""
    text, names, attributes = [HEAD], list[str](), list[str]()

    def fill(template: str, **more: Any) -> str:
        atom = rand.choice(["1", "'a'", "2.5", "None", "(1, 'b')", "True", "b'x'"])
        return template.format(atom=atom, **more)

    for number in range(rand.randint(1, 4)):
        name = f"C{number}"
        if rand.random() < 0.35:
            made = rand.choice(GENERATED + ATTRS)
            text.append(fill(made, N=name))
        else:
            base = rand.choice([*BASES, *names])
            if rand.random() < 0.2 and names and "=" not in base and "[" not in base and base:
                base = f"{rand.choice(names)}, {base}"
            slots = rand.random() < 0.15
            body = ["    __slots__ = ('a', '__hidden')"] if slots else []
            for member in rand.choices(MEMBERS, k=rand.randint(0, 6)):
                attribute = rand.choice("pqrstuvw")
                attributes.append(attribute)
                body.append(fill(member, n=attribute, N=attribute.upper()))
            if not slots and rand.random() < 0.4:
                body.append("    def __init__(self, a=1, *rest, **more): self.a = a")
            rand.shuffle(body)
            # a class that Python itself refuses is another one
            text.append(
                f"try:\n    class {name}({base}):\n"
                + "\n".join(
                    "\n".join(f"    {line}" for line in part.split("\n")) for part in body or ["    pass"]
                )
                + f"\nexcept TypeError:\n    class {name}: pass"
            )
        names.append(name)
        for _ in range(rand.randint(0, 2)):
            tie = fill(
                rand.choice(TIES),
                N=name,
                M=rand.choice(names),
                attr=rand.choice([*attributes, "p"]),
                new=f"new({name})",
                new_class=rand.choice(names),
            )
            text.append(
                "try:\n"
                + "\n".join(f"    {line}" for line in tie.split("\n"))
                + "\nexcept (TypeError, AttributeError, ValueError): pass"
            )
    text.insert(1, NEW)
    parts = [f"new({rand.choice(names)})", rand.choice(names), f"new({names[-1]})", "helper", "lambda: LIMIT"]
    parts.append(f"[new(each) for each in ({', '.join(names)},)]")
    parts.append(f"get(new({names[-1]}), {rand.choice([*attributes, 'p'])!r})")
    parts.append(f"raised(new({names[-1]}))")
    chosen = ", ".join(rand.sample(parts, rand.randint(1, 3)))
    text.append(f"OBJ = [{chosen}]")
    return "\n".join(text)


NEW = """
def new(cls):
    if isinstance(cls, type) and issubclass(cls, enum.Enum): return next(iter(cls))
    for args in ((), (1,), (1, 2)):
        try: made = cls(*args)
        except Exception: continue
        return made
    return None
def get(obj, name):
    try: return getattr(obj, name, None)
    except TypeError: return None
def raised(error):
    try: raise error if isinstance(error, BaseException) else KeyError('no error')
    except BaseException as got: return got
"""


def run(text: str) -> Any:
    """Run a script as ``__main__``, and give what it sends."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    exec(compile(text, "<script>", "exec"), vars(module))
    return module.OBJ


# -- what an object is -----------------------------------------------------------------------------------

_ATOMS = (int, float, complex, bool, str, bytes, type(None), type(...))
_SKIPPED = frozenset(
    (
        *("__module__", "__dict__", "__weakref__", "_abc_impl", "__slotnames__", "__firstlineno__"),
        *("__annotations__", "__annotate_func__", "__annotations_cache__"),  # what they say is compared
    )
)
_DEPTH = 14


class Description:
    """Describe objects all the way down, so that two that are the same give the same text."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []

    def of(self, obj: Any, depth: int = 0) -> Any:
        kind = type(obj)
        if kind in _ATOMS:
            return repr(obj)
        if depth > _DEPTH:
            return "..."
        if id(obj) in self.seen:
            return f"<{self.seen[id(obj)]}>"
        self.seen[id(obj)] = len(self.seen)
        self.kept.append(obj)
        if isinstance(obj, type):
            return self.of_class(obj, depth + 1)
        if kind in (list, tuple):
            return [kind.__name__, *(self.of(item, depth + 1) for item in obj)]
        if kind in (set, frozenset):
            return [
                kind.__name__,
                sorted(str(Description().of(item, depth + 3)) for item in obj),
                all(item in obj for item in obj),
            ]
        if kind is dict:
            pairs = [(self.of(key, depth + 1), self.of(value, depth + 1)) for key, value in obj.items()]
            return ["dict", pairs, all(key in obj for key in obj)]
        if kind is types.FunctionType:
            return self.of_function(obj, depth + 1)
        if kind is types.MethodType:
            return ["method", obj.__func__.__qualname__, self.of(obj.__self__, depth + 1)]
        if kind in (classmethod, staticmethod):
            return [kind.__name__, self.of(obj.__func__, depth + 1)]
        if isinstance(obj, property):
            return [kind.__name__, *(self.of(part, depth + 1) for part in (obj.fget, obj.fset, obj.fdel))]
        if kind.__module__ not in ("__main__", "__mp_main__") or isinstance(obj, functools.partial):
            return self.of_foreign(obj, depth + 1)
        return self.of_instance(obj, depth + 1)

    def of_foreign(self, obj: Any, depth: int) -> Any:
        kind = type(obj)
        parts = [kind.__qualname__]
        for name in ("func", "attrname", "__wrapped__", "args", "keywords", "dispatcher"):
            if hasattr(type(obj), name) or name in getattr(obj, "__dict__", {}):
                parts.append(self.of(getattr(obj, name, None), depth) if name != "dispatcher" else name)
        return parts

    def of_function(self, function: Any, depth: int) -> Any:
        if function.__module__ != "__main__":
            return ["by name", function.__module__, function.__qualname__]
        cells = [_content(cell) for cell in function.__closure__ or ()]
        needs = function.__code__.co_argcount - len(function.__defaults__ or ())
        found = ["function", function.__qualname__, self.of(function.__defaults__, depth)]
        found += [self.of(function.__kwdefaults__, depth), self.of(cells, depth)]
        if not needs and "<" in function.__qualname__:
            found.append(self.result(function, depth))
        return found

    def of_class(self, cls: Any, depth: int) -> Any:
        if cls.__module__ != "__main__":
            return ["class", cls.__module__, cls.__qualname__]
        parts = {
            name: value
            for name, value in list(vars(cls).items())
            if name not in _SKIPPED
            and not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
        }
        mine = [name for name in parts if name[:2] != "__" and not (name[0] == name[-1] == "_")]  # enum's own
        members = list(getattr(cls, "__members__", ()))  # in their order; methods come behind them
        mine = [*members, *sorted(set(mine).difference(members))] if members else mine
        body = [(name, self.of(parts.get(name), depth)) for name in mine]
        body += [
            (name, self.of(parts.get(name), depth)) for name in ("__doc__", "__slots__", "__match_args__")
        ]
        dunders = sorted(name for name in vars(cls) if name[:2] == "__" and name not in _SKIPPED)
        named = [base.__qualname__ for base in cls.__mro__]
        return [
            "class",
            cls.__qualname__,
            type(cls).__qualname__,
            named,
            [self.of(base, depth) for base in cls.__bases__],
            body,
            dunders,
            sorted(getattr(cls, "__abstractmethods__", ())),
            repr(getattr(cls, "__parameters__", None)),
            {name: str(kind) for name, kind in inspect.get_annotations(cls).items()},
        ]

    def of_instance(self, obj: Any, depth: int) -> Any:
        cls = type(obj)
        found = ["instance", cls.__qualname__, self.of(cls, depth)]
        if isinstance(obj, dict | list | tuple | int | str | enum.Enum):
            found.append(_shown(obj))
        if isinstance(obj, BaseException):
            found += [str(obj), self.of(list(obj.args), depth), obj.__traceback__ is not None]
        own = dict(getattr(obj, "__dict__", {}))
        found.append(self.of(dict(sorted(own.items())) if isinstance(obj, enum.Enum) else own, depth))
        for name in sorted(getattr(cls, "__slots__", ()) or ()):
            found.append((name, self.of(getattr(obj, name, "unset"), depth)))
        for base in cls.__mro__:
            for name, value in list(vars(base).items()) if base.__module__ == "__main__" else ():
                if name[:2] != "__" and isinstance(
                    value, types.FunctionType | property | classmethod | functools.cached_property
                ):
                    found.append((name, self.result(lambda name=name: _ask(obj, name), depth)))
        return found

    def result(self, function: Any, depth: int) -> Any:
        try:
            got = function()
        except Exception as error:
            return ["raised", type(error).__name__, str(error)[:80].partition(" at 0x")[0]]
        return self.of(got, depth + 5) if "0x" not in repr(got) else type(got).__name__


def _shown(obj: Any) -> str:
    for kind in (dict, list, tuple, int, str):
        if isinstance(obj, kind):
            text = kind.__repr__(obj) if not isinstance(obj, dict) else repr(list(dict.keys(obj)))
            return text if "0x" not in text else kind.__name__
    return f"{obj._name_} {obj._value_!r}"


def _ask(obj: Any, name: str) -> Any:
    found = getattr(obj, name)
    if (
        isinstance(found, types.MethodType)
        and found.__func__.__code__.co_argcount - len(found.__func__.__defaults__ or ()) == 1
    ):
        found = found()
        if isinstance(found, types.CoroutineType):
            found.close()
            return "a coroutine"
        if isinstance(found, types.GeneratorType):
            return list(found)
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def describe(obj: Any) -> str:
    """Give a text that is the same for objects that are."""
    return json.dumps(Description().of(obj), default=str)


# -- two processes ---------------------------------------------------------------------------------------


def send(count: int, seed: int, folder: str) -> None:
    """Write what the scripts send, by both picklers, and what it is."""
    for number in range(count):
        text = program(random.Random(f"{seed} {number}"))
        obj = run(text)
        found: dict[str, Any] = {"text": text}
        for name, dumps in (("canning", canning.dumps), ("cloudpickle", cloudpickle.dumps)):
            try:
                found[name] = dumps(obj)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
        try:
            found["is"] = describe(obj)
            copied = describe(copy.deepcopy(run(text)))  # by their own methods, as pickle does
            found["is"] = found["is"] if copied == found["is"] else None
        except Exception as error:
            found["is"] = None
            found["why"] = repr(error)
        Path(folder, str(number)).write_bytes(pickle.dumps(found))


def receive(folder: str, name: str) -> None:
    """Read what was sent, and write what it is here."""
    loads: Any = pickle.loads if name == "cloudpickle" else functools.partial(canning.loads, trust="code")
    for path in sorted(Path(folder).iterdir()):
        if path.suffix:
            continue
        sent = pickle.loads(path.read_bytes())[name]
        try:
            got = describe(loads(sent)) if isinstance(sent, bytes) else sent
        except Exception as error:
            got = f"{type(error).__name__}: {error} {error.__cause__!r}"
        path.with_suffix(f".{name}").write_text(got)


def compare(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[tuple[str, str, str, str]]]:
    """Run both sides; count outcomes, and list scripts that did not arrive: text, was, is, by cloudpickle."""
    root = Path(__file__).parent.parent
    path = os.pathsep.join((str(root), os.environ.get("PYTHONPATH", "")))
    for arguments in (["send", str(count), str(seed)], ["receive", "canning"], ["receive", "cloudpickle"]):
        subprocess.run(
            [sys.executable, "-m", "tests.programs", *arguments, str(folder)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
            check=True,
        )
    outcomes: Counter[str] = Counter()
    wrong = []
    for number in range(count):
        sent = pickle.loads((folder / str(number)).read_bytes())
        was = sent["is"]
        if was is None:
            outcomes["not described"] += 1
            continue
        by_us, by_others = ((folder / f"{number}.{name}").read_text() for name in ("canning", "cloudpickle"))
        outcomes[f"cloudpickle {'right' if by_others == was else 'wrong'}"] += 1
        if by_us == was:
            outcomes["canning right"] += 1
        elif all(": " in each[:40] and not each.startswith("Deserialization") for each in (by_us, by_others)):
            outcomes["neither sends it"] += 1
        else:
            outcomes["canning wrong"] += 1
            outcomes["cloudpickle alone right"] += by_others == was
            wrong.append((sent["text"], was, by_us, by_others))
    return outcomes, wrong


def main(argv: list[str]) -> int:
    """Be one of both sides, or run both."""
    if argv[0] == "send":
        send(int(argv[1]), int(argv[2]), argv[3])
    elif argv[0] == "receive":
        receive(argv[2], argv[1])
    else:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            outcomes, wrong = compare(int(argv[0]), int(argv[1]), Path(folder))
        print(dict(outcomes))
        for text, was, by_us, by_others in wrong[: int(argv[2]) if len(argv) > 2 else 3]:
            at = next(
                (at for at, (one, other) in enumerate(zip(was, by_us, strict=False)) if one != other), 0
            )
            shown = was[max(0, at - 300) : at + 200], by_us[max(0, at - 50) : at + 400]
            print("-" * 80, text[len(HEAD) + len(NEW) :], "was", shown[0], "is", shown[1], sep="\n")
            print("cloudpickle", "right" if by_others == was else by_others[:300])
        return bool(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
