"""The tests in numpy's and pandas' own wheels that pickle something, with canning in the place of pickle."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.peers.checkouts import HERE, Outcomes, known, run_pytest

_BYTES = "looks into the bytes of pickle.dumps"
_SINGLE = "wants a copy of a dtype that there is only one of, and ours arrives as that one"
_SHORTER = "asserts that 8 items fewer pickle shorter; blobs are multiples of 64 bytes"
_LEGACY = "takes the bytes of pickle.dumps apart to make those of an old pandas"
NOT_OURS = {
    # numpy
    "test_datetime64_byteorder": "asserts that pickle changes the byte order, and ours stays",
    "test_non_contiguous_array": "asserts that numpy copies a slice; ours goes uncopied",
    "test_pickle_module": _BYTES,
    "test_signature_dtype_instances_allowed": _SINGLE,
    "test_structured_asarray_is_view": "asserts that a scalar made by pickle owns its memory; ours is a view",
    "test_writeable_pickle": "asserts that the base of a writable array is bytes",
    # pandas
    "arrays.arrow.test_pickle::test_pickle_roundtrip": _SHORTER,
    "arrays.string_.test_string_arrow::test_pickle_roundtrip": _SHORTER,
    "test_read_pickle_legacy_timestamp_keeps_tz": _LEGACY,
    "test_unpickle_legacy_timestamp_aware_input": _LEGACY,
    "test_unpickle_legacy_timestamp_keeps_tz": _LEGACY,
    "test_unpickle_legacy_timestamp_naive": _LEGACY,
    "test_unpickle_timestamp_by_component": _LEGACY,
}
"""Tests that do not apply, by name, with the reason."""

# pandas tries each pickle with every protocol, which are all the same here. Its wheel comes without its data.
OPTIONS = {
    "numpy": [],
    "pandas": [
        "--no-strict-data-files",
        "-k",
        "not proto_4 and not proto_default and not proto_highest and not python_pickler",
    ],
}


def where_tests_are(package: str) -> Path | None:
    """Find the tests in an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    top = Path(spec.origin).parent
    return {"numpy": top, "pandas": top / "tests"}[package] if (top / "tests").is_dir() else None


def run(package: str, tests: Path, stand_in: str | None) -> Outcomes:
    links = {"only_pickling.py": HERE / "only_pickling.py"}
    return run_pytest(["-p", "only_pickling", *OPTIONS[package], str(tests)], links=links, stand_in=stand_in)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["numpy", "pandas"])
def test_pickling_tests_of(package: str) -> None:
    tests = where_tests_are(package)
    if tests is None:
        pytest.skip(f"{package} is not installed with its tests")
    outcomes = run(package, tests, "as_pickle")
    failed = {name: outcome.reason for name, outcome in outcomes.items() if outcome.result == "failed"}
    failed = {name: reason for name, reason in failed.items() if known(name, NOT_OURS) is None}
    if failed:  # some may fail without canning too
        plain = run(package, tests, None)
        failed = {
            name: reason
            for name, reason in failed.items()
            if plain.get(name) is None or plain[name].result != "failed"
        }
    assert not failed
    assert sum(outcome.result == "passed" for outcome in outcomes.values()) > 100
