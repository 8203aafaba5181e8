"""Waiting well: every way gives the serial answers; bounds hold by count."""

import asyncio
import multiprocessing
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.client import HTTPException

import aiohttp
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parallel_ai.one_machine import async_io, threads
from parallel_ai.one_machine.async_io import (
    asking,
    costs,
    failing,
    practice,
    slow_service,
    tiny,
)
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.toolbox.workers import executor

LABELS = [7, 8, 9, 0, 1, 2, 3]
SIZES = [0, 1, 2, 7]
LIMITS = [1, 2, 3]
LIMIT = 30  # seconds

sizes = pytest.mark.parametrize("size", SIZES)
limits = pytest.mark.parametrize("limit", LIMITS)


@pytest.fixture(scope="module")
def port():
    """One service for all tests that only want answers."""
    with async_io.service(LABELS) as port:
        yield port


def run(main):
    """Run a coroutine, which may hang if the code is wrong, for a while."""

    async def limited():
        async with asyncio.timeout(LIMIT):
            return await main

    return asyncio.run(limited())


async def double(item):
    await asyncio.sleep(0)
    return 2 * item


def under_way(limit):
    """A coroutine function that passes once `limit` calls have met in it."""
    meeting = asyncio.Barrier(limit)
    calls = {"now": 0, "most": 0}

    async def meet(item):
        calls["now"] += 1
        calls["most"] = max(calls["most"], calls["now"])
        await meeting.wait()
        calls["now"] -= 1
        return item

    return meet, calls


# The service


def test_the_service_tells_what_it_did(port):
    before = async_io.counts(port)
    assert threads.ask(port, 2) == 9  # the old client speaks to it too
    after = async_io.counts(port)
    assert after["asked"] == before["asked"] + 1
    assert after["answered"] == before["answered"] + 1
    assert after["here"] == 0


def test_the_service_runs_elsewhere_on_loopback_only(port):
    others = [
        address.address
        for card in psutil.net_if_addrs().values()
        for address in card
        if address.family == socket.AF_INET
        and not address.address.startswith("127.")
    ]
    for host in others:
        with pytest.raises(OSError, match=r"refused|timed out|unreach"):
            socket.create_connection((host, port), 1).close()
    with socket.create_connection(("127.0.0.1", port), LIMIT):
        pass


