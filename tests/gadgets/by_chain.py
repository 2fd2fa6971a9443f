"""Attacks in which the callable is reached by way of others, so that no dangerous name is called."""

from __future__ import annotations

from typing import Final

from .assembly import CODE, FIRED, Apply, Build, Call, Made, Name
from .gadget import EVAL, FILE, RINGS, SHELL, Gadget, call, does, method, rows

OS: Final = Call("builtins:__import__", "os")
SYS: Final = Call("builtins:__import__", "sys")
GETATTR: Final = "builtins:getattr"
AUDIT: Final = Name("sys:audit")
FACTORY: Final = Call("collections:defaultdict", RINGS)
"""A dict that raises the event for any key that it has not."""
MARSHALLED: Final = Call("marshal:dumps", Call("builtins:compile", CODE, "attack", "eval"))
_PARTS: Final = (
    *("argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts"),
    *("names", "varnames", "filename", "name", "qualname", "firstlineno", "linetable", "exceptiontable"),
    *("freevars", "cellvars"),
)
BY_PARTS: Final = Made(lambda _: tuple(getattr(compile(CODE, "attack", "eval"), f"co_{p}") for p in _PARTS))
CODE_OBJECT: Final = Call("marshal:loads", MARSHALLED)
STAR: Final = Call("builtins:list", Call("itertools:starmap", AUDIT, [(FIRED,)]))


def function(code: object) -> Call:
    """Make a function of a code object, and call it."""
    return Call(Call("types:FunctionType", code, {}))


ATTRIBUTES: Final = rows(
    "picklescan: attributes of what is on the stack",
    does("getattr of a module", Call(Call(GETATTR, OS, "system"), SHELL), FILE, "GHSA-h4rm-mm56-xf63"),
    does(
        "operator.attrgetter",
        Call(Call(Call("operator:attrgetter", "system"), OS), SHELL),
        FILE,
        "GHSA-46h3-79wf-xr6c",
    ),
    does(
        "_operator.attrgetter",
        Call(Call(Call("_operator:attrgetter", "audit"), SYS), FIRED),
        known="GHSA-46h3-79wf-xr6c",
    ),
    does("operator.methodcaller", method("system", OS, SHELL), FILE, "GHSA-955r-x9j8-7rhh"),
    does(
        "_operator.methodcaller",
        Call(Call("_operator:methodcaller", "audit", FIRED), SYS),
        known="GHSA-955r-x9j8-7rhh",
    ),
    does(
        "operator.itemgetter",
        Call(Call(Call("operator:itemgetter", "eval"), Name("builtins:__dict__")), CODE),
    ),
    does(
        "numpy.__builtins__",
        Call(Call("operator:getitem", Name("numpy:__builtins__"), "eval"), CODE),
        known="modelscan, a report of 2025",
    ),
    does("functools.reduce(getattr)", Call(Call("functools:reduce", Name(GETATTR), ["audit"], SYS), FIRED)),
    does(
        "inspect.getattr_static",
        Call(Call("inspect:getattr_static", SYS, "audit"), FIRED),
        known="fickling's list of unsafe imports",
    ),
    does("uuid, os.system", Call("uuid:os.system", SHELL), FILE, "GHSA-5j3x-jp52-966f: dotted names"),
    does("fractions, sys.audit", Call("fractions:sys.audit", FIRED), known="GHSA-5j3x-jp52-966f"),
    does("collections, _sys.audit", Call("collections:_sys.audit", FIRED), known="GHSA-5j3x-jp52-966f"),
    does(
        "numpy.ma.core, builtins.eval", Call("numpy.ma.core:builtins.eval", CODE), known="GHSA-5j3x-jp52-966f"
    ),
    does(
        "a metaclass's __getattr__",
        Call("tests.gadgets.victims:Reached.Door.anything", 1),
        known="GHSA-5j3x-jp52-966f: looking a name up runs code",
    ),
    does(
        "vars(sys)",
        Call(Call("operator:getitem", Call("builtins:vars", SYS), "audit"), FIRED),
        known="fickling: builtins that are not safe",
    ),
    does(
        "builtins.globals",
        Call(Call("operator:getitem", Name("sys:__dict__"), "audit"), FIRED),
        known="fickling: builtins that are not safe",
    ),
)

