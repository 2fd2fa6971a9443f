"""What docs/comparison.md says of other libraries, of those that are installed here."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
ARRAY = np.arange(1200.0).reshape(30, 40)
FORTRAN = np.asfortranarray(ARRAY)
LINE = np.arange(1000.0)
SWAPPED = LINE.astype(">f8")
FIELDS = np.zeros(3, [("x", "i4"), ("y", "f8")])
PADDED = np.zeros(300, np.dtype([("x", "i1"), ("y", "f8")], align=True))
DATES = np.zeros(1000, "M8[D]")
MATRIX = LINE.reshape(1, -1).view(np.matrix)
OBJECTS = [LINE, LINE, LINE[:5]]


class Effect:
    """An object whose pickle calls a function of its sender's choice."""

    def __reduce__(self) -> Any:
        return os.getpid, ()


def fails(function: Callable[..., Any], *arguments: Any) -> bool:
    """Tell whether a call raises."""
    try:
        function(*arguments)
    except Exception:
        return True
    return False


def is_part_of(frame: Any, array: np.ndarray) -> bool:
    return np.shares_memory(np.frombuffer(frame, np.uint8), array)


def same(objects: list[Any]) -> tuple[bool, bool]:
    """Tell whether the first two are one object, and whether the third is still a view of them."""
    return objects[0] is objects[1], np.shares_memory(objects[0], objects[2])


def runs_code(trip: Callable[[Any], Any]) -> bool:
    return bool(trip(Effect()) == os.getpid())


# -- ipyparallel.serialize ---------------------------------------------------------------------------------


def ipp_frames(obj: Any) -> list[Any]:
    from ipyparallel.serialize import serialize_object

    return list(serialize_object(obj))


def ipp_read(frames: list[Any]) -> Any:
    from ipyparallel.serialize import deserialize_object

    return deserialize_object(frames)[0]


def ipp_trip(obj: Any, kind: type = bytes) -> Any:
    return ipp_read([kind(frame) for frame in ipp_frames(obj)])


def ipp_is_at_an_odd_address() -> bool:
    head, frame = map(bytes, ipp_frames(LINE))
    odd = np.empty(len(frame) + 1, np.uint8)[1:]
    odd[:] = np.frombuffer(frame, np.uint8)
    return not ipp_read([head, memoryview(odd)]).flags.aligned


IPYPARALLEL: dict[str, Callable[[], bool]] = {
    "buffers beside the pickle": lambda: (
        is_part_of(ipp_frames([LINE])[1], LINE)
        and [len(ipp_frames(obj)) for obj in ([[LINE]], [LINE] * 63, [LINE] * 64)] == [1, 64, 1]
    ),
    "the same on arrival": lambda: (
        ipp_trip(PADDED).dtype != PADDED.dtype and not ipp_trip(FORTRAN).flags.f_contiguous
    ),
    "arrays arrive writable": lambda: (
        ipp_trip(LINE, bytearray).flags.writeable and not ipp_trip(LINE, bytes).flags.writeable
    ),
    "arrays arrive aligned": ipp_is_at_an_odd_address,
    "arrays with gaps": lambda: not is_part_of(ipp_frames(ARRAY[:, ::2])[1], ARRAY),
    "the same memory twice": lambda: len(ipp_frames([LINE, LINE])) == 3,
    "a lambda over an array": lambda: fails(ipp_trip, _over(LINE)),
    "safe with a stranger's message": lambda: runs_code(ipp_trip),
}


def _over(array: np.ndarray) -> Callable[[], Any]:
    return lambda: array[2]


# -- Dask distributed --------------------------------------------------------------------------------------


class Subclass(np.ndarray):
    pass


def dask_frames(obj: Any) -> list[Any]:
    from distributed.protocol import serialize

    return [each for each in serialize(obj, on_error="raise")[1] if memoryview(each).nbytes > 1000]


def dask_trip(obj: Any) -> Any:
    from distributed.protocol import deserialize, serialize

    return deserialize(*serialize(obj, on_error="raise"))


def dask_codecs() -> set[str]:
    from distributed.protocol.compression import compressions

    return {*compressions}


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


