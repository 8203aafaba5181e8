import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox.stopwatch import (
    Timing,
    compare,
    count_lasting,
    count_to,
    measure,
    readable,
    readable_bytes,
)


def slowly(seconds: float = 0.002):
    """Busy for some milliseconds, so that it is not looped."""
    import time

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Counter:
    def __init__(self, work=slowly):
        self.calls = 0
        self.work = work

    def __call__(self):
        self.work()
        self.calls += 1
        return self.calls


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_warms_up_then_measures(warmup):
    function = Counter()
    timing = measure(function, repeats=4, warmup=warmup)
    assert function.calls == warmup + 4
    assert len(timing.seconds) == 4
    assert timing.loops == 1
    assert timing.result == function.calls  # the last one


def test_short_functions_are_looped_and_divided():
    function = Counter(lambda: None)
    timing = measure(function, repeats=3)
    assert timing.loops > 1
    assert str(timing.loops)[0] in "125"
    assert set(str(timing.loops)[1:]) <= {"0"}
    assert timing.median * timing.loops < 1  # seconds of one call, not of all
    assert timing.median < 1e-3


def test_without_warmup_nothing_is_looped():
    assert measure(lambda: None, repeats=3, warmup=0).loops == 1


def test_passes_arguments():
    timing = measure(sorted, [1, 3, 2], repeats=1, reverse=True)
    assert timing.result == [3, 2, 1]


def test_uses_the_clock_it_is_given():
    ticks = itertools.count(0, 5)

    def clock():
        return float(next(ticks))

    timing = measure(slowly, repeats=3, clock=clock)
    assert timing.seconds == (5.0, 5.0, 5.0)
    assert timing.clock == "clock"


def test_a_function_that_uses_no_cpu_time_ends():
    """It would be looped for ever if its own clock decided the loops."""
    timing = measure(lambda: None, repeats=2, clock=lambda: 0.0)
    assert timing.seconds == (0.0, 0.0)


def test_rounds_are_interleaved_and_turned_round():
    order = []

    def visit(name):
        order.append(name)
        slowly()

    timings = compare(
        {name: lambda name=name: visit(name) for name in "abc"},
        repeats=3,
        warmup=1,
    )
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert list(timings) == ["a", "b", "c"]


def test_nothing_to_compare():
    assert compare({}) == {}


def test_last_result_is_freed_before_the_clock_runs():
    alive = []

    class Result:
        def __init__(self):
            slowly()
            alive.append(self)

        def __del__(self):
            freed.append(len(alive))

    class Weak(list):
        def append(self, item):  # remember that it was made, not the item
            super().append(id(item))

    alive, freed = Weak(), []
    timing = measure(Result, repeats=3, warmup=0)
    assert freed == [1, 2]  # the first went before the second was made
    assert isinstance(timing.result, Result)


@pytest.mark.parametrize(("repeats", "warmup"), [(0, 1), (-1, 1), (1, -1)])
def test_refuses_impossible_numbers(repeats, warmup):
    with pytest.raises(ValueError, match="repeats >= 1 and warmup >= 0"):
        measure(slowly, repeats=repeats, warmup=warmup)


def test_errors_of_the_function_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0)


@given(
    st.lists(st.floats(min_value=1e-9, max_value=1e4), min_size=1, max_size=20)
)
def test_quartiles_surround_the_median(seconds):
    timing = Timing(tuple(seconds))
    smallest, largest = min(seconds), max(seconds)
    assert smallest <= timing.low * (1 + 1e-9)
    assert timing.low <= timing.median * (1 + 1e-9)
    assert timing.median <= timing.high * (1 + 1e-9)
    assert timing.high <= largest * (1 + 1e-9)


def test_one_outlier_moves_the_mean_only():
    timing = Timing((1.0, 1.0, 1.0, 1.0, 100.0))
    assert (timing.low, timing.median, timing.high) == (1, 1, 1)


@pytest.mark.parametrize(
    ("timing", "text"),
    [
        (Timing((0.0123, 0.0119, 0.0128)), "12.3 ms (12.1–12.6, 3 runs)"),
        (Timing((2.0,)), "2.00 s (2.00–2.00, 1 run)"),
        (Timing((1e-8, 1e-8)), "10.0 ns (10.0–10.0, 2 runs)"),
    ],
)
def test_prints_for_people(timing, text):
    assert str(timing) == repr(timing) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3e-10, "0.30 ns"),
        (47e-9, "47.0 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1.00 µs"),
        (1.5e-4, "150 µs"),
        (0.0123, "12.3 ms"),
        (0.9996, "1.00 s"),
        (99.9, "99.9 s"),
        (99.96, "1 min 40 s"),
        (119.7, "2 min 0 s"),
        (-0.5, "-500 ms"),
        (-125, "-2 min 5 s"),
    ],
)
def test_readable(seconds, text):
    assert readable(seconds) == text


@pytest.mark.parametrize(
    ("count", "binary", "text"),
    [
        (0, False, "0 B"),
        (512, False, "512 B"),
        (800_000_000, False, "800 MB"),
        (1_500_000_000, False, "1.5 GB"),
        (999_999, False, "1 MB"),
        (32768, True, "32 KiB"),
        (1023 * 1024, True, "1023 KiB"),
        (1 << 20, True, "1 MiB"),
    ],
)
def test_readable_bytes(count, binary, text):
    assert readable_bytes(count, binary) == text


@given(st.floats(min_value=1e-9, max_value=99.9))
def test_readable_is_true_to_three_digits(seconds):
    number, unit = readable(seconds).split()
    scale = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert math.isclose(float(number) * scale, seconds, rel_tol=5.1e-3)


@given(st.integers(0, 1000))
def test_counting_counts(number):
    assert count_to(number) == number


def test_a_longer_time_counts_further():
    assert count_lasting(0) == 1
    assert count_lasting(1) > 1000
