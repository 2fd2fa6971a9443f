"""CPython's own tests of pickle, `test.pickletester`, run through canning with each of its picklers.

The mixins ask for a `dumps` and a `loads`. Ours give frame 0 alone where that is the whole message: the tests
that look at opcodes see those of a header, since `pickletools` stops where the trailer starts. What goes
out of band goes to their `buffer_callback`. Only protocol 5 is tried, the one that canning writes.
"""

from __future__ import annotations

import pickle
import struct
import unittest
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from unittest import mock

import pytest

import canning
from canning.wire.blob import MAGIC
from tests.test_functions import check_dill

pickletester = pytest.importorskip(
    "test.pickletester", reason="this Python comes without its own tests, as Debian packages it"
)

_OLDER = "looks at protocols below 5, which canning does not write"
_FRAMING = "looks at how a pickler cuts its stream: canning makes other cuts, and frames of large bytes"
_PICKLER = "tries options of a class Pickler, which canning has not"
_NO_COPY = "asserts that a slice is copied on the way, and canning sends it uncopied"
_CALLBACK = "releases a buffer in a callback that is asked while it is pickled: canning asks nobody"
_VALUE = "asserts a failure for what goes by value"

NOT_OURS = {
    "test_bad_getattr": _OLDER,
    "test_buffers_numpy": _NO_COPY,
    "test_compat_pickle": _OLDER,
    "test_concurrent_mutation_in_buffer_with_bytearray": _CALLBACK,
    "test_concurrent_mutation_in_buffer_with_memoryview": _CALLBACK,
    "test_evil_pickler_mutating_collection": _PICKLER,
    "test_float_format": _OLDER,
    "test_framed_write_sizes_with_delayed_writer": _FRAMING,
    "test_framing_large_objects": _FRAMING,
    "test_framing_many_objects": _FRAMING,
    "test_global_ext1": _OLDER,
    "test_global_ext2": _OLDER,
    "test_global_ext4": _OLDER,
    "test_object_with_private_slots": _OLDER,
    "test_object_with_slots": _OLDER,
    "test_optional_frames": _FRAMING,
    "test_pickle_to_2x": _OLDER,
    "test_picklebuffer_error": _OLDER,
}
"""Tests that do not apply, by name, with the reason."""

GOES_BY_VALUE = {
    "test_bad_object_dict_items": "reduces to an iterator, which the second attempt, by value, finds spent",
    "test_c_methods": _VALUE,
    "test_local_lookup_error": _VALUE,
    "test_nested_lookup_error": _VALUE,
    "test_py_methods": _VALUE,
    "test_unpickleable_newobj_class": _VALUE,
    "test_unpickleable_newobj_ex_class": _VALUE,
}
"""Tests that do not apply to a pickler that sends code by value."""

AS_CLOUDPICKLE = {
    "test_dynamic_class": "cloudpickle wants classes that can be hashed",
    "test_in_band_buffers": "counts opcodes, and cloudpickle sends a class method by value",
    "test_oob_buffers": "counts opcodes, and cloudpickle sends a class method by value",
}
"""Tests that `cloudpickle.dumps` fails as well."""

AS_DILL = {
    "test_dynamic_class": "dill wants classes that can be hashed",
    "test_in_band_buffers": "counts opcodes, and dill sends a class method by value",
    "test_newobj_proxies": "dill sends the proxy, not what it stands for",
    "test_oob_buffers": "counts opcodes, and dill sends a class method by value",
}
"""Tests that `dill.dumps` fails as well."""

_ENCODING = "asks for the option encoding='bytes' of pickle.loads, which canning has not"
OTHER_READERS = {
    "test_custom_find_class": "tries a subclass of Unpickler",
    "test_find_class": "calls Unpickler.find_class",
    "test_load_long_python2_str_as_bytes": _ENCODING,
    "test_load_python2_str_as_bytes": _ENCODING,
    "test_misc_get": "has bytes behind the pickle, which count as damage here",
}
"""Tests of reading that do not apply."""