CODECS = {name for name, package in (("lz4", "lz4"), ("zstd", "zstandard")) if find_spec(package)}
DASK: dict[str, Callable[[], bool]] = {
    "buffers beside the pickle": lambda: is_part_of(dask_frames({"a": [[LINE]]})[0], LINE),
    "the same on arrival": lambda: (
        type(dask_trip(LINE.view(Subclass))) is np.ndarray
        and type(dask_trip(np.rec.array(FIELDS))) is np.ndarray
        and type(dask_trip(MATRIX)) is np.matrix
    ),
    "arrays arrive writable": lambda: (
        dask_trip(LINE).flags.writeable and not dask_trip(_read_only(LINE)).flags.writeable
    ),
    "arrays with gaps": lambda: not is_part_of(dask_frames(ARRAY[:, ::2])[0], ARRAY),
    "the same memory twice": lambda: len(dask_frames([LINE, LINE])) == 2,
    "a lambda over an array": lambda: dask_trip(_over(LINE))() == 2,
    "compression": lambda: dask_codecs() >= {"zlib"} | CODECS,
    "safe with a stranger's message": lambda: runs_code(dask_trip),
}

# -- joblib and loky ---------------------------------------------------------------------------------------


def joblib_trip(obj: Any, **options: Any) -> Any:
    import joblib

    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(obj, f"{folder}/file")
        return joblib.load(f"{folder}/file", **options)


def joblib_file(obj: Any, **options: Any) -> bytes:
    import joblib

    file = io.BytesIO()
    joblib.dump(obj, file, **options)
    return file.getvalue()


def _loky(obj: Any) -> bytes:
    from joblib.externals.loky.backend.reduction import dumps

    return bytes(dumps(obj))


JOBLIB: dict[str, Callable[[], bool]] = {
    "buffers beside the pickle": lambda: (
        LINE.tobytes() in _loky([LINE]) and isinstance(joblib_trip(LINE, mmap_mode="r"), np.memmap)
    ),
    "the same on arrival": lambda: (
        joblib_trip(SWAPPED).dtype == np.float64 and type(joblib_trip(MATRIX)) is np.ndarray
    ),
    "arrays arrive writable": lambda: not joblib_trip(LINE, mmap_mode="r").flags.writeable,
    "arrays arrive aligned": lambda: all(
        joblib_trip([b"x" * size, LINE], mmap_mode="r")[1].ctypes.data % 16 == 0 for size in range(16)
    ),
    "arrays with gaps": lambda: joblib_trip(ARRAY[:, ::2]).flags.c_contiguous,
    "the same memory twice": lambda: same(joblib_trip(OBJECTS)) == (False, False),
    "compression": lambda: len(joblib_file(LINE, compress=3)) < LINE.nbytes,
    "safe with a stranger's message": lambda: runs_code(joblib_trip),
}

# -- cloudpickle with buffers out of band ------------------------------------------------------------------


def out_of_band(obj: Any) -> list[Any]:
    buffers: list[Any] = []
    cloudpickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    return buffers


def cloudpickle_trip(obj: Any, kind: Callable[[Any], Any] = bytearray) -> Any:
    buffers: list[Any] = []
    pickled = cloudpickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(pickled, buffers=[kind(buffer.raw()) for buffer in buffers])


def _bfloat16() -> np.ndarray:
    return np.zeros(1000, pytest.importorskip("ml_dtypes").bfloat16)


CLOUDPICKLE: dict[str, Callable[[], bool]] = {
    "buffers beside the pickle": lambda: (
        len(out_of_band([[{"a": LINE}]])) == 1
        and not any(map(out_of_band, (DATES, _bfloat16(), ARRAY[::2, ::2], b"x" * 100_000)))
        and not out_of_band(np.array(["long enough" * 9], np.dtypes.StringDType()))
    ),
    "the same on arrival": lambda: type(cloudpickle_trip(memoryview(b"abc"))) is bytes,
    "arrays arrive writable": lambda: (
        cloudpickle_trip(LINE).flags.writeable and not cloudpickle_trip(LINE, bytes).flags.writeable
    ),
    "arrays with gaps": lambda: (
        len(out_of_band(np.zeros((10, 20, 30)).transpose(1, 0, 2))) == 1 and not out_of_band(ARRAY[:, ::2])
    ),
    "the same memory twice": lambda: same(cloudpickle_trip(OBJECTS)) == (True, False),
    "a lambda over an array": lambda: cloudpickle_trip(_over(LINE))() == 2,
    "safe with a stranger's message": lambda: runs_code(cloudpickle_trip),
}

