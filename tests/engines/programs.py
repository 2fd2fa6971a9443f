"""Small programs in five engines, each with canning and without.

    python -m tests.engines.programs dask canning

prints, a line each, what every program gave, in a form that can be compared.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import multiprocessing
import operator
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np

from tests.engines import work


class Engine(NamedTuple):
    """How an engine calls a function once, and for each of some items."""

    call: Callable[..., Any]
    map: Callable[[Any, list[Any]], list[Any]]
    own: Any


# -- what they gave ----------------------------------------------------------------------------------------


def said(obj: Any, seen: tuple[int, ...] = ()) -> Any:
    """Say what an object is, in what JSON can hold."""
    kind = type(obj).__name__
    if id(obj) in seen:
        return "a circle"
    seen = (*seen, id(obj))
    if isinstance(obj, np.ma.MaskedArray):
        return [kind, str(obj.dtype), obj.tolist()]
    if isinstance(obj, np.ndarray):
        if obj.dtype.hasobject:
            return [kind, said(obj.tolist(), seen)]
        return [kind, str(obj.dtype), obj.shape, hashlib.sha1(obj.tobytes()).hexdigest()]
    if isinstance(obj, dict):
        return [kind, [[said(key, seen), said(value, seen)] for key, value in obj.items()]]
    if isinstance(obj, list | tuple):
        return [kind, [said(item, seen) for item in obj]]
    if isinstance(obj, set | frozenset):
        return [kind, sorted(map(repr, obj))]
    if kind in ("DataFrame", "Series"):
        return [kind, str(obj.dtypes), str(obj), str(getattr(obj, "index", ""))]
    if kind == "Table":
        return [kind, str(obj.schema), said(obj.to_pydict())]
    if hasattr(obj, "toarray"):
        return [kind, said(obj.toarray())]
    if isinstance(obj, work.Point):
        return [kind, obj.x, said(obj.values), said(obj.tags)]
    if isinstance(obj, BaseException):
        return [kind, [str(arg) for arg in obj.args], str(obj)]
    return [kind, repr(obj)]


def outcome(program: Callable[[Engine], Any], engine: Engine) -> Any:
    """Run a program; say what it gave or raised."""
    try:
        return said(program(engine))
    except Exception as error:
        if type(error).__name__ == "RemoteError":
            return ["raised", getattr(error, "ename", ""), getattr(error, "evalue", "")]
        return ["raised", type(error).__name__, [str(arg) for arg in error.args][:2]]


# -- programs ------------------------------------------------------------------------------------------------


def _mapped(function: Any, *items: Any) -> Callable[[Engine], Any]:
    return lambda engine: engine.map(function, list(items))


def _called(function: Any, *args: Any) -> Callable[[Engine], Any]:
    return lambda engine: engine.call(function, *args)


def _shared(engine: Engine) -> Any:
    array = np.arange(50_000.0)
    same, pair = engine.call(work.shared, [array, array])
    return same, pair[0] is pair[1], pair[0].sum()


def _kept(engine: Engine) -> Any:
    array = np.zeros(200_000)
    got = engine.call(work.overwritten, array)
    return got[0], array[0]


PROGRAMS: Final[dict[str, Callable[[Engine], Any]]] = {
    "sums": _mapped(work.total, *(np.arange(n) for n in (0, 10, 100_000, 600_000))),
    "large ones": _mapped(work.itself, *(np.full(n, 2.5) for n in (70_000, 600_000))),
    "singular values": _mapped(work.singular, *(work.numbers(n, 30, 20) for n in range(3))),
    "solved": _mapped(work.solved, 1, 2, 3),
    "slices": _called(work.sliced, work.numbers(1, 300, 200)),
    "overwritten": _kept,
    "shared": _shared,
    "a circle": _called(work.circle, 3),
    "an error": _mapped(work.raises, 1, 2, 3),
    "a builtin error": _called(work.divided, 0),
    "dataclasses": _mapped(
        work.scaled, work.Point(1.0, np.ones(3)), work.Point(2.0, np.ones(90_000), {"a": 1})
    ),
    "named tuples": _called(work.rows, 4),
    "enums": _mapped(work.is_red, work.Color.RED, work.Color.GREEN),
    "groups": _mapped(work.grouped, work.frame(1), work.frame(2)),
    "merged": _called(work.merged, work.frame(3)),
    "pivoted": _called(work.pivoted, work.frame(4)),
    "resampled": _called(work.resampled, work.frame(5)),
    "frames": _mapped(work.frame, 1, 2),
    "rows": _called(work.tuples, work.frame(6)),
    "sparse": _called(work.product, work.sparse(1)),
    "minimized": _mapped(work.minimized, np.zeros(2), np.full(3, 0.5)),
    "integrated": _mapped(work.integrated, 1.0, 2.0),
    "tables of arrow": _mapped(work.table, 0, 50),
    "polars": _called(work.lazy, 10),
    "xarray": _called(work.cube, 2),
    "of the standard library": _mapped(work.sample, 1, 3),
    "kinds of arrays": _called(work.kinds, 5),
    "text": _mapped(work.text, 0, 100_000),
    "a partial": _mapped(functools.partial(operator.mul, 3), 1, 2.5, "a"),
    "nothing": _mapped(work.itself, None, [], {}, ()),
}


def _of_pool(pool: Any) -> dict[str, Callable[[Engine], Any]]:
    return {
        "imap": lambda _: list(pool.imap(work.total, [np.ones(n) for n in range(5)])),
        "imap_unordered": lambda _: sorted(pool.imap_unordered(abs, range(-5, 0))),
        "starmap": lambda _: pool.starmap(pow, [(2, 3), (3, 2)]),
        "map_async": lambda _: pool.map_async(work.solved, [4]).get(60),
        "apply_async": lambda _: pool.apply_async(work.itself, ({"a": np.ones(3)},)).get(60),
    }


def _of_executor(pool: Any) -> dict[str, Callable[[Engine], Any]]:
    def killed(_: Engine) -> Any:
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1) as other:
            return other.submit(work.once, os.path.join(folder, "seen")).result(60)

    return {
        "chunks": lambda _: list(pool.map(work.total, [np.ones(n) for n in range(9)], chunksize=4)),
        "a killed worker": killed,
    }


def _of_joblib(parallel: Any) -> dict[str, Callable[[Engine], Any]]:
    from joblib import Parallel, delayed

    found: dict[str, Callable[[Engine], Any]] = {
        "lambdas": lambda _: parallel(delayed(lambda x, n=n: x + n)(1) for n in range(3)),
        "as they come": lambda _: list(
            Parallel(2, return_as="generator")(delayed(work.numbers)(n, 3) for n in range(4))
        ),
        "batches": lambda _: Parallel(2, batch_size=3)(delayed(abs)(-n) for n in range(20)),
        "mapped memory": lambda _: Parallel(2, max_nbytes=1000)(
            delayed(work.total)(np.ones(5000)) for _ in "ab"
        ),
    }
    if importlib.util.find_spec("sklearn"):
        from sklearn import datasets, ensemble, linear_model, model_selection, pipeline, preprocessing

        x, y = datasets.make_classification(120, 6, random_state=0)
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
        grid = {"logisticregression__C": [0.1, 1.0]}
        forest = ensemble.RandomForestClassifier(8, random_state=0)
        found |= {
            "a search": lambda _: (
                model_selection.GridSearchCV(model, grid, n_jobs=2, cv=3)
                .fit(x, y)
                .cv_results_["mean_test_score"]
            ),
            "a random search": lambda _: (
                model_selection.RandomizedSearchCV(
                    forest, {"max_depth": [2, 3]}, n_iter=2, n_jobs=2, cv=2, random_state=0
                )
                .fit(x, y)
                .best_params_
            ),
            "scores": lambda _: model_selection.cross_val_score(forest, x, y, n_jobs=2, cv=3),
            "predictions": lambda _: model_selection.cross_val_predict(model, x, y, n_jobs=2, cv=3),
            "a learning curve": lambda _: model_selection.learning_curve(model, x, y, n_jobs=2, cv=3),
        }
    return found


def _of_dask(client: Any) -> dict[str, Callable[[Engine], Any]]:
    import dask
    import dask.array
    import dask.bag

    def killed(_: Engine) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return client.submit(work.once, os.path.join(folder, "seen"), retries=3, pure=False).result(60)

    def frames(_: Engine) -> Any:
        import dask.dataframe as dd

        frame = dd.from_pandas(work.frame(7)[["group", "n", "value"]], npartitions=3)
        shuffled = frame.shuffle("group").groupby("group").value.sum().compute()
        return frame.groupby("n").value.mean().compute().sort_index(), shuffled.sort_index()

    array = dask.array.from_array(work.numbers(3, 60, 40), chunks=(20, 40))
    return {
        "arrays": lambda _: (array @ array.T).sum(axis=0).compute().round(8),
        "svd": lambda _: dask.array.linalg.svd(array)[1].compute().round(8),
        "rechunked": lambda _: array.rechunk((60, 10)).T.compute(),
        "bags": lambda _: dask.bag.from_sequence(range(20), npartitions=3).map(abs).topk(3).compute(),
        "groups of bags": lambda _: sorted(
            dask.bag.from_sequence(range(20), npartitions=3).groupby(lambda n: n % 3).map(len).compute()
        ),
        "delayed": lambda _: dask.delayed(sum)(
            [dask.delayed(work.total)(np.ones(n)) for n in range(4)]
        ).compute(),
        "frames of Dask": frames,
        "scattered": lambda _: client.submit(work.total, client.scatter(np.ones(700_000))).result(60),
        "a chain": lambda _: client.submit(
            work.overwritten, client.submit(work.itself, client.submit(np.ones, 600_000))
        ).result(60),
        "lambdas": lambda _: client.gather(client.map(lambda n: n * 2, range(3))),
        "a killed worker": killed,
    }


def _of_ipyparallel(client: Any) -> dict[str, Callable[[Engine], Any]]:
    view, balanced = client[:], client.load_balanced_view()

    def pushed(_: Engine) -> Any:
        view.push({"a": np.arange(70_000), "b": work.frame(8)}, block=True)
        view.execute("c = a.sum(); d = b.describe()", block=True)
        return view.pull(["c", "d"], block=True)

    def scattered(_: Engine) -> Any:
        view.scatter("part", np.arange(100_000.0), block=True)
        view.execute("part = part ** 0.5", block=True)
        return view.gather("part", block=True)

    return {
        "push and pull": pushed,
        "scatter and gather": scattered,
        "lambdas": lambda _: balanced.map_sync(lambda n: n * 2, range(4)),
        "a closure": lambda _: view.apply_sync(_adding(np.ones(70_000))),
        "chunks": lambda _: balanced.map(work.integrated, [1.0, 2.0, 3.0], chunksize=2, block=True),
        "in all": lambda _: view.apply_sync(work.minimized, np.zeros(2)),
        "at once": lambda _: [
            each.get(60) for each in [balanced.apply_async(work.solved, n) for n in range(6)]
        ],
    }


def _adding(array: Any) -> Any:
    def add(more: int = 1) -> Any:
        return array.sum() + more

    return add


# -- engines -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _processes(canned: bool) -> Iterator[None]:
    if not canned:
        yield
        return
    from transport.engines import multiprocessing as adapter

    with adapter.canned():
        yield


@contextlib.contextmanager
def pool(canned: bool) -> Iterator[tuple[Engine, dict[str, Any]]]:
    """A pool of the standard library."""
    with _processes(canned), multiprocessing.get_context("fork").Pool(2) as pool:
        yield Engine(lambda f, *args: pool.apply(f, args), pool.map, pool), _of_pool(pool)


@contextlib.contextmanager
def executor(canned: bool) -> Iterator[tuple[Engine, dict[str, Any]]]:
    """An executor of the standard library."""
    context = multiprocessing.get_context("forkserver")
    with _processes(canned), ProcessPoolExecutor(2, context) as pool:
        engine = Engine(
            lambda f, *args: pool.submit(f, *args).result(60), lambda f, items: list(pool.map(f, items)), pool
        )
        yield engine, _of_executor(pool)


@contextlib.contextmanager
def joblib(canned: bool) -> Iterator[tuple[Engine, dict[str, Any]]]:
    """Processes of loky's, through joblib."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor, set_loky_pickler

    if canned:
        set_loky_pickler("transport.engines.joblib")
    parallel = Parallel(2)
    engine = Engine(
        lambda f, *args: parallel([delayed(f)(*args)])[0],
        lambda f, items: parallel(delayed(f)(item) for item in items),
        parallel,
    )
    yield engine, _of_joblib(parallel)
    get_reusable_executor().shutdown(kill_workers=True)


