"""Run distributed's own tests of its protocol with canning as the serializer.

    python -m tests.peers.run_distributed PATH_TO_CHECKOUT [--registered] [arguments of pytest]

With ``--registered`` all of them, with `transport.engines.dask.register` called; otherwise those that send
objects there and back, with canning in the place of both of distributed's families.

They are not in its wheel: PATH_TO_CHECKOUT is a clone of https://github.com/dask/distributed. What they try
is the distributed that is installed, which should be of about the same age. What pandas, pyarrow and scipy
are for is skipped where these are missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .checkouts import report, run_pytest

FILES = ("test_arrow", "test_collection", "test_numpy", "test_pandas", "test_pickle", "test_scipy")
"""Those that send objects there and back; the others try how distributed chooses among its families."""

_REGISTERED = "of a type that can only be sent by the serializer registered with distributed"
MORE = ("test_compression", "test_highlevelgraph", "test_protocol", "test_protocol_utils", "test_serialize")
MORE += ("test_sparse", "test_to_pickle", "test_utils")
"""Those that ``--registered`` runs as well."""
_ITEMS = "asserts that a container goes item by item, and in which header each stands"
_SMALL = "asserts in which frames, or how many, memory of less than 1 kB goes; it is in the header"
REGISTERED = {
    "test_serialize_collection": _ITEMS,
    "test_nested_types": _ITEMS,
    "test_serialize": "asserts fields of the header of Dask's own serializer of arrays",
    "test_compress_numpy": "asserts that an array is one frame; a pickle goes before it",
    "test_zero_strided_numpy_array": "asserts that a message of 40 bytes of memory is smaller than these",
    "test_dumps_serialize_numpy[x22]": _SMALL,
    "test_non_zero_strided_array": _SMALL,
    "test_pickle_out_of_band": _SMALL,
    "test_pickle_empty": _SMALL,
    "test_pickle_numpy": _SMALL,
    "test_dumps_loads_Serialize": _SMALL,
    "test_dumps_loads_Serialized": _SMALL,
    "test_dumps_serialize": _SMALL,
    "test_pickle_zero_copy_read_only_flag": _SMALL,
    "test_deserialize_bytes_zero_copy_read_only": _SMALL,
    "test_deserialize_bytes_zero_copy_writeable": _SMALL,
}
"""Tests that do not apply to ``--registered``, by name, with the reason."""
NOT_OURS = {
    "test_allow_pickle_if_registered_in_dask_serialize": _REGISTERED,
    "test_dump_fileinfo": _REGISTERED,
    "test_nopickle_nested": _REGISTERED,
    "test_pickle_by_value_when_registered": "compares the bytes with those of pickle.dumps",
    "test_pickle_empty[4]": "asserts that memory is read-only that was writable",
    "test_pickle_empty[5]": "asserts that empty memory has a frame of its own",
    "test_pickle_numpy[5]": "asserts that frames have the format of their array, and ours are flat bytes",
}
"""Tests that do not apply, by name, with the reason."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests both ways; return 1 where one fails with canning alone."""
    parser = argparse.ArgumentParser(description="Run distributed's own tests through canning.")
    parser.add_argument("checkout", type=Path, help="a clone of distributed")
    parser.add_argument("--registered", action="store_true", help="as users have it, all tests")
    options, arguments = parser.parse_known_args(argv)
    tests = options.checkout.absolute() / "distributed" / "protocol" / "tests"
    if not tests.is_dir():
        parser.error(f"{options.checkout} is no checkout of distributed: {tests} is not there")
    files = FILES + MORE if options.registered else FILES
    links = {f"{name}.py": tests / f"{name}.py" for name in files}
    chosen = ["-m", "not slow", *arguments]
    plain = run_pytest(chosen, links=links, stand_in=None)
    stand_in = "as_dask_engine" if options.registered else "as_distributed"
    canned = run_pytest(chosen, links=links, stand_in=stand_in)
    return report(plain, canned, REGISTERED if options.registered else NOT_OURS, whose="distributed")


if __name__ == "__main__":
    sys.exit(main())
