"""Roofs: every byte and operation counted, by clocks that we hold."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_info

from parallel_ai.toolbox import machine, roofs
from parallel_ai.toolbox.roofs import (
    attainable,
    copy_bandwidth,
    copy_kernel,
    in_threads,
    multiply_rate,
    read_bandwidth,
    read_kernel,
    together,
)

WORKERS = [1, 2, 3]
SIZES = [0, 1, 2, 3, 7, 64]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def small(monkeypatch):
    """Measure little, so that the tests are quick."""
    monkeypatch.setattr(roofs, "TRAFFIC", 1_000_000)
    monkeypatch.setenv("PARALLEL_AI_MEMORY", "64MB")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("times", [1, 3])
def test_read_kernel_reads_everything(size, times, rng):
    numbers = rng.integers(-100, 100, size).astype(float)
    assert read_kernel(numbers, times) == times * numbers.sum()


@pytest.mark.parametrize("size", SIZES)
def test_copy_kernel_copies_everything(size, rng):
    source, target = rng.random(size), np.zeros(size)
    copy_kernel(source, target)
    assert_array_equal(source, target)


@pytest.mark.parametrize("parts", [0, 1, 2, 5])
def test_threads_give_results_in_order(parts):
    assert in_threads(
        lambda i, j: 10 * i + j, [(i, 1) for i in range(parts)]
    ) == [10 * i + 1 for i in range(parts)]


def test_every_part_has_a_thread_of_its_own():
    """They meet at a barrier, which no two calls of one thread could."""
    barrier = threading.Barrier(4, timeout=30)
    in_threads(barrier.wait, [()] * 4)


def test_errors_in_a_thread_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda x: 1 / x, [(1,), (0,)])


@pytest.mark.parametrize("workers", WORKERS)
def test_threads_that_start_together_meet_before_each_round(workers):
    """No thread is a round ahead of another one."""
    done = [0] * workers
    ahead = []

    def work(me):
        done[me] += 1
        ahead.append(max(done) - min(done))

    seconds = together(work, [(i,) for i in range(workers)], 4)
    assert done == [4] * workers
    assert max(ahead) <= 1
    assert seconds > 0


def test_together_takes_the_fastest_round_from_first_to_last(monkeypatch):
    ticks = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr(roofs.time, "perf_counter", lambda: next(ticks))
    assert together(lambda: None, [()], rounds=3) == 2.0


def test_a_thread_that_fails_does_not_leave_the_others_waiting(monkeypatch):
    monkeypatch.setattr(roofs, "PATIENCE", 1)
    with pytest.raises(ZeroDivisionError):
        together(lambda x: 1 / x, [(0,), (1,)])


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("bandwidth", "bytes_of", "share"),
    [
        (read_bandwidth, lambda p: p[0].nbytes * p[1], 1),
        (copy_bandwidth, lambda p: 2 * p[0].nbytes, 1),
    ],
)
def test_bandwidth_counts_the_bytes_of_all_threads(
    monkeypatch, small, workers, bandwidth, bytes_of, share
):
    """Bytes by seconds, with a clock that we hold."""
    seen = []

    def fake(kernel, parts):
        seen.extend(parts)
        return 2.0

    monkeypatch.setattr(roofs, "together", fake)
    found = bandwidth(workers, 96_000)
    assert len(seen) == workers
    assert found == sum(map(bytes_of, seen)) / 2.0
    assert found * 2.0 >= 96_000


@pytest.mark.parametrize("workers", WORKERS)
def test_bandwidths_are_positive(small, workers):
    assert read_bandwidth(workers) > 0
    assert copy_bandwidth(workers) > 0


def test_measured_memory_is_larger_than_the_caches(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 100_000_000_000)
    monkeypatch.setattr(machine, "caches", lambda: {1: 1, 3: 1_000_000_000})
    assert roofs._beyond_caches() == 4_000_000_000
    monkeypatch.setattr(machine, "memory", lambda: 400_000_000)
    assert roofs._beyond_caches() == 50_000_000


def test_multiply_rate_counts_and_limits(monkeypatch):
    seen = {}

    def fake(function, a, b, repeats):
        seen.update(shape=a.shape, dtype=a.dtype)
        seen["threads"] = {
            i["num_threads"]
            for i in threadpool_info()
            if i["user_api"] == "blas"
        }

        class Fake:
            seconds = (2.0, 4.0)

        return Fake

    monkeypatch.setattr(roofs, "measure", fake)
    assert multiply_rate("float64", 1, size=10) == 2 * 10**3 / 2
    assert seen["shape"] == (10, 10)
    assert seen["dtype"] == np.float64
    assert seen["threads"] <= {1}


def test_the_lower_roof_decides():
    got = attainable(np.array([0.5, 4.0, 100.0]), 100.0, 10.0)
    np.testing.assert_array_equal(got, [5, 40, 100])