def test_the_service_is_gone_after_its_block_even_on_an_error():
    with pytest.raises(KeyError), async_io.service(LABELS) as port:
        raise KeyError
    with pytest.raises(OSError, match=r"refused|reset"):
        threads.ask(port, 0)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_service_starts_by_every_safe_method(method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    monkeypatch.setattr(slow_service, "SAFE", method)
    with async_io.service(LABELS) as port:
        assert threads.ask(port, 1) == 8


def test_a_service_that_cannot_start_is_an_error():
    with (
        pytest.raises(RuntimeError, match="no service"),
        async_io.service(LABELS, slots=-1),
    ):
        pass


def test_a_full_service_says_503_and_an_impatient_one_429():
    with async_io.service(LABELS, held=True, slots=2, places=1) as port:

        async def main():
            async with async_io.connect(port, 0) as ask:
                held = [asyncio.create_task(ask(0)) for _ in range(3)]
                while async_io.counts(port)["here"] < 3:
                    await asyncio.sleep(0)
                with pytest.raises(async_io.Refused) as full:
                    await ask(0)
                async_io.counts(port, "release")
                return full.value, await asyncio.gather(*held)

        error, answers = run(main())
        assert (error.status, error.after) == (503, 0)
        assert answers == [7, 7, 7]
        assert async_io.counts(port)["refused"] == 1
        assert async_io.counts(port)["most"] == 3
    with async_io.service(LABELS, rate=1) as port:
        with async_io.client(port) as ask:
            assert ask(1) == 8
            with pytest.raises(async_io.Refused, match="429") as fast:
                ask(1)
        assert fast.value.after == 1


def test_a_bucket_never_gives_more_than_a_burst_and_the_rate():
    now = [0.0]
    bucket = async_io.Bucket(3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 1 / 3 + 1e-9
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] = 100
    assert sum(bucket.take() for _ in range(10)) == 3
    assert async_io.Bucket(float("inf")).take()


def test_the_service_closes_what_it_opened():
    said = []

    async def main():
        serving = asyncio.create_task(
            async_io.serve(LABELS, async_io.Manner(held=True), said.append)
        )
        while not said:
            await asyncio.sleep(0)
        async with async_io.connect(said[0]) as ask:
            waiting = asyncio.create_task(ask(3))
            while not (await asyncio.to_thread(async_io.counts, said[0]))[
                "here"
            ]:
                pass
            await asyncio.to_thread(async_io.counts, said[0], "release")
            answer = await waiting
        serving.cancel()
        await asyncio.wait([serving])
        return answer

    assert run(main()) == 0
    with pytest.raises(OSError, match=r"refused|reset"):
        threads.ask(said[0], 0)


# Our own loop


def test_our_loop_agrees_with_the_blocking_client(port):
    expected = async_io.labels_serial(port, range(7))
    got = tiny.run_all(*[async_io.ask_tiny(port, n) for n in range(7)])
    assert got == expected == LABELS
    assert async_io.run_all() == []


def test_our_loop_takes_turns_and_wakes_in_time_order():
    events = []

    async def nap(name, *seconds):
        for second in seconds:
            events.append(name)
            await async_io.wish_for(second)
        return name

    got = async_io.run_all(
        nap("a", 0.02, 0.0), nap("b", 0.01, 0.0), nap("c", 0.0)
    )
    assert got == ["a", "b", "c"]
    assert events == ["a", "b", "c", "b", "a"]


def test_our_loop_closes_the_others_when_one_fails():
    closed = []

    async def patient():
        try:
            await async_io.wish_for(LIMIT)
        finally:
            closed.append(True)

    async def fails():
        await async_io.wish_for(0.0)
        raise KeyError

    with pytest.raises(KeyError):
        async_io.run_all(patient(), fails())
    assert closed == [True]


def test_a_missing_label_is_an_error_on_our_loop_too(port):
    with pytest.raises(ValueError, match="invalid literal"):
        async_io.run_all(async_io.ask_tiny(port, 99))


def test_our_loop_waits_for_nobody_if_there_is_nobody():
    with tiny.selectors.DefaultSelector() as none:
        assert async_io.wait(none, []) == []


# Three ways to ask


@sizes
@limits
def test_all_ways_agree_with_the_serial_one(port, size, limit):
    numbers = list(range(size))
    expected = async_io.labels_serial(port, numbers)
    assert expected == LABELS[:size]
    assert async_io.labels_threads(port, numbers, limit) == expected
    got = async_io.in_loop(async_io.labels_asyncio, port, numbers, limit)
    assert got == expected


def test_each_way_says_that_a_label_is_missing(port):
    with pytest.raises(HTTPException, match="404"):
        async_io.labels_serial(port, [0, 99])
    with pytest.raises(HTTPException, match="404"):
        async_io.labels_threads(port, [0, 99], 2)
    with pytest.raises(ExceptionGroup) as several:
        run(async_io.labels_asyncio(port, [0, 99], 2))
    (error,) = several.value.exceptions
    assert isinstance(error, aiohttp.ClientResponseError)
    assert error.status == 404


def test_in_loop_runs_beside_a_running_loop_and_passes_errors_on():
    async def outer():
        return async_io.in_loop(double, 4)

    assert run(outer()) == 8

    async def fails():
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        async_io.in_loop(fails)


def test_in_loop_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(asking, "LIMIT", 0.05)
    gate = {}

    async def hangs():
        gate["loop"], gate["open"] = (
            asyncio.get_running_loop(),
            asyncio.Event(),
        )
        await gate["open"].wait()

    with pytest.raises(TimeoutError):
        async_io.in_loop(hangs)
    gate["loop"].call_soon_threadsafe(gate["open"].set)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        (" 120 ", 120),
        ("soon", 0),
        ("-3", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
    ],
)
def test_retry_after_is_read_in_both_forms(header, seconds):
    assert async_io.retry_after(header) == seconds


def test_retry_after_a_date_to_come():
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), True)
    assert 3590 < async_io.retry_after(later) <= 3600


def test_clocked_notes_answers_and_failures():
    journal = []

    async def half(item):
        return 1 / item

    async def main():
        noted = async_io.clocked(half, journal)
        assert await noted(2) == 0.5
        with pytest.raises(ZeroDivisionError):
            await noted(0)

    run(main())
    assert [succeeded for _, _, succeeded in journal] == [True, False]
    assert all(start <= end for start, end, _ in journal)


# Bounds


