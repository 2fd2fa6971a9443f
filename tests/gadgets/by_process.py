"""Attacks on the process itself: its state, its threads, its end."""

from __future__ import annotations

import _ctypes as ctypes_library
from pathlib import Path
from typing import Final

from .assembly import CODE, Call, Name
from .gadget import (
    CRASH,
    EVAL,
    RINGS,
    call,
    does,
    method,
    rows,
)

LIBRARY: Final = Path(ctypes_library.__file__)
"""A library that is there."""
OS: Final = Call("builtins:__import__", "os")

PROCESS: Final = rows(
    "fickling's list of unsafe imports: the process itself",
    call("ctypes:CDLL", None, fires="ctypes.dlopen", known="GHSA-4675-36f9-wf6r"),
    does(
        "ctypes.CDLL.getpid",
        Call(Call("builtins:getattr", Call("ctypes:CDLL", None), "getpid")),
        "ctypes.dlsym",
        "GHSA-q5qq-mvfm-j35x",
    ),
    call("ctypes:string_at", 0, fires=CRASH),
    call(
        "numpy.ctypeslib:load_library",
        LIBRARY.name,
        str(LIBRARY.parent),
        fires="ctypes.dlopen",
        known="picklescan's open points",
    ),
    call("signal:raise_signal", 11, fires=CRASH),
    call("signal:alarm", 1000, fires="state:alarm"),
    call("signal:signal", 10, Name("builtins:print"), fires="state:signals"),
    call("os:abort", fires=CRASH),
    call("os:_exit", 3, fires=CRASH),
    call("os:kill", Call("os:getpid"), 9, fires=CRASH),
    call("faulthandler:_sigsegv", fires=CRASH),
    call("sys:exit", 3, fires="state:exit"),
    call("sys:settrace", Name("builtins:print"), fires="sys.settrace"),
    call("sys:setprofile", Name("builtins:print"), fires="sys.setprofile"),
    call("sys:addaudithook", Name("builtins:print"), fires="sys.addaudithook"),
    call("sys:setrecursionlimit", 5000, fires="state:recursion"),
    call("sys:set_int_max_str_digits", 0, fires="state:digits"),
    call("sys:path.append", "$LAID/x", fires="state:path"),
    call("sys:modules.pop", "pickle", fires="state:modules"),
    call("os:environ.update", {"CANNING": "1"}, fires="state:environ"),
    call("os:putenv", "CANNING", "1", fires="os.putenv"),
    call("os:chdir", "/", fires="state:cwd"),
    call("os:umask", 0, fires="state:umask"),
    call("os:dup", 2, fires="state:files"),
    call("os:fork", fires="os.fork"),
    call("resource:setrlimit", 7, (10, 10), fires="resource.setrlimit"),
    call("atexit:register", Name("builtins:print"), fires="state:atexit"),
    call("gc:disable", fires="state:gc"),
    call("gc:get_objects", fires="gc.get_objects", known="GHSA-r48f-3986-4f9c"),
    call("sys:_getframe", fires="sys._getframe"),
    call("inspect:stack", fires="sys._getframe"),
    call("warnings:simplefilter", "ignore", fires="state:warnings"),
    call("decimal:setcontext", Call("decimal:Context", 3), fires="state:decimal"),
    call("numpy:seterr", "raise", fires="state:numpy"),
    call("random:seed", 1, fires="state:random"),
    call("locale:setlocale", 6, "C.UTF-8", fires="state:locale"),
    call("tracemalloc:start", fires="state:tracemalloc"),
    call("copyreg:add_extension", "os", "system", 77, fires="state:registries"),
    call("copyreg:pickle", Name("builtins:object"), RINGS, fires="state:registries"),
    call("builtins:setattr", OS, "canning_was_here", 1, fires="state:os"),
    call("builtins:delattr", Call("builtins:__import__", "json"), "loads", fires="state:json"),
    call("operator:setitem", Name("os:environ"), "CANNING", "1", fires="state:environ"),
    does("threading.Thread.start", method("start", Call("threading:Thread", None, EVAL, None, (CODE,)))),
    call("_thread:start_new_thread", RINGS, ()),
    does("threading.Timer.start", method("start", Call("threading:Timer", 1000.0, EVAL)), "state:threads"),
    call("weakref:finalize", Call("builtins:set"), EVAL, CODE),
    does(
        "concurrent.futures.ThreadPoolExecutor.submit",
        method("submit", Call("concurrent.futures:ThreadPoolExecutor"), EVAL, CODE),
    ),
    does(
        "multiprocessing.Process.start",
        method("start", Call("multiprocessing:Process", None, EVAL, None, (CODE,))),
        "os.fork",
        below=(3, 14),
    ),
    call(
        "_xxsubinterpreters:create",
        fires="cpython.PyInterpreterState_New",
        needs=("_xxsubinterpreters",),
        known="GHSA-6ggj-6f2q-f7mx",
    ),
    call(
        "canning:register",
        Name("builtins:complex"),
        EVAL,
        EVAL,
        fires="state:registry",
        known="this package's own surface",
    ),
)
