"""The chapter's comparisons: one array against partitions on workers."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
from distributed import Client, wait

from parallel_ai.many_machines.ml_at_scale.centres import lloyd
from parallel_ai.many_machines.ml_at_scale.merging import SECONDS
from parallel_ai.many_machines.ml_at_scale.orders import (
    arrays,
    pixels,
    place,
    stream,
)
from parallel_ai.many_machines.ml_at_scale.sums import Block, fit_components
from parallel_ai.toolbox import cluster, datasets, machine
from parallel_ai.toolbox.stopwatch import Timing, compare

CLASSES = np.arange(10)


def pictures(count: int) -> Block:
    """So many pictures of Fashion-MNIST, as rows of numbers."""
    data = datasets.load("fashion-mnist")
    return pixels(data["train_images"][:count], data["train_labels"][:count])


def copies_held(fit: Callable[..., Any], block: Block) -> float:
    """How many times the size of its data a fit takes, beside the data.

    Counts what Python and NumPy allocate, at its peak.
    """
    tracemalloc.start()
    try:
        fit(*block)
        return tracemalloc.get_traced_memory()[1] / block[0].nbytes
    finally:
        tracemalloc.stop()


def kmeans_ways(
    client: Client, block: Block, blocks: list[Any], steps: int = 5
) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to the same centres after the same steps, from the same start."""
    # Here, so that the workers, who import this module, are ready sooner.
    from dask_ml.cluster import KMeans as DaskKMeans
    from sklearn.cluster import KMeans

    X, _ = block
    start = X[:10]
    table, _ = arrays(client, blocks)

    def alone() -> np.ndarray:
        model = KMeans(10, init=start, n_init=1, max_iter=steps, tol=0)
        return model.fit(X).cluster_centers_

    def library() -> np.ndarray:
        model = DaskKMeans(10, init=start, max_iter=steps, tol=0)
        return model.fit(table).cluster_centers_

    return {
        "scikit-learn, one array": alone,
        "merged sums, partitions": lambda: (
            lloyd(client, blocks, start, steps).centres
        ),
        "dask-ml, partitions": library,
    }


def pca_ways(
    client: Client, block: Block, blocks: list[Any], k: int = 10
) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to the variances along the first k principal axes."""
    from dask_ml.decomposition import PCA as DaskPCA
    from sklearn.decomposition import PCA

    X, _ = block
    table, _ = arrays(client, blocks)

    def alone() -> np.ndarray:
        model = PCA(k, svd_solver="covariance_eigh")
        return model.fit(X).explained_variance_

    def library(solver: str) -> np.ndarray:
        model = DaskPCA(k, svd_solver=solver, random_state=0)
        return model.fit(table).explained_variance_

    return {
        "scikit-learn, one array": alone,
        "merged sums, partitions": lambda: (
            fit_components(client, blocks, k).variances
        ),
        "dask-ml, tsqr": partial(library, "tsqr"),
        "dask-ml, randomized": partial(library, "randomized"),
    }


def sgd_ways(
    client: Client, block: Block, blocks: list[Any]
) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to pass over all rows once, in the same order."""
    from dask_ml.wrappers import Incremental
    from sklearn.linear_model import SGDClassifier

    X, y = block
    table, labels = arrays(client, blocks)
    model = SGDClassifier(random_state=0)

    def alone() -> np.ndarray:
        found = SGDClassifier(random_state=0)
        for part in zip(
            np.array_split(X, len(blocks)),
            np.array_split(y, len(blocks)),
            strict=True,
        ):
            found.partial_fit(*part, classes=CLASSES)
        return found.coef_

    def library() -> np.ndarray:
        found = Incremental(
            SGDClassifier(random_state=0), shuffle_blocks=False
        )
        return found.fit(table, labels, classes=CLASSES).coef_

    return {
        "scikit-learn, one array": alone,
        "a chain of tasks": lambda: (
            stream(client, model, blocks, CLASSES).coef_
        ),
        "dask-ml's Incremental": library,
    }


def search_ways(
    client: Client, block: Block
) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to score the same grid on the same folds."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    X, y = block
    forest = RandomForestClassifier(10, random_state=0)
    grid = {"max_depth": [4, 8, 16]}

    def search(backend: str | None, **options: Any) -> np.ndarray:
        found = GridSearchCV(forest, grid, cv=3, refit=False)
        if backend is None:
            found.fit(X, y)
        else:
            with joblib.parallel_config(backend, n_jobs=-1, **options):
                found.fit(X, y)
        return found.cv_results_["mean_test_score"]

    return {
        "one after the other": partial(search, None),
        "loky": partial(search, "loky"),
        "Dask": partial(search, "dask", client=client),
        "Dask, scattered": partial(
            search, "dask", client=client, scatter=[X, y]
        ),
    }


def on_cluster(
    ways: Callable[..., dict[str, Callable[[], np.ndarray]]],
    count: int,
    parts: int | None = None,
    repeats: int = 3,
) -> dict[str, Timing | float]:
    """Compare some of the ways above, on a cluster of this machine.

    Parameters
    ----------
    count : int
        Pictures.
    parts : int, optional
        Blocks that they are cut into. None for those that take no blocks.

    Returns
    -------
    dict
        Timings; then the limit in seconds: the first, with all CPUs.
    """
    block = pictures(count)
    with cluster.local() as client:
        given: list[Any] = [client, block]
        if parts is not None:
            given.append(place(client, block, parts))
            wait(given[-1], timeout=SECONDS)
        found = compare(ways(*given), repeats)
    alone = next(iter(found.values())).median
    return {**found, "limit: all CPUs": alone / machine.cpus()}


COMPARISONS = {
    "k-means on partitions": partial(on_cluster, kmeans_ways, 60_000, 12),
    "principal components on partitions": partial(
        on_cluster, pca_ways, 60_000, 12
    ),
    "SGD on partitions": partial(on_cluster, sgd_ways, 60_000, 12),
    "a search by joblib's Dask backend": partial(
        on_cluster, search_ways, 6000
    ),
}
