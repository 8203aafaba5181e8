"""A first model: equal to the library's, in one part or in many."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from parallel_ai.one_machine import first_model
from parallel_ai.one_machine.first_model import (
    fitting,
    flights,
    points,
    practice,
)
from parallel_ai.toolbox.exercises import EXERCISES

TEAMS = [1, 2, 3]
teams = pytest.mark.parametrize("workers", TEAMS)


@pytest.fixture(scope="module")
def table():
    """Some of the real flights."""
    return first_model.load_flights().iloc[::200]


# The file


def test_the_file_is_made_once_and_read_afterwards(tmp_path):
    path = tmp_path / "points.csv"
    made = first_model.load_points(path)
    assert [p.name for p in tmp_path.iterdir()] == ["points.csv"]
    path.write_text("x,y\n1,2\n3,4\n")
    read = first_model.load_points(path)
    assert read.to_dict("list") == {"x": [1, 3], "y": [2, 4]}
    assert len(made) == 100


def test_the_same_seed_makes_the_same_points():
    one, same, other = (
        first_model.make_points(50, seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space"):
        first_model.load_points(tmp_path / "points.csv")
    assert not (tmp_path / "points.csv").exists()


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "x,y\n1,late\n", "x\n1\n"])
def test_a_file_of_something_else_is_explained(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="delete the file"):
        first_model.load_points(path)


# Split, fit, judge


@given(st.integers(2, 60), st.floats(0.05, 0.95), st.integers(0, 5))
def test_every_row_is_in_exactly_one_part(count, share, seed):
    whole = pd.DataFrame({"x": range(count), "y": range(count)})
    held = round(share * count)
    if not 0 < held < count:
        with pytest.raises(ValueError, match="leaves nothing"):
            first_model.split(whole, share, seed)
        return
    train, test = first_model.split(whole, share, seed)
    assert len(test) == held
    assert sorted([*train["x"], *test["x"]]) == list(range(count))


@given(
    st.lists(
        st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
        min_size=2,
        max_size=30,
    )
)
def test_line_and_r_squared_are_the_library_s(pairs):
    x, y = np.array(pairs, dtype=float).T
    whole = pd.DataFrame({"x": x, "y": y})
    if len(set(x)) < 2:
        with pytest.raises(ValueError, match="two different"):
            first_model.fit_line(whole)
        return
    line = first_model.fit_line(whole)
    model = LinearRegression().fit(x[:, None], y)
    assert line.slope == pytest.approx(model.coef_[0], abs=1e-9)
    assert line.intercept == pytest.approx(model.intercept_, abs=1e-9)
    guess = first_model.predict(line, x)
    if len(set(y)) > 1:
        expected = pytest.approx(r2_score(y, guess), abs=1e-9)
        assert first_model.r_squared(y, guess) == expected


def test_r_squared_of_a_constant_says_nothing():
    with pytest.raises(ValueError, match="R² says nothing"):
        first_model.r_squared(np.ones(3), np.ones(3))


def test_nobody_beats_the_true_line_on_many_points():
    many = first_model.make_points(100_000)
    y = many["y"].to_numpy()
    line = first_model.fit_line(many)
    fitted = first_model.r_squared(
        y, first_model.predict(line, many["x"].to_numpy())
    )
    assert fitted == pytest.approx(first_model.best_r_squared(y), abs=0.005)
    assert line.slope == pytest.approx(points.SLOPE, abs=0.01)


# In parts


@teams
@pytest.mark.parametrize("count", [8, 9, 100, 1001])
def test_fits_agree_with_numpy_s(count, workers):
    rows = first_model.make_rows(count)
    expected = first_model.fit_lstsq(rows)
    for fit in (first_model.fit_products, first_model.fit_factors):
        assert fit(rows, workers) == pytest.approx(expected, abs=1e-8)


@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_merged_factors_are_the_factor_of_the_whole(columns, seed, sizes):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((size, columns)) for size in sizes]
    merged = first_model.merge_factors([first_model.factor(p) for p in parts])
    whole = np.concatenate(parts)
    assert merged.T @ merged == pytest.approx(whole.T @ whole, abs=1e-9)
    assert first_model.products(merged) == pytest.approx(
        first_model.products(whole), abs=1e-9
    )


@pytest.mark.parametrize("block", [1, 3, 100])
def test_any_size_of_block_gives_the_same_fit(block):
    rows = first_model.make_rows(50, columns=3)
    fitted = first_model.fit_factors(rows, 2, block)
    assert fitted == pytest.approx(first_model.fit_lstsq(rows), abs=1e-10)


def test_too_few_rows_are_an_error():
    with pytest.raises(np.linalg.LinAlgError, match="7 coefficients"):
        first_model.fit_factors(first_model.make_rows(5))


def test_a_column_twice_is_an_error():
    rows = np.ones((20, 3))
    with pytest.raises(np.linalg.LinAlgError, match="[Ss]ingular"):
        first_model.fit_products(rows)


def test_times_need_factors_or_a_scaled_column():
    """NumPy's solver takes a column of times for a constant; QR does not."""
    rows = first_model.load_times()
    centred = rows.copy()
    centred[:, 1] -= centred[:, 1].mean()
    slope = first_model.fit_lstsq(centred)[1]
    assert first_model.fit_factors(rows, 2)[1] == pytest.approx(
        slope, rel=1e-3
    )
    assert first_model.fit_lstsq(rows)[1] != pytest.approx(slope, rel=0.5)


