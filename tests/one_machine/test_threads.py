"""Threads: every variant equals the serial one; races and locks by design."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from http.client import HTTPException
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from parallel_ai.one_machine import threads
from parallel_ai.one_machine.processes import mean_serial
from parallel_ai.one_machine.threads import practice, races, recording, scaling
from parallel_ai.toolbox import datasets, records
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES

SIZES = [0, 1, 2, 7, 1000]
TEAMS = [1, 2, 3]
LIMIT = 30  # seconds

sizes = pytest.mark.parametrize("size", SIZES)
teams = pytest.mark.parametrize("team", TEAMS)


def grey(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, size, np.uint8)


# The same code for waiting and for computing


@sizes
@teams
def test_maps_agree_with_the_serial_one(size, team):
    items = list(range(size))
    expected = threads.map_serial(str, items)
    assert expected == [str(i) for i in items]
    assert threads.map_by_hand(str, items, team) == expected
    assert threads.map_threads(str, items, team) == expected


def test_map_threads_really_has_several_calls_under_way():
    meeting = threading.Barrier(3)  # nobody passes before three have come
    waited = threads.map_threads(
        lambda _: meeting.wait(LIMIT), range(3), threads=3
    )
    assert sorted(waited) == [0, 1, 2]


def test_an_exception_in_a_bare_thread_reaches_only_the_hook(monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    results = threads.map_by_hand(int, ["1", "2", "x", "4", "5"], threads=2)
    assert results == [1, 2, None, 4, None]
    assert [what.exc_type for what in heard] == [ValueError]


def test_a_pool_raises_the_first_exception_and_drops_what_waits():
    begun = []

    def work(item):
        begun.append(item)
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        threads.map_threads(work, [0] * 100, threads=1)
    assert len(begun) < 100


def test_the_service_answers_all_at_the_same_time():
    labels = [7, 8, 9]
    with threads.label_service(labels, seconds=0) as port:
        ask = partial(threads.ask, port)
        assert threads.map_threads(ask, [2, 0, 1], 3) == [9, 7, 8]
        with pytest.raises((HTTPException, OSError, ValueError)):
            threads.ask(port, 3)


def test_the_service_does_not_wait_once_it_is_closed():
    replies = []
    with threads.label_service([5], seconds=3600) as port:
        before = threading.active_count()
        client = threading.Thread(
            target=lambda: replies.append(threads.ask(port, 0))
        )
        client.start()
        while threading.active_count() < before + 2:  # client, its handler
            assert client.is_alive()
    client.join(LIMIT)
    assert replies == [5]
    with pytest.raises(OSError, match="refused|reset"):
        threads.ask(port, 0)


# The lock


def test_switch_interval_is_set_back_even_after_an_error():
    before = sys.getswitchinterval()
    seen = []

    def fail():
        with threads.switch_interval(0.1):
            seen.append(sys.getswitchinterval())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [pytest.approx(0.1)]
    assert sys.getswitchinterval() == before


def of_the_loop(function) -> dict[str, int]:
    """Interruptions by the name of the instruction."""
    seen = Counter()
    for one in threads.interruptions(function, 20_000, seconds=0.2):
        seen[one.instruction.split()[0]] += one.times
    return {name: times for name, times in seen.items() if times}


@pytest.mark.skipif(sys.platform == "win32", reason="has no interval timer")
def test_nothing_comes_between_reading_and_writing_a_plain_sum():
    seen = of_the_loop(threads.add_plain)
    assert seen["JUMP_BACKWARD"] > 0
    assert seen.keys() <= {"RESUME", "CALL", "JUMP_BACKWARD"}
    between = [
        one.times
        for one in threads.interruptions(threads.add_plain, 20_000)
        if one.instruction.startswith(("LOAD_GLOBAL n", "BINARY_OP"))
    ]
    assert between == [0, 0]


@pytest.mark.skipif(sys.platform == "win32", reason="has no interval timer")
def test_a_call_lets_others_in():
    seen = of_the_loop(threads.add_called)
    assert seen["CALL"] > 0
    assert seen.keys() <= {"RESUME", "CALL", "JUMP_BACKWARD"}


@pytest.mark.skipif(sys.platform == "win32", reason="has no interval timer")
def test_interruptions_leave_no_timer_and_the_old_handler():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ZeroDivisionError):
        threads.interruptions(lambda: 1 // 0)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@given(
    st.lists(st.lists(st.floats(0.001, 0.05), max_size=6), max_size=5),
    st.sampled_from([0.001, 0.005, 0.02]),
    st.integers(1, 4),
)
def test_simulated_turns_keep_the_rule(jobs, interval, slots):
    turns = threads.take_turns(jobs, interval, slots)
    for number, job in enumerate(jobs):
        own = [turn for turn in turns if turn.thread == number]
        spent = Counter()
        for _, state, start, stop in own:
            spent[state] += stop - start
        assert spent["runs"] == pytest.approx(sum(job[::2]))
        assert spent["waits"] == pytest.approx(sum(job[1::2]))
        assert all(a.stop == b.start for a, b in pairwise(own))
    moments = sorted({turn.start for turn in turns})
    for moment in moments:
        at = Counter(t.state for t in turns if t.start <= moment < t.stop)
        assert at["runs"] <= slots
        assert not at["wants"] or at["runs"] == slots
    if slots >= len(jobs):
        assert all(turn.state != "wants" for turn in turns)


def test_threads_that_compute_take_turns_of_an_interval():
    turns = threads.take_turns([[0.02], [0.02]])
    runs = [turn for turn in turns if turn.state == "runs"]
    assert [turn.thread for turn in runs] == [0, 1] * 4
    assert [t.stop - t.start for t in runs] == pytest.approx([0.005] * 8)
    assert runs[-1].stop == pytest.approx(0.04)


def test_whoever_waits_pays_an_interval_at_every_answer():
    """The convoy: the answer's own time, and the other's patience."""
    asking = [0.0001, *[0.002, 0.0001] * 5]
    for interval in (0.001, 0.005, 0.02):
        turns = threads.take_turns([[10.0], asking], interval)
        wanted = [t for t in turns if t[:2] == (1, "wants")]
        lengths = [t.stop - t.start for t in wanted]
        assert lengths == pytest.approx([interval] * 6)


def test_waiting_overlaps_with_the_lock_too():
    turns = threads.take_turns([[1e-4, 0.1, 1e-4]] * 10)
    assert max(turn.stop for turn in turns) < 0.11


def test_no_threads_take_no_turns():
    assert threads.take_turns([]) == []
    assert threads.take_turns([[], []]) == []


@teams
def test_turns_cover_the_span_and_never_overlap_in_one_thread(team):
    found = threads.turns(team, 0.05)
    assert len(found) == team
    for mine in found:
        assert all(start <= stop for start, stop in mine)
        assert all(a[1] < b[0] for a, b in pairwise(mine))
        assert mine[0][0] >= 0


@pytest.mark.parametrize("busy", [0, 1])
def test_every_answer_takes_at_least_what_the_partner_takes(busy):
    before = sys.getswitchinterval()
    taken = threads.answer_times(busy, 0.001, rounds=3, seconds=0.002)
    assert len(taken) == 3
    assert min(taken) >= 0.002
    assert sys.getswitchinterval() == before


def test_echo_ends_when_the_other_side_closes():
    class Closed:
        closed = False

        def recv_bytes(self):
            raise EOFError

        def close(self):
            self.closed = True

    connection = Closed()
    threads.echo(connection, 0)
    assert connection.closed


# Races


@pytest.mark.parametrize("times", [0, 1, 10_000])
@teams
def test_the_cures_never_lose(times, team):
    expected = times * team
    with threads.switch_interval(1e-6):
        assert threads.count(threads.add_locked, times, team) == expected
        assert threads.count_queued(times, team) == expected
        assert threads.count_apart(times, team) == expected


def test_one_thread_alone_loses_nothing():
    assert threads.count(threads.add_called, 1000, threads=1) == 1000


def test_a_race_never_invents_increments():
    assert 0 < threads.count(threads.add_called, 1000, threads=3) <= 3000


def test_the_forced_order_loses_an_update_every_time():
    assert [threads.lose_on_purpose() for _ in range(20)] == [1] * 20


def test_the_call_is_where_the_update_is_lost(monkeypatch):
    """The same order, forced inside `add_called` by what it calls."""
    inside, written = threading.Event(), threading.Event()
    late = threading.local()

    def call(value):
        if getattr(late, "waits", False):
            inside.set()
            assert written.wait(LIMIT)
        return value

    monkeypatch.setattr(races, "int", call, raising=False)
    monkeypatch.setattr(races, "n", 0)

    def slow():
        late.waits = True
        races.add_called(1)

    def quick():
        assert inside.wait(LIMIT)
        races.add_called(5)
        written.set()

    threads.together(slow, quick)
    assert races.n == 1  # five increments are gone


def test_the_lock_keeps_the_same_order_from_losing(monkeypatch):
    inside = threading.Event()
    release = threading.Event()
    late = threading.local()

    def call(value):
        if getattr(late, "waits", False):
            inside.set()
            assert release.wait(LIMIT)
        return value

    monkeypatch.setattr(races, "int", call, raising=False)
    monkeypatch.setattr(races, "n", 0)

    def slow():
        late.waits = True
        races.add_locked(1)

    def quick():
        assert inside.wait(LIMIT)
        assert races.lock.locked()  # nobody can come in between
        release.set()
        races.add_locked(5)

    threads.together(slow, quick)
    assert races.n == 6


# Locks


def test_opposite_orders_deadlock_and_the_dump_says_who_waits():
    output = attempt(
        "import faulthandler\n"
        "from parallel_ai.one_machine.threads import deadlock\n"
        "faulthandler.dump_traceback_later(0.5, exit=True)\n"
        "deadlock()\n",
        seconds=LIMIT,
    )
    assert "Timeout" in output
    assert "in learner" in output
    assert "in actor" in output
    assert "exit code 1" in output


def test_one_order_cannot_deadlock():
    first, second = threading.Lock(), threading.Lock()
    done = []

    def work(*locks):
        for _ in range(500):
            with threads.all_of(*locks):
                assert first.locked()
                assert second.locked()
                done.append(1)

    with threads.switch_interval(1e-6):
        threads.together(
            partial(work, first, second), partial(work, second, first)
        )
    assert len(done) == 1000
    assert not first.locked()
    assert not second.locked()


def test_all_of_takes_a_lock_once_and_frees_it_after_an_error():
    lock = threading.Lock()
    with pytest.raises(KeyError), threads.all_of(lock, lock):
        raise KeyError
    assert not lock.locked()
    with threads.all_of():
        pass


def test_within_takes_all_or_none():
    first, second = threading.Lock(), threading.Lock()
    release = threads.within(0.01, first, second)
    assert release is not None
    assert first.locked()
    assert second.locked()
    assert threads.within(0.01, first) is None
    release()
    with second:
        assert threads.within(0.01, first, second) is None
    assert not first.locked()
    assert not second.locked()


# Arrays


@sizes
@teams
def test_histograms_agree_with_bincount(size, team):
    pixels = grey(size)
    expected = np.bincount(pixels, minlength=256)
    np.testing.assert_array_equal(threads.histogram_serial(pixels), expected)
    np.testing.assert_array_equal(
        threads.histogram_threads(pixels, team), expected
    )


def test_tally_adds_to_what_is_there_and_its_source_says_the_same():
    counts = np.ones(256, np.int64)
    threads.tally(grey(7), counts)
    slowly = np.ones(256, np.int64)
    threads.tally.py_func(grey(7), slowly)
    np.testing.assert_array_equal(counts, slowly)


@sizes
def test_sharing_counts_can_lose_but_never_invent(size):
    pixels = grey(size)
    right = threads.histogram_serial(pixels)
    wrong = threads.histogram_shared(pixels, 3)
    assert (wrong <= right).all()
    np.testing.assert_array_equal(threads.histogram_shared(pixels, 1), right)


@pytest.mark.parametrize("size", SIZES[1:])
@teams
def test_means_agree_with_the_serial_one(size, team):
    values = grey(size) / 255
    assert threads.mean_threads(values, team) == pytest.approx(
        mean_serial(values)
    )


@teams
def test_the_mean_of_no_numbers_is_an_error(team):
    with pytest.raises(ValueError, match="no numbers"):
        threads.mean_threads(np.empty(0), team)


def test_at_once_really_runs_at_once():
    meeting = threading.Barrier(3)
    seconds = threads.at_once(lambda: meeting.wait(LIMIT), 3)
    assert 0 < seconds < LIMIT


def test_operations_leave_the_images_alone():
    images = np.random.default_rng(0).integers(
        0, 256, (20_000, 28, 28), np.uint8
    )
    before = images.copy()
    for job in threads.operations(images).values():
        job()
    np.testing.assert_array_equal(images, before)


# Without the lock


@given(st.binary(max_size=200), st.integers(1, 9))
def test_parts_are_complete_and_nearly_equal(pixels, parts):
    found = scaling._cut(pixels, parts)
    assert b"".join(found) == pixels
    assert len(found) == parts
    assert max(map(len, found)) - min(map(len, found)) <= 1


@sizes
@teams
def test_ink_agrees_with_numpy(size, team):
    pixels = grey(size)
    expected = int((pixels > 127).sum())
    assert threads.ink(pixels.tobytes()) == expected
    assert threads.ink_threads(pixels.tobytes(), team) == expected


@sizes
@teams
def test_interpreters_agree_or_are_not_there(size, team):
    pixels = grey(size).tobytes()
    if sys.version_info >= (3, 13):
        got = threads.ink_interpreters(pixels, team)
        assert got == threads.ink(pixels)
    else:
        with pytest.raises(ImportError):
            threads.ink_interpreters(pixels, team)


def test_survey_says_what_this_interpreter_is():
    found = threads.survey(b"\xff" * 100, most=2, repeats=2)
    assert json.loads(json.dumps(found)) == found
    assert found["python"] == sys.version.split()[0]
    assert found["pixels"] == 100
    assert found["threads"].keys() == {"1", "2"}
    assert all(len(s) == 2 for s in found["threads"].values())
    assert all(0 <= share < 1 for share in found["lost"])


def test_the_module_runs_in_an_interpreter_with_nothing_installed():
    output = subprocess.run(
        [sys.executable, "-I", "-S", "-c", scaling._source(), "1"],
        input=b"\xff" * 10,
        capture_output=True,
        check=True,
        timeout=LIMIT,
    ).stdout
    assert json.loads(output)["pixels"] == 10


def test_pythons_lists_this_one_first_and_each_once(monkeypatch):
    monkeypatch.setattr(
        scaling.shutil, "which", {"python3.13t": "/bin/free"}.get
    )
    monkeypatch.setenv(scaling.VARIABLE, f"/bin/free{scaling.os.pathsep}/x")
    assert threads.pythons() == [sys.executable, "/bin/free", "/x"]
    monkeypatch.delenv(scaling.VARIABLE)
    assert threads.pythons() == [sys.executable, "/bin/free"]


def test_an_interpreter_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(scaling, "pythons", lambda: [sys.executable])
    monkeypatch.setattr(scaling, "_source", lambda: "raise SystemExit(3)")
    with pytest.raises(subprocess.CalledProcessError):
        threads.survey_all(b"", 1)


def test_the_record_is_made_from_real_pixels(monkeypatch):
    given_to = []
    monkeypatch.setattr(
        recording, "survey_all", lambda *given: given_to.append(given) or []
    )
    monkeypatch.setattr(
        datasets,
        "load",
        lambda name: {"train_images": np.ones((9, 28, 28), "u1")},
    )
    assert threads.record() == []
    ((pixels, most),) = given_to
    assert pixels == b"\1" * 9 * 28 * 28
    assert most >= 4


def test_committed_records_have_what_the_page_draws():
    for record in records.read("threads"):
        for one in record.data:
            assert {"python", "gil", "lost", "threads"} <= one.keys()
            assert "1" in one["threads"]


# Threads and processes


@pytest.mark.parametrize(
    ("processes", "cpus", "expected"),
    [(1, 8, 8), (2, 8, 4), (3, 8, 2), (8, 8, 1), (9, 8, 1), (1, 1, 1)],
)
def test_threads_each_fill_the_cpus(processes, cpus, expected):
    assert threads.threads_each(processes, cpus) == expected


@given(st.integers(1, 500), st.integers(1, 500))
def test_together_they_never_exceed_the_cpus(processes, cpus):
    each = threads.threads_each(processes, cpus)
    assert each >= 1
    assert processes * each <= max(cpus, processes)
    assert processes * (each + 1) > cpus


def test_no_processes_are_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        threads.threads_each(0)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_components_agree_and_their_workers_are_limited(processes):
    images = np.random.default_rng(1).integers(0, 256, (50, 5, 5), np.uint8)
    sets = [images[:10], images[10:30], images[30:]]
    expected = threads.components_serial(sets)
    with threads.team(processes, 1) as pool:
        assert threads.components(sets, pool) == pytest.approx(expected)
        assert threads.components([], pool) == []
        libraries = pool.submit(threadpool_info).result(LIMIT)
    limits = [i["num_threads"] for i in libraries if i["user_api"] == "blas"]
    assert limits
    assert set(limits) == {1}


def test_first_component_of_a_line_is_all():
    line = np.outer(np.arange(9, dtype=np.uint8), [1, 2]).reshape(9, 1, 2)
    assert threads.first_component(line.astype("u1")) == pytest.approx(1)


# Exercises


@pytest.mark.parametrize(
    "name",
    [n for n in EXERCISES if n.startswith(practice.__name__)],
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def shares_one_counter(labels, team):
    counter = Counter()
    for label in labels:
        counter[label] += 1
    return counter


def takes_all(function, items, team, ahead):
    return iter([function(item) for item in items])


def never_ahead(function, items, team, ahead):
    for item in items:
        yield function(item)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("count_labels", shares_one_counter, "by itself"),
        ("count_labels", lambda labels, team: Counter(), "expected"),
        ("map_bounded", takes_all, "had taken 100"),
        ("map_bounded", never_ahead, "never works ahead"),
        ("map_bounded", lambda *_: iter([]), "order of the items"),
        ("outcomes", lambda times: {2 * times}, "every order"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


@pytest.mark.parametrize("times", [2, 3, 8])
def test_two_threads_can_lose_all_but_two_updates(times):
    assert threads.outcomes(times) == set(range(2, 2 * times + 1))


def test_gains_compare_medians_with_one_thread():
    survey = {
        "threads": {"1": [2.0, 9.0, 2.0], "2": [1.0], "10": [4.0, 4.0]},
        "interpreters": {},
    }
    assert threads.gains(survey) == {
        "threads": {1: 1.0, 2: 2.0, 10: 0.5},
        "interpreters": {},
    }
    for record in records.read("threads"):
        for one in record.data:
            assert threads.gains(one)["threads"][1] == 1
