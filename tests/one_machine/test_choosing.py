"""Choosing: what a job consists of, bounds that hold, results that agree."""

import contextlib
import json
import math
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.one_machine import choosing
from parallel_ai.one_machine.choosing import (
    Prices,
    Way,
    Work,
    practice,
    predicting,
)
from parallel_ai.one_machine.choosing import work as examining
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.workers import executor

PRICES = Prices(
    cpus=4,
    bandwidth=1e10,
    thread_task=1e-5,
    process_task=1e-4,
    process_start=0.2,
    rate=1e9,
)
SERIAL, THREADS = Way("serial"), Way("threads", 4)
MANY = Way("threads", 100)
AT_HAND, STARTED = Way("processes", 4, at_hand=True), Way("processes", 4)
ALL = [SERIAL, THREADS, MANY, AT_HAND, STARTED]

seconds = st.floats(0, 1)
works = st.builds(
    Work,
    items=st.integers(0, 500),
    waits=seconds,
    locked=seconds,
    free=seconds,
    sent=st.floats(0, 1e9),
    reads=st.floats(0, 1e9),
)


@pytest.mark.parametrize(
    ("work", "best", "busiest"),
    [
        (Work(100, waits=0.1), MANY, "workers"),
        (Work(100, locked=0.1, sent=100), AT_HAND, "CPUs"),
        (Work(100, free=0.1, sent=1e8), THREADS, "CPUs"),
        (Work(100, free=1.9e-3, reads=2e7, sent=2e7), SERIAL, "memory"),
        (Work(100, locked=1e-7), SERIAL, "workers"),
    ],
)
def test_each_kind_of_job_has_its_way(work, best, busiest):
    assert choosing.choose(work, ALL, PRICES) == best
    assert choosing.bottleneck(work, best, PRICES) == busiest


def test_starting_processes_pays_for_long_jobs_only():
    ways = [SERIAL, STARTED]
    assert choosing.choose(Work(10, locked=0.01), ways, PRICES) == SERIAL
    assert choosing.choose(Work(10, locked=1.0), ways, PRICES) == STARTED


@given(works)
def test_one_worker_with_nothing_to_pay_is_the_serial_program(work):
    free = Prices(1, math.inf, 0, 0, 0, math.inf)
    expected = pytest.approx(work.items * work.alone)
    for way in (SERIAL, Way("threads", 1), Way("processes", 1)):
        assert choosing.predict(work, way, free) == expected


@given(works, st.sampled_from(ALL))
def test_nothing_ends_before_its_work_is_done_by_all_cpus(work, way):
    predicted = choosing.predict(work, way, PRICES)
    cpu = work.items * (work.locked + work.free) / PRICES.cpus
    assert predicted >= cpu * (1 - 1e-9)
    if work.items:
        assert predicted >= work.alone * (1 - 1e-9)
    assert predicted == pytest.approx(
        max(choosing.demands(work, way, PRICES).values())
        + (way == STARTED) * PRICES.process_start
    )


@given(works, st.integers(1, 20))
def test_more_workers_never_predict_more_time(work, count):
    for kind in ("threads", "processes"):
        few, more = (
            choosing.predict(work, Way(kind, k, True), PRICES)
            for k in (count, count + 1)
        )
        assert more <= few * (1 + 1e-9)


@given(works)
def test_the_choice_is_within_a_tenth_a_step_of_the_best(work):
    chosen = choosing.predict(work, choosing.choose(work, ALL, PRICES), PRICES)
    least = min(choosing.predict(work, way, PRICES) for way in ALL)
    assert chosen <= least / 0.9 + 1e-12


def test_no_way_is_an_error():
    with pytest.raises(ValueError, match="no way"):
        choosing.choose(Work(1), [], PRICES)


# Examining, with clocks that we hold


@pytest.fixture
def clocks(monkeypatch):
    """Set what the clocks will say: wall, CPU, and two threads' time."""

    def hold(wall, cpu, two=1.0):
        def both(function):
            function()
            return wall, cpu

        monkeypatch.setattr(examining, "wall_and_cpu", both)
        monkeypatch.setattr(examining, "lock_share", lambda _: two)

    return hold


