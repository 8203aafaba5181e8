"""Training in parallel: the same models, whoever turns which dial."""

import gc
import inspect
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import psutil
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib.externals.loky import get_reusable_executor
from lightgbm import LGBMClassifier
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.tree import DecisionTreeClassifier

from parallel_ai.one_machine import models
from parallel_ai.one_machine.models import (
    admissions,
    families,
    forests,
    practice,
)
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

TEAMS = [1, 2, 3]
teams = pytest.mark.parametrize("team", TEAMS)
FAMILIES = list(models.estimators())


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Real pictures of 8 × 8 pixels, blown up to the pictures' 196."""
    X, y = load_digits(return_X_y=True)
    wide = np.zeros((300, 196), np.float32)
    wide[:, 1:193:3] = X[:300] / 16
    return wide, y[:300].astype(np.uint8)


@pytest.fixture(scope="module", params=[2, 3])
def crew(request) -> int:
    """Processes of joblib that several tests share; starting takes long.

    Those of the smaller crew stay for the larger one.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # sleep while waiting
        for name in ("OMP", "OPENBLAS", "MKL"):
            patch.delenv(f"{name}_NUM_THREADS", raising=False)
        joblib.Parallel(request.param)(
            joblib.delayed(abs)(i) for i in range(request.param)
        )
    return request.param


@pytest.fixture
def workers() -> Iterator[None]:
    """End the processes that a test started for itself alone."""
    yield
    get_reusable_executor().shutdown(wait=True)
    gc.collect()  # closes the queues of workers that were killed


# Families


def test_garments_are_the_first_pictures_at_half_the_resolution(monkeypatch):
    images = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
    data = {"train_images": images, "train_labels": np.array([4, 5, 6])}
    monkeypatch.setattr(families, "load", lambda name: data)
    X, y = models.garments(2)
    assert X.shape == (2, 196)
    assert X.dtype == np.float32
    assert X[1, 15] == np.float32(images[1, 2, 2] / 255)
    assert y.tolist() == [4, 5]


@pytest.mark.parametrize("name", FAMILIES)
def test_with_jobs_copies_and_sets_only_what_is_there(name):
    model = models.estimators()[name]
    copy = models.with_jobs(model, 3)
    assert copy is not model
    assert models.has_jobs(model) == ("n_jobs" in model.get_params())
    if models.has_jobs(model):
        assert copy.n_jobs == 3
        assert model.n_jobs is None


def said(model: object, X: np.ndarray) -> np.ndarray:
    if hasattr(model, "predict"):
        return model.predict(X)
    return model.transform(X)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_dial_changes_what_is_predicted(name, digits, crew):
    X, y = digits
    model = models.estimators()[name]
    alone = said(models.fit(model, X, y, (1, 1, 1)), X)
    for setting in list(models.settings(crew).values())[1:]:
        got = said(models.fit(model, X, y, setting), X)
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, alone, rtol=1e-3, atol=1e-3)
        else:
            np.testing.assert_array_equal(got, alone)


# Dials


def test_settings_turn_one_dial_at_a_time():
    assert models.settings(4) == {
        "one": (1, 1, 1),
        "n_jobs": (4, 1, 1),
        "OpenMP": (1, 4, 1),
        "BLAS": (1, 1, 4),
        "all": (4, 4, 4),
    }


@teams
def test_dials_limit_the_libraries_and_let_go_again(team):
    before = models.pools()
    with models.dials(team, 1):
        assert models.pools() == {"openmp": team, "blas": 1}
    with pytest.raises(KeyError), models.dials(1, 1):
        raise KeyError
    assert models.pools() == before


def test_a_limit_of_openmp_does_not_reach_other_threads():
    seen = []
    usual = []

    def look(into):
        into.append(models.pools()["openmp"])

    def elsewhere(into):
        thread = threading.Thread(target=look, args=(into,))
        thread.start()
        thread.join()

    elsewhere(usual)
    with models.dials(1, 1):
        assert models.pools()["openmp"] == 1
        elsewhere(seen)
    assert seen == usual


def burn(seconds: float) -> None:
    """Use the CPU for so long, counted in the thread's own CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def burn_in(team: int, seconds: float) -> None:
    crew = [
        threading.Thread(target=burn, args=(seconds,)) for _ in range(team)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def test_usage_counts_cpu_time():
    one = models.usage(lambda: burn(0.05))
    assert one.seconds >= 0.05
    assert one.seconds * one.busy >= 0.05


def test_usage_counts_the_cpu_time_of_workers(crew):
    def job():
        joblib.Parallel(crew)(joblib.delayed(burn)(0.1) for _ in range(2))

    one = models.usage(job)
    assert one.seconds * one.busy >= 0.15


def test_turn_measures_each_model_at_each_setting(digits):
    X, y = digits
    chosen = {
        "tree": DecisionTreeClassifier(random_state=0),
        "forest": RandomForestClassifier(2, random_state=0),
    }
    found = models.turn(chosen, X, y, 2, repeats=1)
    assert list(found["tree"]) == ["one", "OpenMP", "BLAS", "all"]
    assert list(found["forest"]) == list(models.settings(2))
    for row in found.values():
        assert all(one.seconds > 0 and one.busy >= 0 for one in row.values())


# Counting


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        (name, {"random forest": 16, "quantiles by columns": 4}.get(name, 0))
        for name in FAMILIES
    ],
)
def test_most_families_send_no_task_to_joblib(name, tasks, digits):
    X, y = digits
    model = models.estimators()[name]
    assert models.tasks_sent(lambda: model.fit(X, y)) == tasks


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize("team", [2, 3])
def test_every_task_is_counted(size, team):
    def job():
        return joblib.Parallel()(joblib.delayed(abs)(i) for i in range(size))

    assert models.tasks_sent(job, team) == size