@contextlib.contextmanager
def dask(canned: bool) -> Iterator[tuple[Engine, dict[str, Any]]]:
    """A cluster of Dask's, of processes."""
    import distributed

    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        if canned:
            from transport.engines.dask import register

            register(client)
        engine = Engine(
            lambda f, *args: client.submit(f, *args, pure=False).result(60),
            lambda f, items: client.gather(client.map(f, items, pure=False)),
            client,
        )
        yield engine, _of_dask(client)


@contextlib.contextmanager
def ipyparallel(canned: bool) -> Iterator[tuple[Engine, dict[str, Any]]]:
    """A controller and engines of ipyparallel's."""
    import ipyparallel as ipp

    cluster = ipp.Cluster(n=2, log_level=50, log_to_file=False)
    cluster.start_cluster_sync()
    try:
        client = cluster.connect_client_sync()
        client.wait_for_engines(2, timeout=60)
        if canned:
            import transport.engines.ipyparallel as adapter

            adapter.install(client)
        balanced = client.load_balanced_view()
        yield (
            Engine(balanced.apply_sync, lambda f, items: list(balanced.map_sync(f, items)), client),
            _of_ipyparallel(client),
        )
        client.close()
    finally:
        cluster.stop_cluster_sync()


ENGINES: Final = {each.__name__: each for each in (pool, executor, joblib, dask, ipyparallel)}


def main(name: str, how: str) -> None:
    """Run all programs in one engine."""
    warnings.simplefilter("ignore")
    with ENGINES[name](how == "canning") as (engine, own):
        for program, run in {**PROGRAMS, **own}.items():
            print(json.dumps([program, outcome(run, engine)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
