"""Fits on partitions equal the fit on one array, and send what was said."""

import contextlib
import ctypes
import functools
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading

import dask.array as da
import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
from dask_ml.cluster import KMeans as DaskKMeans
from dask_ml.linear_model import LinearRegression as DaskRegression
from dask_ml.model_selection import GridSearchCV as DaskGridSearchCV
from dask_ml.model_selection import HyperbandSearchCV
from dask_ml.wrappers import Incremental, ParallelPostFit
from distributed import wait
from distributed.protocol.pickle import dumps
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from parallel_ai.many_machines import ml_at_scale as ml
from parallel_ai.many_machines.ml_at_scale import (
    comparing,
    exchange,
    plugging,
    practice,
)
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.exercises import EXERCISES

LIMIT = 60
CLASSES = np.arange(3)


@pytest.fixture(scope="module", params=[1, 2, 3])
def team(request):
    """A client of one, two and three workers, one thread each."""
    with cluster.local(request.param, memory="1GB") as client:
        yield client


@pytest.fixture(scope="module")
def two():
    """A client of two workers."""
    with cluster.local(2, memory="1GB") as client:
        yield client


def table(rows, features=4, classes=0, seed=0):
    """Rows whose target depends on them: a number, or one of classes."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(rows, features)).astype(np.float32)
    y = X @ np.arange(1, features + 1) + 2 + 0.1 * draw.normal(size=rows)
    if classes:
        ends = np.quantile(y, np.linspace(0, 1, classes + 1)[1:-1])
        return X, np.searchsorted(ends, y).astype(np.uint8)
    return X, y


def cut(block, sizes):
    """Blocks of those sizes, which may be 0."""
    ends = np.cumsum(sizes)[:-1]
    return list(
        zip(*(np.split(a[: sum(sizes)], ends) for a in block), strict=True)
    )


def place(client, blocks):
    futures = client.scatter(blocks, hash=False)
    wait(futures, timeout=LIMIT)
    return futures


# Merging


@pytest.mark.parametrize("count", [1, 2, 5])
def test_merging_on_a_cluster_agrees_with_serial(team, count):
    blocks = cut(table(31), [31 // count] * count)
    right = ml.merge_serial(ml.sums, blocks, ml.add)
    got = ml.merge_cluster(team, ml.sums, place(team, blocks), ml.add)
    for one, other in zip(got, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_nothing_cannot_be_merged(team):
    with pytest.raises(ValueError, match="no parts"):
        ml.merge_serial(ml.sums, [], ml.add)
    with pytest.raises(ValueError, match="no parts"):
        ml.merge_cluster(team, ml.sums, [], ml.add)
    with pytest.raises(ValueError, match="no blocks"):
        ml.train(team, [], 1)


def test_an_error_of_a_worker_reaches_the_caller(two):
    with pytest.raises(ValueError, match="invalid literal"):
        ml.merge_cluster(two, int, ["1", "x", "3"], ml.both)


def test_each_worker_sends_one_summary_whatever_its_rows(team):
    workers = len(team.scheduler_info()["workers"])
    sent = []
    for rows in (40, 4000):
        blocks = place(team, cut(table(rows, 30), [rows // 8] * 8))
        before = ml.sent_bytes(team)
        ml.fit_ridge(team, blocks)
        sent.append(ml.sent_bytes(team) - before)
    assert sent[0] == pytest.approx(sent[1], abs=200)
    said = workers * ml.payload(30)
    assert said <= sent[1] <= said + 600 * workers
    assert ml.payload(30) == sum(
        np.asarray(field).nbytes for field in ml.sums(table(5, 30))
    )


def test_tasks_are_counted_by_name(two):
    result, done = ml.tasks_done(
        two, lambda: two.gather(two.map(abs, [-1, 2], pure=False))
    )
    assert (result, done) == ([1, 2], {"abs": 2})


def test_a_journey_takes_time_for_each_repeat(two):
    for repeats in (1, 2):
        assert len(ml.journey(two, 100, repeats).seconds) == repeats


# Sums

sizes = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@settings(max_examples=40)
@given(sizes, st.floats(-10, 10))
def test_sums_do_not_depend_on_where_the_rows_are_cut(lengths, shift):
    block = table(sum(lengths))
    whole = ml.sums(block, shift)
    parts = [ml.sums(part, shift) for part in cut(block, lengths)]
    merged = parts[0]
    for part in parts[1:]:
        merged = ml.add(merged, part)
    for one, other in zip(merged, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("penalty", [0, 1.0, 50.0])
@pytest.mark.parametrize("shift", [0, 3.0])
def test_ridge_is_scikit_learns(two, penalty, shift):
    X, y = block = table(203)
    right = Ridge(penalty) if penalty else LinearRegression()
    right.fit(X.astype(float), y)
    blocks = cut(block, [100, 0, 3, 100])
    for got in (
        ml.fit_ridge_serial(blocks, penalty, shift),
        ml.fit_ridge(two, place(two, blocks), penalty, shift),
    ):
        np.testing.assert_allclose(got.coef, right.coef_, atol=1e-9)
        assert got.intercept == pytest.approx(right.intercept_, abs=1e-9)


def test_a_shift_keeps_the_digits():
    draw = np.random.default_rng(0)
    when = 1.36e9 + draw.uniform(0, 100, size=1000)
    blocks = [(when[:, None], 0.2 * (when - 1.36e9))]
    plain = ml.fit_ridge_serial(blocks, 0).coef[0]
    shifted = ml.fit_ridge_serial(blocks, 0, when[0]).coef[0]
    assert shifted == pytest.approx(0.2, abs=1e-9)
    assert abs(plain - 0.2) > 1e-4


def test_components_are_scikit_learns(team):
    X, _ = block = table(150, 6)
    X *= np.array([1, 2, 3, 4, 5, 6], np.float32)
    right = PCA(3, svd_solver="full").fit(X.astype(float))
    got = ml.fit_components(team, place(team, cut(block, [50, 99, 1])), 3)
    np.testing.assert_allclose(got.mean, right.mean_, atol=1e-9)
    np.testing.assert_allclose(got.axes, right.components_, atol=1e-6)
    np.testing.assert_allclose(
        got.variances, right.explained_variance_, rtol=1e-9
    )
    assert (got.axes.max(axis=1) >= -got.axes.min(axis=1)).all()
    one = ml.components(ml.sums(block), 1)
    np.testing.assert_allclose(one.axes, right.components_[:1], atol=1e-6)


# k-means


def test_lloyd_is_scikit_learns(team):
    X, _ = block = table(120)
    start = X[:5].astype(float)
    right = KMeans(5, init=start, n_init=1, max_iter=4, tol=0)
    with np.errstate(all="ignore"):
        right.fit(X.astype(float))
    blocks = cut(block, [60, 59, 1])
    for got in (
        ml.lloyd_serial(blocks, start, 4),
        ml.lloyd(team, place(team, blocks), start, 4),
    ):
        assert got.steps == 4
        np.testing.assert_allclose(
            got.centres, right.cluster_centers_, atol=1e-6
        )
        assert got.inertia == pytest.approx(right.inertia_, rel=1e-6)


def test_a_centre_without_rows_stays_and_still_centres_end_the_steps():
    block = (np.array([[0.0], [1.0], [10.0]]), np.zeros(3))
    far = np.array([[0.0], [10.0], [99.0]])
    found = ml.assign(block, far)
    assert found.counts.tolist() == [2, 1, 0]
    assert found.inertia == pytest.approx(1)
    assert ml.moved(far, found).tolist() == [[0.5], [10], [99]]
    ended = ml.lloyd_serial([block], far, 50)
    assert ended.steps == 2
    assert ml.lloyd_serial([block], far, 50, tolerance=1).steps == 1
    assert ml.lloyd_serial([block], far, 0).centres.tolist() == far.tolist()
    assert ended.inertia == pytest.approx(0.5)


# Months


def month(rows, carriers, seed):
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "dep_delay": draw.normal(10, 5, rows),
            "distance": draw.integers(100, 900, rows),
            "hour": draw.integers(5, 23, rows),
            "carrier": draw.choice(carriers, rows),
            "origin": draw.choice(["JFK", "LGA"], rows),
            "arr_delay": draw.normal(10, 9, rows),
            "unused": 0,
        }
    )
    return frame


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("months")
    paths = []
    for i, carriers in enumerate((["AA"], ["AA", "UA"], ["B6"], ["ZZ"])):
        frame = month(40 + i, carriers, i)
        frame.loc[3, "arr_delay"] = None  # never arrived
        path = folder / f"{i}.csv.gz"
        frame.to_csv(path, index=False)
        paths.append(str(path))
    return paths


def test_a_month_has_the_flights_that_arrived(files):
    got = ml.read_month(files[0])
    assert len(got) == 39
    assert "unused" not in got
    assert got.index.tolist() == list(range(39))


@settings(max_examples=30)
@given(sizes)
def test_what_is_known_does_not_depend_on_the_cut(lengths):
    whole = month(sum(lengths), ["AA", "UA", "B6"], 1)
    ends = np.cumsum([0, *lengths])
    parts = [whole[a:b] for a, b in itertools.pairwise(ends)]
    merged = ml.merge_serial(ml.know, parts, ml.merge_known)
    right = ml.know(whole)
    assert merged.rows == right.rows
    assert merged.words == right.words
    np.testing.assert_allclose(merged.mean, right.mean, atol=1e-9)
    np.testing.assert_allclose(
        merged.squares, right.squares, rtol=1e-9, atol=1e-9
    )


def test_columns_are_the_same_everywhere_and_know_no_test_month(two, files):
    known, blocks = ml.prepare(two, files, train=2)
    again, serial = ml.prepare_serial(files, train=2)
    assert ml.columns(known) == ml.columns(again)
    assert ml.columns(known)[3:] == [
        "carrier=AA", "carrier=UA", "origin=JFK", "origin=LGA",
    ]  # fmt: skip
    assert known.rows == 39 + 40
    for (X, y), (Xs, ys) in zip(two.gather(blocks), serial, strict=True):
        np.testing.assert_allclose(X, Xs, rtol=1e-6)
        assert np.array_equal(y, ys)
        assert X.dtype == np.float32
    train = np.concatenate([X for X, _ in serial[:2]])
    np.testing.assert_allclose(train[:, :3].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train[:, :3].std(axis=0), 1, atol=1e-5)
    unknown = serial[3][0]  # carrier ZZ
    assert (unknown[:, 3:5] == 0).all()
    assert (unknown[:, 5:].sum(axis=1) == 1).all()


def test_late_asks_another_question():
    X, y = ml.late((np.eye(3), np.array([15.0, 15.5, -3])))
    assert y.tolist() == [0, 1, 0]
    assert X.shape == (3, 3)


def test_a_constant_column_is_not_divided_by_zero():
    frame = month(5, ["AA"], 0).assign(distance=7)
    X, _ = ml.encode(frame, ml.know(frame))
    assert (X[:, 1] == 0).all()
    assert np.isfinite(X).all()


# Orders


def sgd():
    return SGDClassifier(random_state=0)


def test_pixels_are_means_of_squares():
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    X, _y = ml.pixels(images, np.array([1, 2]))
    assert X.shape == (2, 4)
    assert X.dtype == np.float32
    assert X[0, 0] == pytest.approx((0 + 1 + 4 + 5) / 4 / 255)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_blocks_as_arrays_are_the_rows(two, rows):
    X, y = block = table(rows, classes=3) if rows > 1 else table(rows)
    blocks = ml.place(two, block, 3)
    assert len(blocks) == 3
    as_X, as_y = ml.arrays(two, blocks)
    assert np.array_equal(as_X.compute(), X)
    assert np.array_equal(as_y.compute(), y)
    assert (as_X.dtype, as_y.dtype) == (X.dtype, y.dtype)


def test_a_chain_is_the_serial_fit_to_the_last_bit(team):
    blocks = cut(table(90, classes=3), [30, 1, 0, 29, 30])
    blocks = [block for block in blocks if len(block[0])]
    right = ml.stream_serial(sgd(), blocks, CLASSES)
    futures = place(team, blocks)
    got, done = ml.tasks_done(
        team, lambda: ml.stream(team, sgd(), futures, CLASSES)
    )
    assert np.array_equal(got.coef_, right.coef_)
    assert done["learn"] == len(blocks)
    X, y = ml.arrays(team, futures)
    library = Incremental(sgd(), shuffle_blocks=False)
    library.fit(X, y, classes=CLASSES)
    assert np.array_equal(library.coef_, right.coef_)


def test_a_chain_leaves_the_model_alone_and_may_be_empty(two):
    model = sgd()
    assert ml.stream(two, model, [], CLASSES) is model
    ml.learn(model, table(9, classes=3), CLASSES)
    assert not hasattr(model, "coef_")


def test_models_apart_see_a_block_each_and_average(two):
    blocks = cut(table(60, classes=3), [20, 20, 20])
    got = ml.apart(two, sgd(), place(two, blocks), CLASSES)
    for model, block in zip(got, blocks, strict=True):
        right = ml.learn(sgd(), block, CLASSES)
        assert np.array_equal(model.coef_, right.coef_)
    mean = ml.averaged(got)
    np.testing.assert_allclose(
        mean.coef_, sum(model.coef_ for model in got) / 3
    )
    assert np.array_equal(ml.averaged(got[:1]).coef_, got[0].coef_)


def test_sorted_rows_ruin_a_chain_and_mixing_cures_it(two):
    X, y = table(600, classes=3)
    order = np.argsort(y, kind="stable")
    blocks = place(two, cut((X[order], y[order]), [100] * 6))
    bad = ml.stream(two, sgd(), blocks, CLASSES).score(X, y)
    mixed = ml.shuffle(two, blocks, seed=0)
    good = ml.stream(two, sgd(), mixed, CLASSES).score(X, y)
    assert bad < 0.7 < good


def test_mixing_loses_no_row_and_does_not_depend_on_the_workers(team):
    block = table(50, classes=3)
    blocks = cut(block, [20, 0, 1, 29])
    mixed = team.gather(ml.shuffle(team, place(team, blocks), seed=3))
    rows = np.concatenate([np.c_[X, y] for X, y in mixed])
    right = np.c_[block]
    assert sorted(map(tuple, rows)) == sorted(map(tuple, right))
    assert not np.array_equal(rows, right)
    dealt = [ml.deal(b, 4, s) for b, s in zip(blocks, seeds(4), strict=True)]
    for i, (X, _) in enumerate(mixed):
        serial = ml.gather_pile(seeds(8)[4 + i], *(d[i] for d in dealt))
        assert np.array_equal(X, serial[0])


def seeds(count):
    return np.random.SeedSequence(3).generate_state(8).tolist()[:count]


def test_mixing_sends_what_does_not_stay(two):
    blocks = place(two, cut(table(40_000, 8), [10_000] * 4))
    before = ml.sent_bytes(two)
    wait(ml.shuffle(two, blocks, seed=0), timeout=LIMIT)
    size = 40_000 * (8 * 4 + 8)
    assert 0.3 * size < ml.sent_bytes(two) - before < 0.9 * size


# Predictions


def test_predictions_are_the_models_own(team):
    X, y = block = table(70, classes=3)
    model = RandomForestClassifier(5, random_state=0).fit(X, y)
    right = model.predict(X)
    blocks = cut(block, [69, 0, 1])
    futures = place(team, blocks)
    assert np.array_equal(ml.predict_serial(model, blocks), right)
    assert np.array_equal(ml.predict(team, model, futures), right)
    assert ml.accuracy(team, model, futures) == model.score(X, y)
    assert ml.label(model, blocks[1]).dtype == right.dtype
    assert ml.right(model, blocks[1]).tolist() == [0, 0]
    as_X, _ = ml.arrays(team, [futures[0], futures[2]])
    wrapped = ParallelPostFit(model).predict(as_X)
    assert np.array_equal(wrapped.compute(), right)


def test_a_graph_carries_the_model_in_each_task(two):
    model = RandomForestClassifier(5, random_state=0)
    model.fit(*table(70, classes=3))
    X = da.zeros((60, 4), chunks=(10, 4))
    graph = ml.graph_bytes(ParallelPostFit(model).predict(X))
    assert graph > 6 * 0.9 * len(dumps(model))


# Searches


def test_a_grid_on_a_cluster_is_the_serial_frame(team):
    train, test = cut(table(90, classes=3), [60, 30])
    grid = {"alpha": [1e-4, 1e-2, 1], "penalty": ["l2", "l1"]}
    right = ml.grid_serial(sgd(), grid, train, test)
    got, done = ml.tasks_done(
        team, lambda: ml.grid_cluster(team, sgd(), grid, train, test)
    )
    pd.testing.assert_frame_equal(got, right)
    assert done["evaluate"] == len(right) == 6
    one = ml.evaluate(sgd(), {"alpha": 1}, train, test)
    assert one["score"] in right["score"].tolist()


@given(st.integers(1, 200), st.integers(1, 60), st.integers(2, 5))
def test_a_schedule_ends_with_one_that_has_seen_all(count, blocks, eta):
    plan = ml.schedule(count, blocks, eta)
    assert plan[0][0] == count
    assert plan[-1] == (1, blocks)
    for (many, seen), (fewer, more) in itertools.pairwise(plan):
        assert many > fewer >= many / eta - 1
        assert 1 <= seen <= more <= blocks


def test_the_best_are_kept_and_ties_go_to_the_earlier():
    scores = {4: 0.5, 2: 0.9, 7: 0.5, 1: 0.5}
    assert ml.keep_best(scores, 3) == [2, 1, 4]
    assert ml.keep_best(scores, 9) == [2, 1, 4, 7]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_halving_agrees_with_serial(team, count):
    *blocks, test = cut(table(200, classes=3), [30] * 5 + [50])
    candidates = [{"alpha": 10.0 ** (i - 6)} for i in range(count)]
    right = ml.halve_serial(sgd(), candidates, blocks, test, CLASSES)
    got, done = ml.tasks_done(
        team,
        lambda: ml.halve(
            team, sgd(), candidates, place(team, blocks), test, CLASSES
        ),
    )
    pd.testing.assert_frame_equal(got.history, right.history)
    assert got.best == right.best
    assert np.array_equal(got.model.coef_, right.model.coef_)
    assert got.model.score(*test) == ml.score(right.model, test)
    plan = [(0, 0), *ml.schedule(count, len(blocks))]
    fits = sum(
        many * (seen - before)
        for (_, before), (many, seen) in itertools.pairwise(plan)
    )
    assert done["learn"] == fits


# What is said of libraries, for the pinned versions


@pytest.mark.filterwarnings("ignore")
def test_hyperband_fails_as_the_page_says(two):
    X, y = ml.arrays(two, place(two, cut(table(60, classes=3), [30, 30])))
    search = HyperbandSearchCV(sgd(), {"alpha": [1e-4, 1e-2]}, max_iter=2)
    with pytest.raises(RuntimeError, match="asynchronous Client"):
        search.fit(X, y, classes=CLASSES)


@pytest.mark.filterwarnings("ignore")
def test_dask_mls_regression_is_exact_by_newton_only(two):
    X, y = block = table(400)
    exact = LinearRegression().fit(X.astype(float), y).coef_
    Xs, ys = ml.arrays(two, place(two, cut(block, [200, 200])))
    newton = DaskRegression(solver="newton").fit(Xs, ys)
    np.testing.assert_allclose(newton.coef_, exact, atol=1e-5)
    assert np.abs(DaskRegression().fit(Xs, ys).coef_ - exact).max() > 1e-5
    with pytest.raises(ValueError, match="nan"):
        newton.score(Xs, ys)


@pytest.mark.filterwarnings("ignore")
def test_dask_mls_inertia_is_not_the_sum_of_squares(two):
    X, _ = block = table(120)
    Xs, _ = ml.arrays(two, place(two, cut(block, [60, 60])))
    found = DaskKMeans(3, init=X[:3], max_iter=1).fit(Xs)
    right = ml.lloyd_serial([block], found.cluster_centers_, 0).inertia
    distances = np.linalg.norm(X[:, None] - found.cluster_centers_, axis=2)
    nearest = distances.min(axis=1)
    assert right == pytest.approx((nearest**2).sum(), rel=1e-5)
    assert found.inertia_ == pytest.approx(nearest.sum(), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_dask_mls_grid_shares_what_candidates_have_in_common(two):
    train = table(60, classes=3)
    pipe = make_pipeline(StandardScaler(), PCA(random_state=0), sgd())
    grid = {"pca__n_components": [1, 2], "sgdclassifier__alpha": [1e-4, 1]}
    shared = DaskGridSearchCV(pipe, grid, cv=3)
    _, done = ml.tasks_done(two, lambda: shared.fit(*train))
    alone = GridSearchCV(pipe, grid, cv=3).fit(*train)
    np.testing.assert_allclose(
        shared.cv_results_["mean_test_score"],
        alone.cv_results_["mean_test_score"],
    )
    fits = {name: n for name, n in done.items() if "fit" in name}
    assert fits["standardscaler-fit-transform"] == 3
    assert fits["pca-fit-transform"] == 6
    assert fits["sgdclassifier-fit"] == 12


@pytest.mark.filterwarnings("ignore")
def test_who_sends_tasks_to_joblibs_dask_backend(two):
    train = table(60, classes=3)
    counts = {}
    for model in (
        LinearRegression(n_jobs=-1),
        HistGradientBoostingClassifier(max_iter=2),
        RandomForestClassifier(8),
    ):
        with joblib.parallel_config("dask", client=two):
            _, done = ml.tasks_done(two, lambda model=model: model.fit(*train))
        counts[type(model).__name__] = done.total()
    assert counts["LinearRegression"] == 0
    assert counts["HistGradientBoostingClassifier"] == 0
    assert counts["RandomForestClassifier"] > 0


# Histograms


def labels(rows, features=3, seed=0):
    X, y = table(rows, features, seed=seed)
    return X, (y > 2).astype(np.uint8)


def test_bins_hold_equal_shares_and_few_values_get_few_bins():
    X = np.c_[np.arange(1000.0), np.arange(1000) % 2]
    edges = ml.edges_of(X, bins=10)
    codes, _ = ml.binned((X, None), edges)
    counts = np.bincount(codes[:, 0])
    assert len(counts) == 10
    assert counts.max() - counts.min() <= 1
    assert set(codes[:, 1]) == {0, 1}
    assert codes.dtype == np.uint8
    assert (np.diff(codes[:, 0].astype(int)) >= 0).all()


def brute_force(block, chance, bins):
    codes, y = block
    gradient, curve = chance - y, np.full(len(y), chance * (1 - chance))

    def worth(rows):
        return gradient[rows].sum() ** 2 / curve[rows].sum()

    best = ml.Split(0, 0, 0.0)
    for feature in range(codes.shape[1]):
        for place in range(bins - 1):
            left = codes[:, feature] <= place
            if left.all() or not left.any():
                continue
            gain = worth(left) + worth(~left) - worth(left | True)
            if gain > best.gain + 1e-9:
                best = ml.Split(feature, place, gain)
    return best


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_split_of_merged_histograms_is_that_of_all_rows(team, seed):
    X, y = labels(200, seed=seed)
    codes, _ = block = ml.binned((X, y), ml.edges_of(X, 8))
    right = brute_force(block, y.mean(), 8)
    blocks = cut(block, [120, 0, 79, 1])
    whole = ml.histogram(block, y.mean(), 8)
    parts = [ml.histogram(part, y.mean(), 8) for part in blocks]
    np.testing.assert_allclose(sum(parts[1:], parts[0]), whole, atol=1e-9)
    assert ml.both(1, 2) == 3
    got = ml.first_split(team, place(team, blocks), y.mean(), 8)
    assert (got.feature, got.bin) == (right.feature, right.bin)
    assert got.gain == pytest.approx(right.gain)
    assert ml.best_split(whole) == pytest.approx(got)
    stump = HistGradientBoostingClassifier(
        max_iter=1, max_leaf_nodes=2, min_samples_leaf=1, early_stopping=False
    ).fit(codes, y)
    node = stump._predictors[0][0].nodes[0]
    assert node["feature_idx"] == got.feature
    below = codes[:, got.feature] <= got.bin
    theirs = codes[:, got.feature] <= node["num_threshold"]
    assert np.array_equal(below, theirs)


def test_nothing_can_be_split_without_a_choice():
    block = (np.zeros((4, 2), np.uint8), np.array([0, 1, 0, 1]))
    assert ml.best_split(ml.histogram(block, 0.5, 4)).gain == 0


def test_blocks_are_binned_alike_by_the_training_rows(two):
    block = labels(100)
    blocks = cut(block, [40, 40, 20])
    futures = place(two, blocks)
    got = two.gather(ml.bin_alike(two, futures, train=2, every=2))
    sample = np.concatenate([ml.some_rows(b, 2) for b in blocks[:2]])
    assert len(sample) == 40
    edges = ml.edges_of(sample)
    for (codes, y), part in zip(got, blocks, strict=True):
        assert np.array_equal(codes, ml.binned(part, edges)[0])
        assert np.array_equal(y, part[1])
    assert ml.shares(two, futures) == (100, block[1].mean())


# The exchange, and boosted trees


@pytest.fixture(scope="module")
def coded():
    X, y = labels(3000, 5)
    X[:, 3] = X[:, 3] > 1  # mostly zeros
    return ml.binned((X, y), ml.edges_of(X, 32))


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_trees_of_workers_are_those_of_one_machine(team, coded, parts):
    alone = ml.train_alone(coded, 5)
    blocks = ml.place(team, coded, parts)
    grown = ml.train(team, blocks, 5)
    np.testing.assert_allclose(
        grown.model.predict(coded[0]), alone.predict(coded[0]), atol=1e-9
    )
    frames = [m.trees_to_dataframe() for m in (grown.model, alone)]
    for column in ("split_feature", "threshold", "decision_type"):
        assert frames[0][column].equals(frames[1][column])
    workers = min(parts, len(team.scheduler_info()["workers"]))
    assert len(grown.traffic) == workers
    splits = frames[1]["split_feature"].notna().sum()
    bins = ml.bins_sent(ml.highest(coded))
    said = ml.predicted_bytes(bins, splits, workers)
    sent = np.mean([each.histograms for each in grown.traffic])
    assert sent == pytest.approx(said, rel=0.02)
    if workers > 1:
        assert grown.traffic[0].rest > 0
        assert grown.traffic[0].messages >= 2 * splits * (workers - 1)


def test_bins_that_the_others_imply_are_not_sent():
    codes = np.array([[0, 0, 5], [0, 1, 2], [1, 1, 3], [0, 2, 4]], np.uint8)
    assert ml.highest((codes, None)).tolist() == [1, 2, 5]
    assert ml.highest((codes[:0], None)).tolist() == [0, 0, 0]
    assert ml.bins_sent(ml.highest((codes, None))) == 1 + 2 + 5
    assert ml.predicted_bytes(100, 10, 4) == 10 * 100 * 16 * 3 / 4
    data = ml.bins_like(np.array([1, 2, 5], np.uint8))
    assert [data.feature_num_bin(i) for i in range(3)] == [2, 3, 6]


def test_nothing_listens_beyond_this_machine_while_trees_grow(two, coded):
    blocks = ml.place(two, coded, 4)
    processes = psutil.Process().children(recursive=True)
    seen, over = set(), threading.Event()

    def look():
        while True:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    seen.update(
                        (process.pid, link.laddr)
                        for link in process.net_connections("inet")
                        if link.status == psutil.CONN_LISTEN
                    )
            if over.wait(0.001):
                return

    look_at_first = threading.Thread(target=look)
    look_at_first.start()
    try:
        secret = os.urandom(16)
        opened = two.run(ml.listen, secret)
        ml.train(two, blocks, 5)
    finally:
        over.set()
        look_at_first.join(LIMIT)
    assert {address.ip for _, address in seen} == {cluster.LOOPBACK}
    assert set(opened.values()) <= {tuple(address) for _, address in seen}
    two.run(ml.hush, secret)
    two.run(ml.hush, secret)  # does no harm
    for address in opened.values():
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address, LIMIT)


class Worker:
    address = "tcp://127.0.0.1:1"


def together(*parts):
    """Run functions in threads; return their results or errors."""
    found = [None] * len(parts)

    def run(i, part):
        try:
            found[i] = part()
        except BaseException as error:  # noqa: BLE001
            found[i] = error

    threads = [
        threading.Thread(target=run, args=pair) for pair in enumerate(parts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return found


def exchanges(world, jobs):
    """Let threads be the workers; each does its job with its links."""
    secret = os.urandom(16)
    addresses = [ml.listen(secret, Worker) for _ in range(world)]

    def part(rank):
        with ml.Exchange(rank, addresses, secret) as links:
            return jobs(rank, links)

    try:
        return together(*(lambda r=r: part(r) for r in range(world)))
    finally:
        ml.hush(secret)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_everyone_gets_the_blocks_that_are_theirs(world):
    size = 2_000_000  # more than sockets hold: somebody has to receive

    def job(rank, links):
        blocks = [bytes([rank, to]) * (size // 2) for to in range(world)]
        return links.swap(blocks), links.bytes, links.messages

    for rank, found in enumerate(exchanges(world, job)):
        blocks, sent, messages = found
        assert [b[:2] for b in blocks] == [
            bytes([other, rank]) for other in range(world)
        ]
        assert {len(block) for block in blocks} == {size}
        assert (sent, messages) == (size * (world - 1), world - 1)


def test_empty_blocks_are_exchanged_too():
    found = exchanges(2, lambda rank, links: links.swap([b"", b""]))
    assert found == [[b"", b""]] * 2


def test_a_stranger_is_refused():
    secret = os.urandom(16)
    addresses = [ml.listen(secret, Worker) for _ in range(2)]

    def stranger():
        with socket.create_connection(addresses[0], LIMIT) as link:
            link.sendall(b"?" * 24)
            return link.recv(1)

    try:
        error, answer = together(
            lambda: ml.Exchange(0, addresses, secret), stranger
        )
    finally:
        ml.hush(secret)
    assert isinstance(error, ConnectionError)
    assert "stranger" in str(error)
    assert answer == b"" or isinstance(answer, ConnectionError)
    assert exchange._listeners == {}


def test_a_worker_that_leaves_is_noticed():
    def job(rank, links):
        return links.swap([b"a", b"b"]) if rank == 0 else "gone"

    found = exchanges(2, job)
    assert isinstance(found[0], ConnectionError)
    assert found[1] == "gone"


def test_who_never_comes_is_waited_for_only_so_long(monkeypatch):
    monkeypatch.setattr(exchange, "SECONDS", 0.1)
    secret = os.urandom(16)
    addresses = [ml.listen(secret, Worker) for _ in range(2)]
    with pytest.raises(TimeoutError):
        ml.Exchange(0, addresses, secret)
    ml.hush(secret)
    assert exchange._listeners == {}


def test_an_error_of_the_exchange_ends_the_training(coded):
    """It cannot pass through LightGBM, and must not be lost there."""
    half = (coded[0][:1500], coded[1][:1500])

    def job(rank, links):
        real, left = links.swap, iter(range(answers[0]))

        def unplugged(blocks):
            if next(left, None) is None:
                links.close()
                raise ConnectionError("unplugged")
            return real(blocks)

        if rank == 0:
            links.swap = unplugged
        network, after = ml.Network(links), [count]
        after.append(network.check)
        bins = ml.bins_like(ml.highest(coded))
        with network.plugged_in():
            shared = {"tree_learner": "data", "num_machines": 2}
            return ml.train_alone(half, 99, shared, bins, after)

    def count(environment):
        trees.append(environment.iteration)

    trees, answers = [], [0]
    for many in (0, 1, 2, 3, 40, 41, 42):  # in any of its calls
        trees.clear()
        answers[0] = many
        for error in exchanges(2, job):
            assert isinstance(error, ConnectionError)
        assert len(trees) <= 6


def test_each_worker_needs_a_feature(two):
    blocks = place(two, cut(labels(40, 1), [20, 20]))
    with pytest.raises(ValueError, match="2 workers, 1 features"):
        ml.train(two, blocks, 1)


def test_a_network_adds_up_and_gathers():
    def job(rank, links):
        network = ml.Network(links)
        mine = np.arange(4.0) + 10 * rank
        out = np.zeros(4)
        pair = ctypes.c_int32 * 2
        starts, sizes = pair(0, 16), pair(16, 16)

        @plugging._Reducer
        def plus(source, target, type_size, size):
            numbers = np.frombuffer(ctypes.string_at(source, size))
            place = (ctypes.c_double * (size // 8)).from_address(target)
            place[:] = np.frombuffer(place) + numbers

        network.reduce_scatter(
            mine.ctypes.data, 32, 8, starts, sizes, 2, out.ctypes.data, 32,
            ctypes.pointer(plus),
        )  # fmt: skip
        own = out[:2].copy()
        network.all_gather(
            own.ctypes.data, 16, starts, sizes, 2, out.ctypes.data, 32
        )
        with network.plugged_in():
            pass
        assert network.swap([b"", b""]) == [b"", b""]
        return out.tolist(), network.traffic()

    right = [10.0, 12.0, 14.0, 16.0]
    for got, traffic in exchanges(2, job):
        assert got == right
        assert traffic == ml.Traffic(histograms=16, rest=16, messages=3)


def test_a_rank_grows_the_same_trees_as_its_peers(coded):
    secret = os.urandom(16)
    addresses = [ml.listen(secret, Worker) for _ in range(2)]
    halves, codes = cut(coded, [1000, 2000]), ml.highest(coded)
    # In one process: LightGBM keeps its network for each thread.
    found = together(
        *(
            lambda r=r: ml.train_rank(
                [halves[r]], codes, r, addresses, secret, 2, {}
            )
            for r in range(2)
        )
    )
    (one, traffic), (other, _) = found
    assert one == other
    assert traffic.histograms > 0


OWN_NETWORK = """
import fcntl, os, socket, struct, threading, time
import psutil
from lightgbm.basic import _LIB, _c_str