def test_one_regression_for_each_class_is_one_task_for_each_class(digits):
    X, y = digits
    model = OneVsRestClassifier(LogisticRegression(tol=0.1, max_iter=500))
    assert models.tasks_sent(lambda: model.fit(X, y)) == 10


def test_cross_validated_regression_sends_its_folds(digits):
    X, y = digits
    model = LogisticRegressionCV(
        Cs=2, cv=3, tol=0.1, max_iter=500, l1_ratios=(0.0,),
        use_legacy_attributes=False, scoring="accuracy",
    )  # fmt: skip
    assert models.tasks_sent(lambda: model.fit(X, y)) == 3


@teams
def test_threads_at_work_counts_those_that_ended_too(team):
    # The watcher wants the lock that these hold, more often for each idle
    # thread of this process: libraries leave some, these are many.
    usual, home = sys.getswitchinterval(), threading.Event()
    idle = [threading.Thread(target=home.wait) for _ in range(150)]
    for thread in idle:
        thread.start()
    try:
        result, threads = models.threads_at_work(
            lambda: burn_in(team, 0.6), every=0.005
        )
    finally:
        home.set()
        for thread in idle:
            thread.join()
    assert result is None
    assert threads == team
    assert sys.getswitchinterval() == usual


def test_threads_at_work_counts_the_caller_and_not_the_watcher():
    assert models.threads_at_work(lambda: burn(0.1)) == (None, 1)
    assert models.threads_at_work(lambda: "quick") == ("quick", 1)


