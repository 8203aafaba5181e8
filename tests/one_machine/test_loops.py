"""Loops: every way gives the serial result; done work is counted, not timed."""

import gzip
import os
import tempfile
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import joblib
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Memory
from scipy.spatial.distance import cdist
from tqdm import tqdm

from parallel_ai.one_machine import loops
from parallel_ai.one_machine.loops import overheads, practice
from parallel_ai.toolbox import datasets, roofs
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import count_to

SIZES = [0, 1, 2, 7]
TEAMS = [1, 2, 3]
LIMIT = 60  # seconds

sizes = pytest.mark.parametrize("size", SIZES)
teams = pytest.mark.parametrize("team", TEAMS)


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch):
    """Let the bars do without the thread that tqdm keeps for ever."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)


@pytest.fixture(scope="module", autouse=True)
def quick_start():
    """Let the fork server import the chapter once, if it is not up yet."""
    loops.pool_context()


def pictures(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 4, 4), np.uint8)


def month(path: Path, delays: list) -> str:
    """Write a small file in the flights' format."""
    rows = "".join(f"{d},UA\n" for d in delays)
    with gzip.open(path, "wt") as file:
        file.write("dep_delay,carrier\n" + rows)
    return str(path)


# The loop


@sizes
@teams
def test_threads_agree_with_the_serial_loop(size, team):
    items = list(range(size))
    expected = loops.loop_serial(str, items)
    assert expected == [str(i) for i in items]
    for options in ({}, {"batch_size": 2}, {"progress": True}):
        got = loops.loop_parallel(
            str, items, team, backend="threading", **options
        )
        assert got == expected


@teams
def test_processes_agree_with_the_serial_loop(team):
    here = os.getpid()
    for size in SIZES:
        items = list(range(size))
        assert loops.loop_parallel(str, items, team) == [*map(str, items)]
    (seen,) = loops.loop_parallel(lambda _: os.getpid(), [0], team)
    assert (seen == here) == (team == 1)


def test_a_pool_with_our_start_method_agrees():
    context = loops.pool_context()
    assert loops.loop_parallel(abs, [-1, 2, -3], 2, backend=context) == [
        1,
        2,
        3,
    ]


def test_the_bar_counts_results(capsys):
    loops.loop_parallel(abs, range(7), 2, progress=True, backend="threading")
    assert "7/7" in capsys.readouterr().err


def test_items_may_be_made_while_the_loop_runs():
    items = (i for i in range(5))
    got = loops.loop_parallel(
        abs, items, 2, progress=True, backend="threading"
    )
    assert got == [0, 1, 2, 3, 4]


def test_the_tasks_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        loops.loop_parallel(lambda i: 1 // i, [1, 0, 2], 2)


def test_dismissing_nobody_does_no_harm():
    loops.dismiss()
    loops.dismiss()


# The bodies


def test_delays_that_are_all_equal_have_no_spread(tmp_path):
    path = month(tmp_path / "m.csv.gz", [4, 4, "", 4])
    assert loops.delay_interval(path, 10).tolist() == [4, 4, 4]


def test_the_interval_holds_the_median_and_is_the_same_every_time(tmp_path):
    delays = np.random.default_rng(0).normal(5, 20, 400).round().tolist()
    path = month(tmp_path / "m.csv.gz", delays)
    low, median, high = loops.delay_interval(path)
    assert low <= median <= high
    assert median == np.median(delays)
    assert loops.delay_interval(path).tolist() == [low, median, high]
    assert loops.python_mean(path) == pytest.approx(np.mean(delays))


@sizes
def test_scaled_divides_by_255(size):
    got = loops.scaled(pictures(size))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, pictures(size) / 255, rtol=1e-6)