def test_comparison_names_a_limit_and_agrees(monkeypatch):
    monkeypatch.setattr(fitting, "read_bandwidth", lambda: 1e9)
    found = first_model.compare_fits(20_000)
    assert found.pop("limit: read once") == 20_000 * 8 * 8 / 1e9
    first, *others = [timing.result for timing in found.values()]
    for result in others:
        assert result == pytest.approx(first, abs=1e-8)


# Folds


@pytest.mark.parametrize("workers", [1, 2])
def test_scores_do_not_depend_on_workers(table, workers):
    x, y = table[flights.NUMBERS + flights.WORDS], table[flights.TARGET]
    scores = first_model.score_folds(
        first_model.pipeline(), x, y, folds=3, workers=workers
    )
    serial = first_model.score_folds(first_model.pipeline(), x, y, folds=3)
    assert (scores == serial).all()
    assert (scores > 0.7).all()
    nothing = first_model.score_folds(first_model.baseline(), x, y, folds=3)
    assert (nothing < 0.01).all()


def test_folds_are_timed_by_workers(table):
    (found,) = first_model.compare_folds([table], [1, 2], folds=3)
    assert list(found) == [1, 2]
    assert (found[1].result == found[2].result).all()


def test_more_folds_than_rows_are_an_error(table):
    x, y = table[flights.NUMBERS + flights.WORDS], table[flights.TARGET]
    with pytest.raises(ValueError, match="number of splits"):
        first_model.score_folds(first_model.pipeline(), x[:3], y[:3], folds=5)


def test_a_fit_that_fails_is_not_hidden(table):
    x, y = table[flights.NUMBERS + flights.WORDS], table[flights.TARGET]
    with pytest.raises(ValueError, match="NaN"):
        first_model.score_folds(
            first_model.pipeline(), x, y.where(y != y.iloc[0]), folds=3
        )


def test_a_carrier_that_was_never_seen_is_no_error(table):
    fitted = first_model.pipeline().fit(
        table[flights.NUMBERS + flights.WORDS], table[flights.TARGET]
    )
    other = table.iloc[:1].assign(carrier="ZZ")
    assert np.isfinite(fitted.predict(other)).all()


def test_a_choice_that_saw_the_test_rows_finds_sense_in_noise():
    rng = np.random.default_rng(0)
    noise, y = rng.standard_normal((100, 2000)), rng.standard_normal(100)
    assert first_model.choose_then_split(noise, y) > 0.2
    assert first_model.choose_inside(noise, y) < 0


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def adds_blindly(one, other):
    return tuple(a + b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("adjusted_r_squared", lambda value, rows, columns: value, "expected"),
        ("most_speedup", lambda folds, workers: workers, "how many rounds"),
        ("merge_lines", adds_blindly, "mean of x"),
        ("merge_lines", lambda one, other: None, "no tuple"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)
