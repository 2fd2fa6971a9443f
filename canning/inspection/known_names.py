"""The purposes of names in pickles: well-known names by themselves, others by their package."""

from __future__ import annotations

from typing import Final

from ..errors import name_for_errors
from ..pickles.nodes import MADE
from ..wire.names import CALLS, PURPOSES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODULES: Final = _words(
    """
    Cython IPython __builtin__ __builtins__ _aix_support _bootsubprocess _ctypes _dbm _distutils_hack
    _frozen_importlib _frozen_importlib_external _functools _gdbm _imp _interpreters _io
    _multiprocessing _operator _osx_support _overlapped _pickle _posixshmem _posixsubprocess _pyio
    _pyrepl _pytest _signal _sitebuiltins _socket _sqlite3 _ssl _testcapi _testinternalcapi _thread
    _tkinter _winapi _winreg _xxinterpchannels _xxsubinterpreters aiohttp antigravity ast asynchat
    asyncio asyncore atexit bdb builtins cPickle cProfile cffi cgitb cmd code codecs codeop commands
    compileall concurrent copyreg ctypes curses cython dbm dill distutils doctest ensurepip execjs
    execnet fabric faulthandler fcntl fickling filecmp fileinput fsspec ftplib functools gc getpass glob
    http httpcore httplib httpx idlelib imaplib imp importlib inspect invoke io ipykernel itertools
    jinja2 jsonpickle lib2to3 linecache logging mailbox mailcap mako marshal mlflow mmap modelaudit
    modelscan modulefinder msilib msvcrt multiprocessing netrc nis nntplib nose nt ntpath nturl2path
    numba operator os paramiko pdb pexpect pickle picklescan pip pipes pkg_resources pkgutil platform
    plumbum popen2 poplib posix posixpath profile pstats psutil pty ptyprocess py_compile pyclbr pydoc
    pytest pywintypes pyximport requests resource rlcompleter runpy sched select selectors setuptools sh
    shelve shutil signal site smart_open smtpd smtplib socket socketserver sqlite3 ssl subprocess sys
    sysconfig syslog tarfile telnetlib tempfile termios test this threading timeit tkinter trace tty
    turtle turtledemo types unittest urllib urllib2 urllib3 uuid venv weakref webbrowser websocket
    websockets win32api win32com winreg wsgiref xmlrpc zipapp zipfile zipimport zmq
    """
)
"""Modules whose names are all dangerous: they use files, processes, the network, or call their arguments."""
_WITHIN: Final = {
    module: _words(names)
    for module, names in {
        "cloudpickle": "subimport load loads",
        "joblib": "load read_zfile",
        "joblib.externals.loky": "*",
        "typing": "ForwardRef _eval_type get_type_hints",
        "numpy": "load fromfile memmap loadtxt genfromtxt save savetxt tofile",
        "numpy.f2py": "*",
        "numpy.testing": "*",
        "numpy.ctypeslib": "*",
        "numpy.distutils": "*",
        "pandas": "read_pickle eval query read_csv read_json read_hdf",
        "pandas.io.clipboard": "*",
        "pandas.io.common": "*",
        "yaml": "*",
        "torch": "load",
        "torch._dynamo": "*",
        "torch._inductor": "*",
        "torch.distributed": "*",
        "torch.fx": "*",
        "torch.hub": "*",
        "torch.multiprocessing": "*",
        "torch.storage": "_load_from_bytes",
        "torch.jit": "*",
        "torch.package": "*",
        "torch.serialization": "load",
        "torch.testing": "*",
        "torch.utils": "*",
        "keras": "load_model",
        "tensorflow": "load_model load_library load_op_library read_file write_file py_function",
    }.items()
}
"""Dangerous names in packages whose other names are mostly harmless; submodules count, too."""
_NAMES: Final = _words(
    """
    Popen __base__ __bases__ __builtins__ __closure__ __code__ __delattr__ __dict__ __func__ __getattr__
    __getattribute__ __globals__ __import__ __loader__ __mro__ __self__ __setattr__ __spec__
    __subclasses__ _create_fn _load_from_bytes apply breakpoint c2py call check_call check_output
    compile create_subprocess_exec create_subprocess_shell delattr eval exec exec_ execfile execv execve
    execvp execvpe fork forkpty func_load get_type_hints getattr getoutput getstatusoutput globals
    import_from_string import_module import_string input lambdify loadTestsFromName load_library
    load_module load_source loadlib locals make_dataclass npy_load_module open parse_expr popen
    posix_spawn posix_spawnp read_pickle resolve_name run_module run_path run_string runcode runcommand
    runctx runsource runstring safe_eval setattr spawn spawnl spawnv spawnve spawnvp startfile sympify
    system unsafe_load vars
    """
)
"""Names that are dangerous in any module, or as an attribute of anything."""
_INERT: Final = _words(
    """
    collections datetime decimal fractions joblib.numpy_pickle numpy pathlib torch._utils uuid
    """
)
"""Modules whose known names only make an object of their type, and do not call their arguments."""
_HARMLESS: Final = {
    **{
        ("builtins", name): f"a {name}"
        for name in ("set", "frozenset", "frozendict", "bytearray", "complex", "range", "slice")
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
    **{("builtins", name): f"a {name} of a class" for name in ("property", "classmethod", "staticmethod")},
    ("functools", "partial"): "a partial: calls what it is given, when it is called",
}
_KNOWN: Final = {
    **{(CALLS, name): purpose for name, purpose in PURPOSES.items()},
    ("numpy", "ndarray"): "numpy's array type",
    ("numpy", "dtype"): "a dtype, by numpy's own pickling",
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): "an array, followed by its memory in the file",
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
    ("collections", "defaultdict"): "a dict that calls its factory for missing keys",
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
_MAKERS: Final = frozenset((*_CLASSES, "_make_skeleton_enum", "_builtin_type", "empty_class", "enum"))
_NUMPY: Final = ("numpy.core.", "numpy._core.")


def _acts_within(module: str, parts: list[str]) -> bool:
    """Tell whether a name is dangerous, by the table of packages whose names are mostly harmless."""
    packages = module.split(".")
    for count in range(1, len(packages) + 1):
        names = _WITHIN.get(".".join(packages[:count]), frozenset())
        if "*" in names or not names.isdisjoint(parts):
            return True
    return False


def is_class_by_value(target: tuple[str, str] | None) -> bool:
    """Tell whether a call of this target makes a class that is sent by value."""
    return target is not None and target[1] in _MAKERS


def is_inert(module: str, name: str) -> bool:
    """Tell whether a name only makes an object of its type, whatever its arguments are.

    >>> is_inert("datetime", "date"), is_inert("functools", "partial")
    (True, False)
    """
    if module.startswith(_NUMPY) and name in ("_reconstruct", "_frombuffer", "scalar"):
        return True
    return module in _INERT and (module, name) in _KNOWN and name != "defaultdict"


def purpose_of(module: str, name: str) -> tuple[str, bool]:
    """Describe the purpose of a name; also return whether it is known to be dangerous.

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
    if MADE in (module, name):
        return "dangerous: a name that is made while it is read", True
    if (
        package in _MODULES
        or _acts_within(module, parts)
        or not _NAMES.isdisjoint(parts)
        or not _MODULES.isdisjoint(part.lstrip("_") for part in parts[:-1])  # as in random._os
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