@pytest.mark.parametrize("mapping", [async_io.map_tasks, async_io.map_workers])
class TestMaps:
    @sizes
    @limits
    def test_agrees_with_the_serial_one(self, mapping, size, limit):
        expected = [2 * item for item in range(size)]
        assert run(mapping(double, range(size), limit)) == expected

    @limits
    def test_has_exactly_so_many_under_way(self, mapping, limit):
        async def main():
            meet, calls = under_way(limit)
            await mapping(meet, range(4 * limit), limit)
            return calls["most"]

        assert run(main()) == limit

    def test_cancels_the_rest_when_one_fails(self, mapping):
        events = []

        async def work(item):
            events.append(item)
            try:
                if item == 1:
                    raise KeyError(item)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                events.append("cancelled")
                raise

        with pytest.raises(ExceptionGroup) as several:
            run(mapping(work, range(100), 3))
        assert several.group_contains(KeyError)
        assert {0, 1} <= set(events) <= {0, 1, 2, 3, "cancelled"}
        assert "cancelled" in events

    def test_needs_a_limit(self, mapping):
        with pytest.raises(ValueError, match="at least 1"):
            run(mapping(double, [1], 0))

    @settings(max_examples=30)
    @given(
        items=st.lists(st.integers(), max_size=20), limit=st.integers(1, 30)
    )
    def test_keeps_the_order(self, mapping, items, limit):
        async def lastly(item):  # the later ones come first
            for _ in range(abs(item) % 7):
                await asyncio.sleep(0)
            return item

        assert run(mapping(lastly, items, limit)) == items


def test_workers_take_no_item_before_they_need_it():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    async def main():
        gate = asyncio.Event()

        async def wait(item):
            await gate.wait()

        task = asyncio.create_task(async_io.map_workers(wait, items(), 3))
        for _ in range(10):
            await asyncio.sleep(0)
        so_far = len(taken)
        gate.set()
        await task
        return so_far

    assert run(main()) == 3
    assert len(taken) == 100


async def stream(size):
    for item in range(size):
        yield item


@sizes
@limits
@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_pipeline_agrees_and_never_overfills(size, limit, room):
    backlog = []
    got = run(async_io.pipeline(stream(size), double, limit, room, backlog))
    assert got == [2 * item for item in range(size)]
    if room:
        assert max([0, *(waiting for _, waiting in backlog)]) <= room


def test_a_source_waits_while_the_queue_is_full():
    produced = []

    async def source():
        for item in range(50):
            produced.append(item)
            yield item

    async def main(room):
        produced.clear()
        gate = asyncio.Event()

        async def wait(item):
            await gate.wait()
            return item

        task = asyncio.create_task(
            async_io.pipeline(source(), wait, 2, room, [])
        )
        for _ in range(100):
            await asyncio.sleep(0)
        so_far = len(produced)
        gate.set()
        assert await task == list(range(50))
        return so_far

    assert run(main(room=4)) == 2 + 4 + 1  # at work, queued, at the door
    assert run(main(room=0)) == 50


@pytest.mark.parametrize("end", ["source", "function"])
def test_a_pipeline_with_a_dead_end_does_not_hang(end):
    async def source():
        for item in range(50):
            if end == "source" and item == 9:
                raise KeyError(item)
            yield item

    async def function(item):
        if end == "function":
            raise KeyError(item)

    with pytest.raises(ExceptionGroup) as several:
        run(async_io.pipeline(source(), function, 2, 3, []))
    assert several.group_contains(KeyError)