def test_the_three_kinds_are_complete(tmp_path):
    paths = [month(tmp_path / f"{i}.csv.gz", [i]) for i in range(2)]
    images = pictures(30)
    found = loops.kinds(paths, images)
    assert len(found) == 3
    for function, items in found.values():
        assert len(loops.loop_serial(function, items)) == len(items)
    _, parts = list(found.values())[-1]
    np.testing.assert_array_equal(np.concatenate(parts), images)


def test_backends_are_compared_on_the_same_loop():
    found = loops.compare_backends(abs, range(-3, 0), 2, repeats=1)
    assert list(found) == ["serial", "threading", "loky", "multiprocessing"]
    assert all(timing.result == [3, 2, 1] for timing in found.values())


# Overhead


def test_overhead_compares_equal_loops_and_ends_with_the_limit(
    monkeypatch,
):
    monkeypatch.setattr(overheads, "count_lasting", lambda seconds: 5)
    monkeypatch.setattr(overheads.machine, "cpus", lambda: 2)
    found = loops.overhead(1e-6, 7, workers=2, repeats=1)
    *ways, last = found
    assert ways[0] == "serial"
    assert all(found[way].result == [5] * 7 for way in ways)
    assert last == "limit: serial / 2 CPUs"
    assert found[last] == min(found["serial"].seconds) / 2


def test_the_titles_of_the_comparisons():
    assert list(loops.COMPARISONS) == [
        "1,000 tasks of 1 µs",
        "1,000 tasks of 100 µs",
        "100 tasks of 10 ms",
        "a Memory hit on a 100 MB array",
    ]
    assert all(map(callable, loops.COMPARISONS.values()))


def test_batches_begin_with_one_and_at_most_double():
    found = loops.batch_sizes(count_to, [1] * 300)
    assert found[0] == 1
    assert len(found) > 1
    for before, after in pairwise(found):
        assert after <= 2 * before


# Inputs


@teams
def test_the_nearest_image_is_another_one(team):
    rows = pictures(9).reshape(9, -1).astype(np.float32)
    apart = cdist(rows, rows)
    np.fill_diagonal(apart, np.inf)
    ask = partial(loops.nearest, rows)
    got = loops.loop_parallel(ask, range(9), team, backend="threading")
    assert got == apart.argmin(axis=1).tolist()


def test_large_arrays_arrive_in_a_file_and_read_only():
    large, small = np.zeros(200_000), np.zeros(10)
    seen = loops.loop_parallel(loops.arrival, [large, small], 2)
    assert seen == [("memmap", True, False), ("ndarray", False, True)]


def test_threads_share_the_array_itself():
    (seen,) = loops.loop_parallel(
        loops.arrival, [np.zeros(200_000)], 2, backend="threading"
    )
    assert seen == loops.Arrival("ndarray", False, True)


def test_spread_leaves_its_input_and_its_twin_does_not():
    rows = pictures(5).reshape(5, -1).astype(np.float64)
    before = rows.copy()
    expected = loops.spread(rows)
    np.testing.assert_array_equal(rows, before)
    assert loops.spread_in_place(rows) == pytest.approx(expected)
    assert not np.array_equal(rows, before)
    rows.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        loops.spread_in_place(rows)


def test_a_refilled_array_is_always_the_same_one():
    buffer = np.zeros(3)
    handed_out = list(loops.refilled(buffer, 4))
    assert all(array is buffer for array in handed_out)
    assert [a.copy()[0] for a in loops.refilled(buffer, 4)] == [0, 1, 2, 3]


# Results as they come


@sizes
@teams
def test_generators_agree_with_the_serial_loop(size, team):
    items = list(range(size))
    for loop in (
        loops.as_generator,
        partial(loops.in_rounds, size=3),
        partial(loops.in_rounds, size=100),
    ):
        got = loop(str, items, workers=team, backend="threading")
        assert list(got) == [str(i) for i in items]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(), max_size=20), st.integers(1, 9))
def test_rounds_of_any_size_lose_nothing(items, size):
    assert list(loops.in_rounds(abs, items, 1, size)) == [*map(abs, items)]