WRAPPERS: Final = rows(
    "modelaudit: callables that are handed to harmless ones (2026)",
    does("functools.partial", Call(Call("functools:partial", EVAL, CODE)), known="picklescan's list"),
    does("functools.partialmethod", Call(method("__get__", Call("functools:partialmethod", RINGS), 1))),
    does("functools.lru_cache", Call(Call(Call("functools:lru_cache", 1), EVAL), CODE)),
    does("functools.singledispatch", Call(Call("functools:singledispatch", EVAL), CODE)),
    call("operator:call", EVAL, CODE),
    does("builtins.map", Call("builtins:list", Call("builtins:map", EVAL, [CODE]))),
    does("builtins.filter", Call("builtins:tuple", Call("builtins:filter", EVAL, [CODE]))),
    does("builtins.map in a set", Call("builtins:set", Call("builtins:map", EVAL, [CODE]))),
    does("builtins.any", Call("builtins:any", Call("builtins:map", EVAL, [CODE]))),
    does(
        "builtins.iter",
        Call("builtins:next", Call("builtins:iter", Call("functools:partial", EVAL, CODE), 1)),
    ),
    does("builtins.property", method("__get__", Call("builtins:property", RINGS), 1)),
    does("builtins.type with a method", Call(Call("builtins:type", "T", (), {"__init__": RINGS}))),
    does(
        "builtins.type with __hash__",
        Call("builtins:hash", Call(Call("builtins:type", "T", (), {"__hash__": RINGS}))),
    ),
    does("itertools.starmap", STAR),
    does("itertools.accumulate", Call("builtins:list", Call("itertools:accumulate", [1, 2], RINGS))),
    does("itertools.takewhile", Call("builtins:list", Call("itertools:takewhile", RINGS, [1]))),
    does("itertools.groupby", Call("builtins:list", Call("itertools:groupby", [1], RINGS))),
    does("collections.deque over map", Call("collections:deque", Call("builtins:map", EVAL, [CODE]))),
    does("collections.defaultdict", Call("operator:getitem", FACTORY, 1)),
    does("collections.ChainMap", Call("operator:getitem", Call("collections:ChainMap", FACTORY), 1)),
    does("types.MappingProxyType", Call("operator:getitem", Call("types:MappingProxyType", FACTORY), 1)),
    does("collections.Counter over map", Call("collections:Counter", Call("builtins:map", RINGS, [1]))),
    does(
        "collections.OrderedDict over map", Call("collections:OrderedDict", Call("builtins:map", RINGS, [1]))
    ),
    does("str.format_map", Call("builtins:str.format_map", "{x}", FACTORY)),
    does("string.Template", method("substitute", Call("string:Template", "$x"), FACTORY)),
    does("string.Formatter", method("vformat", Call("string:Formatter"), "{x}", (), FACTORY)),
    call("re:sub", "x", RINGS, "x"),
    does("re.Scanner", method("scan", Call("re:Scanner", [("x", RINGS)]), "x")),
    does("types.MethodType", Call(Call("types:MethodType", EVAL, CODE))),
    does(
        "contextlib.closing",
        method(
            "__exit__", Call("contextlib:closing", Build(Call("types:SimpleNamespace"), {"close": RINGS}))
        ),
    ),
    does("builtins.sorted over map", Call("builtins:sorted", Call("builtins:map", RINGS, [1]))),
    does(
        "concurrent.futures.Future",
        method("add_done_callback", Build(Call("concurrent.futures:Future"), {"_state": "FINISHED"}), RINGS),
    ),
    does(
        "concurrent.futures.thread._WorkItem",
        method(
            "run",
            Call("concurrent.futures.thread:_WorkItem", Call("concurrent.futures:Future"), EVAL, (CODE,), {}),
        ),
        below=(3, 14),
    ),
    call("multiprocessing.pool:mapstar", (EVAL, (CODE,))),
    call("multiprocessing.pool:starmapstar", (EVAL, ((CODE,),))),
    call("copyreg:__newobj__", Name("tests.gadgets.victims:Maker")),
    call("copyreg:__newobj_ex__", Name("tests.gadgets.victims:Maker"), (), {}),
    call(
        "copyreg:_reconstructor",
        Name("tests.gadgets.victims:Listed"),
        Name("tests.gadgets.victims:Maker"),
        None,
    ),
    does("numpy.vectorize", Call(Call("numpy:vectorize", EVAL), CODE)),
    does("numpy.frompyfunc", Call(Call("numpy:frompyfunc", EVAL, 1, 1), CODE)),
    call("numpy:apply_along_axis", RINGS, 0, [1]),
    call("numpy:fromfunction", RINGS, (1,)),
    call("numpy:piecewise", 1.0, [True], [RINGS]),
    call("dataclasses:make_dataclass", "D", [("x", "int")], fires="exec", known="modelaudit"),
    call("collections:namedtuple", "N", "x", fires="compile", known="modelaudit"),
    call("ast:parse", "1", fires="compile", known="modelaudit"),
    does("marshal.loads", Call("marshal:loads", MARSHALLED), "marshal.loads", "GHSA-565g-hwwr-4pp3"),
    does("types.CodeType", function(Apply("types:CodeType", BY_PARTS)), known="picklescan's list"),
    does(
        "cloudpickle._builtin_type",
        function(Apply(Call("cloudpickle.cloudpickle:_builtin_type", "CodeType"), BY_PARTS)),
        known="picklescan 1.0",
    ),
    does(
        "cloudpickle._make_function",
        Call(Call("cloudpickle.cloudpickle:_make_function", CODE_OBJECT, {}, "f", None, None)),
        known="picklescan 1.0",
    ),
    does(
        "dill._dill._create_function",
        Call(Call("dill._dill:_create_function", CODE_OBJECT, {})),
        needs=("dill",),
        known="fickling's list",
    ),
    does("types.FunctionType", function(CODE_OBJECT), known="GHSA-565g-hwwr-4pp3"),
)
ALL: Final[list[Gadget]] = [*ATTRIBUTES, *WRAPPERS]
