"""What names in pickles are for: the common ones by name, the rest by their package."""

from __future__ import annotations

from typing import Final

from ..errors import name_for_errors
from ..vocabulary import CALLS, PURPOSES

_MODULES: Final = frozenset(
    (
        *(
            "os",
            "posix",
            "nt",
            "ntpath",
            "posixpath",
            "subprocess",
            "_posixsubprocess",
            "commands",
            "popen2",
            "pty",
        ),
        *(
            "sys",
            "shutil",
            "socket",
            "_socket",
            "ssl",
            "select",
            "signal",
            "_signal",
            "ctypes",
            "_ctypes",
            "cffi",
        ),
        *(
            "importlib",
            "runpy",
            "imp",
            "zipimport",
            "pkgutil",
            "code",
            "codeop",
            "marshal",
            "types",
            "_thread",
        ),
        *("threading", "multiprocessing", "asyncio", "concurrent", "webbrowser", "pip", "ensurepip", "venv"),
        *(
            "setuptools",
            "pkg_resources",
            "distutils",
            "site",
            "pdb",
            "bdb",
            "cProfile",
            "profile",
            "timeit",
            "trace",
        ),
        *(
            "doctest",
            "pydoc",
            "unittest",
            "test",
            "idlelib",
            "lib2to3",
            "http",
            "urllib",
            "urllib2",
            "httplib",
        ),
        *(
            "ftplib",
            "smtplib",
            "poplib",
            "imaplib",
            "telnetlib",
            "xmlrpc",
            "requests",
            "httpx",
            "aiohttp",
            "urllib3",
        ),
        *(
            "tempfile",
            "fileinput",
            "linecache",
            "glob",
            "sqlite3",
            "mmap",
            "gc",
            "inspect",
            "io",
            "_io",
            "codecs",
        ),
        *(
            "pickle",
            "_pickle",
            "cPickle",
            "dill",
            "shelve",
            "copyreg",
            "atexit",
            "logging",
            "platform",
            "ast",
        ),
        *(
            "operator",
            "_operator",
            "functools",
            "_functools",
            "itertools",
            "builtins",
            "__builtin__",
            "__builtins__",
        ),
        *(
            "weakref",
            "sched",
            "cmd",
            "compileall",
            "py_compile",
            "fcntl",
            "resource",
            "winreg",
            "_winreg",
            "msvcrt",
        ),
    )
)
_NAMES: Final = frozenset(
    (
        *(
            "eval",
            "exec",
            "execfile",
            "compile",
            "open",
            "__import__",
            "system",
            "popen",
            "spawn",
            "runstring",
        ),
        *(
            "getattr",
            "setattr",
            "delattr",
            "globals",
            "locals",
            "vars",
            "breakpoint",
            "input",
            "apply",
            "call",
        ),
        *(
            "read_pickle",
            "import_module",
            "load_library",
            "check_output",
            "Popen",
            "loadlib",
            "run_path",
            "run_module",
        ),
    )
)
_HARMLESS: Final = {
    **{
        ("builtins", name): f"a {name}"
        for name in ("set", "frozenset", "bytearray", "complex", "range", "slice")
    },
    **{
        ("builtins", name): f"the type {name}"
        for name in ("list", "dict", "tuple", "int", "str", "bytes", "object")
    },
    **{
        ("builtins", name): f"the type {name}"
        for name in ("float", "bool", "type", "Ellipsis", "NotImplemented")
    },
    ("_codecs", "encode"): "bytes, as older protocols write them",
    ("codecs", "encode"): "bytes, as older protocols write them",
    ("copyreg", "_reconstructor"): "an instance, as older protocols write it",
    ("copyreg", "__newobj__"): "an instance",
    ("types", "SimpleNamespace"): "a namespace",
    ("functools", "partial"): "a partial: calls what it is given, when it is called",
}
_KNOWN: Final = {
    **{(CALLS, name): purpose for name, purpose in PURPOSES.items()},
    ("numpy", "ndarray"): "numpy's array type",
    ("numpy", "dtype"): "a dtype, by numpy's own pickling",
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): "an array, its memory behind it in the file",
    ("joblib.numpy_pickle", "NDArrayWrapper"): "an array in a file of its own",
    ("torch._utils", "_rebuild_tensor"): "a torch tensor",
    ("torch._utils", "_rebuild_tensor_v2"): "a torch tensor",
    ("torch._utils", "_rebuild_tensor_v3"): "a torch tensor",
    ("torch._utils", "_rebuild_parameter"): "a torch parameter",
    ("torch.serialization", "_get_layout"): "a layout of torch's",
    **{("datetime", name): f"a {name}" for name in ("datetime", "date", "time", "timedelta", "timezone")},
    ("decimal", "Decimal"): "a Decimal",
    ("fractions", "Fraction"): "a Fraction",
    ("uuid", "UUID"): "a UUID",
    **{
        ("pathlib", name): "a path"
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
    ("collections", "OrderedDict"): "an OrderedDict",
    ("collections", "defaultdict"): "a dict that calls its factory for keys it has not",
    ("collections", "deque"): "a deque",
    ("collections", "Counter"): "a Counter",
}
_BY_VALUE: Final = frozenset(
    ("_make_function", "_make_skeleton_func", "_create_function", "_create_code", "_fill_function")
)
_CLASSES: Final = frozenset(
    ("_make_skeleton_class", "_make_skel_class", "_rehydrate_skeleton_class", "_create_type")
)
_NUMPY: Final = ("numpy.core.", "numpy._core.")


def purpose_of(module: str, name: str) -> tuple[str, bool]:
    """Say what a name is for, and whether it is known to be dangerous.

    >>> purpose_of("os", "system")
    ('dangerous: os.system', True)
    >>> purpose_of("collections", "OrderedDict")
    ('an OrderedDict', False)
    >>> purpose_of("sklearn.tree", "Tree")
    ('a class or function of the package sklearn', False)
    """
    known = _HARMLESS.get((module, name)) or _KNOWN.get((module, name))
    if known is not None:
        return known, False
    package = module.partition(".")[0]
    parts = name.split(".")
    if name in _BY_VALUE or (package in ("types", "new") and name in ("CodeType", "FunctionType", "code")):
        return "a function by value: its code comes with the pickle", True
    if name in _CLASSES:
        return "a class by value: its code comes with the pickle", True
    dotted = name_for_errors(module, name)
    if package in _MODULES or not _NAMES.isdisjoint(parts) or not _MODULES.isdisjoint(parts[:-1]):
        return f"dangerous: {dotted}", True
    if package in ("builtins", "__builtin__"):
        return f"the builtin {dotted.partition('.')[2]}", False
    if package == "torch" and name.endswith("Storage"):
        return "the memory of a torch tensor", False
    if module.startswith(_NUMPY):
        if name in ("_reconstruct", "_frombuffer"):
            return "a numpy array, by numpy's own pickling", False
        if name == "scalar":
            return "a numpy scalar, by numpy's own pickling", False
    if package == "cloudpickle" or module.startswith("cloudpickle."):
        return f"part of code by value: {dotted}", False
    return f"a class or function of the package {name_for_errors('', package)[1:]}", False