def test_pace_spreads_the_turns():
    slept = []

    async def main(monkeypatch):
        loop = asyncio.get_running_loop()
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now)
        real = asyncio.sleep

        async def sleep(seconds):
            slept.append(seconds)
            await real(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        calm = async_io.paced(double, rate=10)
        got = [await calm(item) for item in range(4)]
        delivered = [item async for item in async_io.arrivals("abc", 5)]
        monkeypatch.undo()
        return got, delivered

    with pytest.MonkeyPatch.context() as patch:
        got, delivered = run(main(patch))
    assert got == [0, 2, 4, 6]
    assert delivered == ["a", "b", "c"]
    # `double` sleeps, too: after each of the first four turns
    assert slept[:8:2] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert slept[8:] == pytest.approx([0, 0.2, 0.4])


# When the other side fails


def test_within_passes_answers_and_cancels_what_is_late():
    ended = []

    async def late(item):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    assert run(async_io.within(double, LIMIT)(3)) == 6
    with pytest.raises(TimeoutError):
        run(async_io.within(late, 0.01)(3))
    assert ended == [3]


@given(
    tries=st.integers(0, 12),
    first=st.floats(0.001, 1),
    most=st.floats(0.001, 10),
)
def test_backoff_stays_below_its_bounds(tries, first, most):
    bounds = list(async_io.backoff(tries, first, most, jitter=False))
    assert bounds == [min(most, first * 2**n) for n in range(tries)]
    waits = list(async_io.backoff(tries, first, most))
    assert len(waits) == tries
    assert all(0 <= w <= b for w, b in zip(waits, bounds, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        async_io.Refused(503, 0),
        async_io.Refused(429, 3),
        TimeoutError(),
        aiohttp.ClientConnectionError(),
    ],
)
@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_patience_tries_again_and_then_gives_up(error, failures):
    slept, tries = [], []

    async def flaky(item):
        tries.append(item)
        if len(tries) <= failures:
            raise error
        return item

    async def sleep(seconds):
        slept.append(seconds)

    patient = async_io.patiently(flaky, lambda: [0.5, 1.0], sleep)
    if failures <= 2:
        assert run(patient(5)) == 5
    else:
        with pytest.raises(type(error)):
            run(patient(5))
    after = getattr(error, "after", 0)
    assert slept == [0.5 + after, 1.0 + after][:failures]
    assert len(tries) == min(failures, 2) + 1


def test_patience_does_not_repeat_what_cannot_succeed():
    tries = []

    async def missing(item):
        tries.append(item)
        raise KeyError(item)

    with pytest.raises(KeyError):
        run(async_io.patiently(missing)(5))
    assert tries == [5]


def test_a_deadline_around_patience_is_not_taken_for_a_failure():
    async def hangs(item):
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(async_io.within(async_io.patiently(hangs), 0.02)(1))


@pytest.mark.parametrize("jitter", [False, True])
def test_everyone_of_a_herd_is_answered(jitter, monkeypatch):
    short = partial(failing.backoff, most=0.02)
    monkeypatch.setattr(failing, "backoff", short)
    with async_io.service([5], 0.001, slots=3, places=0) as port:
        journal = async_io.in_loop(async_io.herd, port, 7, jitter)
        counted = async_io.counts(port)
    assert sum(succeeded for _, _, succeeded in journal) == 7
    assert len(journal) == counted["asked"] == 7 + counted["refused"]
    assert counted["most"] <= 3


def test_gather_leaves_the_others_alone_and_loses_an_exception():
    assert run(async_io.three_in_gather()) == [
        "A fails",
        "B fails",
        "the caller goes on with ValueError('A')",
        "C returns",
    ]


def test_a_group_cancels_and_tells_all():
    assert run(async_io.three_in_group()) == [
        "A fails",
        "B fails",
        "C is cancelled",
        "the caller goes on with (ValueError('A'), ValueError('B'))",
    ]


def test_a_call_can_be_cancelled():
    events = []

    async def main():
        task = asyncio.create_task(async_io.call("X", 10**9, events))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main())
    assert events == ["X is cancelled"]


def test_a_task_that_nobody_holds_is_lost():
    output = attempt(
        "import asyncio, gc\n"
        "async def wait():\n"
        "    await asyncio.get_running_loop().create_future()\n"
        "async def main():\n"
        "    asyncio.create_task(wait())\n"
        "    await asyncio.sleep(0)\n"
        "    gc.collect()\n"
        "asyncio.run(main())\n",
        seconds=LIMIT,
    )
    assert "Task was destroyed but it is pending" in output


# Blocking


def test_a_blocking_call_stops_the_clock_and_a_thread_does_not():
    gate = threading.Event()

    async def blocks():
        assert not gate.wait(0.1)  # so long nobody can wake

    async def lets_go():
        loop = asyncio.get_running_loop()
        loop.call_later(0.03, gate.set)  # only a free loop can do that
        assert await asyncio.to_thread(gate.wait, LIMIT)

    late = run(async_io.lateness(blocks, gap=0.001))
    assert max(late) > 0.09
    run(async_io.lateness(lets_go, gap=0.001))
    assert gate.is_set()


def test_all_cures_give_the_same_answer(port):
    stack = bytes([0, 255, 128, 127])
    assert run(async_io.ask_blocking(port)) == 7
    assert run(async_io.ask_in_thread(port)) == 7
    assert run(async_io.ink_blocking(stack)) == 2
    assert run(async_io.ink_in_thread(stack)) == 2
    with executor(1) as pool:
        assert run(async_io.ink_in_process(stack, pool)) == 2


# Costs


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("count", [1, 7])
def test_all_waiters_wait_at_the_same_time(calls, count):
    found = async_io.waiting(count, calls)
    assert list(found) == ["threads", "tasks"]
    for waiting in found.values():
        assert waiting.waiters == count
        assert waiting.start > 0
        assert waiting.end > 0


def test_fewer_threads_than_wanted_are_told(monkeypatch):
    class Scarce(threading.Thread):
        left = 2

        def start(self):
            if not Scarce.left:
                raise RuntimeError("can't start new thread")
            Scarce.left -= 1
            super().start()

    monkeypatch.setattr(costs.threading, "Thread", Scarce)
    assert costs._bare_threads(5).waiters == 2