def test_threads_at_work_ends_its_watcher_after_an_error():
    with pytest.raises(ZeroDivisionError):
        models.threads_at_work(lambda: 1 // 0)


# What n_jobs does in the installed version


def test_n_jobs_of_logistic_regression_only_warns(digits):
    X, y = digits
    model = LogisticRegression(tol=0.1, max_iter=500)
    quiet = model.fit(X, y).coef_
    with pytest.warns(FutureWarning, match="'n_jobs' has no effect"):
        loud = models.with_jobs(model, 2).fit(X, y).coef_
    np.testing.assert_array_equal(quiet, loud)


def test_fit_hides_that_one_warning_and_no_other(digits):
    X, y = digits
    models.fit(LogisticRegression(tol=0.1), X, y, (2, 1, 1))
    with pytest.warns(Warning, match="converge"):
        models.fit(LogisticRegression(max_iter=1), X, y, (2, 1, 1))


def test_k_means_has_no_n_jobs():
    with pytest.raises(TypeError, match="n_jobs"):
        KMeans(n_jobs=2)


# A forest by hand


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.tree_.threshold, b.tree_.threshold)
        and np.array_equal(a.tree_.feature, b.tree_.feature)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("trees", [0, 1, 2, 7])
def test_all_forests_are_the_same_forest(trees, digits, crew):
    X, y = digits
    expected = models.forest_serial(X, y, trees)
    assert len(expected) == trees
    for grow in (models.forest_threads, models.forest_processes):
        assert same(grow(X, y, trees, workers=1), expected)
        assert same(grow(X, y, trees, workers=crew), expected)


def test_another_seed_is_another_forest(digits):
    X, y = digits
    one = models.forest_serial(X, y, 2, seed=0)
    assert not same(one, models.forest_serial(X, y, 2, seed=1))
    assert not same(one[:1], one[1:])


def test_a_forest_by_hand_is_as_good_as_the_library(digits):
    X, y = digits
    ours = models.vote(models.forest_serial(X[:200], y[:200], 30), X[200:])
    theirs = models.train_forest(X[:200], y[:200], 1, trees=30)
    right = np.mean(ours == y[200:])
    assert right > 0.7
    assert right == pytest.approx(theirs.score(X[200:], y[200:]), abs=0.15)


@teams
def test_the_librarys_forest_does_not_depend_on_its_workers(team, digits):
    X, y = digits
    alone = models.train_forest(X, y, 1, trees=5)
    others = models.train_forest(X, y, team, trees=5)
    assert same(alone.estimators_, others.estimators_)
    np.testing.assert_array_equal(alone.predict(X), others.predict(X))


def test_an_error_in_one_tree_reaches_the_caller(digits):
    X, y = digits
    X = X.copy()
    X[:, 0] = np.inf
    for grow in (
        models.forest_serial,
        models.forest_threads,
        models.forest_processes,
    ):
        with pytest.raises(ValueError, match="infinity"):
            grow(X, y, 3)


@pytest.mark.parametrize(
    ("tasks", "workers", "cpus", "expected"),
    [(8, 1, 4, 1), (8, 2, 4, 2), (8, 3, 4, 8 / 3), (8, 9, 4, 4), (0, 2, 2, 1)],
)
def test_rounds(tasks, workers, cpus, expected):
    assert models.rounds(tasks, workers, cpus) == expected


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 64))
def test_no_speedup_beyond_tasks_workers_or_cpus(tasks, workers, cpus):
    assert models.rounds(tasks, workers, cpus) >= 1
    assert models.rounds(tasks, workers, cpus) <= min(tasks, workers, cpus)


def test_the_comparison_ends_with_the_limit(monkeypatch, digits):
    monkeypatch.setattr(forests, "garments", lambda count: digits)
    monkeypatch.setattr(machine, "cpus", lambda: 3)
    found = models.forest_training(repeats=1)
    assert list(found) == ["1 CPU", "3 CPUs", "limit: 1 CPU / CPUs"]
    alone = found["1 CPU"]
    assert isinstance(alone, Timing)
    assert found["limit: 1 CPU / CPUs"] == alone.median / 3
    assert models.COMPARISONS["forest training"] is models.forest_training


# A search


TREE = DecisionTreeClassifier(random_state=0)
GRID = {"max_depth": [2, 4], "min_samples_leaf": [1, 5]}