# -- send_pyobj --------------------------------------------------------------------------------------------


def pyobj_trip(obj: Any) -> Any:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://formats")
        there.connect("inproc://formats")
        here.send_pyobj(obj)
        return there.recv_pyobj()


SEND_PYOBJ: dict[str, Callable[[], bool]] = {
    "arrays": lambda: (
        all(pyobj_trip(array).dtype == array.dtype for array in (FIELDS, DATES, LINE))
        and (pyobj_trip(SWAPPED).dtype == SWAPPED.dtype) == (sys.version_info >= (3, 14))
    ),
    "arrays beside the rest, uncopied": lambda: LINE.tobytes() in pickle.dumps(LINE, -1),
    "memory order": lambda: (
        pyobj_trip(FORTRAN).flags.f_contiguous and pyobj_trip(ARRAY[:, ::2]).flags.c_contiguous
    ),
    "arrays arrive writable": lambda: pyobj_trip(ARRAY).flags.writeable,
    "the same memory twice": lambda: same(pyobj_trip(OBJECTS)) == (True, False),
    "tuples, sets and such": lambda: pyobj_trip(((1,), {2}, 3j)) == ((1,), {2}, 3j),
    "a lambda": lambda: fails(pyobj_trip, lambda: 1),
    "safe with a stranger's message": lambda: runs_code(pyobj_trip),
}

# -- Arrow IPC ---------------------------------------------------------------------------------------------


