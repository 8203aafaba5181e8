"""Proves the chapter *Processes*: one result, clean ends, honest failures."""

import math
import multiprocessing
import os
import pickle
import signal
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from parallel_ai.one_machine import processes
from parallel_ai.one_machine.processes import Costs, Part, means, pools
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import verdict
from parallel_ai.toolbox.workers import executor

METHODS = multiprocessing.get_all_start_methods()
DIVIDED = [
    processes.mean_pool,
    processes.mean_executor,
    processes.mean_inherited,
    processes.mean_shared,
    processes.mean_mapped,
]
on_posix = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="needs signals and process groups"
)
# Python 3.12 and later warn of fork beside threads; these tests know.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def numbers(count):
    return np.random.default_rng(count).normal(3, 2, count)


def blocks():
    """Names of the blocks of shared memory that exist now."""
    folder = Path("/dev/shm")
    return {file.name for file in folder.glob("psm_*")}


# The same result, however it is divided


@pytest.mark.parametrize("mean", DIVIDED)
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_divided_mean_is_the_serial_mean(mean, workers, count):
    values = numbers(count)
    expected = processes.mean_serial(values)
    assert mean(values, workers) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mean", DIVIDED)
def test_every_start_method_gives_the_same_mean(mean, method):
    values = numbers(1001)
    expected = processes.mean_serial(values)
    assert mean(values, 2, method) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mean", [processes.mean_serial, *DIVIDED])
def test_mean_of_nothing_is_an_error(mean):
    with pytest.raises(ValueError, match="mean of no numbers"):
        mean(np.empty(0))


@pytest.mark.parametrize("mean", DIVIDED)
def test_mean_by_no_workers_is_an_error(mean):
    with pytest.raises(ValueError):  # noqa: PT011 - ours or Python's
        mean(numbers(3), 0)


@pytest.mark.parametrize(
    "mean",
    [
        processes.mean_serial,
        processes.mean_pool,
        processes.mean_executor,
        processes.mean_inherited,
    ],
)
def test_lists_have_the_same_mean_as_arrays(mean):
    values = numbers(101)
    assert mean(values.tolist()) == pytest.approx(values.mean())


def test_mean_of_bytes_does_not_overflow():
    assert processes.mean_serial(np.full(1000, 255, np.uint8)) == 255
    assert processes.mean_shared(np.full(1000, 255, np.uint8)) == 255


def test_mean_of_single_precision_is_summed_in_double():
    values = np.full(2**25, 0.1, np.float32)
    assert processes.mean_serial(values) == float(np.float32(0.1))


reals = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(reals, max_size=20), min_size=1, max_size=6))
def test_merged_parts_are_the_mean_of_all(lists):
    everything = [x for part in lists for x in part]
    parts = [processes.summarise(part) for part in lists if part]
    if not everything:
        with pytest.raises(ValueError, match="mean of no numbers"):
            processes.merge(parts)
        return
    expected = math.fsum(everything) / len(everything)
    assert processes.merge(parts) == pytest.approx(expected, abs=1e-6)
    assert processes.merge(parts[::-1]) == processes.merge(parts)


def test_mean_of_means_is_another_number():
    parts = [Part(3, 1.0), Part(1, 5.0)]
    assert processes.merge(parts) == 2.0
    assert np.mean([part.mean for part in parts]) == 3.0


def test_task_on_placed_numbers_is_small_however_many_there_are():
    with processes.allocate((10_000_000,), "f8") as array:
        task = pickle.dumps((means.summarise_kept, (0, 10_000_000)))
        assert len(pickle.dumps(array)) < 300
        assert len(task) < 300


def test_workers_hold_the_numbers_for_several_tasks():
    values = numbers(100)
    with (
        processes.share(values) as array,
        executor(2, initializer=processes.keep, initargs=(array,))
        as team,
    ):  # fmt: skip
        for count in (100, 7):
            assert processes.mean_kept(team, count) == pytest.approx(
                values[:count].mean()
            )


# The twin


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (25, 12, 12)).astype(np.uint8)


def test_effective_rank_counts_independent_patterns():
    row = np.arange(1, 9.0)
    one = np.outer(row, row)
    two = np.zeros((8, 8))
    two[0, 0] = two[1, 1] = 1
    black = np.zeros((8, 8))
    found = processes.effective_rank(np.stack([one, two, black, np.eye(8)]))
    assert found.tolist() == [1, 2, 1, 8]


