"""What names in pickles are for: the common ones by name, the rest by their package."""

from __future__ import annotations

from typing import Final

from ..errors import name_for_errors
from ..wire.names import CALLS, PURPOSES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODULES: Final = _words(
    """
    __builtin__ __builtins__ _aix_support _ctypes _functools _io _operator _osx_support _pickle
    _posixsubprocess _pyrepl _signal _socket _thread _winreg aiohttp ast asyncio atexit bdb builtins
    cPickle cProfile cffi cmd code codecs codeop commands compileall concurrent copyreg ctypes dill
    distutils doctest ensurepip fcntl fileinput ftplib functools gc glob http httplib httpx idlelib
    imaplib imp importlib inspect io itertools lib2to3 linecache logging marshal mmap msvcrt
    multiprocessing nt ntpath nturl2path operator os pdb pickle pip pkg_resources pkgutil platform
    popen2 poplib posix posixpath profile pty py_compile pydoc requests resource runpy sched select
    setuptools shelve shutil signal site smtplib socket sqlite3 ssl subprocess sys telnetlib tempfile
    test threading timeit trace types unittest urllib urllib2 urllib3 uuid venv weakref webbrowser
    winreg xmlrpc zipimport
    """
)
"""Modules all of whose names act: on files, processes, the network, or what they are handed."""
_WITHIN: Final = {
    module: _words(names)
    for module, names in {
        "cloudpickle": "subimport load loads",
        "joblib": "load read_zfile",
        "numpy": "load fromfile memmap loadtxt genfromtxt save savetxt tofile",
        "numpy.f2py": "*",
        "numpy.testing": "*",
        "numpy.ctypeslib": "*",
        "numpy.distutils": "*",
        "pandas": "read_pickle eval query read_csv read_json read_hdf",
        "torch": "load",
        "torch._dynamo": "*",
        "torch._inductor": "*",
        "torch.distributed": "*",
        "torch.fx": "*",
        "torch.hub": "*",
        "torch.jit": "*",
        "torch.package": "*",
        "torch.serialization": "load",
        "torch.testing": "*",
        "torch.utils": "*",
        "keras": "load_model",
        "tensorflow": "load_model load_library load_op_library read_file write_file py_function",
    }.items()
}
"""Names that act in packages most of whose names do not; modules within them count, too."""
_NAMES: Final = _words(
    """
    Popen __import__ apply breakpoint call check_output compile delattr eval exec execfile getattr
    globals import_module input loadTestsFromName load_library loadlib locals open popen read_pickle
    resolve_name run_module run_path runstring setattr spawn system vars
    """
)
"""Names that act in any module, or as an attribute of anything."""
_INERT: Final = _words(
    """
    collections datetime decimal fractions joblib.numpy_pickle numpy pathlib torch._utils uuid
    """
)
"""Modules whose known names only make what they say, and call nothing that they are handed."""
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
BY_VALUE: Final = frozenset(
    (
        "_make_function",
        "_make_skeleton_func",
        "_create_function",
        "_create_code",
        "_fill_function",
    )
)
_CLASSES: Final = frozenset(
    ("_make_skeleton_class", "_make_skel_class", "_rehydrate_skeleton_class", "_create_type")
)
_NUMPY: Final = ("numpy.core.", "numpy._core.")


def _acts_within(module: str, parts: list[str]) -> bool:
    """Tell whether a name acts, by the table of packages most of whose names do not."""
    packages = module.split(".")
    for count in range(1, len(packages) + 1):
        names = _WITHIN.get(".".join(packages[:count]), frozenset())
        if "*" in names or not names.isdisjoint(parts):
            return True
    return False


def is_inert(module: str, name: str) -> bool:
    """Tell whether a name only makes what it says, whatever it is called with.

    >>> is_inert("datetime", "date"), is_inert("functools", "partial")
    (True, False)
    """
    if module.startswith(_NUMPY) and name in ("_reconstruct", "_frombuffer", "scalar"):
        return True
    return module in _INERT and (module, name) in _KNOWN and name != "defaultdict"


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
    if name in BY_VALUE:
        return "a function by value: its code comes with the pickle", False
    if name in _CLASSES:
        return "a class by value: its code comes with the pickle", False
    dotted = name_for_errors(module, name)
    if (
        package in _MODULES
        or _acts_within(module, parts)
        or not _NAMES.isdisjoint(parts)
        or not _MODULES.isdisjoint(parts[:-1])
    ):
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