def arrow_column() -> tuple[np.ndarray, Any]:
    """Give a column that was written and read, and the memory that it was written to."""
    import pyarrow as pa
    import pyarrow.ipc

    sink = pa.BufferOutputStream()
    table = pa.table({"column": pa.array(LINE)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    buffer = sink.getvalue()
    return pa.ipc.open_stream(buffer).read_all().column("column").chunk(0).to_numpy(), buffer


def arrow_array(obj: Any) -> Any:
    import pyarrow as pa

    return pa.array(obj)


def arrow_tensor(array: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.Tensor.from_numpy(array)


def arrow_has(codec: str) -> bool:
    import pyarrow as pa

    return bool(pa.Codec.is_available(codec))


ARROW: dict[str, Callable[[], bool]] = {
    "arrays": lambda: (
        all(fails(arrow_array, other) for other in (ARRAY, SWAPPED, FIELDS, [object()]))
        and arrow_tensor(ARRAY).shape == ARRAY.shape
    ),
    "arrays beside the rest, uncopied": lambda: (
        np.shares_memory(arrow_array(LINE).to_numpy(), LINE) and is_part_of(*reversed(arrow_column()))
    ),
    "memory order": lambda: arrow_tensor(FORTRAN).strides == FORTRAN.strides,
    "arrays arrive writable": lambda: not arrow_column()[0].flags.writeable,
    "a lambda": lambda: fails(arrow_array, [lambda: 1]),
    "compression": lambda: all(map(arrow_has, ("lz4", "zstd"))),
}

# -- safetensors -------------------------------------------------------------------------------------------


def tensors_trip(array: np.ndarray) -> np.ndarray:
    from safetensors.numpy import load, save

    return load(save({"x": array}))["x"]


def tensors(obj: Any) -> bytes:
    from safetensors.numpy import save

    return bytes(save(obj))


SAFETENSORS: dict[str, Callable[[], bool]] = {
    "arrays": lambda: all(
        fails(tensors, obj) for obj in ({"a": FIELDS}, {"a": DATES}, {"a": {"b": ARRAY}}, {"a": 3})
    ),
    "memory order": lambda: (
        not np.array_equal(tensors_trip(FORTRAN), FORTRAN)
        and not np.array_equal(tensors_trip(ARRAY[::2]), ARRAY[::2])
    ),
    "arrays arrive writable": lambda: tensors_trip(ARRAY).flags.writeable,
    "the same memory twice": lambda: len(tensors({"a": LINE, "b": LINE})) > 2 * LINE.nbytes,
    "tuples, sets and such": lambda: fails(tensors, {"a": (1, 2)}) and fails(tensors, {"a": {1, 2}}),
    "a lambda": lambda: fails(tensors, {"a": lambda: 1}),
}

# -- msgspec -----------------------------------------------------------------------------------------------


def msgspec_trip(obj: Any) -> Any:
    from msgspec import msgpack

    return msgpack.decode(msgpack.encode(obj))


MSGSPEC: dict[str, Callable[[], bool]] = {
    "arrays": lambda: fails(msgspec_trip, ARRAY),
    "the same memory twice": lambda: len({id(each) for each in msgspec_trip([[1]] * 2)}) == 2,
    "tuples, sets and such": lambda: msgspec_trip(((1, 2), {3})) == [[1, 2], [3]],
    "a lambda": lambda: fails(msgspec_trip, lambda: 1),
}

# -- Apache Fory -------------------------------------------------------------------------------------------


def fory(strict: bool = False) -> Any:
    import pyfory

    return pyfory.Fory(xlang=False, ref=True, strict=strict)


def fory_trip(obj: Any) -> Any:
    return fory().deserialize(fory().serialize(obj))


def fory_buffers(obj: Any) -> list[Any]:
    buffers: list[Any] = []
    fory().serialize(obj, buffer_callback=buffers.append)
    return buffers


FORY: dict[str, Callable[[], bool]] = {
    "arrays": lambda: (
        np.array_equal(fory_trip({"a": [ARRAY]})["a"][0], ARRAY) and fory_trip(FIELDS).dtype.names is None
    ),
    "arrays beside the rest, uncopied": lambda: (
        len(fory_buffers({"a": [ARRAY]})) == 1 and not fory_buffers({"a": [LINE]})
    ),
    "memory order": lambda: (
        fory_trip(FORTRAN).flags.c_contiguous and np.array_equal(fory_trip(FORTRAN), FORTRAN)
    ),
    "arrays arrive writable": lambda: not fory_trip(ARRAY).flags.writeable,
    "the same memory twice": lambda: same(fory_trip(OBJECTS)) == (True, False),
    "tuples, sets and such": lambda: fory_trip(((1,), {2})) == ((1,), {2}),
    "a lambda": lambda: fory_trip(_over(LINE))() == 2,
    "safe with a stranger's message": lambda: fails(fory(strict=True).serialize, Effect()),
}

# -- the page ----------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[str, dict[str, Callable[[], bool]]]] = {
    "ipyparallel.serialize": ("ipyparallel.serialize", IPYPARALLEL),
    "Dask distributed": ("distributed.protocol", DASK),
    "joblib / loky": ("joblib", JOBLIB),
    "cloudpickle + protocol 5": ("cloudpickle", CLOUDPICKLE),
    "`send_pyobj`": ("zmq", SEND_PYOBJ),
    "Arrow IPC and Flight": ("pyarrow", ARROW),
    "safetensors": ("safetensors.numpy", SAFETENSORS),
    "msgspec": ("msgspec", MSGSPEC),
    "Apache Fory": ("pyfory", FORY),
}
CELLS = [(column, row) for column, (_, checks) in COLUMNS.items() for row in checks]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(("column", "row"), CELLS)
def test_a_cell_is_as_the_page_says(column: str, row: str) -> None:
    package, checks = COLUMNS[column]
    pytest.importorskip(package)
    assert checks[row]()


def test_every_cell_is_tested_or_named_as_read() -> None:
    cells = _cells()
    said = {cell for cell in cells if cell[0] in COLUMNS}
    assert {row for _, row in said - {*CELLS}} == READ
    assert said >= {*CELLS}


READ = {
    "made for",
    "one tracker for all frames",
    "says which part cannot be sent",
    "compression",
    "memory shared on one host",
    "authentication, encryption",
    "encryption",
    "safe with a stranger's message",
    "schedules work",
    "arrays beside the rest, uncopied",
}
"""Rows with cells that say what a library is for or does not have, which no call shows."""


def _cells() -> set[tuple[str, str]]:
    """Name the cells of the page that are not empty: column and row."""
    found, header = set(), [""]
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and not cells[0]:
            header = cells
        elif cells and set(cells[0]) != {"-"}:
            found |= {(column, cells[0]) for column, cell in zip(header[1:], cells[1:], strict=True) if cell}
    return found
