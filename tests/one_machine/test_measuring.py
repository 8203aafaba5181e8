import inspect
import math
import os
import threading
import time

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from parallel_ai.one_machine import measuring
from parallel_ai.one_machine.measuring import garments, latency
from parallel_ai.toolbox import exercises, machine, records
from parallel_ai.toolbox.roofs import in_threads

WORKERS = [1, 2, 3]
SIZES = [0, 1, 2, 3, 7, 64]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# Clocks


def test_sleeping_passes_wall_time_but_no_cpu_time():
    ended = threading.Event()
    wall, cpu = measuring.wall_and_cpu(ended.wait, 0.2)
    assert wall >= 0.2
    assert cpu < 0.1


def test_working_passes_both():
    wall, cpu = measuring.wall_and_cpu(sum, range(2_000_000))
    assert cpu > 0
    assert wall > 0


def test_threads_are_counted_by_the_cpu_clock():
    def spin():
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    _, cpu = measuring.wall_and_cpu(in_threads, spin, [(), (), ()])
    assert cpu >= 0.15


@given(step=st.integers(1, 1000))
def test_clock_step_is_the_smallest(step):
    readings = iter(np.cumsum([0, 0, 3 * step, step, 0, 2 * step]))
    clock = lambda: float(next(readings))
    assert measuring.clock_step(clock, readings=6) == step


def test_date_is_coarser_than_a_fast_function():
    assert measuring.clock_step(time.time) >= np.spacing(time.time()) / 2


def test_forgotten_sum_is_none():
    assert measuring.add_up_in_vain(np.ones(4)) is None


# CPUs


def test_everybody_who_counts_is_asked():
    counts = measuring.cpu_counts()
    assert counts["os.cpu_count()"] == os.cpu_count()
    assert counts["machine.cpus()"] == machine.cpus()
    asked = counts["os.process_cpu_count(), Python 3.13"]
    assert (asked is None) == (not hasattr(os, "process_cpu_count"))


def test_no_quota_is_none(monkeypatch):
    monkeypatch.setattr(machine, "quota", lambda: math.inf)
    counts = measuring.cpu_counts()
    assert counts["quota of the control groups"] is None


@pytest.mark.skipif(
    not hasattr(psutil.Process, "cpu_affinity"), reason="no affinity here"
)
def test_a_bound_child_knows_its_affinity():
    before = psutil.Process().cpu_affinity()
    counts = measuring.cpu_counts_on(1)
    assert counts["affinity"] == counts["machine.cpus()"] == 1
    assert counts["os.cpu_count()"] == os.cpu_count()
    assert psutil.Process().cpu_affinity() == before


# Latency


