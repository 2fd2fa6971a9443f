"""More rows of `tests.types`: attrs, xarray, Pillow, pint, astropy, pytz, dateutil, geopandas, jax."""

from __future__ import annotations

import atexit
import datetime as dt
import io
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .harness import assert_equal
from .types import Row
from .types_same import (
    fields_memory,
    image_memory,
    pandas_memory,
    same_geo,
    same_image,
    same_jax,
    same_quantity,
    same_value,
    same_xarray,
    xarray_memory,
)

BERLIN: Final = "Europe/Berlin"
ALLOWED: Final = "read as data where the reader allows the class: `allow=`"
COPIED_THERE: Final = "arrives as a copy: an image owns its memory"

# -- attrs -----------------------------------------------------------------------------------------------


def attrs_record() -> Any:
    from .types_attrs import Record

    return Record(np.arange(400.0), "a")


ATTRS: Final = (
    Row(
        "classes with arrays",
        "attr",
        attrs_record,
        assert_equal,
        fields_memory,
        remark=ALLOWED,
        allow=("tests.types_attrs.Record",),
    ),
)

# -- xarray ----------------------------------------------------------------------------------------------


def xarray_set(xr: Any) -> Any:
    import pandas as pd

    return xr.Dataset(
        {"a": (("y", "x"), np.arange(1200.0).reshape(3, 400), {"unit": "m"}), "b": ("x", np.arange(400))},
        coords={"x": np.arange(400) * 0.5, "t": ("y", pd.date_range("2024", periods=3, unit="us")), "n": 3.5},
        attrs={"by": "canning"},
    )


def xarray_levels(xr: Any) -> Any:
    import pandas as pd

    levels = pd.MultiIndex.from_product([np.arange(200), ["a", "b"]], names=["n", "s"])
    coords = xr.Coordinates.from_pandas_multiindex(levels, "k")
    return xr.DataArray(np.arange(400.0), dims="k", coords=coords)


def categories(xr: Any) -> Any:
    import pandas as pd

    return xr.DataArray(pd.Categorical(["a", "b"] * 200), dims="k")


def lazy_set(xr: Any) -> Any:
    folder = tempfile.mkdtemp(prefix="canning-types-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/set.nc"
    xarray_set(xr).drop_vars("t").to_netcdf(path, engine="scipy")
    return xr.open_dataset(path, engine="scipy")


def xarray(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import xarray as xr

        return make(xr)

    return Row(name, "xarray", make_it, same_xarray, more.pop("memory", xarray_memory), **more)


XARRAY: Final = (
    xarray("Dataset", xarray_set, golden=True),
    xarray("DataArray", lambda xr: xarray_set(xr)["a"], golden=True),
    xarray("DataArray: levels of an index", xarray_levels, remark="its codes are read-only everywhere"),
    xarray("DataArray: coordinates without an index", lambda xr: xarray_set(xr).drop_indexes("x")["b"]),
    xarray("DataArray: categories", lambda xr: categories(xr), memory=None),
    xarray("Dataset, its axes in another order", lambda xr: xarray_set(xr).transpose("x", "y")),
    xarray("DataArray: a coordinate", lambda xr: xarray_set(xr)["t"]),
    xarray("Variable", lambda xr: xarray_set(xr)["a"].variable),
    xarray(
        "DataTree", lambda xr: xr.DataTree.from_dict({"/": xarray_set(xr), "/c": xarray_set(xr)}), memory=None
    ),
    xarray(
        "DataTree: a branch",
        lambda xr: xr.DataTree.from_dict({"/c": xarray_set(xr), "/c/d": xarray_set(xr)}, name="top")["c"],
        memory=None,
        remark="as xarray copies one: with coordinates that it has from above, without the rest of the tree",
    ),
    xarray(
        "Dataset of a file, lazily indexed",
        lazy_set,
        data=False,
        memory=None,
        remark="stays so: the receiver opens the file; `.load()` it to send what it holds",
    ),
)

# -- Pillow, pint, astropy, pytz, geopandas --------------------------------------------------------------


def image(mode: str, **more: Any) -> Row:
    def make() -> Any:
        from PIL import Image

        noise = np.random.default_rng(0).integers(0, 256, (50, 64, 4), np.uint8)
        made = (
            Image.fromarray(noise, "RGBA")
            if mode == "RGBA"
            else Image.fromarray(noise[:, :, :3]).convert(mode)
        )
        made.info["dpi"] = (72, 72)
        return made

    return Row(f"Image: {mode}", "PIL", make, same_image, more.pop("memory", image_memory), **more)


def image_of_a_file() -> Any:
    from PIL import Image

    file = io.BytesIO()
    image("RGB").make().save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()))


PILLOW: Final = (
    *(image(mode, remark=COPIED_THERE, golden=mode == "RGB") for mode in ("RGB", "RGBA", "L", "1", "I", "F")),
    *(image(mode, remark=COPIED_THERE) for mode in ("P", "CMYK", "YCbCr")),
    *(image(mode, memory=None, remark="goes as bytes, a copy") for mode in ("LA", "LAB", "HSV")),
    Row(
        "images that were opened",
        "PIL",
        image_of_a_file,
        same_image,
        data=False,
        remark="of the class that read the file, which a stranger's message cannot name: send `image.copy()`",
    ),
)