def test_candidates_are_all_combinations():
    assert models.candidates({}) == [{}]
    assert models.candidates({"a": []}) == []
    assert models.candidates({"a": [1, 2], "b": "xy"}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(2, 3))
def test_every_row_is_held_out_once(extra, cuts):
    y = np.array(extra * cuts)
    held = np.concatenate([test for _, test in models.folds(y, cuts)])
    assert sorted(held) == list(range(len(y)))
    for train, test in models.folds(y, cuts):
        assert not set(train) & set(test)


@pytest.mark.parametrize("grid", [{}, {"max_depth": [3]}, GRID])
def test_searches_agree(grid, digits, crew):
    X, y = digits
    expected = [f.score for f in models.search_serial(TREE, grid, X, y)]
    for team in (1, crew):
        found = models.search_joblib(TREE, grid, X, y, workers=team)
        assert [f.score for f in found] == expected
        assert {f.threads for f in found} == {0}
        here = {f.process for f in found} == {os.getpid()}
        assert here == (team == 1)


def test_the_library_searches_the_same(digits):
    X, y = digits
    ours = models.means(models.search_serial(TREE, GRID, X, y))
    theirs = GridSearchCV(TREE, GRID, cv=StratifiedKFold(3)).fit(X, y)
    assert theirs.cv_results_["params"] == models.candidates(GRID)
    np.testing.assert_allclose(theirs.cv_results_["mean_test_score"], ours)


def test_an_empty_grid_of_values_is_no_work(digits):
    X, y = digits
    assert models.search_serial(TREE, {"max_depth": []}, X, y) == []
    assert models.search_joblib(TREE, {"max_depth": []}, X, y) == []
    assert models.means([]).size == 0


def test_counting_threads_leaves_the_score_alone(digits):
    X, y = digits
    fold = models.folds(y)[0]
    plain = models.evaluate(TREE, {}, X, y, fold)
    counted = models.evaluate(TREE, {}, X, y, fold, count=True)
    assert counted.score == plain.score
    assert counted.threads >= 1


def test_a_search_says_which_value_was_wrong(digits):
    X, y = digits
    with pytest.raises(ValueError, match="max_depth"):
        models.search_serial(TREE, {"max_depth": [2, -1]}, X, y)
    with pytest.raises(ValueError, match="max_depth"):
        models.search_joblib(TREE, {"max_depth": [2, -1]}, X, y, workers=1)


# Threads inside of processes


