"""Check what docs/comparison.md says of other formats, in the versions that are installed.

pip install pyzmq pyarrow safetensors msgspec pyfory; python -m tests.peers.formats
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

ARRAY = np.arange(12.0).reshape(3, 4)
FORTRAN = np.asfortranarray(ARRAY)
LINE = np.arange(1000.0)
SWAPPED = ARRAY.astype(">f8")
FIELDS = np.zeros(3, [("x", "i4"), ("y", "f8")])
DATES = np.array(["2020-01-01"], "M8[D]")


def fails(function: Callable[..., Any], *arguments: Any) -> bool:
    """Tell whether a call raises."""
    try:
        function(*arguments)
    except Exception:
        return True
    return False


def send_pyobj() -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://formats")
        there.connect("inproc://formats")

        def trip(obj: Any) -> Any:
            here.send_pyobj(obj)
            return there.recv_pyobj()

        assert trip(FORTRAN).flags.f_contiguous
        assert trip(ARRAY[:, ::2]).flags.c_contiguous
        assert trip(FIELDS).dtype == FIELDS.dtype
        assert trip(ARRAY).flags.writeable
        first, second, view = trip([LINE, LINE, LINE[:5]])
        assert first is second
        assert not np.shares_memory(first, view)
        assert fails(trip, lambda: 1)


def arrow() -> None:
    import pyarrow as pa
    import pyarrow.flight
    import pyarrow.ipc

    column = pa.array(LINE)
    assert np.shares_memory(column.to_numpy(), LINE)
    sink = pa.BufferOutputStream()
    table = pa.table({"column": column})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    buffer = sink.getvalue()
    read = pa.ipc.open_stream(buffer).read_all().column("column").chunk(0).to_numpy()
    assert np.shares_memory(read, np.frombuffer(buffer, np.uint8))
    assert not read.flags.writeable
    assert pa.Tensor.from_numpy(FORTRAN).strides == FORTRAN.strides
    for other in (ARRAY, SWAPPED.ravel(), FIELDS, [object()]):
        assert fails(pa.array, other)
    assert all(pa.Codec.is_available(name) for name in ("lz4", "zstd"))


def safetensors() -> None:
    from safetensors.numpy import load, save

    def trip(array: np.ndarray) -> np.ndarray:
        return load(save({"x": array}))["x"]

    assert np.array_equal(trip(ARRAY), ARRAY)
    assert trip(ARRAY).flags.writeable
    assert not np.array_equal(trip(FORTRAN), FORTRAN)
    assert not np.array_equal(trip(ARRAY[::2]), ARRAY[::2])
    assert trip(SWAPPED).dtype == np.float64
    assert fails(trip, FIELDS)
    assert fails(trip, DATES)
    assert fails(save, {"a": {"b": ARRAY}})
    assert fails(save, {"a": 3})
    assert len(save({"a": LINE, "b": LINE})) > 2 * LINE.nbytes


def msgspec() -> None:
    from msgspec import msgpack

    assert fails(msgpack.encode, ARRAY)
    assert fails(msgpack.encode, lambda: 1)
    assert msgpack.decode(msgpack.encode((1, 2))) == [1, 2]
    inner = [1]
    first, second = msgpack.decode(msgpack.encode([inner, inner]))
    assert first is not second


def fory() -> None:
    import pyfory

    def codec(strict: bool = False) -> Any:
        return pyfory.Fory(xlang=False, ref=True, strict=strict)

    def trip(obj: Any) -> Any:
        return codec().deserialize(codec().serialize(obj))

    def outside(obj: Any) -> int:
        buffers: list[Any] = []
        codec().serialize(obj, buffer_callback=buffers.append)
        return len(buffers)

    class Point:
        pass

    assert trip(FORTRAN).flags.c_contiguous
    assert np.array_equal(trip(FORTRAN), FORTRAN)
    assert not trip(ARRAY).flags.writeable
    assert trip(FIELDS).dtype.names is None
    assert outside({"a": [ARRAY]}) == 1
    assert outside({"a": [LINE]}) == 0
    same = trip([LINE, LINE, LINE[:5]])
    assert same[0] is same[1]
    assert not np.shares_memory(same[0], same[2])
    assert trip(lambda x: x + LINE[1])(1) == 2
    assert fails(codec(strict=True).serialize, Point())


def main() -> None:
    packages = {
        "pyzmq": send_pyobj,
        "pyarrow": arrow,
        "safetensors": safetensors,
        "msgspec": msgspec,
        "pyfory": fory,
    }
    for package, check in packages.items():
        check()
        print(f"{package} {version(package)}: as the page says")


if __name__ == "__main__":
    main()