def test_a_generator_of_results_runs_away_from_its_caller():
    loop = partial(loops.as_generator, abs, workers=2, backend="threading")
    assert loops.ran_ahead(loop, tasks=50, seconds=LIMIT) == 50


@pytest.mark.parametrize("size", [1, 3, 8])
def test_rounds_wait_for_their_caller(size):
    loop = partial(
        loops.in_rounds, abs, workers=2, size=size, backend="threading"
    )
    assert loops.ran_ahead(loop, tasks=50, seconds=0.05) == size


def test_taking_is_noted_and_the_end_is_told():
    taken, exhausted = [], threading.Event()
    source = loops.took("ab", taken, exhausted)
    assert next(source) == "a"
    assert (taken, exhausted.is_set()) == ([0], False)
    assert list(source) == ["b"]
    assert (taken, exhausted.is_set()) == ([0, 1], True)


# Memory


@sizes
def test_distances_agree_with_scipy(size):
    rows = pictures(size).reshape(size, 16)
    got = loops.distances(pictures(size))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, cdist(rows, rows), rtol=1e-4, atol=0.1)


SOURCE = """
calls = 0

def scale(x):
    return x * 2

def feature(x):
    global calls
    calls += 1
    return scale(x) + 1
"""
EDITED = SOURCE.replace("* 2", "* 3")


def answers(folder, keep, *sources):
    """Answer and number of calls under one version after the other."""
    found = []
    for source in sources:
        module = loops.edited(folder, source)
        found.append((keep(module)(10), module.calls))
    return found


def test_memory_does_not_see_an_edited_helper(tmp_path):
    memory = Memory(tmp_path / "m", verbose=0)
    keep = lambda module: memory.cache(module.feature)
    assert answers(tmp_path, keep, SOURCE, SOURCE, EDITED) == [
        (21, 1),
        (21, 0),
        (21, 0),  # 31 would be right
    ]


def test_memory_forgets_all_when_the_function_changes(tmp_path):
    memory = Memory(tmp_path / "m", verbose=0)
    keep = lambda module: memory.cache(module.feature)
    other = SOURCE.replace("+ 1", "+ 5")
    assert answers(tmp_path, keep, SOURCE, other, SOURCE) == [
        (21, 1),
        (25, 1),
        (21, 1),
    ]


def test_cached_sees_helpers_and_keeps_old_versions(tmp_path):
    memory = Memory(tmp_path / "m", verbose=0)

    def keep(module):
        return loops.cached(memory, module.feature, [module.scale])

    assert answers(tmp_path, keep, SOURCE, SOURCE, EDITED, SOURCE) == [
        (21, 1),
        (21, 0),
        (31, 1),
        (21, 0),
    ]
    assert loops.stored(tmp_path / "m")[0] == 2


def test_cached_tells_arguments_and_functions_apart(tmp_path):
    memory = Memory(tmp_path, verbose=0)

    def plus(x, y=1):
        return x + y

    def minus(x, y=1):
        return x - y

    for _ in range(2):
        assert loops.cached(memory, plus)(3) == 4
        assert loops.cached(memory, plus)(3, y=5) == 8
        assert loops.cached(memory, minus)(3) == 2
    assert loops.stored(tmp_path)[0] == 3
    assert loops.keyed(plus, "any", 3, y=2) == 5


def test_a_fingerprint_needs_source():
    first = loops.fingerprint(loops.spread)
    assert first == loops.fingerprint(loops.spread)
    assert first != loops.fingerprint(loops.spread_in_place)
    with pytest.raises(TypeError):
        loops.fingerprint(len)


def test_a_file_that_was_replaced_is_no_hit(tmp_path):
    path = month(tmp_path / "m.csv.gz", [1])
    os.utime(path, (1, 1))  # written long ago
    memory = Memory(tmp_path / "m", verbose=0)
    plain = memory.cache(loops.delay_interval)
    checked = memory.cache(
        loops.delay_interval, cache_validation_callback=loops.unchanged
    )
    assert plain(path)[1] == 1
    assert checked.check_call_in_cache(path)
    month(Path(path), [7])
    future = 4e9
    os.utime(path, (future, future))
    assert plain(path)[1] == 1
    assert not checked.check_call_in_cache(path)
    assert checked(path)[1] == 7


def test_a_stored_pickle_can_call_anything(tmp_path, capsys):
    kept = Memory(tmp_path, verbose=0).cache(loops.spread)
    assert kept(np.eye(3)) > 0
    count, size = loops.stored(tmp_path)
    assert (count, size > 0) == (1, True)
    loops.replace_results(tmp_path, loops.Trojan())
    assert kept(np.eye(3)) is None
    assert "stranger" in capsys.readouterr().out


def test_hits_are_compared_with_computing(monkeypatch):
    monkeypatch.setattr(roofs, "read_bandwidth", lambda: 1e9)
    found = loops.hit_or_recompute(pictures(20), repeats=1)
    *ways, last = found
    assert ways == [
        "recomputed",
        "hit, read",
        "hit, mapped",
        "hit, mapped, all used",
    ]
    assert last.startswith("limit: ")
    assert found[last] == 20 * 20 * 4 / 1e9


def test_the_comparison_takes_images_that_fill_100_mb(monkeypatch):
    class EnoughError(Exception):
        pass

    module = __import__(loops.hit_or_recompute.__module__, fromlist=["_"])

    def counted(images):
        raise EnoughError(len(images))

    monkeypatch.setattr(module, "distances", counted)
    images = np.zeros((9000, 1, 1), np.uint8)
    monkeypatch.setattr(
        datasets, "load", lambda name: {"train_images": images}
    )
    with pytest.raises(EnoughError, match="5000"):
        loops.hit_or_recompute()
    assert 5000 * 5000 * 4 == 100_000_000


# Surviving


def test_an_error_says_with_what_it_was_called():
    with pytest.raises(ValueError, match="x1") as caught:
        loops.named(int, "x1")
    assert caught.value.__notes__ == ["while working on 'x1'"]
    assert loops.named(int, "5") == 5


@teams
def test_keep_going_agrees_and_computes_nothing_twice(tmp_path, team):
    items, steps = list(range(7)), []

    def square(x):
        return x**2

    def note(done, total):
        steps.append((done, total))

    for expected in (
        [(i, 7) for i in range(8)],
        [(7, 7)],  # all were found
    ):
        got = loops.keep_going(square, items, tmp_path, team, note)
        assert [int(x) for x in got] == [x**2 for x in items]
        assert steps == expected
        steps.clear()
    assert loops.keep_going(square, [], tmp_path, team, note) == []
    longer = loops.keep_going(square, [3, 3, 9], tmp_path, team)
    assert [int(x) for x in longer] == [9, 9, 81]


def test_faults_are_named_and_the_rest_is_kept(tmp_path):
    lock = threading.Lock()

    def reciprocal(x):
        return 1 / x

    items = [1, 0, 4, lock, "five"]
    with pytest.raises(ExceptionGroup, match="3 of 5 tasks") as caught:
        loops.keep_going(reciprocal, items, tmp_path)
    errors = caught.value.exceptions
    assert [type(e) for e in errors] == [
        ZeroDivisionError,
        TypeError,
        TypeError,
    ]
    for number, error in zip((1, 3, 4), errors, strict=True):
        assert error.__notes__[-1].startswith(f"in task {number}: ")
    assert "in reciprocal" in str(errors[0].__cause__)  # the worker's frames
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    steps = []
    loops.keep_going(
        reciprocal, [1, 4, 8], tmp_path, 2, lambda *step: steps.append(step)
    )
    assert steps == [(2, 3), (3, 3)]


def test_a_function_that_cannot_be_sent_is_told_for_every_task(tmp_path):
    lock = threading.Lock()
    with pytest.raises(ExceptionGroup, match="2 of 2") as caught:
        loops.keep_going(lambda x: (lock, x), [1, 2], tmp_path)
    assert all("pickle" in str(e) for e in caught.value.exceptions)


def test_a_killed_worker_is_named_and_the_innocent_are_done(tmp_path):
    paths = [month(tmp_path / f"m-{i:02}.csv.gz", [i]) for i in range(6, 11)]
    with pytest.raises(ExceptionGroup, match="1 of 5 tasks") as caught:
        loops.keep_going(loops.killed_in_august, paths, tmp_path / "kept")
    (error,) = caught.value.exceptions
    assert "its worker was killed" in str(error)
    (note,) = error.__notes__
    assert "in task 2: " in note
    assert "-08" in note
    assert len(list(tmp_path.rglob("*.npy"))) == 4
    assert list(tmp_path.rglob("*.begun")) == []
    others = paths[:2] + paths[3:]
    got = loops.keep_going(loops.killed_in_august, others, tmp_path / "kept")
    assert [int(x[1]) for x in got] == [6, 7, 9, 10]


def test_a_mark_that_outlived_its_result_is_removed(tmp_path):
    """A worker was ended after it had kept the result, before the mark."""

    def half(x):
        return x / 2

    assert loops.keep_going(half, [4], tmp_path) == [2]
    (result,) = tmp_path.rglob("*.npy")
    result.with_suffix(".begun").touch()
    assert loops.keep_going(half, [4], tmp_path) == [2]
    assert list(tmp_path.rglob("*.begun")) == []


def test_a_task_killed_only_in_company_succeeds_alone(tmp_path):
    """As one that ran out of memory beside others does."""
    first = str(tmp_path / "first")

    def greedy(x):
        if x == 1 and not os.path.exists(first):
            open(first, "w", encoding="utf-8").close()
            psutil.Process().kill()
        return x

    got = loops.keep_going(greedy, range(4), tmp_path / "kept")
    assert [int(x) for x in got] == [0, 1, 2, 3]


def test_a_result_is_saved_entirely_or_not_at_all(tmp_path):
    task = loops.Task(0, "item", tmp_path / "key.npy")
    assert task.mark.parent == tmp_path
    with pytest.raises(ValueError, match="allow_pickle"):
        loops.keep(lambda item: {"no": "array"}, task.item, task.file)
    assert list(tmp_path.iterdir()) == []
    loops.keep(lambda item: [1, 2], task.item, task.file)
    assert [p.name for p in tmp_path.iterdir()] == ["key.npy"]
    assert np.load(task.file, allow_pickle=False).tolist() == [1, 2]
    assert "in task 0: 'item'" in task.note(KeyError()).__notes__


JOB = """
import os, threading
import psutil
from joblib import Memory, Parallel, delayed
from parallel_ai.one_machine import loops

def logged(x):
    with open("log", "a") as file:
        file.write(f"{x}\\n")
    if x >= 8 and os.path.exists("hold"):
        threading.Event().wait(60)  # killed long before
    return x * 2

def main(way, kill):
    def report(done, total):
        if done == 4 and kill:
            psutil.Process().kill()

    if way == "keep_going":
        found = loops.keep_going(logged, range(12), "kept", 2, report)
        print([int(x) for x in found])
        return
    kept = Memory("kept", verbose=0).cache(logged)
    cure = dict(initializer=loops.die_with, initargs=(os.getpid(),))
    team = Parallel(2, return_as="generator", batch_size=1, **cure)
    found = []
    for result in team(delayed(kept)(x) for x in range(12)):
        found.append(result)
        report(len(found), 12)
    print(found)
"""
RUN = """
import os, sys
sys.path.insert(0, {folder!r})
os.chdir({folder!r})

if __name__ == "__main__":
    import job
    job.main({way!r}, {kill})
"""


def kept_in(folder: Path, way: str) -> int:
    pattern = "*.npy" if way == "keep_going" else "output.pkl"
    return len(list(folder.rglob(pattern)))


@pytest.mark.parametrize("way", ["keep_going", "Memory"])
def test_kill_9_loses_nothing_that_was_done(tmp_path, way):
    (tmp_path / "job.py").write_text(JOB)
    calls = []
    hold = tmp_path / "hold"  # so that the loop cannot end before the kill
    hold.touch()
    for kill in (True, False):
        run = RUN.format(folder=str(tmp_path), way=way, kill=kill)
        output = attempt(run, seconds=LIMIT)
        calls.append(len((tmp_path / "log").read_text().split()))
        if kill:
            assert "exit code -9" in output or "exit code 1" in output
            done = kept_in(tmp_path, way)
            assert 4 <= done <= 8
            hold.unlink()
    assert str([x * 2 for x in range(12)]) in output
    assert calls[1] - calls[0] == 12 - done  # exactly what was missing
    assert calls[0] - done <= 2  # what two workers had in hand


def test_workers_outlive_a_killed_program_unless_told():
    assert loops.left_behind(cured=False, seconds=0.1) >= 2
    assert loops.left_behind(cured=True, seconds=LIMIT) == 0


# Exercises


@pytest.mark.parametrize(
    "name",
    [n for n in EXERCISES if n.startswith(practice.__name__)],
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def counts_tasks(seconds, workers, batch):
    return sum(seconds) / workers


def ignores_batches(seconds, workers, batch):
    return practice.makespan(seconds, workers, 1)


def lets_it_out(function, items, workers):
    return [function(item) for item in items]


def here(function, items, workers):
    def settled(item):
        try:
            return function(item)
        except ZeroDivisionError as error:
            return error

    return [settled(item) for item in items]


def in_memory(function, folder):
    known = {}

    def remembered(values):
        key = joblib.hash(values)
        if key not in known:
            known[key] = function(values)
        return known[key]

    return remembered


def trusts_files(function, folder):
    def remembered(values):
        file = Path(folder, f"{joblib.hash(values)}.npy")
        if not file.exists():
            np.save(file, function(values))
        return np.load(file)

    return remembered


def by_sum(function, folder):
    def remembered(values):
        file = Path(folder, f"{values.sum()}.npy")
        if not file.exists():
            np.save(file, function(values))
        return np.load(file)

    return remembered


@pytest.mark.parametrize(
    ("name", "wrong", "problem", "message"),
    [
        ("makespan", counts_tasks, AssertionError, "expected"),
        ("makespan", ignores_batches, AssertionError, "expected 5"),
        ("settle", lets_it_out, AssertionError, "raised the error|process"),
        ("settle", here, AssertionError, "in this process"),
        ("settle", lambda *_: [None], AssertionError, "expected 0"),
        ("remember", in_memory, AssertionError, "a new start"),
        ("remember", by_sum, AssertionError, "another type"),
        ("remember", trusts_files, (ValueError, EOFError), None),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, problem, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(problem, match=message):
        one.check(wrong)


@given(
    st.lists(st.floats(0, 100), max_size=30),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_a_makespan_lies_within_its_bounds(seconds, workers, batch):
    """Graham's bounds, for batches as tasks."""
    batches = [
        sum(seconds[i : i + batch]) for i in range(0, len(seconds), batch)
    ]
    total, longest = sum(batches), max(batches, default=0)
    got = loops.makespan(seconds, workers, batch)
    assert got >= max(longest, total / workers) - 1e-6
    assert got <= total / workers + longest + 1e-6


def test_no_large_array_stays_in_a_file():
    """Empty folders may stay until this process ends."""
    loops.loop_parallel(np.max, [np.zeros(200_000)] * 2, 2)
    loops.dismiss()
    folders = f"joblib_memmapping_folder_{os.getpid()}_*"
    for place in (Path("/dev/shm"), Path(tempfile.gettempdir())):
        assert list(place.glob(f"{folders}/*")) == []
