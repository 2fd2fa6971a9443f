"""Write the golden frames that are not there yet: ``python -m tests.golden.make``.

What is there is never written again: it is what that version of the format wrote. Whoever wants to add an
object adds it to `build`; whoever breaks a test here has broken messages that somebody kept.
"""

from __future__ import annotations

import array as stdarray
import collections
import datetime
import decimal
import functools
import pickle
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np

import canning
from canning.wire.blob import blob_of

FOLDER = Path(__file__).parent / "v3"
"""Of the version of the format that is written now; the others were never released."""
FILES = sorted(FOLDER.glob("*.bin"))
REGISTRY = canning.Registry()
REGISTRY.register(
    "fractions.Fraction",
    lambda f: [f.numerator, f.denominator],
    lambda state: __import__("fractions").Fraction(*state),
)


def floats(count: int) -> Any:
    """Count, in the byte order of the machine that wrote the frames, which is what arrives everywhere."""
    return np.arange(count, dtype="<f8")


def build() -> dict[str, Any]:
    """Make the objects: of builtins, the standard library and numpy, so that all can be imported anywhere.

    Dtypes name their byte order, so that a big-endian machine compares what it has read with the same. Long
    doubles (``g`` and ``G``) are no more alike on all machines than numpy has them.
    """
    import fractions

    large, matrix = floats(600), floats(1200).reshape(30, 40)
    loop: list[Any] = [large]
    loop.append(loop)
    objects = np.empty((2, 2), object)
    objects[:] = [[1, None], ["text", large]]
    readonly = floats(300)
    readonly.flags.writeable = False
    nested = np.dtype([("x", ">f4"), ("y", [("a", "<U3"), ("b", "?")], (2,))], align=True)
    made = {
        "atom": 5,
        "plain": {
            "a": [1, -1, 10**30, 2.5, 1j, None, True, "größe", b"bytes", ...],
            (1, "t"): {2},
            3: frozenset("a"),
        },
        "text": "long text " * 500,
        "long-plain": list(range(25_000)),
        "long-arrays": [list(range(25_000)), large, b"\0" * 70_000, np.arange(3, dtype="<i8")],
        "bytes": b"x" * 2000,
        "bytearray": bytearray(b"y" * 2000),
        "bytes-70k": [b"\0" * 70_000, bytearray(70_000), "z" * 70_000],
        "bytes-small": [b"x" * 1023, bytearray(b"y" * 10)],
        "memoryview": [
            memoryview(b"x" * 2000),
            memoryview(matrix)[::2],
            memoryview(stdarray.array("H", [0x6261, 0x6463, 0x6665])).cast("B").cast("H", (1, 3)),
        ],
        "array-stdlib": [stdarray.array("d", range(200)), stdarray.array("b", [1, 2])],
        "pickle-buffer": [pickle.PickleBuffer(b"p" * 2000)],
        "array": large,
        "array-small": np.arange(5, dtype="<i4"),
        "array-0d": np.array(2.5, "<f8"),
        "array-empty": [np.empty((0, 3), "<f8"), np.empty((3, 0), "<M8[s]")],
        "array-fortran": np.asfortranarray(matrix),
        "array-permuted": np.arange(1000, dtype="<i2").reshape(10, 10, 10).transpose(1, 2, 0),
        "array-reversed": [matrix[::-1, ::-1], large[:5][::-1]],
        "array-readonly": [readonly, readonly[:5].copy()],
        "array-broadcast": np.broadcast_to(large, (10, 600)),
        "array-span": matrix[2:28, 1:38],
        "array-gathered": [matrix[::3, ::3], floats(9000)[::9]],
        "array-runs": floats(10_240).reshape(5, 2048)[::2],
        "array-dtypes": [np.arange(300).astype(f"<{code}") for code in "bBhHiIlLefdgFDG"],
        "array-big-endian": [np.arange(300).astype(code) for code in (">i4", ">f8", ">M8[us]")],
        "array-dates": [
            np.arange(300).astype("<M8[D]"),
            np.arange(300).astype("<m8[25us]"),
            np.array("NaT", "<M8[s]"),
        ],
        "array-text": [
            np.array(["ab", "größe"] * 100, "<U5"),
            np.array([b"ab", b""] * 500),
            np.zeros(300, "V5"),
        ],
        "array-bool": np.arange(2000) % 3 == 0,
        "array-structured": np.zeros(60, nested),
        "array-titled": np.zeros(60, [(("title", "a"), "<i4"), ("b", "<f8")]),
        "array-record": np.rec.array([(1, 2.5)] * 100, [("a", "<i4"), ("b", "<f8")]),
        "array-objects": objects,
        "array-masked": np.ma.masked_array(large, large % 2 == 0, fill_value=-1),
        "dtypes": [
            np.dtype("<f8"),
            nested,
            np.dtype("<M8[7D]"),
            np.dtype("<f8", metadata={"unit": "m"}),
            np.dtype("O"),
        ],
        "scalars": [
            np.float32(1.5),
            np.int8(3),
            np.datetime64("2024-01-01"),
            np.str_("s"),
            np.bytes_(b"b"),
            np.void(b"v"),
        ],
        "nested": {
            "a": [large, {"b": (b"x" * 3000, np.arange(3, dtype="<i8"))}],
            "c": collections.OrderedDict(d=matrix.T),
        },
        "shared": [large, large, large[100:400], large[::2], large[5:8]],
        "shared-small": [(small := np.arange(20, dtype="<i8")), small[3:9], small[::-1]],
        "cycle": loop,
        "standard": [
            datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
            decimal.Decimal("1.10"),
            collections.deque([1, large], maxlen=3),
            functools.partial(divmod, 7),
            collections.defaultdict(list, {"a": [1]}),
        ],
        "reference": canning.Reference("a.b[0]['c']"),
        "canned": [canning.CannedBytes(b"c" * 2000)],
        "prepickled": [canning.PrePickled({"a": large})] * 2,
        "registered": [fractions.Fraction(1, 3)],
        "containers": [
            [],
            (),
            {},
            set(),
            frozenset(),
            [[[1]]],
            ((), ((),)),
            {"a": {1: {2: [3]}}},
            {(1, (2,)): 3},
        ],
        "integers": [0, 1, 255, 256, 65_535, 65_536, 2**31, -(2**31), 2**63, -(2**63), 2**2000],
        "floats": [0.0, -0.0, 1.5, float("inf"), 5e-324, 1e308, complex(1, -2)],
        "dates": [
            datetime.date(1, 1, 1),
            datetime.time(23, 59, 59, 999_999, fold=1),
            datetime.timedelta(-1, 2, 3),
            datetime.timezone(datetime.timedelta(hours=1), "name"),
        ],
        "keys": {
            datetime.date(2024, 1, 1): 1,
            (1, ("a", 2.5)): 2,
            uuid.UUID(int=7): 3,
            range(3): 4,
            decimal.Decimal(1): 5,
            np.float64(2.5): 6,
            None: 7,
        },
        "names": [
            uuid.UUID(int=2**127),
            range(9, 1, -2),
            slice(None, 3),
            collections.OrderedDict(b=1, a=2),
        ],
        "texts": ["", "\ud800", "\0", "s" * 255, "s" * 256, "größe" * 99, b"", b"\n.", bytearray(b"")],
        "twice": [text := ["x" * 30], text, (text, text), {"a": text}],
    }
    string = getattr(np.dtypes, "StringDType", None)
    if string is not None:
        made["array-strings"] = np.array(["a", "größe", "x" * 100], string())
    return made