def test_joblib_divides_the_cpus_among_its_workers(crew, monkeypatch):
    for name in ("OMP", "OPENBLAS", "MKL"):
        monkeypatch.delenv(f"{name}_NUM_THREADS", raising=False)
    each = max(1, joblib.cpu_count() // crew)
    for seen in models.pools_of_workers(crew):
        assert seen["openmp"] == each


def test_a_variable_of_the_parent_reaches_the_workers(monkeypatch, workers):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert [w["openmp"] for w in models.pools_of_workers(2)] == [7, 7]
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        cured = models.pools_of_workers(2)
    assert [w["openmp"] for w in cured] == [1, 1]


def threads_of_lightgbm(jobs: int, X: np.ndarray, y: np.ndarray) -> int:
    """Count the threads that LightGBM starts in a process new to it."""
    LGBMClassifier(n_estimators=1, n_jobs=1, verbose=-1).fit(X, y)
    before = psutil.Process().num_threads()
    LGBMClassifier(n_estimators=1, n_jobs=jobs, verbose=-1).fit(X, y)
    return psutil.Process().num_threads() - before + 1


def test_lightgbm_heeds_n_jobs_and_not_joblibs_limit(digits):
    X, y = digits
    source = "\n".join(
        [
            "import os, numpy as np, psutil",
            "from lightgbm import LGBMClassifier",
            inspect.getsource(threads_of_lightgbm),
            f"X = np.array({X[:60, 1:193:3].tolist()})",
            f"print(threads_of_lightgbm(3, X, np.array({y[:60].tolist()})))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-"],
        input=source,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["3"]


# Admissions


def admitted(rows: int) -> pd.DataFrame:
    """Made-up admissions in the form of the real ones: padded text."""
    draw = np.random.default_rng(rows)
    letter = draw.choice(list("AJOZ "), rows)
    return pd.DataFrame(
        {
            "COD_IDADE": draw.choice(["2", "3", "4", "5", "0"], rows),
            "IDADE": [f"{n:2}" for n in draw.integers(0, 99, rows)],
            "SEXO": draw.choice(["1", "3"], rows),
            "CAR_INT": draw.choice(["01", "02"], rows),
            "DT_INTER": draw.choice(["20240131", "20231225", " "], rows),
            "ESPEC": draw.choice(["01", "02", "87"], rows),
            "DIAG_PRINC": [f"{one}800" for one in letter],
            "DIAS_PERM": [f"{n:5}" for n in draw.integers(0, 30, rows)],
            "EXTRA": ["not read"] * rows,
        },
        dtype=str,
    )


@pytest.fixture
def year_files(tmp_path):
    paths = []
    for number, rows in enumerate([0, 1, 2, 50]):
        paths.append(tmp_path / f"RDAC{10 + number}01.parquet")
        admitted(rows).to_parquet(paths[-1])
    return paths


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_prepared_years_agree(count, year_files, crew):
    paths = year_files[:count]
    expected = models.prepare_serial(paths)
    assert [len(frame) for frame in expected] == [0, 1, 2, 50][:count]
    for team in (1, crew):
        for prepare in (models.prepare_threads, models.prepare_processes):
            for got, want in zip(prepare(paths, team), expected, strict=True):
                pd.testing.assert_frame_equal(got, want)


def test_features_say_what_the_text_says():
    row = {
        "COD_IDADE": "5",
        "IDADE": " 3",
        "SEXO": "3",
        "CAR_INT": "02",
        "DT_INTER": "20240131",  # a Wednesday
        "ESPEC": "02",
        "DIAG_PRINC": "O800",
        "DIAS_PERM": "    8",
    }
    one = models.features(pd.DataFrame([row], dtype=str)).iloc[0]
    assert one["age"] == 103
    assert one["female"] == one["urgent"] == one["long"] == 1
    assert one["weekday"] == 3
    assert one["month"] == 1
    assert one["bed 02"] == one["diagnosis O"] == 1
    assert one.filter(like="diagnosis").sum() == 1
    month = models.features(
        pd.DataFrame([row | {"COD_IDADE": "3", "IDADE": " 6"}], dtype=str)
    )
    assert month["age"][0] == pytest.approx(0.5)


def test_what_is_missing_is_nan_and_no_error():
    row = dict.fromkeys(admissions.FIELDS, "  ")
    one = models.features(pd.DataFrame([row], dtype=str)).iloc[0]
    assert np.isnan(one[["age", "weekday", "month", "long"]]).all()
    assert one["female"] == 0


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 40), st.integers(0, 40))
def test_features_do_not_depend_on_how_rows_are_divided(rows, cut):
    frame = admitted(rows)
    whole = models.features(frame)
    parts = [models.features(p) for p in (frame[:cut], frame[cut:])]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_years_are_divided_by_time(year_files):
    paths = [p for p in year_files if "10" not in p.stem[4:6]]
    frames = models.prepare_serial(paths)
    years = {models.year(p): f for p, f in zip(paths, frames, strict=True)}
    X, y, X_later, y_later = models.divide(years, 2012)
    assert list(years) == [2011, 2012, 2013]
    assert X.shape == (3, len(years[2011].columns) - 1)
    assert (len(y), len(X_later), len(y_later)) == (3, 50, 50)
    assert set(y_later) <= {0, 1}


