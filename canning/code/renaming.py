"""Renamed modules and classes: by the reader's option, by a registry, and in known old releases."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import is_of_signal
from ..provided import provides
from ..types.marks import check_name

_SKLEARN: Final = {
    "cluster": ("k_means_:_kmeans", "dbscan_:_dbscan", "hierarchical:_agglomerative"),
    "decomposition": ("pca:_pca", "truncated_svd:_truncated_svd"),
    "ensemble": (
        "forest:_forest",
        "bagging:_bagging",
        "gradient_boosting:_gb",
        "weight_boosting:_weight_boosting",
    ),
    "feature_selection": ("univariate_selection:_univariate_selection",),
    "linear_model": (
        "base:_base",
        "logistic:_logistic",
        "ridge:_ridge",
        "stochastic_gradient:_stochastic_gradient",
    ),
    "neighbors": ("classification:_classification", "regression:_regression", "kd_tree:_kd_tree"),
    "neural_network": ("multilayer_perceptron:_multilayer_perceptron",),
    "preprocessing": ("data:_data", "label:_label", "_encoders:_encoders", "imputation:_imputation"),
    "svm": ("classes:_classes", "base:_base"),
    "tree": ("tree:_classes",),
}
"""Names that scikit-learn 0.22 made private, by package: ``old:new``."""
KNOWN_MOVES: Final[Mapping[str, str]] = {
    "__mp_main__": "__main__",  # how a process that multiprocessing has started calls the script
    "numpy.core": "numpy._core",  # numpy 2.0
    "numpy._core": "numpy.core",
    "numpy.rec": "numpy",
    "pathlib._local": "pathlib",  # how Python 3.13 names the classes of pathlib
    "sre_constants": "re._constants",
    "sre_parse": "re._parser",
    "sre_compile": "re._compiler",
    "fractions.gcd": "math.gcd",
    **{
        f"collections.{name}": f"collections.abc.{name}"
        for name in ("Mapping", "Sequence", "Set", "Iterable")
    },
    **{
        f"scipy.sparse.{name}": f"scipy.sparse._{name}"
        for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    },
    "pandas.indexes": "pandas.core.indexes",
    "pandas.tseries.index": "pandas.core.indexes.datetimes",
    "pandas.core.index": "pandas.core.indexes.base",
    **{
        f"pandas.core.indexes.numeric.{name}": "pandas.Index"
        for name in ("Int64Index", "UInt64Index", "Float64Index")
    },
    "sklearn.externals.joblib": "joblib",
    **{
        f"sklearn.{package}.{old}": f"sklearn.{package}.{new}"
        for package, moves in _SKLEARN.items()
        for old, new in (move.split(":") for move in moves)
        if old != new
    },
}
"""New places of names in well-known packages. They are used only if the old name does not exist."""


class Renames:
    """Map old names to new ones; the longest old name that a name equals, or lies within, decides.

    >>> renames = Renames({"shop": "store", "shop.people.Person": "crm.Customer"})
    >>> renames.find("shop.goods", "Item"), renames.find("shop.people", "Person")
    (('store.goods', 'Item'), ('crm', 'Customer'))
    """

    def __init__(self, *maps: Mapping[str, str]) -> None:
        self._new: dict[str, str] = {}
        for renames in maps:
            if not isinstance(renames, Mapping):
                raise TypeError(
                    f"renames= is a dict from old dotted names to new ones, not {type(renames).__name__}"
                )
            for old, new in renames.items():
                for name in (old, new):
                    check_name(name)
                self._new[old] = new

    def over(self, others: Mapping[str, str]) -> Renames:
        """Return renames that precede others."""
        return Renames(others, self._new)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Renames) and self._new == other._new

    def __hash__(self) -> int:
        return hash(frozenset(self._new.items()))

    def __reduce__(self) -> tuple[type[Renames], tuple[dict[str, str]]]:
        return type(self), (self._new,)

    def __bool__(self) -> bool:
        return bool(self._new)

    def find(self, module: str, name: str) -> tuple[str, str] | None:
        """Return the new module and name; None if neither was renamed."""
        dotted = f"{module}.{name}"
        old = dotted
        while old and old not in self._new:
            old = old.rpartition(".")[0]
        if not old:
            return None
        new = self._new[old]
        if len(old) <= len(module):  # a package or module: names below it stay
            return new + module[len(old) :], name
        return split_name(new + dotted[len(old) :], name.count(".") + 1)


def find_moved(module: str, name: str) -> tuple[str, str] | None:
    """Return the new place of a name in a well-known package.

    A module that came with a message may have another name here; this maps it back to its own.
    """
    top, at, rest = module.partition("@")
    if at:
        return top + "".join(rest.partition(".")[1:]), name
    return MOVES.find(module, name)


def split_name(dotted: str, parts: int) -> tuple[str, str]:
    """Split a dotted name into a module and a name of `parts` parts, or of as many as it has."""
    cut = dotted.rsplit(".", parts)
    if len(cut) == parts + 1:
        wanted = cut[0], ".".join(cut[1:])
        if leads_somewhere(*wanted):
            return wanted
    for module, name in _cuts(dotted):
        if leads_somewhere(module, name):
            return module, name
    module, _, name = dotted.rpartition(".")
    return module, name


def _cuts(dotted: str) -> Iterator[tuple[str, str]]:
    parts = dotted.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count]), ".".join(parts[count:])


def leads_somewhere(module: str, name: str) -> bool:
    """Tell whether a name can be found; imports its module."""
    try:
        look_up(module, name)
    except Exception as error:  # a module may raise anything on import
        if is_of_signal(error):
            raise
        return False
    return True


@provides("named")
def look_up(module: str, name: str) -> Any:
    """Import a module and return its attribute of a dotted name."""
    return operator.attrgetter(name)(importlib.import_module(module))


MOVES: Final = Renames(KNOWN_MOVES)
NO_RENAMES: Final = Renames()