link = socket.socket()
up = struct.pack("16sh", b"lo", 0x49)
fcntl.ioctl(link, 0x8914, up)  # the namespace's loopback, up
machines = _c_str("127.0.0.1:12400,127.0.0.1:12401")
start = threading.Thread(
    target=_LIB.LGBM_NetworkInit, args=(machines, 12400, 1, 2), daemon=True
)
start.start()
end = time.monotonic() + 30
while time.monotonic() < end:
    for one in psutil.Process().net_connections("inet"):
        if one.status == psutil.CONN_LISTEN:
            print("listens on", one.laddr.ip, flush=True)
            os._exit(0)
print("does not listen", flush=True)
os._exit(1)
"""


@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "-rn", "true"], check=False).returncode,
    reason="needs a network namespace of its own, where all is loopback",
)
def test_lightgbms_own_network_listens_everywhere():
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", OWN_NETWORK],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert "listens on 0.0.0.0" in done.stdout, done.stdout + done.stderr


# Comparisons


def test_a_fits_memory_is_counted_in_copies():
    X = np.zeros((1000, 100))
    assert ml.copies_held(lambda X, y: X * 2, (X, None)) == pytest.approx(
        1, rel=0.1
    )
    assert ml.copies_held(lambda X, y: None, (X, None)) < 0.1


def test_pictures_are_the_first_of_fashion_mnist():
    X, y = ml.pictures(3)
    assert X.shape == (3, 196)
    assert y.tolist() == [9, 0, 0]
    assert 0 <= X.min() < X.max() <= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ways", "parts"),
    [
        (ml.kmeans_ways, 3),
        (ml.pca_ways, 3),
        (ml.sgd_ways, 3),
        (ml.search_ways, None),
    ],
)
def test_all_ways_of_a_comparison_agree(two, monkeypatch, ways, parts):
    monkeypatch.setattr(
        comparing.cluster, "local", lambda: contextlib.nullcontext(two)
    )
    once = functools.partial(comparing.compare, warmup=0)
    monkeypatch.setattr(comparing, "compare", once)
    found = ml.on_cluster(ways, 700, parts, repeats=1)
    first, *others, limit = found
    assert limit.startswith("limit: ")
    assert found[limit] > 0
    for way in others:
        tolerance = 0.5 if "randomized" in way else 1e-4
        np.testing.assert_allclose(
            found[way].result, found[first].result, tolerance, tolerance
        )


def test_the_comparisons_are_declared():
    assert len(comparing.COMPARISONS) == 4
    assert all(map(callable, comparing.COMPARISONS.values()))


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def squares(a, b):
    return np.linalg.cholesky(a.T @ a + b.T @ b).T


def stacks(a, b):
    return np.concatenate([a, b])


def adds(a, b):
    rows = max(len(a), len(b))
    return np.pad(a, ((0, rows - len(a)), (0, 0))) + np.pad(
        b, ((0, rows - len(b)), (0, 0))
    )


def mean_slope(X, y, coef):
    gradient, curvature = practice.slope(X, y, coef)
    return gradient / len(X), curvature / len(X)


def flat_slope(X, y, coef):
    return practice.slope(X, y, coef)[0], X.T @ X


def wrong_sign(X, y, coef):
    gradient, curvature = practice.slope(X, y, coef)
    return -gradient, curvature


def no_halves(negative, positive):
    below = np.cumsum(negative) - negative
    return positive @ below / (negative.sum() * positive.sum())


def all_pairs_below(negative, positive):
    return positive @ np.cumsum(negative) / (negative.sum() * positive.sum())


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("merge_triangles", stacks, "shape"),
        ("merge_triangles", adds, "RᵀR"),
        ("slope", mean_slope, "do not add up"),
        ("slope", flat_slope, "Newton"),
        ("slope", wrong_sign, "gradient begins"),
        ("slope", lambda X, y, c: (0, 0), "shape"),
        ("area", no_halves, "expected 0.5"),
        ("area", all_pairs_below, "expected"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


def test_squaring_is_found_out():
    one = EXERCISES[f"{practice.__name__}.merge_triangles"]

    def candidate(a, b):
        gram = a.T @ a + b.T @ b
        values, vectors = np.linalg.eigh(gram)
        root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
        return np.linalg.qr(root, mode="r")

    with pytest.raises(AssertionError, match="billionth"):
        one.check(candidate)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8),
    st.integers(1, 50),
)
def test_an_area_and_its_reverse_make_one(negative, seed):
    negative = np.array([*negative, 1])
    positive = np.random.default_rng(seed).integers(0, 9, len(negative))
    positive[0] += 1
    there = ml.area(negative, positive)
    assert 0 <= there <= 1
    assert there + ml.area(positive, negative) == pytest.approx(1)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_triangles_of_any_heights_merge(above, below, seed):
    X = np.random.default_rng(seed).normal(size=(above + below, 3))
    R = ml.merge_triangles(
        np.linalg.qr(X[:above], mode="r"), np.linalg.qr(X[above:], mode="r")
    )
    np.testing.assert_allclose(R.T @ R, X.T @ X, atol=1e-9)
    g, h = ml.slope(X, np.ones(len(X)), np.zeros(3))
    np.testing.assert_allclose(h, X.T @ X / 4)
    np.testing.assert_allclose(g, -X.sum(axis=0) / 2)