def arrives(name: str, obj: Any) -> Any:
    """Tell what an object arrives as; most arrive as themselves."""
    if name == "canned":
        return [b"c" * 2000]
    if name == "prepickled":
        return [{"a": floats(600)}] * 2
    return obj


def kept_rows() -> list[Any]:
    """List the types of other packages, as far as these are here, of which frames are kept."""
    from tests.types_rows import ROWS

    return [row for row in ROWS if row.golden and row.is_here]


def write(folder: Path) -> list[str]:
    """Write what is not there; return the names."""
    folder.mkdir(exist_ok=True)
    serializer = canning.Serializer(registry=REGISTRY)
    messages = {name: serializer.serialize_object(obj) for name, obj in build().items()}
    messages.update((row.file, canning.serialize_object(row.make())) for row in kept_rows())
    messages["call"] = serializer.pack_apply_message(divmod, [floats(600)], {"key": b"k" * 2000})
    written = []
    for name, frames in messages.items():
        path = folder / f"{name}.bin"
        if not path.exists():
            path.write_bytes(b"".join(blob_of(frames)))
            written.append(name)
    return written


def check(folder: Path) -> list[str]:
    """Read all messages of a folder, and compare what arrives; return their names."""
    from canning.wire.blob import frames_of
    from tests.harness import assert_equal

    serializer, made = canning.Serializer(registry=REGISTRY), build()
    rows = {row.file: row for row in kept_rows()}
    names = []
    for path in sorted(folder.glob("*.bin")):
        frames = frames_of(bytearray(path.read_bytes()))
        if path.stem == "call":
            f, args, kwargs = serializer.unpack_apply_message(frames)
            assert (f, kwargs) == (divmod, {"key": b"k" * 2000})
            assert_equal([floats(600)], list(args), writeable="same")
        elif path.stem in rows:
            row = rows[path.stem]
            got, rest = canning.deserialize_object(frames)
            assert rest == []
            row.same(row.make(), got, writeable="same")
        elif path.stem in made:
            got, rest = serializer.deserialize_object(frames)
            assert rest == []
            try:
                assert_equal(arrives(path.stem, made[path.stem]), got, writeable="same")
            except Exception as error:
                raise AssertionError(f"{path.name}: {error}") from error
        else:
            continue  # of a dtype that this numpy does not have, or of a package that is not here
        names.append(path.stem)
    return names


if __name__ == "__main__":
    print("written:", ", ".join(write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)) or "nothing new")