def quantity() -> Any:
    import pint

    return np.arange(400.0) * pint.application_registry.Unit("kilometer / hour")


def pint(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    return Row(name, "pint", lambda: make(quantity()), same_quantity, **more)


PINT: Final = (
    pint(
        "Quantity",
        lambda quantity: quantity,
        memory=lambda quantity: [quantity.magnitude],
        golden=True,
        remark="in the reader's application registry, as pint itself has it",
    ),
    pint("Quantity: one number", lambda quantity: quantity[3]),
    pint("Unit", lambda quantity: quantity.units),
)


def astropy(name: str, make: Callable[[Any, Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        from astropy import coordinates, units

        return make(units, coordinates)

    return Row(name, "astropy", make_it, same_quantity, lambda obj: [obj.view(np.ndarray)], **more)


ASTROPY: Final = (
    astropy("Quantity", lambda units, _: np.arange(400.0) * units.m / units.s, golden=True),
    astropy("Quantity: other strides", lambda units, _: (np.arange(600.0).reshape(20, 30) * units.m).T),
    astropy("Angle", lambda units, sky: sky.Angle(np.arange(400.0), units.deg)),
    astropy("Latitude", lambda units, sky: sky.Latitude(np.arange(400.0) / 5, units.deg)),
    astropy(
        "Longitude",
        lambda units, sky: sky.Longitude(np.arange(400.0) % 180, units.deg, wrap_angle=180 * units.deg),
    ),
    astropy("Distance", lambda units, sky: sky.Distance(np.arange(400.0), units.kpc)),
    astropy(
        "Quantity with a unit that you define",
        lambda units, _: np.arange(400.0) * units.def_unit("dozen", 12 * units.one),
        data=False,
        remark="a unit that is not found by its name goes by astropy's hooks",
    ),
)


def pytz(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import pytz

        return make(pytz)

    return Row(name, "pytz", make_it, same_value, **more)


PYTZ: Final = (
    pytz("time zones", lambda pytz: pytz.timezone(BERLIN), golden=True, remark="those of pandas 2"),
    pytz(
        "datetime.datetime with one",
        lambda pytz: pytz.timezone(BERLIN).localize(dt.datetime(2024, 7, 1)),
    ),
    pytz("UTC, fixed offsets", lambda pytz: pytz.FixedOffset(90)),
    pytz("zones without summer time", lambda pytz: pytz.timezone("Asia/Tokyo")),
)


def dateutil(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        from dateutil import tz

        return make(tz)

    return Row(name, "dateutil", make_it, same_value, **more)


DATEUTIL: Final = (
    dateutil("time zones", lambda tz: tz.gettz(BERLIN), golden=True, remark="of the reader's database"),
    dateutil("datetime.datetime with one", lambda tz: dt.datetime(2024, 7, 1, tzinfo=tz.gettz(BERLIN))),
    dateutil("UTC", lambda tz: tz.tzutc()),
    dateutil("offsets", lambda tz: tz.tzoffset("mine", 5400), golden=True),
    dateutil(
        "rules that you define, and the local zone",
        lambda tz: tz.tzstr("EST5EDT"),
        data=False,
        remark="by their own hooks",
    ),
)


def places(*others: Any) -> Any:
    import geopandas
    from shapely.geometry import Point

    where = [*others, *(Point(number, number) for number in range(len(others), 400))]
    return geopandas.GeoDataFrame({"a": np.arange(400.0)}, geometry=where, crs="EPSG:4326")


GEOPANDAS: Final = (
    Row(
        "GeoDataFrame",
        "geopandas",
        lambda: places(None),
        same_geo,
        pandas_memory,
        data=False,
        remark="by its own hooks: numbers uncopied, geometries as bytes, one by one",
    ),
    Row(
        "geometries of one kind",
        "geopandas",
        lambda: places().geometry.values,
        same_geo,
        data=False,
        remark="none missing or empty: as their coordinates, which are a copy",
    ),
)


def jax(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import jax

        return make(jax)

    return Row(name, "jax", make_it, same_jax, more.pop("memory", lambda obj: [np.asarray(obj)]), **more)


JAX: Final = (
    jax(
        "Array",
        lambda jax: jax.numpy.arange(600.0).reshape(20, 30),
        golden=True,
        remark="arrives uncopied in frames that are aligned to 64 bytes, as those of an arena",
    ),
    jax("Array: bfloat16", lambda jax: jax.numpy.arange(900, dtype=jax.numpy.bfloat16)),
    jax("Array: float8", lambda jax: jax.numpy.arange(2000).astype("float8_e5m2")),
    jax("Array: weakly typed", lambda jax: jax.numpy.asarray(3.5)),
    jax("Array: no elements", lambda jax: jax.numpy.zeros((0, 5), "int8")),
    jax(
        "keys",
        lambda jax: jax.random.key(0),
        memory=None,
        data=False,
        remark="by jax's own pickling, and so arrays of devices, which copy to the host",
    ),
)

MORE: Final = (*XARRAY, *PILLOW, *PINT, *ASTROPY, *PYTZ, *DATEUTIL, *GEOPANDAS, *JAX)
