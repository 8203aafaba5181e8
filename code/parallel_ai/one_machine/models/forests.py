"""A forest by hand: trees that know nothing of each other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from parallel_ai.one_machine.models.families import garments
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import Timing, compare

Forest = list[DecisionTreeClassifier]


def grow(
    X: np.ndarray, y: np.ndarray, seed: np.random.SeedSequence
) -> DecisionTreeClassifier:
    """Grow one tree on rows drawn with replacement.

    Everything random comes from `seed`, so that the tree does not depend on
    who grows it, or when.
    """
    draw, split = seed.generate_state(2)
    rows = np.random.default_rng(draw).integers(0, len(X), len(X))
    tree = DecisionTreeClassifier(
        max_features="sqrt", random_state=int(split % 2**31)
    )
    return tree.fit(X[rows], y[rows])


def forest_serial(
    X: np.ndarray, y: np.ndarray, trees: int, seed: int = 0
) -> Forest:
    """Grow trees one after the other."""
    seeds = np.random.SeedSequence(seed).spawn(trees)
    return [grow(X, y, one) for one in seeds]


def forest_threads(
    X: np.ndarray, y: np.ndarray, trees: int, seed: int = 0, workers: int = 2
) -> Forest:
    """Grow the same trees with threads, which all read the same `X`."""
    seeds = np.random.SeedSequence(seed).spawn(trees)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(partial(grow, X, y), seeds))


def forest_processes(
    X: np.ndarray, y: np.ndarray, trees: int, seed: int = 0, workers: int = 2
) -> Forest:
    """Grow the same trees with processes; they come back by pickle."""
    seeds = np.random.SeedSequence(seed).spawn(trees)
    return joblib.Parallel(n_jobs=workers)(
        joblib.delayed(grow)(X, y, one) for one in seeds
    )


def vote(
    forest: Sequence[DecisionTreeClassifier], X: np.ndarray
) -> np.ndarray:
    """Let the trees decide: the class of the highest mean probability.

    Parameters
    ----------
    forest
        At least one tree, all grown on the same classes.

    Returns
    -------
    array of shape (len(X),)
        Labels.
    """
    total = sum(tree.predict_proba(X) for tree in forest)
    return forest[0].classes_[np.argmax(total, axis=1)]


def train_forest(
    X: np.ndarray, y: np.ndarray, workers: int, trees: int = 48
) -> RandomForestClassifier:
    """Train scikit-learn's forest with so many workers."""
    return RandomForestClassifier(trees, n_jobs=workers, random_state=0).fit(
        X, y
    )


def rounds(tasks: int, workers: int, cpus: int) -> float:
    """Predict the speed-up of equal tasks on so many workers and CPUs.

    Workers beyond the CPUs bring nothing; tasks that do not divide leave
    some workers idle in the last round.
    """
    able = max(1, min(workers, cpus))
    return tasks / -(-tasks // able) if tasks else 1.0


def forest_training(
    count: int = 4000, repeats: int = 5
) -> dict[str, Timing | float]:
    """Compare forest training on 1 CPU and on all with the ideal.

    Returns
    -------
    dict
        "1 CPU" and "all CPUs" (Timing), and the machine's limit: the
        seconds on one CPU divided by the number of CPUs.
    """
    X, y = garments(count)
    cpus = machine.cpus()
    jobs: dict[str, Callable[[], object]] = {
        "1 CPU": partial(train_forest, X, y, 1),
        f"{cpus} CPUs": partial(train_forest, X, y, cpus),
    }
    found: dict[str, Timing | float] = dict(compare(jobs, repeats))
    alone = found["1 CPU"]
    assert isinstance(alone, Timing)  # noqa: S101 - for mypy
    return {**found, "limit: 1 CPU / CPUs": alone.median / cpus}