def test_effective_rank_holds_the_energy_and_no_fewer_would():
    image = np.random.default_rng(1).normal(size=(1, 20, 20))
    singular = np.linalg.svd(image[0], compute_uv=False) ** 2
    for energy in (0.5, 0.9, 1.0):
        rank = int(processes.effective_rank(image, energy)[0])
        assert singular[:rank].sum() >= 0.9999 * energy * singular.sum()
        assert singular[: rank - 1].sum() < energy * singular.sum()


@pytest.mark.parametrize("count", [0, 1, 2, 25])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_divided_ranks_are_the_serial_ranks(images, workers, count):
    some = images[:count]
    expected = processes.ranks_serial(some, chunk=7)
    found = processes.ranks_executor(some, workers, chunk=4)
    assert expected.shape == (count,)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, processes.effective_rank(some))


@pytest.mark.parametrize("method", METHODS)
def test_ranks_by_every_start_method(images, method):
    np.testing.assert_array_equal(
        processes.ranks_executor(images, 2, method, chunk=10),
        processes.ranks_serial(images),
    )


def test_progress_bar_reaches_the_end(images, capsys, monkeypatch):
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # starts no thread
    processes.ranks_executor(images, chunk=10, progress=True)
    assert "3/3" in capsys.readouterr().err


# Starting


def test_five_workers_report_from_five_processes():
    reports = processes.five_workers()
    assert sorted(number for number, _ in reports) == list(range(5))
    ids = {process for _, process in reports}
    assert len(ids) == 5
    assert os.getpid() not in ids


def test_first_program_runs_as_its_docstring_says():
    shown = attempt(
        "import runpy\n"
        "if __name__ == '__main__':\n"
        "    runpy.run_module('parallel_ai.one_machine.processes',"
        " run_name='__main__')"
    )
    assert shown.count("reports in") == 5
    assert shown.endswith("[ended with exit code 0]")


@pytest.mark.parametrize("method", METHODS)
def test_only_fork_inherits_what_the_parent_did(method, monkeypatch):
    monkeypatch.setattr(pools, "counter", 41)
    with executor(1, method) as team:
        seen = team.submit(processes.look_around, "PATH").result(60)
    assert seen["counter"] == (41 if method == "fork" else 0)


def test_global_state_of_workers_stays_theirs(monkeypatch):
    monkeypatch.setattr(pools, "counter", 0)
    with executor(1) as team:
        assert list(team.map(processes.count_up, "abc")) == [1, 2, 3]
    assert pools.counter == 0


@pytest.mark.parametrize("method", METHODS)
def test_starting_leaves_nothing(method):
    processes.start_one(method)
    processes.start_and_stop(2, method)


# Failing


def test_exception_arrives_with_the_worker_s_traceback():
    with executor(1) as team:
        error = team.submit(processes.summarise, []).exception(60)
    assert isinstance(error, ValueError)
    assert "in summarise" in str(error.__cause__)


def test_pool_s_exception_arrives_with_the_worker_s_traceback(monkeypatch):
    monkeypatch.setattr(means, "bounds", lambda *_: [(0, 0)])
    with pytest.raises(ValueError, match="no numbers") as caught:
        processes.mean_pool(numbers(3))
    assert "in summarise" in str(caught.value.__cause__)


# Sharing


