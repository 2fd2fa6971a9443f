"""What `import canning` leaves out, and that all of it is there once somebody asks for it."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest

import canning
from canning import calls, dumps

LATER = [
    "by_value_pickler",
    "by_value_types",
    "class_kinds",
    "classes",
    "code_source",
    "exceptions",
    "imports",
    "modules",
]


def output(script: str, *args: str) -> str:
    """Run a script in a process of its own."""
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_sends_code_is_not_imported_before_it_is_wanted() -> None:
    assert (
        output(
            "import canning, sys\n"
            f"names = {LATER!r}\n"
            "canning.deserialize_object(canning.serialize_object([1, {'a': 2.0}]))\n"
            "there = [name for name in names if f'canning.code.{name}' in sys.modules]\n"
            "print(there, 'canning.codecs.adaptive' in sys.modules)"
        )
        == "[] False"
    )


def _messages() -> dict[str, Any]:
    class Local:
        def double(self) -> int:
            return 2

    return {
        "a function": lambda: 7,
        "a class": Local,
        "an instance": Local(),
        "an exception": ValueError("x"),
        "one of a chain": ExceptionGroup("two", [KeyError("a"), OSError(2, "b")]),
        "an array": bytearray(b"x"),
    }


@pytest.mark.parametrize("name", _messages())
@pytest.mark.parametrize("by_value_as", ["code", "source"])
def test_a_new_process_reads_each_kind_of_message(name: str, by_value_as: Any) -> None:
    blob = dumps(_messages()[name], by_value_as=by_value_as)
    script = (
        "import base64, canning, sys\n"
        "got = canning.loads(base64.b64decode(sys.argv[1]), trust='code')\n"
        "print(type(got).__name__)"
    )
    assert output(script, base64.b64encode(blob).decode()) == type(_messages()[name]).__name__


def test_a_new_process_has_what_each_call_of_a_header_needs() -> None:
    names = sorted(call.__name__ for call in calls.ALL)
    script = (
        "import inspect, re, sys\n"
        "from canning import calls\n"
        "from canning.provided import provided\n"
        "asked = re.findall(r'provided\\(\"(\\w+)\"\\)', inspect.getsource(calls))\n"
        "print(len(asked), all(callable(provided(name)) for name in asked))"
    )
    count, found = output(script).split()
    assert found == "True"
    assert 20 < int(count) <= len(names)


def test_lazy_names_are_kept() -> None:
    assert output("import canning; canning.Adaptive; print('Adaptive' in vars(canning))") == "True"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        canning.code.nothing  # type: ignore[attr-defined] # noqa: B018 - looking is what is tried
