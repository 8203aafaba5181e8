"""Bottlenecks: every cure gives the same report; profilers count rightly."""

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from parallel_ai.one_machine import bottlenecks
from parallel_ai.one_machine.bottlenecks import (
    comparing,
    cured,
    flames,
    hangs,
    jobs,
    practice,
    spying,
    tracing,
)
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.workers import executor

TEAMS = [1, 2, 3]
DEADLOCK = bottlenecks.deadlocked()  # here: Numba sets a variable, once
teams = pytest.mark.parametrize("team", TEAMS)

HEAD = (
    "year,month,day,dep_time,dep_delay,arr_time,arr_delay,carrier,tailnum,"
    "flight,origin,dest,air_time,distance,hour,minute"
)


def write_month(folder, month: int, flights: int):
    """A month of made-up flights; every fifth did not arrive."""
    rng = np.random.default_rng(month)
    lines = [HEAD]
    for number in range(flights):
        start = f"2013,{month},{rng.integers(1, 29)}"
        carrier = "AA" if rng.random() < 0.5 else "UA"
        clock = 100 * rng.integers(0, 24) + rng.integers(0, 60)
        if number % 5 == 4:
            lines.append(f"{start},,,,,{carrier},,7,EWR,IAH,,1400,,")
        else:
            delay, air = rng.integers(-30, 90), rng.integers(30, 300)
            lines.append(
                f"{start},{clock},0,1200,{delay},{carrier},N1,7,EWR,IAH,"
                f"{air},{rng.integers(100, 2000)},1,1"
            )
    path = folder / f"flights-{month:02}.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.fixture
def files(tmp_path):
    """Months of different sizes; one of them has a single flight."""
    sizes = {1: 60, 2: 1, 3: 25, 4: 111}
    return [write_month(tmp_path, *pair) for pair in sizes.items()]


def as_written(files) -> pd.DataFrame:
    return bottlenecks.report(files, *cured.STAGES["as written"])


# The report


def test_the_report_as_written_is_right(tmp_path):
    path = tmp_path / "month.csv.gz"
    rows = [
        "2013,1,5,559,0,1,16,AA,N1,7,EWR,IAH,60,100,1,1",  # a Saturday
        "2013,1,6,100,0,1,15,AA,N1,7,EWR,IAH,30,100,1,1",  # a Sunday
        "2013,1,7,600,0,1,-5,AA,N1,7,EWR,IAH,60,200,1,1",  # a Monday
        "2013,1,7,1800,0,1,99,UA,N1,7,EWR,IAH,60,300,1,1",
        "2013,1,7,1759,0,1,,UA,N1,7,EWR,IAH,,300,1,1",  # never arrived
    ]
    path.write_bytes(gzip.compress("\n".join([HEAD, *rows]).encode()))
    found = as_written([path])
    assert found.index.tolist() == [
        ("AA", "morning", False),
        ("AA", "night", True),
        ("UA", "evening", False),
    ]
    assert found.flights.tolist() == [1, 2, 1]
    assert found.late.tolist() == [0, 0.5, 1]
    assert found.delay.tolist() == [-5, 15.5, 99]
    miles = [200, (100 + 200) / 2, 300]  # in an hour, on average
    assert found.speed.tolist() == pytest.approx(
        [1.609344 * speed for speed in miles]
    )


@pytest.mark.parametrize("stages", cured.STAGES)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_cure_gives_the_same_report(files, stages, count):
    found = bottlenecks.report(files[:count], *cured.STAGES[stages])
    pd.testing.assert_frame_equal(found, as_written(files[:count]))


@pytest.mark.parametrize("count", [1, 2, 4])
@teams
def test_dividing_the_months_gives_the_same_report(files, count, team):
    expected = as_written(files[:count])
    serial = bottlenecks.report_serial(files[:count])
    threads = bottlenecks.report_threads(files[:count], team)
    pd.testing.assert_frame_equal(serial, expected)
    pd.testing.assert_frame_equal(threads, serial)


