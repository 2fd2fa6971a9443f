"""Types that canning knows from the start: those of other packages, and of the standard library.

A name with a slash and a number is a type in portable messages: this version of its state is specified in
``docs/states.md``.

`LIBRARIES` lists the modules here and their types; it is all that is imported before an object of one of
them is sent or received. Each module has `CANNERS`, one for each type, and is short: read
`canning/types/libraries/scipy_sparse.py` for an example. ``docs/types.md`` shows how each is sent.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final

from ...errors import CanningError
from ...values import Value
from ..canner import Canner


class Library(Value):
    """List the types that a module here knows.

    Attributes:
        package: the package that is imported before instances exist; empty for the standard library.
        since: the oldest version that is known to work, and is tested.
        types: by their public names, as in messages, followed by the classes' own names if they differ, with
            a space between them.
    """

    package: str
    since: tuple[int, ...]
    types: dict[str, str]

    def __init__(self, package: str, since: tuple[int, ...], types: dict[str, str]) -> None:
        super().__init__(package=package, since=since, types=types)


_ARROW: Final = (
    *("Array", "ChunkedArray", "RecordBatch", "Table", "Scalar"),
    *("Buffer", "Schema", "Field", "DataType", "Tensor"),
)
_INDEXES: Final = ("RangeIndex", "DatetimeIndex", "TimedeltaIndex", "CategoricalIndex", "MultiIndex")
LIBRARIES: Final[dict[str, Library]] = {
    "told_pandas": Library(
        "pandas",
        (2, 2),
        {
            "pandas.DataFrame/1": "",
            "pandas.Series/1": "",
            "pandas.Index/1": " ".join(f"pandas.{name}/1" for name in _INDEXES),
        },
    ),
    "told_arrow": Library("pyarrow", (17, 0), {"pyarrow.Table/1": ""}),
    "told_polars": Library("polars", (1, 36), {"polars.DataFrame/1": "", "polars.Series/1": ""}),
    "pandas_frames": Library(
        "pandas",
        (2, 2),
        {
            "pandas.DataFrame": "pandas.core.frame.DataFrame",
            "pandas.Series": "pandas.core.series.Series",
        },
    ),
    "pandas_indexes": Library(
        "pandas",
        (2, 2),
        {
            "pandas.Index": "pandas.core.indexes.base.Index",
            "pandas.RangeIndex": "pandas.core.indexes.range.RangeIndex",
            "pandas.MultiIndex": "pandas.core.indexes.multi.MultiIndex",
            "pandas.DatetimeIndex": "pandas.core.indexes.datetimes.DatetimeIndex",
            "pandas.TimedeltaIndex": "pandas.core.indexes.timedeltas.TimedeltaIndex",
            "pandas.PeriodIndex": "pandas.core.indexes.period.PeriodIndex",
            "pandas.IntervalIndex": "pandas.core.indexes.interval.IntervalIndex",
            "pandas.CategoricalIndex": "pandas.core.indexes.category.CategoricalIndex",
            "pandas.SharedMemory": "pandas._libs.internals.BlockValuesRefs",
        },
    ),
    "pandas_arrays": Library(
        "pandas",
        (2, 2),
        {
            "pandas.Categorical": "pandas.core.arrays.categorical.Categorical",
            "pandas.CategoricalDtype": "pandas.core.dtypes.dtypes.CategoricalDtype",
            "pandas.arrays.DatetimeArray": "pandas.core.arrays.datetimes.DatetimeArray",
            "pandas.arrays.TimedeltaArray": "pandas.core.arrays.timedeltas.TimedeltaArray",
            "pandas.arrays.PeriodArray": "pandas.core.arrays.period.PeriodArray",
            "pandas.arrays.IntervalArray": "pandas.core.arrays.interval.IntervalArray",
            "pandas.arrays.IntegerArray": "pandas.core.arrays.integer.IntegerArray",
            "pandas.arrays.FloatingArray": "pandas.core.arrays.floating.FloatingArray",
            "pandas.arrays.BooleanArray": "pandas.core.arrays.boolean.BooleanArray",
            "pandas.arrays.SparseArray": "pandas.core.arrays.sparse.array.SparseArray",
            "pandas.arrays.StringArray": (
                "pandas.core.arrays.string_.StringArray pandas.core.arrays.string_.StringArrayNumpySemantics"
            ),
            "pandas.arrays.ArrowStringArray": (
                "pandas.core.arrays.string_arrow.ArrowStringArray "
                "pandas.core.arrays.string_arrow.ArrowStringArrayNumpySemantics"
            ),
            "pandas.arrays.ArrowExtensionArray": "pandas.core.arrays.arrow.array.ArrowExtensionArray",
            "pandas.arrays.NumpyExtensionArray": "pandas.core.arrays.numpy_.NumpyExtensionArray",
        },
    ),
    "pandas_scalars": Library(
        "pandas",
        (2, 2),
        {
            "pandas.Timestamp": "pandas._libs.tslibs.timestamps.Timestamp",
            "pandas.Timedelta": "pandas._libs.tslibs.timedeltas.Timedelta",
            "pandas.Period": "pandas._libs.tslibs.period.Period",
            "pandas.Interval": "pandas._libs.interval.Interval",
            "pandas.NaT": "pandas._libs.tslibs.nattype.NaTType pandas.api.typing.NaTType",
            "pandas.NA": "pandas._libs.missing.NAType pandas.api.typing.NAType",
            "pandas.api.extensions.ExtensionDtype": "pandas.core.dtypes.base.ExtensionDtype",
        },
    ),
    "polars_frames": Library(
        "polars",
        (1, 36),
        {
            "polars.DataFrame": "polars.dataframe.frame.DataFrame",
            "polars.Series": "polars.series.series.Series",
        },
    ),
    "scipy_sparse": Library(
        "scipy",
        (1, 13),
        {
            f"scipy.sparse.{form}_{kind}{version}": f"scipy.sparse._{form}.{form}_{kind}{version}"
            for form in ("csr", "csc", "bsr", "coo", "dia")
            for kind in ("array", "matrix")
            for version in ("", "/1")
        },
    ),
    "torch_tensors": Library(
        "torch",
        (2, 13),
        {
            "torch.Tensor": "",
            "torch.Tensor/1": "",
            "torch.nn.Parameter": "torch.nn.parameter.Parameter",
            "torch.UntypedStorage": "torch.storage.UntypedStorage",
            "torch.dtype": "",
            "torch.device": "",
            "torch.Size": "",
        },
    ),
    "xarray_sets": Library(
        "xarray",
        (2024, 10),
        {
            "xarray.Dataset": "xarray.core.dataset.Dataset",
            "xarray.DataArray": "xarray.core.dataarray.DataArray",
            "xarray.Variable": "xarray.core.variable.Variable",
            "xarray.IndexVariable": "xarray.core.variable.IndexVariable",
            "xarray.indexes.PandasIndex": "xarray.core.indexes.PandasIndex",
            "xarray.indexes.PandasMultiIndex": "xarray.core.indexes.PandasMultiIndex",
            "xarray.PandasIndexingAdapter": "xarray.core.indexing.PandasIndexingAdapter",
            "xarray.PandasMultiIndexingAdapter": "xarray.core.indexing.PandasMultiIndexingAdapter",
            "xarray.PandasExtensionArray": "xarray.core.extension_array.PandasExtensionArray",
            "xarray.DataTree": "xarray.core.datatree.DataTree",
        },
    ),
    "pint_quantities": Library(
        "pint",
        (0, 24),
        {
            "pint.Quantity": "pint.registry.Quantity",
            "pint.Unit": "pint.registry.Unit",
        },
    ),
    "astropy_units": Library(
        "astropy",
        (6, 0),
        {
            "astropy.units.Quantity": "astropy.units.quantity.Quantity",
            "astropy.coordinates.Angle": "astropy.coordinates.angles.core.Angle",
            "astropy.coordinates.Latitude": "astropy.coordinates.angles.core.Latitude",
            "astropy.coordinates.Longitude": "astropy.coordinates.angles.core.Longitude",
            "astropy.coordinates.Distance": "astropy.coordinates.distances.Distance",
        },
    ),
    "pytz_zones": Library(
        "pytz",
        (2020, 1),
        {
            "pytz.tzinfo.DstTzInfo": "",
            "pytz.tzinfo.StaticTzInfo": "",
            "pytz.UTC": "",
            "pytz.FixedOffset": "pytz._FixedOffset",
        },
    ),
    "dateutil_zones": Library(
        "dateutil",
        (2, 8),
        {
            "dateutil.tz.tzfile": "dateutil.tz.tz.tzfile dateutil.tz._tzfile.tzfile",
            "dateutil.tz.tzoffset": "dateutil.tz.tz.tzoffset",
            "dateutil.tz.tzutc": "dateutil.tz.tz.tzutc",
        },
    ),
    "geopandas_geometry": Library(
        "geopandas",
        (1, 0),
        {
            "geopandas.array.GeometryArray": "",
        },
    ),
    "jax_arrays": Library(
        "jax",
        (0, 5),
        {
            "jax.Array": "jaxlib._jax.ArrayImpl jaxlib.xla_extension.ArrayImpl",
        },
    ),
    "numba_typed": Library(
        "numba",
        (0, 60),
        {
            "numba.typed.List": "numba.typed.typedlist.List",
            "numba.typed.Dict": "numba.typed.typeddict.Dict",
        },
    ),
    "pillow_images": Library(
        "PIL",
        (10, 0),
        {
            "PIL.Image.Image": "",
            "PIL.ImageFile.ImageFile": "",
        },
    ),
    "standard": Library(
        "",
        (),
        {
            "mmap.mmap": "",
            "io.BytesIO": "_io.BytesIO",
            "zoneinfo.ZoneInfo": "",
            "struct.Struct": "_struct.Struct",
            "ctypes.Array": "_ctypes.Array",
            "ctypes.Structure": "_ctypes.Structure",
            "ctypes.Union": "_ctypes.Union",
            "ctypes._SimpleCData": "_ctypes._SimpleCData",
        },
    ),
    "pyarrow_types": Library(
        "pyarrow", (17, 0), {f"pyarrow.{name}": f"pyarrow.lib.{name}" for name in _ARROW}
    ),
}
"""The types known here, by the name of the module that knows them."""


_DISTRIBUTIONS: Final = {"PIL": "pillow"}
"""The name of the distribution of a package, if it differs."""


def _index() -> dict[str, tuple[str, str]]:
    found = {}
    for module, library in LIBRARIES.items():
        for name, aliases in library.types.items():
            for alias in (name, *aliases.split()):
                found[alias] = (module, name)
    return found


_INDEX: Final = _index()


def public_name(name: str) -> str | None:
    """Return the name under which a type is known here; None if it is not."""
    found = _INDEX.get(name)
    return None if found is None else found[1]


def is_imported(name: str) -> bool:
    """Tell whether the package of a type that is known here is imported already."""
    package = LIBRARIES[_INDEX[name][0]].package
    return not package or package in sys.modules


def load_canner(name: str, error: Callable[[str], CanningError]) -> Canner:
    """Return the canner of a type that is known here, by its public name, and import the modules it needs.

    Raises `error` if the package is missing, or too old.
    """
    module = _INDEX[name][0]
    library = LIBRARIES[module]
    if library.package:
        _check_version(library, name, error)
    try:
        knows: Any = importlib.import_module(f"{__package__}.{module}")
    except ImportError as missing:
        raise error(f"canning cannot handle a {name} here: {missing}") from missing
    canner: Canner = next(canner for canner in knows.CANNERS if canner.name == name)
    return canner


def _check_version(library: Library, name: str, error: Callable[[str], CanningError]) -> None:
    try:
        package = importlib.import_module(library.package)
    except ImportError as missing:
        called = _DISTRIBUTIONS.get(library.package, library.package)
        raise error(f"this message holds a {name}: install {called} to read it") from missing
    version = str(getattr(package, "__version__", ""))
    numbers = []
    for part in version.split(".")[:2]:
        if not part.isdecimal():
            break
        numbers.append(int(part))
    if numbers and tuple(numbers) < library.since:
        oldest = ".".join(map(str, library.since))
        raise error(
            f"{library.package} {version} is too old: a {name} travels with {library.package} {oldest} or "
            f"later; update it, or canning.unregister({name!r}) at the sender leaves the type to pickle"
        )
