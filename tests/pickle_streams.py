"""Streams of opcodes by hand: one for each opcode, and those by which files slip past scanners."""

from __future__ import annotations

import base64
import io
import pickle
from typing import Any

COMMAND = b"cos\nsystem\n(S'true'\ntR"
"""Opcodes that run a command; nothing behind them."""

BY_OPCODE: dict[str, bytes] = {
    "INT": b"I12\n.",
    "BININT": b"J\1\2\3\4.",
    "BININT1": b"K\7.",
    "BININT2": b"M\1\2.",
    "LONG": b"L12345678901234567890L\n.",
    "LONG1": b"\x8a\x02\xff\x00.",
    "LONG4": b"\x8b\x02\0\0\0\xff\x00.",
    "STRING": b"S'abc\\n'\n.",
    "BINSTRING": b"T\3\0\0\0abc.",
    "SHORT_BINSTRING": b"U\3abc.",
    "BINBYTES": b"B\3\0\0\0abc.",
    "SHORT_BINBYTES": b"C\3abc.",
    "BINBYTES8": b"\x8e\3\0\0\0\0\0\0\0abc.",
    "BYTEARRAY8": b"\x96\3\0\0\0\0\0\0\0abc.",
    "NEXT_BUFFER": b"\x97.",
    "READONLY_BUFFER": b"\x97\x98.",
    "NONE": b"N.",
    "NEWTRUE": b"\x88.",
    "NEWFALSE": b"\x89.",
    "UNICODE": b"Vabc\n.",
    "SHORT_BINUNICODE": b"\x8c\3abc.",
    "BINUNICODE": b"X\3\0\0\0abc.",
    "BINUNICODE8": b"\x8d\3\0\0\0\0\0\0\0abc.",
    "FLOAT": b"F1.5\n.",
    "BINFLOAT": b"G?\xf8\0\0\0\0\0\0.",
    "EMPTY_LIST": b"].",
    "APPEND": b"]Na.",
    "APPENDS": b"](NNe.",
    "LIST": b"(NNl.",
    "EMPTY_TUPLE": b").",
    "TUPLE": b"(NNNNt.",
    "TUPLE1": b"N\x85.",
    "TUPLE2": b"NN\x86.",
    "TUPLE3": b"NNN\x87.",
    "EMPTY_DICT": b"}.",
    "DICT": b"(K\1K\2d.",
    "SETITEM": b"}K\1K\2s.",
    "SETITEMS": b"}(K\1K\2u.",
    "EMPTY_SET": b"\x8f.",
    "ADDITEMS": b"\x8f(K\1\x90.",
    "FROZENSET": b"(K\1\x91.",
    "POP": b"NN0.",
    "DUP": b"]2\x86.",
    "MARK": b"((NtN\x86tN0.",
    "POP_MARK": b"N(NN1.",
    "GET": b"Np5\n0g5\n.",
    "BINGET": b"Nq\x050h\5.",
    "LONG_BINGET": b"Nq\x050j\5\0\0\0.",
    "PUT": b"Np5\n.",
    "BINPUT": b"Nq\5.",
    "LONG_BINPUT": b"Nr\5\0\0\0.",
    "MEMOIZE": b"\x80\x04N\x94.",
    "EXT1": b"\x82\1.",
    "EXT2": b"\x83\1\0.",
    "EXT4": b"\x84\1\0\0\0.",
    "GLOBAL": b"cshelf\nitem\n.",
    "STACK_GLOBAL": b"\x8c\5shelf\x8c\4item\x93.",
    "REDUCE": b"cshelf\nitem\nN\x85R.",
    "BUILD": b"cshelf\nitem\n)R}b.",
    "INST": b"(Nishelf\nitem\n.",
    "OBJ": b"(cshelf\nitem\nNo.",
    "NEWOBJ": b"cshelf\nitem\n)\x81.",
    "NEWOBJ_EX": b"cshelf\nitem\n)}\x92.",
    "PROTO": b"\x80\x05N.",
    "STOP": b"N.",
    "FRAME": b"\x80\x04\x95\2\0\0\0\0\0\0\0N.",
    "PERSID": b"Pkey\n.",
    "BINPERSID": b"K\1Q.",
}

BREAKING: dict[str, bytes] = {
    "no opcode": b"\xffN.",
    "no STOP": b"N",
    "empty": b"\x80\x04",
    "empty stack": b".",
    "below a mark": b"N(.",
    "pop below a mark": b"N(a.",
    "no mark": b"Nt.",
    "memo without it": b"h\5.",
    "odd items": b"}(Nu.",
    "odd dict": b"(Nd.",
    "protocol 6": b"\x80\x06N.",
    "a string without quotes": b"Sabc\n.",
    "text that is none": b"\x8c\1\xff.",
    "too long": b"X\xff\xff\xff\x7fabc.",
    "too long, in 8 bytes": b"\x8e" + b"\xff" * 8 + b".",
    "a name of no strings": b"K\1K\2\x93.",
    "an index that is none": b"Npx\n.",
    "a negative index": b"Np-1\n.",
    "an empty name": b"c\n\n.",
    "adds to None": b"NNa.",
    "an instance of nothing": b"(o.",
}