@teams
def test_processes_give_the_same_report_by_either_features(files, team):
    expected = as_written(files)
    with executor(team) as pool:
        for features in (cured.features_by_column, cured.features_by_row):
            found = bottlenecks.report_processes(files, pool, features)
            pd.testing.assert_frame_equal(found, expected)


def test_the_order_of_the_months_does_not_matter(files):
    pd.testing.assert_frame_equal(
        bottlenecks.report_serial(files[::-1]),
        bottlenecks.report_serial(files),
    )


@teams
def test_a_month_without_flights_changes_nothing(files, tmp_path, team):
    empty = write_month(tmp_path, 9, 0)
    expected = bottlenecks.report_serial(files)
    for some in ([*files, empty], [empty, *files]):
        found = bottlenecks.report_threads(some, team)
        pd.testing.assert_frame_equal(found, expected)
    assert len(bottlenecks.report_threads([empty], team)) == 0


def test_no_files_are_an_error_and_a_damaged_one_too(files, tmp_path):
    with pytest.raises(ValueError, match="No objects"):
        bottlenecks.report_serial([])
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(files[0].read_bytes()[:200])
    with pytest.raises(EOFError):
        bottlenecks.report_threads([files[0], damaged], 2)


@given(st.integers(2000, 2030), st.integers(1, 12), st.integers(1, 28))
def test_both_ways_to_find_a_weekend_agree(year, month, day):
    flight = pd.Series({"year": year, "month": month, "day": day})
    expected = pd.Timestamp(year, month, day).day_of_week >= 5
    assert bottlenecks.on_weekend(flight) == expected
    assert bottlenecks.is_weekend(year, month, day) == expected


def test_features_leave_the_flights_alone(files):
    flights = bottlenecks.read_once(files)
    before = flights.copy()
    for features in (
        cured.features_by_row,
        cured.features_by_date,
        cured.features_by_column,
    ):
        features(flights)
        pd.testing.assert_frame_equal(flights, before)


def test_each_date_is_parsed_once(files):
    bottlenecks.is_weekend.cache_clear()
    flights = bottlenecks.read_once(files).dropna(subset=["arr_delay"])
    bottlenecks.features_by_date(flights)
    dates = flights[["year", "month", "day"]].drop_duplicates()
    assert bottlenecks.is_weekend.cache_info().misses == len(dates)


# Tracing


def test_call_profile_counts_every_call():
    calls = bottlenecks.call_profile(bottlenecks.sum_called, list(range(70)))
    found = {call.name: call for call in calls}
    assert found["minutes (jobs.py)"].calls == 70
    assert found["sum_called (jobs.py)"].calls == 1
    assert (
        found["sum_called (jobs.py)"].total >= found["minutes (jobs.py)"].total
    )
    assert [c.own for c in calls] == sorted(c.own for c in calls)[::-1]


def test_call_profile_ends_even_after_an_error():
    with pytest.raises(ZeroDivisionError):
        bottlenecks.call_profile(lambda: 1 // 0)
    assert sys.getprofile() is None
    bottlenecks.call_profile(int)


def test_line_profile_counts_every_line():
    lines = bottlenecks.line_profile(
        jobs.sum_called, partial(jobs.sum_called, list(range(70)))
    )
    hits = {line.source.strip(): line.hits for line in lines}
    assert hits["total += minutes(clock)"] == 70
    assert hits["total = 0"] == 1
    assert hits["for clock in times:"] in (70, 71)
    assert [line.number for line in lines] == sorted(x.number for x in lines)


def test_both_sums_agree():
    times = [0, 59, 100, 1730, 2359]
    assert jobs.sum_called(times) == jobs.sum_inline(times) == 2608
    assert jobs.both_ways(times).keys() == {"sum_called", "sum_inline"}


def test_memory_of_sees_arrays_and_peaks():
    found = bottlenecks.memory_of(np.zeros, 1_000_000)
    assert 8_000_000 <= found.kept <= found.peak < 8_100_000

    def copies():
        for _ in range(3):
            np.zeros(1_000_000)

    found = bottlenecks.memory_of(copies)
    assert found.kept < 100_000
    assert found.peak >= 8_000_000
    assert not tracing.tracemalloc.is_tracing()


def test_memory_of_stops_after_an_error():
    with pytest.raises(ZeroDivisionError):
        bottlenecks.memory_of(lambda: 1 // 0)
    assert not tracing.tracemalloc.is_tracing()


def test_memory_of_tells_arrow_apart(files):
    def numbers():
        return tracing.pa.array(np.arange(100_000)).cast("float64")

    found = bottlenecks.memory_of(numbers)
    assert found.arrow >= 800_000
    assert found.kept < 100_000


def test_kept_by_line_charges_the_line_that_called():
    def build():
        first = np.zeros(100_000)
        np.zeros(900_000)  # kept by nobody
        second = np.zeros(200_000)
        return first, second

    start = build.__code__.co_firstlineno
    found = bottlenecks.kept_by_line(__file__, build)
    assert found[start + 1] >= 800_000
    assert found[start + 2] < 1000
    assert found[start + 3] >= 1_600_000


# Sampling


def test_sample_returns_the_result_and_only_looks_at_its_caller():
    seen = bottlenecks.sample(partial(jobs.alternate, 0.2, 0.02, 0.5), 200)
    assert seen.result.keys() == {"tick", "tock"}
    assert seen.stacks
    stacks = Counter(seen.stacks)
    assert bottlenecks.share(stacks, "alternate") > 0
    assert not any("look" in stack[-1] for stack in stacks)


def test_sample_passes_errors_on_and_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        bottlenecks.sample(lambda: 1 // 0)
    assert threading.active_count() == before


def test_a_function_that_ends_at_once_is_not_seen():
    assert bottlenecks.sample(int, rate=0.001).stacks == []


def test_stack_of_begins_outside():
    def inner():
        return bottlenecks.stack_of(sys._getframe())

    stack = inner()
    assert stack[-1].endswith(f"inner ({__name__})")
    assert stack[-2].startswith("test_stack_of")
    assert bottlenecks.stack_of(None) == ()


def test_share_counts_a_function_once_a_sample():
    stacks = Counter({("a", "f", "f"): 3, ("a",): 1, ("f (x.py)",): 4})
    assert bottlenecks.share(stacks, "f") == 7 / 8
    assert bottlenecks.share(stacks, "a") == 4 / 8
    assert bottlenecks.share(stacks, "b") == 0
    with pytest.raises(ValueError, match="no samples"):
        bottlenecks.share(Counter(), "f")


# Jobs


def test_jobs_spend_time_where_they_say():
    spent = jobs.alternate(0.1, 0.02, 0.25)
    assert sum(spent.values()) >= 0.1
    assert spent["tick"] > 0
    assert spent["tock"] > 0
    found = jobs.sort_and_walk(rounds=1, size=100)
    assert found.keys() == {"sort_at_once", "walk"}
    assert jobs.walk([0.1, 0.6, 0.7]) == 2
    assert jobs.sort_at_once([3, 1, 2]) == [1, 2, 3]


def test_jobs_need_nothing_but_the_standard_library():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c"]
        + [jobs.source() + "\nthree_threads(0.01)\nprint('done')"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == "done", done.stderr


# py-spy

look = pytest.mark.skipif(
    bool(bottlenecks.why_not()), reason=bottlenecks.why_not()
)
"""Where the system lets nobody look, the tests of the refusal still run."""


@look
@pytest.mark.parametrize("colour", ["0", "1"])  # notebooks force it
def test_spy_sees_the_program_and_returns_what_it_printed(monkeypatch, colour):
    monkeypatch.setenv("CLICOLOR_FORCE", colour)
    seen = bottlenecks.spy(
        jobs.source() + "\nprint(sorted(alternate(0.3, 0.02, 0.5)))"
    )
    assert seen.output == "['tick', 'tock']"
    assert bottlenecks.share(seen.stacks, "alternate") > 0


@look
def test_a_program_that_fails_shows_its_traceback():
    seen = bottlenecks.spy(
        jobs.source() + "\ntick(time.perf_counter() + 0.4)\n1 // 0"
    )
    assert "ZeroDivisionError" in seen.output


@look
def test_spy_sees_children_only_if_told():
    program = (
        jobs.source()
        + "\nimport subprocess, sys"
        + "\nif sys.argv[1:]: tick(time.perf_counter() + 0.4)"
        + "\nelse: subprocess.run([sys.executable, __file__, 'child'])"
    )
    alone = bottlenecks.spy(program).stacks
    family = bottlenecks.spy(program, "--subprocesses").stacks
    assert bottlenecks.share(family, "tick") > 0
    assert not any("tick" in str(stack) for stack in alone)


@look
def test_spy_kills_a_program_that_runs_too_long():
    with pytest.raises(subprocess.TimeoutExpired):
        bottlenecks.spy(jobs.source() + "\nwait_for(1e9)", seconds=1)


def test_unfold_reads_counts_processes_and_odd_frames():
    text = (
        "main (a.py);work (b.py) 3\n"
        'process 12:"/home/me/python x.py";main (a.py) 2\n'
        'process 12:"python";process 13:"python -c a; b(\'c\')";f (b.py) 5\n'
        "main (a.py);f.<locals>.<lambda> (<frozen x>) 1\n"
        "main (a.py);work (b.py) 4\n"
        'process 12:"python";thread (0x7F2A): in C;f (b.py) 2\n'
        "thread (26836): MainThread;main (a.py) 1\n"
        "thread (0x7F2B);main (a.py) 1\n"
    )
    assert bottlenecks.unfold(text) == {
        ("main (a.py)", "work (b.py)"): 7,
        ("process 12", "main (a.py)"): 2,
        ("process 12", "process 13", "f (b.py)"): 5,
        ("main (a.py)", "f.<locals>.<lambda> (<frozen x>)"): 1,
        ("process 12", "thread in C", "f (b.py)"): 2,
        ("thread MainThread", "main (a.py)"): 1,
        ("thread (0x7F2B)", "main (a.py)"): 1,
    }
    assert bottlenecks.unfold("") == Counter()


def a_refusing_spy(folder, text: str, code: int):
    path = folder / "py-spy"
    path.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("system", "cure"),
    [("linux", "SYS_PTRACE"), ("darwin", "sudo"), ("win32", "administrator")],
)
def test_each_system_has_its_own_cure(system, cure):
    assert cure in spying._cure(system)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_a_refusal_says_what_the_system_needs(tmp_path, monkeypatch):
    refusal = "Permission Denied: Try running again with elevated permissions"
    a_refusing_spy(tmp_path, refusal, 1)
    monkeypatch.setattr(spying.sysconfig, "get_path", lambda _: str(tmp_path))
    spying.why_not.cache_clear()
    try:
        assert bottlenecks.why_not() == spying._cure(sys.platform)
        with pytest.raises(bottlenecks.NotAllowed, match="sudo"):
            bottlenecks.dump(os.getpid())
        costs = comparing.profiler_costs(size=24)
        assert "py-spy" not in costs
    finally:
        spying.why_not.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_another_failure_is_no_refusal(tmp_path, monkeypatch):
    a_refusing_spy(tmp_path, "Error: no such process", 1)
    monkeypatch.setattr(spying.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        bottlenecks.dump(os.getpid())
    assert "no such process" in caught.value.output


def test_a_missing_py_spy_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(spying.shutil, "which", lambda *_, **__: None)
    with pytest.raises(bottlenecks.NotAllowed, match="pip install py-spy"):
        bottlenecks.dump(os.getpid())


# Flame graphs

stacks = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(tuple),
    st.integers(1, 50),
    max_size=20,
)


@given(stacks)
def test_a_tree_keeps_every_sample(found):
    root = bottlenecks.grow(found, change=tuple)
    assert root.samples == sum(found.values())

    def visit(flame, stack):
        below = sum(child.samples for child in flame.calls.values())
        assert flame.samples - below == found.get(stack, 0)
        for name, child in flame.calls.items():
            visit(child, (*stack, name))

    visit(root, ())


def test_simplify_keeps_ours_and_folds_the_libraries():
    stack = (
        "<module> (program.py)",
        "report (parallel_ai/one_machine/bottlenecks/written.py)",
        "apply (pandas/core/frame.py)",
        "agg (pandas/core/apply.py)",
        "on_weekend (parallel_ai/one_machine/bottlenecks/written.py)",
        "_strptime (_strptime.py)",
        "_load (<frozen importlib._bootstrap>)",
        "<module> (parallel_ai/one_machine/threads/lock.py)",
    )
    assert bottlenecks.simplify(stack) == (
        "<module>",
        "report",
        "[pandas]",
        "on_weekend",
        "[_strptime]",
        "[import]",
    )


def test_below_cuts_what_is_above_the_call():
    found = Counter({("a", "f (x)", "b"): 2, ("f (x)", "b"): 1, ("a",): 9})
    assert bottlenecks.below(found, "f") == {("f (x)", "b"): 3}


def test_a_flame_graph_is_as_wide_as_its_samples():
    root = bottlenecks.grow({("a", "b"): 3, ("a",): 1, ("c",): 4}, tuple)
    ax = plt.figure().add_subplot()
    bottlenecks.flame_graph(ax, root)
    widths = sorted(bar.get_width() for bar in ax.patches)
    assert widths == pytest.approx([3 / 8, 1 / 2, 1 / 2, 1])
    other = plt.figure().add_subplot()
    bottlenecks.flame_graph(other, root, least=0.45)
    assert len(other.patches) == 3
    plt.close("all")


@pytest.mark.parametrize("room", [0, 0.2, 0.5, 1, 9])
def test_labels_fit_their_room(room):
    text = flames._fit("features_by_row", room)
    assert len(text) <= max(0, int(room * 11))


# Hangs


@look
def test_a_deadlock_is_found_where_it_is():
    with bottlenecks.running(DEADLOCK) as child:
        places = {place.thread: place for place in bottlenecks.stuck(child)}
        again = bottlenecks.where(child.pid)
    assert {place.thread for place in again} == places.keys()
    assert places["learner"].stack[0].startswith("learner (program.py:")
    assert places["actor"].stack[0].startswith("actor (program.py:")
    assert any("deadlock" in frame for frame in places["MainThread"].stack)
    assert child.poll() is not None


def test_a_program_that_ends_does_not_hang():
    with (
        bottlenecks.running("print(1)") as child,
        pytest.raises(RuntimeError, match="has ended"),
    ):
        bottlenecks.stuck(child, pause=10)


def test_a_program_that_moves_is_slow_and_does_not_hang(monkeypatch):
    places = iter(range(10_000))
    monkeypatch.setattr(hangs, "where", lambda _: [next(places)])
    monkeypatch.setattr(hangs, "LIMIT", 0.3)
    with (
        bottlenecks.running("import time; time.sleep(60)") as child,
        pytest.raises(TimeoutError, match="still moving"),
    ):
        bottlenecks.stuck(child, pause=0.01)


signals = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR1"), reason="the system has no such signal"
)
READY = """
import faulthandler, signal, sys, threading
faulthandler.register(signal.SIGUSR1)
print("ready", file=sys.stderr, flush=True)
threading.Event().wait(60)
"""


@signals
def test_a_registered_program_answers_the_signal():
    with bottlenecks.running(READY) as child:
        answer = bottlenecks.ask_traceback(child)
    assert "in <module>" in answer


@signals
def test_a_program_that_is_not_registered_dies_of_it():
    with (
        bottlenecks.running(READY.replace("faulthandler.reg", "#")) as child,
        pytest.raises(EOFError, match="before it had answered"),
    ):
        bottlenecks.ask_traceback(child)
    assert child.returncode == -signal.SIGUSR1


@signals
def test_a_deadlocked_program_answers_the_signal_the_same_twice():
    with bottlenecks.running(DEADLOCK) as child:
        answer = bottlenecks.ask_traceback(child)
    assert "in learner" in answer
    assert "in actor" in answer


# Side by side


@pytest.fixture
def flights(files, monkeypatch):
    paths = {path.name: path for path in files}
    monkeypatch.setattr(comparing.datasets, "paths", lambda name: paths)
    return files


def test_months_are_the_first_ones(flights):
    assert bottlenecks.months(2) == flights[:2]
    assert bottlenecks.months(99) == flights


def test_unpack_counts_what_comes_out(files):
    expected = sum(len(gzip.decompress(f.read_bytes())) for f in files)
    assert bottlenecks.unpack(files) == expected
    assert bottlenecks.unpack([]) == 0


def test_stage_seconds_feed_one_stage_into_the_next(flights):
    passed = []

    def stage(value):
        passed.append(value)
        return f"{value}+"

    assert len(bottlenecks.stage_seconds("x", [stage, stage])) == 2
    assert passed == ["x", "x+"]


def test_cures_are_compared_on_the_same_report(flights):
    found = bottlenecks.cures(2, repeats=1)
    *ways, limit = found
    assert ways == [*cured.STAGES, "month by month"]
    assert limit.startswith("limit")
    for way in ways:
        pd.testing.assert_frame_equal(
            found[way].result, found["as written"].result
        )


def test_watch_keeps_what_each_profiler_found():
    found = bottlenecks.watch(
        partial(jobs.sum_called, range(50)), jobs.sum_called
    )
    assert found["no profiler"].result == jobs.sum_called(range(50))
    assert found["own sampler"].result.result == jobs.sum_called(range(50))
    assert any(c.calls == 50 for c in found["cProfile"].result)
    assert any(x.hits == 50 for x in found["line_profiler"].result)
    assert found["tracemalloc"].result.peak > 0


@look
def test_py_spy_is_there_before_a_short_program_begins():
    for _ in range(5):
        assert bottlenecks.spy("print('short')").output == "short"


@look
def test_costs_hold_py_spy_where_it_may_look():
    costs = comparing.profiler_costs(size=24)
    runs = {len(timing.seconds) for timing in costs.values()}
    assert len(runs) == 1
    assert next(iter(costs)) == "no profiler"
    assert "py-spy" in costs


# Exercises


@pytest.mark.parametrize(
    "name",
    [n for n in EXERCISES if n.startswith(practice.__name__)],
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def counts_recursion_twice(stacks):
    table = {}
    for stack, times in stacks.items():
        for name in stack:
            own, total = table.get(name, (0, 0))
            table[name] = (own + times * (name == stack[-1]), total + times)
    return table


def all_who_wait(holder, wants):
    return {thread for thread, lock in wants.items() if lock in holder}


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("samples_needed", lambda share, margin: 100, "expected 385"),
        ("own_and_total", counts_recursion_twice, "expected"),
        ("own_and_total", lambda stacks: {}, "expected"),
        ("circle", all_who_wait, "it will end"),
        ("circle", lambda holder, wants: set(), "wait for each other"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123456")),
    st.dictionaries(st.sampled_from("123456"), st.sampled_from("abcdef")),
)
def test_threads_on_a_circle_wait_for_threads_on_it(holder, wants):
    found = bottlenecks.circle(holder, wants)
    assert found <= wants.keys()
    assert {holder[wants[thread]] for thread in found} == found


@given(st.floats(0, 1), st.floats(0.005, 0.5))
def test_enough_samples_keep_the_margin(share, margin):
    enough = bottlenecks.samples_needed(share, margin)
    if enough:
        error = 1.96 * (share * (1 - share) / enough) ** 0.5
        assert error <= margin * (1 + 1e-6)