class _Protocols(tuple[int, ...]):
    """The protocols to try: 5, in whichever slice of all of them has it."""

    def __getitem__(self, key: Any) -> Any:
        chosen = range(pickle.HIGHEST_PROTOCOL + 1)[key]
        return tuple(set(self) & set(chosen)) if isinstance(key, slice) else chosen


def unwrapped(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function of canning's, and raise what its error was made of, which is what these tests know."""
    try:
        return function(*args, **options)
    except canning.CanningError as error:
        told = error.__cause__ or pickle.PickleError(str(error))
    raise told  # out here, where it keeps its context, at which the tests of 3.14 look


class Refused(pickle.UnpicklingError, EOFError):
    """What canning refuses before an unpickler sees it is one or the other to these tests."""


class Codec(unittest.TestCase):
    """Give `test.pickletester` what it asks for."""

    options: ClassVar[dict[str, Any]] = {}
    not_ours: ClassVar[dict[str, str]] = NOT_OURS

    def setUp(self) -> None:
        reason = self.not_ours.get(self._testMethodName)
        if reason is not None:
            self.skipTest(reason)
        self.enterContext(mock.patch.object(pickletester, "protocols", _Protocols([5])))

    def dumps(
        self, obj: Any, protocol: int | None = None, buffer_callback: Callable[[Any], Any] | None = None
    ) -> bytes:
        if buffer_callback is None:
            frames = unwrapped(canning.serialize_object, obj, **self.options)
            return bytes(frames[0]) if len(frames) == 1 else unwrapped(canning.dumps, obj, **self.options)
        if protocol is not None and protocol < 5:
            raise ValueError("protocols below 5 know no buffers")
        head, *rest = unwrapped(canning.serialize_object, obj, 1, **self.options)
        stays = [buffer_callback(pickle.PickleBuffer(frame.obj)) for frame in rest]
        return self.dumps(obj) if any(stays) else bytes(head)

    def loads(self, blob: bytes, *, buffers: Iterable[Any] | None = None, **ignored: Any) -> Any:
        if blob.startswith(MAGIC):
            return unwrapped(canning.loads, blob)
        try:
            return unwrapped(canning.deserialize_object, [blob, *(buffers or ())])[0]
        except pickle.PickleError as error:
            raise Refused(str(error)) from None


class RoundTripsTest(Codec, pickletester.AbstractPickleTests):  # type: ignore[misc,name-defined]
    not_ours = NOT_OURS | GOES_BY_VALUE


class RoundTripsByReferenceTest(RoundTripsTest):
    options: ClassVar = {"pickler": "pickle"}
    not_ours = NOT_OURS


class RoundTripsByCloudpickleTest(RoundTripsTest):
    options: ClassVar = {"pickler": "cloudpickle"}
    not_ours = NOT_OURS | GOES_BY_VALUE | AS_CLOUDPICKLE


class RoundTripsByDillTest(RoundTripsTest):
    options: ClassVar = {"pickler": "dill"}
    not_ours = NOT_OURS | GOES_BY_VALUE | AS_DILL

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        check_dill()


class PlainPicklesTest(Codec, pickletester.AbstractUnpickleTests):  # type: ignore[misc,name-defined]
    """Pickles of other origin, of any protocol, as frame 0 of a message without a trailer."""

    not_ours = OTHER_READERS
    bad_stack_errors = (pickle.UnpicklingError, IndexError)
    truncated_errors = (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ValueError,
        struct.error,
        IndexError,
        ImportError,
    )
    truncated_data_error = (truncated_errors, "")  # these two are for tests that Python 3.15 added
    size_overflow_error = ((*truncated_errors, OverflowError), "")


# Python 3.12 and earlier have no such tests.
if hasattr(pickletester, "AbstractPicklingErrorTests"):

    class PicklingErrorsTest(Codec, pickletester.AbstractPicklingErrorTests):  # type: ignore[misc,name-defined]
        not_ours = NOT_OURS | GOES_BY_VALUE
        pickler = pickle.Pickler

    class PicklingErrorsByReferenceTest(PicklingErrorsTest):
        options: ClassVar = {"pickler": "pickle"}
        not_ours = NOT_OURS
