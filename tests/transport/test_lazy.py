"""What importing transport takes along, which every process of a pool pays for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import transport

SCRIPT = """
import sys
import transport, transport.shared, transport.engines.one_pickle
print([name for name in ("zmq", "asyncio", "importlib.metadata") if name in sys.modules])
assert "SharedArena" not in vars(transport)
transport.send, transport.aio
print("send" in vars(transport), "zmq" in sys.modules)
"""


def output(script: str) -> str:
    """Run a script in a process of its own."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


def test_neither_zmq_nor_asyncio_is_imported_before_it_is_wanted() -> None:
    assert output(SCRIPT).splitlines() == ["[]", "True True"]


def test_names() -> None:
    for name in transport.__all__:
        assert getattr(transport, name) is not None
    assert set(transport.__all__) <= set(dir(transport))
    assert transport.aio is importlib.import_module("transport.aio")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        transport.nothing  # type: ignore[attr-defined] # noqa: B018 - looking is what is tried


def test_modules_are_found_as_attributes() -> None:
    script = """
import sys, transport
print([callable(found) for found in (transport.security.serve, transport.testing.fake_pair)])
for name in ("dask", "ipyparallel", "joblib", "jupyter", "multiprocessing"):
    assert name in dir(transport.engines) and f"transport.engines.{name}" not in sys.modules
print(transport.engines.multiprocessing.__name__)
try:
    transport.engines.nothing
except AttributeError as error:
    print(error)
"""
    assert output(script).splitlines() == [
        "[True, True]",
        "transport.engines.multiprocessing",
        "module 'transport.engines' has no attribute 'nothing'",
    ]


def test_programs_without_asyncio_do_not_import_it() -> None:
    script = (
        "import sys, zmq, transport\n"
        "context = zmq.Context()\n"
        "one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)\n"
        "one.bind('inproc://here'); other.connect('inproc://here')\n"
        "transport.send(one, {'a': 1}); print(transport.recv(other), 'asyncio' in sys.modules)\n"
    )
    assert output(script) == "{'a': 1} False\n"


def test_canning_imports_nothing_slow_that_few_need() -> None:
    script = (
        "import sys, numpy, cloudpickle\n"
        "before = set(sys.modules)\n"
        "import canning\n"
        "print({'pathlib', 'hashlib', 'hmac', 'difflib', 'numpy.typing'} & (set(sys.modules) - before))\n"
    )
    assert output(script) == "set()\n"