def test_codes_differ_from_file_to_file(year_files):
    found = models.codes(year_files)
    assert found[0] == set()
    assert len(found[1]) == 1
    assert found[3] <= {f"{letter}800" for letter in "AJOZ "}


def test_files_are_the_years_and_nothing_else(monkeypatch):
    names = ["x/RDAC0801.parquet", "x/RDAC0801.dbc", "rd_rs.parquet"]
    monkeypatch.setattr(
        admissions.datasets,
        "paths",
        lambda name: {n: admissions.Path("/data") / n for n in names},
    )
    assert [p.name for p in models.files()] == ["RDAC0801.parquet"]


def test_arrow_has_threads_of_its_own():
    usual = models.arrow_threads()
    try:
        pyarrow.set_cpu_count(usual + 2)
        assert models.arrow_threads() == usual + 2
    finally:
        pyarrow.set_cpu_count(usual)


# Networks


@teams
def test_a_network_learns_the_same_with_any_number_of_threads(team, digits):
    import torch

    X, y = digits
    before = torch.get_num_threads()
    first = models.train_network(X, y, 1, steps=1)
    loss = models.train_network(X, y, team, steps=8)
    assert loss == pytest.approx(models.train_network(X, y, 1, steps=8))
    assert loss < first
    assert torch.get_num_threads() == before


def test_a_network_has_a_fixed_start():
    one, other = (models.network(4, 2, width=3) for _ in range(2))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert (a == b).all()


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def each_learns_alone(parts, workers):
    columns = sorted(set().union(*parts)) if parts else []
    return columns, [
        np.array([[c == n for n in sorted(set(part))] for c in part])
        for part in parts
    ]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("plan", lambda fits, cpus, each, memory: (cpus, cpus), "expected"),
        (
            "plan",
            lambda fits, cpus, each, memory: (
                max(1, min(fits, cpus, memory // each if each else fits)),
                cpus
                // max(1, min(fits, cpus, memory // each if each else fits)),
            ),
            "MemoryError",
        ),
        (
            "predict_in_parts",
            lambda model, X, workers: np.array(
                [model.predict(row[None])[0] for row in X],
                model.classes_.dtype,
            ),
            "called model.predict",
        ),
        (
            "predict_in_parts",
            lambda model, X, workers: model.predict(X) if len(X) else X[:, 0],
            "dtype",
        ),
        (
            "predict_in_parts",
            lambda model, X, workers: (
                model.predict(X) if len(X) else model.classes_[:0]
            ),
            "by itself",
        ),
        ("encode_parts", each_learns_alone, "shape"),
        ("encode_parts", lambda parts, workers: ([], []), "columns"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


@given(
    st.integers(1, 99),
    st.integers(1, 64),
    st.integers(0, 9),
    st.integers(9, 99),
)
def test_a_plan_never_needs_more_than_there_is(fits, cpus, each, memory):
    workers, threads = models.plan(fits, cpus, each, memory)
    assert workers >= 1
    assert threads >= 1
    assert workers * threads <= cpus
    assert workers <= fits
    assert workers * each <= memory


def test_made_up_files_stand_in_for_the_real_ones(tmp_path):
    paths = models.made_up(tmp_path, rows=500)
    real = admissions.datasets.table()["admissions"]["stand_in"]["files"]
    names = [Path(file["name"]).name for file in real if "year" in file]
    assert [path.name for path in paths] == names
    for path, frame in zip(paths, models.prepare_serial(paths), strict=True):
        text = pd.read_parquet(path)
        assert list(text.columns) == list(admissions.FIELDS)
        assert all(isinstance(value, str) for value in text.to_numpy().flat)
        assert frame.notna().to_numpy().all()
        assert set(frame["long"]) == {0, 1}
    assert {len(kinds) for kinds in models.codes(paths)} == {19, 20, 21}
    (tmp_path / "again").mkdir()
    again = models.made_up(tmp_path / "again", rows=500)
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