ATTACKS: dict[str, bytes] = {
    "plain": COMMAND + b".",
    "breaks behind it": COMMAND + b"\xff",
    "never stops": COMMAND,
    "behind STOP": b"N." + COMMAND + b".",
    "behind another": pickle.dumps([1], 4) + COMMAND + b".",
    "popped": COMMAND + b"0N.",
    "no frame": b"\x80\x04\x95" + b"\xff" * 7 + b"\0" + COMMAND + b".",
    # Of a file, the unpickler drops what a frame has left when an opcode goes beyond its end.
    "across a frame": b"\x80\x04\x95\x02\0\0\0\0\0\0\0U\x1a" + (COMMAND + b".").ljust(26, b"N") + b".",
    "a frame in a frame": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x95\1\0\0\0\0\0\0\0NN0.",
    "data across a frame": b"\x80\x04\x95\x02\0\0\0\0\0\0\0\x8c\4abcd.",
    "names from the memo": b"\x80\x04\x8c\x06system\x94\x8c\2os\x94h\1h\0\x93\x8c\4true\x85R.",
    "names put late": b"\x80\x04\x8c\2osq\xc8\x8c\x06systemq\xc90h\xc8h\xc9\x93\x8c\4true\x85R.",
    "names written twice": b"\x80\x04\x8c\2os\x8c\2os0\x8c\x06system\x93\x8c\4true\x85R.",
    "names of old strings": b"\x80\x04U\2osS'system'\n\x93\x8c\4true\x85R.",
    "names with escapes": b"\x80\x04V\\u006fs\nS'sys\\x74em'\n\x93\x8c\4true\x85R.",
    "names that calls make": b"\x80\x04cbuiltins\nstr\nC\2os\x85R\x8c\x06system\x93\x8c\4true\x85R.",
    "an instance": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\nX\4\0\0\0true\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n)}X\4\0\0\0argsX\4\0\0\0trues\x92.",
    "BUILD alone": b"\x80\x04cos\nsystem\n}b.",
    "a name alone": b"\x80\x04cantigravity\nfly\n.",
    "an alias": b"c__builtin__\neval\n(S'1'\ntR.",
    "dotted": b"\x80\x04\x8c\4json\x8c\x15codecs.builtins.eval.\x8c\0" + b"0\x93.",
    "extension": b"\x82\1)R.",
    "persistent": b"Pos.system\n.",
    "a method": b"cbuiltins\nset\n)RK\1a.",
    "deep": b"\x80\x04" + b"(" * 5000 + COMMAND + b".",
}

JOBLIB = base64.b64decode(
    """
    gASV2AAAAAAAAAB9lCiMAXeUjBNqb2JsaWIubnVtcHlfcGlja2xllIwRTnVtcHlBcnJheVdyYXBwZXKUk5QpgZR9lCiMCHN1
    YmNsYXNzlIwFbnVtcHmUjAduZGFycmF5lJOUjAVzaGFwZZRLBIWUjAVvcmRlcpSMAUOUjAVkdHlwZZRoCIwFZHR5cGWUk5SM
    AmY4lImIh5RSlChLA4wBPJROTk5K/////0r/////SwB0lGKMCmFsbG93X21tYXCUiIwbbnVtcHlfYXJyYXlfYWxpZ25tZW50
    X2J5dGVzlEsQdWIM////////////////AAAAAAAAAAAAAAAAAADwPwAAAAAAAABAAAAAAAAACECVCAAAAAAAAACMAXqUSwN1
    Lg==
    """
)
"""What joblib wrote for ``{"w": np.arange(4.0), "z": 3}``: an array's memory stands in the pickle."""

TORCH = (
    b"\x80\x02ccollections\nOrderedDict\n)RX\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage"
    b"ctorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x0atQK\0K\x0a\x85K\1\x85\x89tRs."
)
"""``data.pkl`` as ``torch.save`` writes it for one tensor of ten floats."""


class Spy(pickle.Unpickler):
    """The C unpickler, with nothing to find: it says what it was asked for."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(io.BytesIO(stream), buffers=[b"buffer"] * 10)
        self.names: list[tuple[str, str]] = []
        self.persistent = 0

    def find_class(self, module: str, name: str) -> Any:
        self.names.append((module, name))
        return Anything

    def persistent_load(self, pid: Any) -> Any:
        self.persistent += 1
        return None


class Anything:
    """Whatever a stream asks for: takes any arguments and any state, and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass
