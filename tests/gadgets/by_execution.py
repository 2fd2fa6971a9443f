"""Attacks that are one call of what runs a command or some Python."""

from __future__ import annotations

from typing import Final

from .assembly import CODE, Call, Name
from .gadget import (
    COMPILED,
    FILE,
    RINGS,
    SHELL,
    call,
    does,
    method,
    namespace,
    rows,
)

TOUCH: Final = ["sh", "-c", SHELL]
POPEN: Final = "subprocess.Popen"

SHELLS: Final = rows(
    "picklescan's list of unsafe globals",
    call("os:system", SHELL, fires=FILE, known="the documentation of pickle"),
    call("posix:system", SHELL, fires=FILE),
    call("os:popen", SHELL, fires=FILE),
    call("os:spawnv", 0, "/bin/sh", TOUCH, fires=FILE),
    call("os:spawnlp", 0, "sh", *TOUCH, fires=FILE),
    call("os:posix_spawn", "/bin/sh", TOUCH, {}, fires=FILE),
    call("os:execv", "/bin/sh", TOUCH, fires=FILE),
    call("subprocess:run", TOUCH, fires=FILE),
    call("subprocess:call", TOUCH, fires=FILE),
    call("subprocess:check_call", TOUCH, fires=FILE),
    call("subprocess:check_output", TOUCH, fires=FILE),
    call("subprocess:Popen", TOUCH, fires=FILE),
    call("subprocess:getoutput", SHELL, fires=FILE),
    call("subprocess:getstatusoutput", SHELL, fires=FILE),
    call("pty:spawn", TOUCH, fires=FILE, known="GHSA-vqmv-47xg-9wpr, GHSA-r7v6-mfhq-g3m2"),
    call("uuid:_get_command_stdout", "sh", "-c", SHELL, fires=FILE, known="GHSA-g38g-8gr9-h9xp"),
    call("_osx_support:_read_output", SHELL, fires=FILE, known="GHSA-g38g-8gr9-h9xp"),
    call(
        "_aix_support:_read_cmd_output",
        SHELL,
        fires=FILE,
        needs=("_aix_support:_read_cmd_output",),
        known="GHSA-g38g-8gr9-h9xp",
    ),
    call("imaplib:IMAP4_stream", SHELL, fires=FILE, known="GHSA-g38g-8gr9-h9xp"),
    call("_pyrepl.pager:pipe_pager", "", SHELL, fires=FILE, needs=("_pyrepl",), known="GHSA-g38g-8gr9-h9xp"),
    call("pydoc:pipe_pager", "", SHELL, fires=FILE, needs=("_pyrepl",)),
    call("pydoc:pipepager", "", SHELL, fires=FILE, below=(3, 13), known="fickling's list of unsafe imports"),
    call(
        "test.support.script_helper:assert_python_ok",
        "-c",
        "open(r'$MARK', 'w')",
        fires=FILE,
        needs=("test.support.script_helper",),
        known="GHSA-g38g-8gr9-h9xp",
    ),
    call(
        "multiprocessing.util:spawnv_passfds",
        b"/bin/sh",
        TOUCH,
        (),
        fires=FILE,
        known="modelscan, missed in models of strangers (2026)",
    ),
    does(
        "asyncio.run(create_subprocess_shell)",
        Call("asyncio:run", Call("asyncio:create_subprocess_shell", SHELL)),
        POPEN,
        "GHSA-f7qq-56ww-84cr",
    ),
    does(
        "asyncio.unix_events._UnixSubprocessTransport._start",
        Call(
            "asyncio.unix_events:_UnixSubprocessTransport._start",
            namespace(_loop=None),
            SHELL,
            True,
            None,
            None,
            None,
            0,
        ),
        POPEN,
        "GHSA-q77w-mwjj-7mqx",
    ),
    call(
        "mailcap:findmatch",
        {"text/plain": [{"view": "cat %s", "test": SHELL}]},
        "text/plain",
        fires=FILE,
        needs=("mailcap",),
        known="picklescan, a proposal of 2026",
    ),
    does(
        "webbrowser.GenericBrowser.open", method("open", Call("webbrowser:GenericBrowser", TOUCH), "u"), FILE
    ),
    call("distutils.spawn:spawn", TOUCH, fires=FILE, needs=("distutils",)),
    call("numpy.f2py.diagnose:run_command", SHELL, fires=FILE, needs=("numpy.f2py.diagnose:run_command",)),
    call("ensurepip:_run_pip", ["--version"], fires=POPEN, known="GHSA-xp4f-hrf8-rxw7"),
)

INTERPRETERS: Final = rows(
    "picklescan's list of unsafe globals",
    call("builtins:eval", CODE),
    call("builtins:exec", CODE),
    call("builtins:compile", "1", "attack", "exec", fires="compile"),
    call("builtins:breakpoint", fires="builtins.breakpoint"),
    call("builtins:input", fires="builtins.input"),
    call("cProfile:run", CODE, known="GHSA-49gj-c84q-6qm9, GHSA-p523-jq9w-64x9"),
    call("cProfile:runctx", CODE, {}, {}, known="GHSA-9w88-8rmg-7g2p"),
    call("profile:run", CODE, known="GHSA-7wx9-6375-f5wh"),
    does(
        "profile.Profile.run",
        Call("profile:Profile.run", Call("profile:Profile"), CODE),
        known="GHSA-x696-vm39-cp64",
    ),
    does(
        "profile.Profile.runctx",
        Call("profile:Profile.runctx", Call("profile:Profile"), CODE, {}, {}),
        known="GHSA-6vqj-c2q5-j97w",
    ),
    does("trace.Trace.run", Call("trace:Trace.run", Call("trace:Trace"), CODE), known="GHSA-5qwp-399c-mjwf"),
    does(
        "trace.Trace.runctx",
        Call("trace:Trace.runctx", Call("trace:Trace"), CODE, {}, {}),
        known="GHSA-g344-hcph-8vgg",
    ),
    call("timeit:timeit", "pass", CODE, Name("timeit:default_timer"), 1),
    call("timeit:repeat", "pass", CODE, Name("timeit:default_timer"), 1, 1),
    call("doctest:debug_script", CODE, True, known="GHSA-fqq6-7vqf-w3fg"),
    call("pdb:run", CODE, fires="exec"),
    does("bdb.Bdb.run", Call("bdb:Bdb.run", Call("bdb:Bdb"), CODE)),
    does(
        "code.InteractiveInterpreter.runcode",
        Call("code:InteractiveInterpreter.runcode", Call("code:InteractiveInterpreter"), COMPILED),
        known="GHSA-cj3c-v495-4xqh",
    ),
    does(
        "code.InteractiveInterpreter.runsource",
        Call("code:InteractiveInterpreter.runsource", Call("code:InteractiveInterpreter"), CODE),
    ),
    call("runpy:_run_code", COMPILED, {}, known="GHSA-wfq2-52f7-7qvj"),
    call("runpy:run_path", "$LAID/script.py"),
    call("runpy:run_module", "gadget_marker"),
    call("numpy.f2py.crackfortran:getlincoef", CODE, {"x": 1}, known="GHSA-r8g5-cgf2-4m4m"),
    call("numpy.f2py.crackfortran:_eval_length", CODE, {}, known="picklescan's list of unsafe globals"),
    call("numpy.testing._private.utils:runstring", CODE, {}),
    call("numpy.testing:runstring", CODE, {}),
    does(
        "lib2to3.pgen2.pgen.ParserGenerator.make_label",
        Call(
            "lib2to3.pgen2.pgen:ParserGenerator.make_label",
            None,
            namespace(labels=[], keywords={}, tokens={}),
            f"'' + str({CODE})",
        ),
        known="GHSA-p9w7-82w4-7q8m",
        needs=("lib2to3",),
    ),
    does(
        "idlelib.debugobj.ObjectTreeItem.SetText",
        Call("idlelib.debugobj:ObjectTreeItem.SetText", namespace(setfunction=RINGS, object=1), "1"),
        known="GHSA-3vg9-h568-4w9m",
        needs=("tkinter", "idlelib"),
    ),
    does(
        "idlelib.autocomplete.AutoComplete.get_entity",
        Call("idlelib.autocomplete:AutoComplete.get_entity", None, CODE),
        known="GHSA-6w4w-5w54-rjvr",
        needs=("tkinter", "idlelib"),
    ),
    does(
        "idlelib.autocomplete.AutoComplete.fetch_completions",
        Call(
            "idlelib.autocomplete:AutoComplete.fetch_completions",
            Call("idlelib.autocomplete:AutoComplete"),
            CODE,
            0,
        ),
        known="GHSA-7cq8-mj8x-j263",
        needs=("tkinter", "idlelib"),
    ),
    call("idlelib.calltip:get_entity", CODE, known="GHSA-9xph-j2h6-g47v", needs=("tkinter", "idlelib")),
    does(
        "idlelib.calltip.Calltip.fetch_tip",
        Call("idlelib.calltip:Calltip.fetch_tip", Call("idlelib.calltip:Calltip"), CODE),
        known="GHSA-8r4j-24qv-fmq9",
        needs=("tkinter", "idlelib"),
    ),
    does(
        "idlelib.run.Executive.runcode",
        Call(
            "idlelib.run:Executive.runcode",
            namespace(user_exc_info=None, usr_exc_info=None, locals={}),
            COMPILED,
        ),
        known="GHSA-m869-42cg-3xwr",
        needs=("tkinter", "idlelib"),
    ),
    does(
        "idlelib.pyshell.ModifiedInterpreter.runcommand",
        Call(
            "idlelib.pyshell:ModifiedInterpreter.runcommand",
            namespace(tkconsole=namespace(executing=False), rpcclt=None, locals={}),
            CODE,
        ),
        known="GHSA-j343-8v2j-ff7w",
        needs=("tkinter", "idlelib"),
    ),
    call(
        "typing:ForwardRef._evaluate",
        Call("typing:ForwardRef", CODE),
        {},
        {},
        Call("builtins:frozenset"),
        below=(3, 13),
    ),
)