def test_waiting_and_computing_are_told_apart(clocks):
    clocks(wall=4.0, cpu=0.1)
    work = choosing.examine(str, range(10))
    assert (work.items, work.free) == (10, 0)
    assert work.waits == pytest.approx(3.9 / 4)
    clocks(wall=4.0, cpu=3.9, two=0.25)
    work = choosing.examine(str, range(10))
    assert work.waits == 0
    assert work.locked == pytest.approx(0.25 * 3.9 / 4)
    assert work.free == pytest.approx(0.75 * 3.9 / 4)


def test_what_is_sent_is_counted(clocks):
    clocks(1, 1)
    assert choosing.examine(len, [b"x" * 10_000]).sent > 10_000
    assert choosing.examine(bytes, [10_000]).sent > 10_000
    assert choosing.examine(abs, [1]).sent < 100


def test_fewer_items_than_are_tried(clocks):
    clocks(1, 1)
    assert choosing.examine(abs, [1, 2], some=4).items == 2
    with pytest.raises(ValueError, match="without items"):
        choosing.examine(abs, [])


def test_lock_share_lies_between_its_ends(monkeypatch):
    for two, expected in [(0.5, 0), (1.0, 0), (1.5, 0.5), (2.0, 1), (3, 1)]:
        times = {1: 1.0, 2: two}

        class Said:
            def __init__(self, value):
                self.median = value

        monkeypatch.setattr(
            examining,
            "measure",
            lambda _, job, k, repeats, t=times: Said(t[k]),
        )
        assert choosing.lock_share(int) == pytest.approx(expected)


# The jobs, for real


@pytest.fixture
def small(monkeypatch):
    """Let the jobs and the prices be those of a machine with 16 MiB."""
    monkeypatch.setattr(machine, "memory", lambda: 1 << 24)
    monkeypatch.setattr(predicting, "read_bandwidth", lambda: 1e10)


def test_every_way_gives_the_same_results_for_every_job(small):
    with choosing.jobs(5) as six, executor(2) as team:
        assert len(six) == 6
        for name, job in six.items():
            right = choosing.run(job, SERIAL)
            assert len(right) == 5
            for way in (Way("threads", 2), Way("threads", 5), AT_HAND):
                found = choosing.run(job, way, team)
                same = map(np.array_equal, right, found)
                assert list(same) == [True] * 5, (name, way)


def test_a_pool_opened_for_the_job_is_closed_again():
    job = choosing.Job(partial(pow, 2), range(5))
    assert choosing.run(job, Way("processes", 2)) == [1, 2, 4, 8, 16]


def test_the_survey_is_complete_and_fit_for_a_record(small, monkeypatch):
    @contextlib.contextmanager
    def two(count):
        with choosing.jobs(count) as six:
            assert len(six) == 6
            yield dict(list(six.items())[:2])

    module = sys.modules[choosing.survey.__module__]
    monkeypatch.setattr(module, "jobs", two)
    found = json.loads(json.dumps(choosing.survey(count=3, repeats=1)))
    assert found["ways"] == [str(way) for way in choosing.ways(3)]
    assert len(found["jobs"]) == 2
    for job in found["jobs"].values():
        assert list(job["measured"]) == found["ways"]
        assert list(job["predicted"]) == found["ways"]
        assert job["chosen"] in found["ways"]
    prices = Prices(**found["prices"])
    assert (prices.cpus, prices.bandwidth) == (machine.cpus(), 1e10)


def test_ways_have_different_names():
    for count in (1, 2, machine.cpus(), 1000):
        names = [str(way) for way in choosing.ways(count)]
        assert len(set(names)) == len(names)


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("kind_of_job", lambda wall, cpu, two: "locked"),
        ("most_workers", lambda cpus, memory, shared, each: cpus),
        ("least_chunk", lambda overhead, item, share: 1),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match="expected"):
        one.check(wrong)