@pytest.mark.parametrize("size", [1, 64, 65, 128, 4096, 100_000])
def test_a_ring_visits_every_line_once(size):
    following = measuring.ring(size)
    place, visited = 0, []
    for _ in range(max(1, size // latency.LINE)):
        visited.append(place)
        place = int(following[place])
    assert place == 0
    lines = sorted(p * 8 // latency.LINE for p in visited)
    assert lines == list(range(max(1, size // latency.LINE)))


@settings(deadline=None)  # the first call compiles
@given(size=st.integers(64, 20_000), steps=st.integers(0, 500))
def test_chasing_goes_as_far_as_told(size, steps):
    following = measuring.ring(size)
    place = 0
    for _ in range(steps):
        place = following[place]
    assert measuring.chase_kernel(following, steps) == place


def test_load_latency_is_time_by_steps(monkeypatch):
    class Fake:
        seconds = (6.0, 3.0)

    monkeypatch.setattr(latency, "measure", lambda *a, **k: Fake)
    assert measuring.load_latency(1024, steps=300) == 3.0 / 300


def test_latencies_are_sorted_and_complete(monkeypatch):
    monkeypatch.setattr(
        latency, "load_latency", lambda size: 1e-9 + size * 1e-18
    )
    found = measuring.latencies()
    assert list(found.values()) == sorted(found.values())
    assert min(found.values()) > 0
    assert {"load from memory", "start and end of Python"} <= found.keys()
    assert len([k for k in found if "cache, level" in k]) == len(
        machine.caches()
    )


# Models

fractions = st.floats(0, 1)
workers = st.integers(1, 1000)


@given(fractions, workers)
def test_amdahl_is_bounded(serial, n):
    predicted = measuring.amdahl(n, serial)
    assert 1 - 1e-9 <= predicted <= n * (1 + 1e-9)
    if serial > 0:
        assert predicted <= 1 / serial * (1 + 1e-9)


@given(fractions, workers)
def test_gustafson_promises_at_least_amdahl(serial, n):
    grown = measuring.gustafson(n, serial)
    assert measuring.amdahl(n, serial) <= grown * (1 + 1e-9)
    assert grown <= n * (1 + 1e-9)


@given(fractions, workers)
def test_universal_law_without_coherency_is_amdahl(serial, n):
    assert math.isclose(
        measuring.usl(n, serial, 0), measuring.amdahl(n, serial)
    )


@given(fractions, fractions)
def test_one_worker_has_a_speedup_of_one(contention, coherency):
    assert measuring.usl(1, contention, coherency) == 1


def test_laws_take_arrays():
    n = np.array([1, 2, 4])
    assert_array_equal(measuring.amdahl(n, 0.0), n)
    assert_array_equal(measuring.gustafson(n, 0.0), n)
    assert_array_equal(measuring.usl(n, 0.0, 0.0), n)


@given(st.floats(0, 0.5), st.floats(1e-4, 0.05))
def test_a_fit_finds_the_law_that_made_the_points(contention, coherency):
    n = [1, 2, 3, 4, 8, 16, 32]
    points = [measuring.usl(x, contention, coherency) for x in n]
    fit = measuring.fit_usl(n, points)
    assert math.isclose(fit.contention, contention, abs_tol=1e-3)
    assert math.isclose(fit.coherency, coherency, abs_tol=1e-3)


@given(st.floats(0, 0.5), st.floats(1e-4, 0.05))
def test_the_peak_is_where_the_law_is_highest(contention, coherency):
    fit = measuring.UslFit(contention, coherency, 0, 0)
    top = measuring.usl(fit.peak, contention, coherency)
    for other in (fit.peak * 0.9, fit.peak * 1.1):
        assert measuring.usl(other, contention, coherency) <= top


def test_a_law_without_coherency_has_no_peak():
    assert measuring.UslFit(0.1, 0, 0, 0).peak == math.inf


@pytest.mark.parametrize("n", [[1], [1, 2], [1, 2, 2], [1, 2, 3]])
def test_too_few_points_are_refused(n):
    with pytest.raises(ValueError, match="need at least 3"):
        measuring.fit_usl(n, [1.0] * len(n))


def test_points_without_scatter_have_small_errors_and_others_large():
    n = [1, 2, 3, 4, 8]
    exact = [measuring.usl(x, 0.1, 0.01) for x in n]
    rough = [1.0, exact[1] * 1.2, exact[2] * 0.8, exact[3] * 1.2, exact[4]]
    small = measuring.fit_usl(n, exact)
    large = measuring.fit_usl(n, rough)
    assert small.contention_error < 1e-3 < large.contention_error


@given(st.floats(1e-6, 1), st.integers(2, 100))
def test_sharing_pays_beyond_the_break_even(overhead, n):
    job = measuring.break_even(overhead, n)
    assert math.isclose(overhead + job / n, job)
    longer, shorter = 1.1 * job, 0.9 * job
    assert overhead + longer / n < longer
    assert overhead + shorter / n > shorter


def test_one_worker_never_breaks_even():
    assert measuring.break_even(1e-6, 1) == math.inf


def test_speedup_and_efficiency():
    assert measuring.speedup(6.0, 2.0) == 3
    assert measuring.efficiency(6.0, 2.0, 4) == 0.75


# The task


def pictures(rng, count):
    return rng.integers(0, 256, (count, 5, 4), dtype=np.uint8)


def nearest_oracle(queries, base):
    """In exact integers."""
    found = []
    for query in queries.astype(np.int64):
        distances = ((base.astype(np.int64) - query) ** 2).sum((1, 2))
        found.append(distances.argmin())
    return np.array(found, dtype=np.int64)


@pytest.mark.parametrize("count", SIZES)
def test_all_ways_find_the_nearest(rng, count):
    queries, base = pictures(rng, count), pictures(rng, 50)
    expected = nearest_oracle(queries, base)
    broadcast = measuring.nearest_broadcast(queries, base)
    product = measuring.nearest_product(queries, base)
    assert_array_equal(broadcast, expected)
    assert_array_equal(product, expected)
    assert broadcast.dtype == product.dtype == np.int64


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("count", SIZES)
def test_threads_find_the_same(rng, count, workers):
    queries, base = pictures(rng, count), pictures(rng, 50)
    assert_array_equal(
        measuring.nearest_threads(queries, base, workers),
        nearest_oracle(queries, base),
    )


def test_a_picture_is_nearest_to_itself(rng):
    base = pictures(rng, 30)
    assert_array_equal(measuring.nearest_product(base, base), np.arange(30))


def test_preparation(rng):
    base = pictures(rng, 6)
    flat, squares = measuring.prepare(base)
    assert flat.shape == (6, 20)
    assert flat.dtype == np.float32
    assert_array_equal(squares, (base.astype(np.int64) ** 2).sum((1, 2)))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("count", SIZES)
def test_closest_is_the_serial_one(rng, count, workers):
    base = pictures(rng, count).reshape(count, 20)
    query = pictures(rng, 1).reshape(-1)
    found = measuring.closest_threads(query, base, workers)
    assert found == tuple(measuring.closest_kernel(query, base))
    if count == 0:
        assert found == (-1, -1)
    else:
        distances = ((base.astype(int) - query.astype(int)) ** 2).sum(1)
        assert found == (distances.min(), distances.argmin())


def test_of_equals_the_first_wins():
    base = np.zeros((6, 4), dtype=np.uint8)
    query = np.full(4, 255, dtype=np.uint8)
    for workers in WORKERS:
        found = measuring.closest_threads(query, base, workers)
        assert found == (4 * 255**2, 0)


@given(cpus=st.integers(1, 256))
def test_worker_counts_reach_from_one_to_four_a_cpu(cpus):
    counts = measuring.worker_counts(cpus)
    assert counts == sorted(set(counts))
    assert counts[0] == 1
    assert counts[-1] == max(4, 4 * cpus)
    assert {cpus, 2 * cpus} <= set(counts)
    assert len(counts) <= 10


def test_scaling_tells_all_that_a_record_needs(monkeypatch, rng, tmp_path):
    monkeypatch.setattr(
        garments,
        "load",
        lambda name: {
            "train_images": pictures(rng, 40),
            "test_images": pictures(rng, 9),
        },
    )
    monkeypatch.setattr(garments, "QUERIES", 3)
    monkeypatch.setattr(machine, "cpus", lambda: 2)
    data = measuring.scaling()
    assert data["cpus"] == 2
    for what, points in [("nearest", 6), ("mean", 6), ("grown", 2)]:
        assert len(data[what]) == points
        assert all(s > 0 for repeats in data[what] for s in repeats)
    records.write("scaling", data, "test", tmp_path)
    [record] = records.read("scaling", tmp_path)
    assert record.data == data


def test_records_name_functions_without_arguments():
    for function in measuring.RECORDS.values():
        inspect.signature(function).bind()


# Exercises


@pytest.mark.parametrize(
    "name", ["cpus_granted", "karp_flatt", "least_seconds"]
)
def test_solution_passes_and_starter_fails(name, capsys):
    solution = getattr(measuring, name)
    exercises.check(solution, measuring)
    assert "Correct" in capsys.readouterr().out
    scope: dict[str, object] = {}
    exec(exercises.starter(solution), scope)
    assert exercises.verdict(scope[name], measuring)


def test_typical_mistakes_are_told():
    def cpus_granted(cpu_max, allowed):
        quota, period = cpu_max.split()
        return int(quota) // int(period) if quota != "max" else allowed

    def karp_flatt(workers, speedup):
        return max(0.0, (workers / speedup - 1) / (workers - 1))

    def least_seconds(operations, moved, roofs):
        return operations / roofs["operations"] + moved / roofs["bytes"]

    assert "'150000 100000', 8" in exercises.verdict(cpus_granted, measuring)
    assert "negative" in exercises.verdict(karp_flatt, measuring)
    assert "overlap" in exercises.verdict(least_seconds, measuring)