def test_tasks_that_never_come_are_an_error(monkeypatch):
    monkeypatch.setattr(costs, "LIMIT", 0.01)

    async def nobody():
        return 0

    async def main():
        await async_io.wait_in_tasks(2, asyncio.Event().wait, nobody, nobody)

    with pytest.raises(ExceptionGroup) as several:
        run(main())
    assert several.group_contains(TimeoutError)


def test_bare_waiters_in_this_process():
    assert costs._bare_threads(3).waiters == 3
    assert costs._bare_tasks(3).waiters == 3
    assert costs._bare_tasks(0).waiters == 0


@limits
def test_little_is_an_identity(port, limit):
    found = async_io.in_loop(async_io.flow, port, limit, 7)
    assert found.in_flight == pytest.approx(found.rate * found.latency)
    assert 0 < found.in_flight <= limit


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 50)).map(
            lambda pair: (float(pair[0]), float(pair[0] + pair[1]))
        ),
        max_size=20,
    )
)
def test_the_exercise_counts_as_the_chapter_does(calls):
    most, mean = async_io.in_flight(calls)
    moments = [
        sum(start <= moment + 0.5 < end for start, end in calls)
        for moment in range(101)
    ]
    assert most == max(moments)
    if calls:
        first = min(start for start, _ in calls)
        span = max(end for _, end in calls) - first
        assert mean == pytest.approx(sum(moments) / span)
        journal = [(*call, True) for call in calls]
        assert costs._mean_in_flight(journal, span) == pytest.approx(mean)


def test_the_comparison_gives_equal_answers_and_a_limit(monkeypatch):
    monkeypatch.setattr(
        datasets, "load", lambda name: {"train_labels": LABELS}
    )
    monkeypatch.setattr(costs, "load", datasets.load)
    monkeypatch.setattr(costs, "ANSWER", 0.0001)
    found = async_io.calls(7)
    assert list(async_io.COMPARISONS.values()) == [async_io.calls]
    *timings, limit = found.values()
    assert len(timings) == 3
    assert all(isinstance(timing, Timing) for timing in timings)
    assert [timing.result for timing in timings] == [LABELS] * 3
    assert limit == pytest.approx(7 * 0.0001 / costs.SLOTS)
    assert list(found)[-1].startswith("limit: ")


def test_sockets_are_counted(monkeypatch):
    assert 0 < async_io.sockets() <= 1_000_000
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert async_io.sockets() == 8192


# Exercises


@pytest.mark.parametrize(
    "name",
    [n for n in EXERCISES if n.startswith(practice.__name__)],
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def caches_answers_only(function):
    answers = {}

    async def ask(item):
        if item not in answers:
            answers[item] = await function(item)
        return answers[item]

    return ask


def forgets_to_shield(function):
    tasks = {}

    async def ask(item):
        if item not in tasks:
            tasks[item] = asyncio.ensure_future(function(item))
        try:
            return await tasks[item]
        except Exception:
            tasks.pop(item, None)
            raise

    return ask


def remembers_failures(function):
    tasks = {}

    async def ask(item):
        if item not in tasks:
            tasks[item] = asyncio.ensure_future(function(item))
        return await asyncio.shield(tasks[item])

    return ask


def asks_both_at_once(function, after):
    async def ask(item):
        tasks = [asyncio.ensure_future(function(item)) for _ in range(2)]
        done, rest = await asyncio.wait(
            tasks, return_when=asyncio.FIRST_COMPLETED
        )
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return done.pop().result()

    return ask


def leaves_the_loser(function, after):
    async def ask(item):
        first = asyncio.ensure_future(function(item))
        done, _ = await asyncio.wait([first], timeout=after)
        return first.result() if done else await function(item)

    return ask


def never_hedges(function, after):
    return function


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "in_flight",
            lambda calls: (len(calls), practice.in_flight(calls)[1]),
            "most is 2",
        ),
        (
            "in_flight",
            lambda calls: (practice.in_flight(calls)[0], 1.0),
            "mean is 1.0",
        ),
        ("once", lambda function: function, r"asked for \[3, 3"),
        ("once", caches_answers_only, r"asked for \[3, 3"),
        ("once", remembers_failures, "instead of asking again"),
        ("once", forgets_to_shield, "cancelled too"),
        ("hedged", asks_both_at_once, "answered at once"),
        ("hedged", leaves_the_loser, "when hedged"),
        ("hedged", never_hedges, "never returned"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message, monkeypatch):
    monkeypatch.setattr(practice, "SECONDS", 0.3)
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)