@pytest.mark.parametrize("place", [processes.share, processes.mapped])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_placed_array_is_what_was_placed(place, dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    with place(values) as array:
        assert array.shape == values.shape
        with pickle.loads(pickle.dumps(array)).open() as seen:
            np.testing.assert_array_equal(seen, values)
            assert seen.dtype == values.dtype
            del seen


def test_shared_array_can_be_filled_in_place():
    with processes.allocate((3,), int) as array:
        with array.open() as values:
            assert values.tolist() == [0, 0, 0]
            values[1] = 5
        with array.open() as values:
            assert values.tolist() == [0, 5, 0]


def test_shared_memory_is_unlinked_even_after_an_exception():
    before = blocks()
    with (
        pytest.raises(RuntimeError, match="enough"),
        processes.share(numbers(5)) as array,
    ):
        raise RuntimeError("enough")
    with pytest.raises(FileNotFoundError):
        SharedMemory(array.name)
    assert blocks() == before


@on_posix
def test_shared_memory_is_unlinked_even_after_a_worker_was_killed():
    before = blocks()
    with (
        pytest.raises(BrokenProcessPool),
        processes.share(numbers(5)) as array,
        executor(1, initializer=processes.keep, initargs=(array,)) as team,
    ):
        team.submit(signal.raise_signal, signal.SIGKILL).result(60)
    assert blocks() == before


def test_shared_memory_is_unlinked_if_the_copy_fails(monkeypatch):
    def fail(array):
        raise RuntimeError("no copy")

    before = blocks()
    monkeypatch.setattr(processes.SharedArray, "open", fail)
    with pytest.raises(RuntimeError), processes.share(numbers(5)):
        pass
    assert blocks() == before


def test_objects_cannot_be_shared():
    values = np.array([{}, []], dtype=object)
    with pytest.raises(TypeError, match="pointers"), processes.share(values):
        pass


def test_mapped_file_is_removed():
    with processes.mapped(numbers(5)) as array:
        assert os.path.exists(array.path)
    assert not os.path.exists(array.path)


def test_more_shared_memory_than_there_is_room_for_is_an_error():
    with pytest.raises(MemoryError, match="bytes of shared memory wanted"):
        processes.allocate((1 << 60,), "u1").__enter__()


def test_another_program_may_read_a_block_and_leave_it():
    with processes.share(numbers(5)) as array:
        shown = attempt(
            "from parallel_ai.one_machine.processes import attach\n"
            f"attach({array.name!r}).close()\n"
        )
        assert shown == "[ended with exit code 0]"
        with array.open() as values:
            assert values.size == 5


# Predicting


def test_model_adds_up_its_costs():
    costs = Costs(start=1, task=0.5, rate=10)
    assert costs.seconds(100, 0.1, 4, workers=2, chunk=50) == pytest.approx(
        1 + 2 * 0.5 + 400 / 10 + 50 * 0.1
    )
    assert costs.seconds(100, 0.1, workers=2) == pytest.approx(7)
    assert costs.seconds(100, 0.1, workers=2, chunk=100) == pytest.approx(11.5)


@given(st.floats(1e-6, 1), st.integers(2, 64))
def test_crossing_is_where_both_take_equally_long(t, workers):
    costs = Costs(start=0.02, task=1e-4, rate=1e9)
    crossing = costs.crossing(t, 8, workers)
    divided = (
        costs.start
        + workers * costs.task
        + crossing * 8 / costs.rate
        + crossing * t / workers
    )
    assert divided == pytest.approx(crossing * t)


def test_crossing_never_comes_if_sending_takes_longer_than_working():
    assert Costs(0.02, 1e-4, 1e8).crossing(1e-9, 8) == math.inf
    assert Costs(0.02, 1e-4, 1e8).crossing(1e-3, 8, workers=1) == math.inf


def test_measured_costs_are_positive():
    costs = processes.measure_costs(size=1 << 16)
    assert min(costs.start, costs.task, costs.rate) > 0


def test_sending_returns_no_more_than_the_count():
    with executor(1) as team:
        assert processes.send(team, numbers(1000)) == 1000


def test_speedups_are_of_the_three_ways(images, monkeypatch):
    monkeypatch.setattr(
        "parallel_ai.one_machine.processes.recording.NUMBERS", 100
    )
    found = processes.speedups(images, 2)
    assert len(found) == 3
    assert all(ratio > 0 for ratio in found.values())


# Exercises: the solutions pass their checks, usual mistakes do not


def mean_of_means(parts):
    found = {}
    for part in parts:
        for label, seen in part.items():
            found.setdefault(label, []).append(seen.mean)
    return {label: float(np.mean(m)) for label, m in found.items()}


def subtract_squares(a, b):
    count = a[0] + b[0]
    if count == 0:
        return 0, 0.0, 0.0
    mean = (a[0] * a[1] + b[0] * b[1]) / count
    squares = sum(x[2] + x[0] * x[1] ** 2 for x in (a, b))
    return count, mean, squares - count * mean**2


def forget_bins(images, workers):
    return np.bincount(images.ravel())


@settings(deadline=None)
@given(st.lists(reals, max_size=30), st.lists(reals, max_size=30))
def test_merged_moments_are_those_of_everything(a, b):
    def moments(values):
        if not values:
            return 0, 0.0, 0.0
        mean = math.fsum(values) / len(values)
        return len(values), mean, math.fsum((x - mean) ** 2 for x in values)

    found = processes.merge_moments(moments(a), moments(b))
    assert found == pytest.approx(moments(a + b), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    "solution",
    [
        processes.group_means,
        processes.merge_moments,
        processes.histogram_executor,
    ],
)
def test_solutions_pass_their_checks(solution):
    assert verdict(solution, processes) == ""


@pytest.mark.parametrize(
    ("name", "mistake", "help"),
    [
        ("group_means", mean_of_means, "weight each part by its count"),
        ("merge_moments", subtract_squares, "loses the digits"),
        ("histogram_executor", forget_bins, "still needs all its bins"),
    ],
)
def test_usual_mistakes_are_found_and_explained(
    name, mistake, help, monkeypatch
):
    monkeypatch.setattr(mistake, "__name__", name)
    assert help in verdict(mistake, processes)
