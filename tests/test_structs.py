"""Structs of msgspec that stand in a script go by value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import sys, typing
import msgspec, numpy as np, canning

class Base(msgspec.Struct, kw_only=True, frozen=True, tag="base", rename="camel"):
    my_a: int
    b: list = msgspec.field(default_factory=list)
    c: int = msgspec.field(name="zed", default=3)

class Record(Base, kw_only=False):
    """A record."""
    kind: typing.ClassVar[int] = 7
    d: object
    e: int = 5
    def total(self):
        return self.d.sum(), Record is type(self)
    def __post_init__(self):
        if self.d is None:
            raise ValueError(Record.kind)

class Node(msgspec.Struct):
    next: "Node | None" = None
    value: int = 0

def node(value):
    return Node(value=value)

sent = [Record(np.arange(1000.0), my_a=2), Base(my_a=1), Node(Node(value=3)), node]
assert type(canning.loads(canning.dumps(sent), trust="code")[0]) is Record
canning.dump(sent, sys.argv[1])
'''
READER = """
import sys
import canning, msgspec

record, base, node, make = canning.load(sys.argv[1], trust="code")
Record = type(record)
print(record.total(), Record.kind, Record.__doc__, Record.__match_args__, Record.__struct_config__.tag)
print(msgspec.json.encode(base), base.__struct_config__.frozen, isinstance(record, type(base)))
print(node, type(make(4)) is type(node), Record(record.d, my_a=1).b)
try:
    Record(None, my_a=1)
except ValueError as error:
    print(error)
again = canning.loads(canning.dumps(node), trust="code")
print(again == node, type(again) is type(node))
print(msgspec.json.decode(b'{"type": "base", "myA": 5}', type=type(base)))
"""
EXPECTED = """\
(np.float64(499500.0), True) 7 A record. ('d', 'e') base
b'{"type":"base","myA":1,"b":[],"zed":3}' True True
Node(next=Node(next=None, value=3), value=0) True []
7
True True
Base(my_a=5, b=[], c=3)
"""


def test_structs_of_a_script_arrive_in_another_process(tmp_path: Path) -> None:
    pytest.importorskip("msgspec")
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[1]
    where = {**os.environ, "PYTHONPATH": str(root)}
    for code in ([str(tmp_path / "script.py")], ["-c", READER]):
        command = [sys.executable, *code, str(tmp_path / "sent")]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=where)
        assert done.returncode == 0, done.stderr
    assert done.stdout == EXPECTED
