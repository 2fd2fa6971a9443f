"""Attacks that are one call of what imports a module, or reads another pickle."""

from __future__ import annotations

from typing import Final

from .assembly import CODE, Call, Name
from .gadget import (
    COMPILED,
    EVAL,
    FILE,
    SHELL,
    call,
    does,
    method,
    nested,
    rows,
)

INNER: Final = nested(Call("builtins:eval", CODE))

IMPORTS: Final = rows(
    "picklescan, where importlib stayed off the list until 2026",
    does("a module, by its name alone", Name("gadget_marker:x"), known="the documentation of pickle"),
    call("builtins:__import__", "gadget_marker"),
    call("importlib:import_module", "gadget_marker"),
    call("importlib:__import__", "gadget_marker"),
    call("_frozen_importlib:_gcd_import", "gadget_marker", known="fickling's list of unsafe imports"),
    call("importlib._bootstrap:_call_with_frames_removed", EVAL, CODE, known="fickling's list"),
    does(
        "importlib.machinery.SourceFileLoader.load_module",
        method(
            "load_module", Call("importlib.machinery:SourceFileLoader", "gadget_script", "$LAID/script.py")
        ),
        below=(3, 15),  # gone: https://docs.python.org/3.15/whatsnew/3.15.html#removed
    ),
    call("imp:load_source", "gadget_script", "$LAID/script.py", needs=("imp",), known="fickling's list"),
    does(
        "zipimport.zipimporter.load_module",
        method("load_module", Call("zipimport:zipimporter", "$LAID/zipped.zip"), "gadget_zipped"),
        known="fickling's list",
        below=(3, 15),
    ),
    does(
        "pkgutil.resolve_name",
        Call(Call("pkgutil:resolve_name", "builtins:eval"), CODE),
        known="GHSA-vvpj-8cmc-gx39",
    ),
    call("pydoc:locate", "gadget_marker", known="GHSA-84r2-jw7c-4r5q, GHSA-5hvc-6wx8-mvv4"),
    call("pydoc:importfile", "$LAID/script.py", known="GHSA-5hvc-6wx8-mvv4"),
    call("site:addsitedir", "$LAID", known="fickling's list of unsafe imports"),
    does(
        "unittest.TestLoader.loadTestsFromName",
        method("loadTestsFromName", Call("unittest:TestLoader"), "gadget_marker"),
        known="fickling's list",
    ),
    call("cloudpickle.cloudpickle:subimport", "gadget_marker", known="picklescan 1.0"),
    call("dill._dill:_import_module", "gadget_marker", needs=("dill",), known="fickling's list"),
    call(
        "test.support.import_helper:import_module",
        "gadget_marker",
        needs=("test.support.import_helper",),
        known="GHSA-g38g-8gr9-h9xp",
    ),
    call(
        "logging.config:dictConfig",
        {"version": 1, "formatters": {"f": {"()": "subprocess.getoutput", "cmd": SHELL}}},
        fires=FILE,
        known="fickling's list",
    ),
    does(
        "logging.config.BaseConfigurator.resolve",
        method("resolve", Call("logging.config:BaseConfigurator", {}), "gadget_marker"),
        known="fickling's list",
    ),
    call("multiprocessing.spawn:_fixup_main_from_path", "$LAID/script.py", known="fickling's list"),
    # The last argument says to compile what is compiled already, as it is where another attack has run it.
    call("compileall:compile_file", "$LAID/script.py", None, True, fires="compile", known="fickling's list"),
    call("py_compile:compile", "$LAID/script.py", "$MARK", fires=FILE, known="fickling's list"),
    does(
        "pip.main",
        Call("pip._internal.cli.main:main", ["--version"]),
        "open",
        "CVE-2025-1716",
        needs=("pip",),
    ),
    call("venv:create", "$MARK", fires=FILE, known="picklescan's list of unsafe globals"),
)

LOADERS: Final = rows(
    "picklescan's list: pickles within pickles",
    call("pickle:loads", INNER, known="modelscan, where it was missed in 2025"),
    call("_pickle:loads", INNER),
    call("pickle:_loads", INNER, known="GHSA-fphw-536r-4p88: the unpickler in Python"),
    does("pickle.Unpickler.load", method("load", Call("pickle:Unpickler", Call("io:BytesIO", INNER)))),
    does("pickle._Unpickler.load", method("load", Call("pickle:_Unpickler", Call("io:BytesIO", INNER)))),
    call("cloudpickle:loads", INNER, known="fickling's list"),
    call("dill:loads", INNER, needs=("dill",), known="fickling's list"),
    call("joblib:load", "$LAID/attack.pkl", needs=("joblib",)),
    call("pandas:read_pickle", "$LAID/attack.pkl", needs=("pandas",), known="picklescan's open points"),
    call("numpy:load", "$LAID/attack.npy", None, True, known="CVE-2019-6446"),
    does(
        "lib2to3.pgen2.grammar.Grammar.loads",
        Call("lib2to3.pgen2.grammar:Grammar.loads", Call("lib2to3.pgen2.grammar:Grammar"), INNER),
        known="GHSA-f54q-57x4-jg88",
        needs=("lib2to3",),
    ),
    does(
        "multiprocessing.connection._ForkingPickler.loads",
        Call("multiprocessing.reduction:ForkingPickler.loads", INNER),
        known="fickling's list",
    ),
    does(  # with a module of pickle's kind, torch reads whatever that reads
        "torch.load",
        Call("torch:load", "$LAID/attack.pkl", None, Call("importlib:import_module", "pickle")),
        needs=("torch",),
        known="picklescan's list",
    ),
    call("torch.storage:_load_from_bytes", INNER, needs=("torch",), known="fickling's list"),
    call("torch.utils.collect_env:run", SHELL, fires=FILE, needs=("torch",), known="GHSA-f745-w6jp-hpxx"),
    call(
        "torch.jit.unsupported_tensor_ops:execWrapper",
        CODE,
        {},
        {},
        needs=("torch",),
        known="GHSA-vr7h-p6mm-wpmh",
    ),
    call(
        "torch.utils.bottleneck.__main__:run_cprofile",
        COMPILED,
        {},
        needs=("torch.utils.bottleneck",),
        known="GHSA-4r9r-ch6f-vxmx",
    ),
)
