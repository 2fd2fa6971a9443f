"""Rows for `tests.hostile` of smaller libraries: images, sets of arrays, quantities, ctypes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .hostile import Hostile, Made

# -- Pillow ----------------------------------------------------------------------------------------------


def image(mode: str, size: Any, memory: Any, raw: str = "", palette: Any = None, info: Any = None) -> Made:
    return Made("PIL.Image.Image", (memory, raw, mode, size, palette, info or {}))


def pillow_rows() -> list[Hostile]:
    few, grey = ("RGB", b"\0\1\2"), bytes(range(16))
    pixels = np.zeros(64, np.uint8)
    return [
        Hostile("too few pixels", lambda: image("L", (5, 5), grey)),
        Hostile("too few pixels in memory", lambda: image("RGBA", (5, 5), pixels, "RGBA")),
        Hostile("a negative width", lambda: image("L", (-4, -4), grey)),
        Hostile("a width of no int", lambda: image("L", (4.0, 4), grey)),
        Hostile("no height", lambda: image("L", (1 << 20, 0), b"")),
        Hostile("memory of another mode", lambda: image("L", (4, 4), pixels, "RGBX")),
        Hostile("memory of numbers", lambda: image("RGBA", (4, 4), pixels.view("<u4"), "RGBA")),
        Hostile("a mode that there is not", lambda: image("XYZ", (4, 4), grey)),
        Hostile("a mode that only raw pixels have", lambda: image("BGR;24", (2, 2), bytes(12))),
        Hostile("a palette of no mode", lambda: image("P", (4, 4), grey, palette=("CMYK", b"\0" * 64))),
        Hostile("a palette for grey", lambda: image("L", (4, 4), grey, palette=few)),
        Hostile("a palette that is too long", lambda: image("P", (4, 4), grey, palette=("RGB", bytes(769)))),
        Hostile("half a colour", lambda: image("P", (4, 4), grey, palette=("RGB", b"\0\1\2\3")), False),
        Hostile("one colour, and sixteen pixels", lambda: image("P", (4, 4), grey, palette=few), False),
        Hostile("no palette", lambda: image("P", (4, 4), grey), False),
        *(
            Hostile(
                f"{mode}, {what}",
                lambda mode=mode, size=size, info=info: image(
                    mode, (4, 4), bytes(16 * size), palette=few if mode in ("P", "PA") else None, info=info
                ),
                False,
            )
            for mode, size in (("P", 1), ("PA", 2), ("L", 1), ("RGB", 3), ("RGBA", 4), ("I;16", 2), ("F", 4))
            for what, info in _INFOS.items()
        ),
    ]


_INFOS: Final[dict[str, dict[Any, Any]]] = {
    "transparency of bytes": {"transparency": b"\0" * 999},
    "transparency of one number": {"transparency": 1 << 40},
    "transparency of numbers": {"transparency": (-1, 1 << 70, 3)},
    "transparency of a list": {"transparency": [[]]},
    "a profile, and others of no use": {
        "icc_profile": b"\xff" * 999,
        "exif": b"Exif\0\0MM\0*\xff\xff\xff\xff",
    },
    "exif that points to itself": {
        "exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\0\0\0\0"
    },
    "numbers where text belongs": {"dpi": (0, 0), "gamma": "x", "xmp": 1, "background": 1 << 40, "loop": -1},
}


# -- ctypes ----------------------------------------------------------------------------------------------


def ctypes_rows() -> list[Hostile]:
    def array(described: Any, memory: Any) -> Hostile:
        return Hostile(f"{described}", lambda: Made("ctypes.Array", (described, memory)))

    some = np.full(64, 255, np.uint8)
    return [
        *(array((code, 8), some) for code in ("O", "P", "z", "Z", "X", "q;", "")),
        *(array(("b", length), some) for length in (-64, 1 << 62, 65, 63, 0)),
        array((("b", 1 << 40), 0), some[:0]),
        array((("b", 0), 64), some[:0]),
        array(("d", 8), some.view("<f8")),
        array((("i", 4), 4.0), some),
        *(
            Hostile(f"used: {kind}", lambda kind=kind: Made("ctypes.Array", (kind, some)), False)
            for kind in (("u", 16), ("?", 64), ("c", 64), ("d", 8), (("h", 4), 8), (">i", 16), ("v", 32))
            if kind[0] != "v" or "v" in _codes()
        ),
    ]


def _codes() -> Any:
    from canning.types.libraries.standard import _SIMPLE

    return _SIMPLE


# -- quantities ------------------------------------------------------------------------------------------


def astropy_rows() -> list[Hostile]:
    import astropy.coordinates
    import astropy.units  # noqa: F401

    numbers = np.arange(4.0)

    def quantity(unit: Any, array: Any = numbers, **more: Any) -> Made:
        return Made("astropy.units.Quantity", (array, unit, more))

    def longitude(wrap: Any) -> Made:
        return Made("astropy.coordinates.Longitude", (numbers, "deg", {"wrap_angle": wrap}))

    return [
        *(
            Hostile(f"a unit of {text[:30]}", lambda text=text: quantity(text))
            for text in (
                *(
                    "10**(99999999) m",
                    "10^99999999",
                    "m99999999",
                    "10+99999999",
                    "m(1/99999999)",
                    "1e99999 m",
                ),
                *(
                    "sqrt(10**(99999999) m)",
                    "1e3 10**(99999999)",
                    "m, 10**(99999999) m",
                    "9" * 900,
                    "m" * 1001,
                ),
                *("10**(9999) m", "no such thing", "(" * 400, "mag(mag(m))", "mag(AB)", "m/s/kg", "m⁹⁹⁹⁹⁹"),
                "m(-1/3)/s(-1/2)",
            )
        ),
        *(
            Hostile(f"a unit of {text[:30]}", lambda text=text: quantity(text), False)
            for text in (
                "",
                "1e-17 erg / (s cm2)",
                "m(3/2)",
                "m(1/3) / s(1/2)",
                "m9999",
                "sqrt(" * 50 + "m" + ")" * 50,
            )
        ),
        Hostile("a unit that is none", lambda: quantity(7)),
        Hostile("objects", lambda: quantity("m", np.array([[], {}], object))),
        Hostile("more of it", lambda: quantity("m", __array_interface__={"data": (1, False)})),
        *(
            Hostile(f"wraps at {str(wrap)[:20]}", lambda wrap=wrap: longitude(wrap))
            for wrap in ("10**(99999999) deg", "1" * 5000 + "deg", [1.0] * 3, np.zeros(4), {}, 360.0)
        ),
        Hostile(
            "wraps at many angles", lambda: longitude(Made("astropy.coordinates.Angle", (numbers, "deg", {})))
        ),
        Hostile(
            "latitudes beyond the poles",
            lambda: Made("astropy.coordinates.Latitude", (numbers * 99, "deg", {})),
        ),
        Hostile("no numbers", lambda: quantity("m", numbers * np.nan), False),
    ]


def jax_rows() -> list[Hostile]:
    import jax  # noqa: F401

    def array(numbers: Any, weak: Any = False) -> Made:
        return Made("jax.Array", (numbers, weak))

    every = np.full(100, 255, np.uint8)
    return [
        *(
            Hostile(f"an array of {dtype}", lambda dtype=dtype: array(np.zeros(3, dtype)))
            for dtype in ("S3", "U3", "M8[s]", "m8[ns]", "i4,f8", "V4", "V0", ">f4", "g", "O")
        ),
        Hostile("no array", lambda: array([1.0])),
        Hostile("a masked array", lambda: array(np.ma.array([1, 2]))),
        Hostile("weak by a number", lambda: array(np.zeros(3, "f4"), 1)),
        Hostile("more than is there", lambda: array(np.broadcast_to(np.float32(1), (1 << 30,)))),
        Hostile("many empty ones", lambda: array(np.broadcast_to(np.float32(1), (1 << 40, 0)))),
        Hostile("flags that are no flags", lambda: array(every.view(bool), True), False),
        Hostile("many axes", lambda: array(np.zeros((1,) * 30, "f4")), False),
        Hostile("no elements", lambda: array(np.zeros((0, 5), "i1")), False),
        Hostile("numbers downcast", lambda: array(np.full(20_000, 1e300)), False),
        Hostile("strides of 0", lambda: array(np.broadcast_to(np.arange(3.0), (4, 3))), False),
    ]


def geopandas_rows() -> list[Hostile]:
    import geopandas  # noqa: F401

    def column(kind: Any, crs: Any = None, offsets: Any = ()) -> Made:
        return Made("geopandas.array.GeometryArray", (kind, np.zeros((4, 2)), offsets, crs))

    return [
        Hostile("points", lambda: column(0)),
        Hostile("a file as coordinates' system", lambda: column(0, "/etc/passwd")),
        Hostile("offsets beyond it", lambda: column(3, None, (np.array([0, 1 << 40]), np.array([0, 1])))),
    ]


def pint_rows() -> list[Hostile]:
    def unit(*units: Any) -> Made:
        return Made("pint.Unit", (units,))

    return [
        *(
            Hostile(f"a unit of {str(name)[:30]}", lambda name=name: unit((name, 1)))
            for name in (
                "",
                "a" * 101,
                "__import__('os')",
                "meter**9**9",
                "nosuch",
                7,
                "meter per second",
                "9e9",
            )
        ),
        *(
            Hostile(f"a power of {str(power)[:20]}", lambda power=power: unit(("meter", power)))
            for power in ("2", None, 1j, (1,), True)
        ),
        Hostile("a hundred units", lambda: unit(*[("meter", 1)] * 100)),
        Hostile("no magnitude", lambda: Made("pint.Quantity", ("5", (("meter", 1),)))),
        *(
            Hostile(f"used: a power of {str(power)[:20]}", lambda power=power: unit(("meter", power)), False)
            for power in (1 << 70, float("nan"), 1e300, -3)
        ),
        Hostile(
            "used: objects",
            lambda: Made("pint.Quantity", (np.array([[], {}], object), (("meter", 1),))),
            False,
        ),
    ]


# -- xarray ----------------------------------------------------------------------------------------------


def xarray_rows() -> list[Hostile]:
    import pandas as pd
    import xarray as xr

    def variable(dims: Any, data: Any, attrs: Any = None, encoding: Any = None) -> Made:
        return Made("xarray.Variable", (dims, data, attrs, encoding))

    def adapter(dtype: Any, array: Any = None) -> Made:
        index = pd.Index([1, 2, 3]) if array is None else array
        return Made("xarray.PandasIndexingAdapter", (index, dtype))

    def dataset(
        variables: Any, names: Any = (), indexes: Any = None, axes: Any = ("x",), **more: Any
    ) -> Made:
        state = variables, list(names), more.get("attrs"), indexes or {}, more.get("encoding"), list(axes)
        return Made("xarray.Dataset", state)

    def array(data: Any, coords: Any = None, indexes: Any = None, name: Any = None) -> Made:
        return Made("xarray.DataArray", (data, coords or {}, name, indexes or {}))

    def index(array: Any, dim: Any = "x", dtype: Any = "i8") -> Made:
        return Made("xarray.indexes.PandasIndex", (array, dim, np.dtype(dtype)))

    three = np.arange(3)
    x = pd.Index([1, 2, 3], name="x")
    good = variable(("x",), three)
    labels = Made("xarray.IndexVariable", (("x",), adapter(np.dtype("i8"), x), None, None))
    other = Made(
        "xarray.IndexVariable", (("x",), adapter(np.dtype("i8"), pd.Index([1, 2, 4], name="x")), None, None)
    )
    return [
        Hostile("Variable: fewer axes", lambda: variable(("x", "y"), three)),
        Hostile("Variable: an axis twice", lambda: variable(("x", "x"), np.eye(3))),
        Hostile("Variable: a list", lambda: variable(("x",), [1, 2, 3])),
        Hostile("Variable: an axis that is no key", lambda: variable(([],), three)),
        Hostile("Variable: attributes that are no dict", lambda: variable(("x",), three, [("a", 1)])),
        Hostile(
            "Variable: an interface",
            lambda: variable(("x",), three, {"__array_interface__": {"data": (1, 0)}}),
        ),
        Hostile(
            "Variable: an interface in the encoding", lambda: variable(("x",), three, {}, {"__array__": 1})
        ),
        Hostile("adapter: a dtype of text", lambda: adapter("object")),
        Hostile("adapter: a list", lambda: adapter(np.dtype("i8"), [1, 2])),
        *(
            Hostile(f"adapter: {dtype}", lambda dtype=dtype: variable(("x",), adapter(dtype)), False)
            for dtype in map(np.dtype, ("V8", "O", "M8[s]", "S1", "U1000", "(3,)i4", "c16", "i4,f8"))
        ),
        Hostile(
            "DataArray: a coordinate of another length",
            lambda: array(good, {"c": variable(("x",), np.arange(4))}),
        ),
        Hostile(
            "DataArray: a coordinate of another axis", lambda: array(good, {"c": variable(("y",), three)})
        ),
        Hostile("DataArray: an index of nothing", lambda: array(good, {}, {"x": index(x)})),
        Hostile("DataArray: an index of other labels", lambda: array(good, {"x": other}, {"x": index(x)})),
        Hostile(
            "DataArray: an index of another axis", lambda: array(good, {"x": labels}, {"x": index(x, "y")})
        ),
        Hostile("DataArray: a name that is a list", lambda: array(good, name=[])),
        Hostile("DataArray: a variable that is none", lambda: array(three)),
        Hostile("Dataset: two lengths", lambda: dataset({"a": good, "b": variable(("x",), np.arange(4))})),
        Hostile("Dataset: an axis of no variable", lambda: dataset({"a": good}, axes=("x", "y"))),
        Hostile("Dataset: an axis less", lambda: dataset({"a": good}, axes=())),
        Hostile(
            "Dataset: an axis that is one number",
            lambda: dataset({"x": variable((), np.array(1)), "a": good}),
        ),
        Hostile(
            "Dataset: an axis of two axes",
            lambda: dataset({"x": variable(("x", "y"), np.eye(3))}, axes="xy"),
            False,
        ),
        Hostile("Dataset: an index of no coordinate", lambda: dataset({"x": labels}, (), {"x": index(x)})),
        Hostile("Dataset: a coordinate of nothing", lambda: dataset({"a": good}, ("c",))),
        Hostile("Dataset: an interface", lambda: dataset({"a": good}, attrs={"__array_struct__": 1})),
        *(
            Hostile(
                f"DataTree: a node at {path[:20]!r}",
                lambda path=path: Made("xarray.DataTree", ({path: xr.Dataset()}, None)),
            )
            for path in ("../up", "a/../../b", "a/" * 120)
        ),
        Hostile("Dataset: labels that are not indexed", lambda: dataset({"x": labels}, ("x",)), False),
        Hostile("Dataset: well", lambda: dataset({"x": labels}, ("x",), {"x": index(x)}), False),
        Hostile(
            "Dataset: an index that says another dtype",
            lambda: dataset({"x": labels}, ("x",), {"x": index(x, dtype="V8")}),
            False,
        ),
    ]


MORE: Final = {
    "PIL": pillow_rows,
    "ctypes": ctypes_rows,
    "astropy": astropy_rows,
    "jax": jax_rows,
    "geopandas": geopandas_rows,
    "pint": pint_rows,
    "xarray": xarray_rows,
}
