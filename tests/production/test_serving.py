import asyncio
import contextlib
import itertools
import json
import math
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from scipy import stats

from parallel_ai.production import serving
from parallel_ai.production.serving import (
    checking,
    loading,
    misusing,
    packed,
    practice,
    sweeping,
    team,
)
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

SECONDS = 30
QUICKLY = serving.QUICKLY
LIMITS = serving.Limits()
CASES = {case.name: case for case in misusing.misuses(QUICKLY)}


@pytest.fixture(scope="module", autouse=True)
def server_with_the_models():
    """End the server of other tests: it has not imported what workers need."""
    forkserver._forkserver._stop()
    serving.prepare()
    yield
    forkserver._forkserver._stop()


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    """Models learnt from few pictures, in a folder of the tests."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        paths = packed.train_all(folder, 300)
        torch.set_num_threads(threads)
        patch.setattr(sweeping, "trained", lambda: paths)
        yield paths


@pytest.fixture(scope="module")
def pictures():
    return packed.garments()[0]


@pytest.fixture(scope="module")
def service(files):
    """The real service, two workers, impatient with slow clients."""
    with sweeping.serving(serving.Design(workers=2), limits=QUICKLY) as one:
        yield one


@pytest.fixture(scope="module")
def patient(files):
    """The service as it is meant: it closes no connection that rests."""
    with sweeping.serving(serving.Design(workers=2)) as one:
        yield one


def ask(port, path, body=None, kind=checking.JSON):
    """Ask over a plain socket; returns status, headers, body."""
    method, data = ("GET", b"") if body is None else ("POST", body)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), SECONDS) as line:
        line.sendall(head.encode() + data)
        answer = b""
        while block := line.recv(65536):
            answer += block
    head, _, content = answer.decode().partition("\r\n\r\n")
    pairs = (row.partition(": ")[::2] for row in head.splitlines()[1:])
    headers = {name.lower(): value for name, value in pairs}
    return int(head[9:12]), headers, content


def until(condition):
    """Ask again and again, for a limited time."""
    due = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < due


def in_thread(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, SECONDS))


# Queues


@given(st.floats(0.01, 0.99))
def test_erlang_knows_one_and_two_servers(load):
    assert serving.erlang_c(load, 1, 1) == pytest.approx(load)
    two = serving.erlang_c(2 * load, 1, 2)
    assert two == pytest.approx(2 * load**2 / (1 + load))


def test_erlang_against_the_textbooks_sum():
    offered, servers = 8.0, 10
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    others = sum(offered**n / math.factorial(n) for n in range(servers))
    assert serving.erlang_c(offered, 1, servers) == pytest.approx(
        last / (others + last)
    )
    assert 0 < serving.erlang_c(900.0, 1, 1000) < 1e-2  # no overflow
    assert serving.erlang_c(2, 1, 2) == 1
    assert serving.mmc_wait(2, 1, 2) == serving.mg1_wait(1, 1, 0) == math.inf


@given(st.floats(0.05, 0.95), st.floats(0.001, 10), st.integers(1, 20))
def test_general_formulas_contain_the_special_ones(busy, service, servers):
    rate = busy * servers / service
    assert serving.utilisation(rate, service, servers) == pytest.approx(busy)
    assert serving.mgc_wait(rate, service, 1, servers) == pytest.approx(
        serving.mmc_wait(rate, service, servers)
    )
    alone = busy / service
    for cv2 in (0, 0.5, 4):
        assert serving.mgc_wait(alone, service, cv2, 1) == pytest.approx(
            serving.mg1_wait(alone, service, cv2)
        )


@pytest.mark.parametrize("servers", [1, 2, 5])
@pytest.mark.parametrize("kind", ["constant", "exponential", "lognormal"])
def test_a_played_queue_waits_as_the_formulas_say(servers, kind):
    count, busy, draw = 120_000, 0.7, np.random.default_rng(servers)
    work, cv2 = {
        "constant": (np.ones(count), 0.0),
        "exponential": (draw.exponential(1, count), 1.0),
        "lognormal": (draw.lognormal(-0.25, 0.5**0.5, count), np.e**0.5 - 1),
    }[kind]
    rate = busy * servers
    waited = serving.play(serving.poisson_times(rate, count), work, servers)
    expected = serving.mgc_wait(rate, 1, cv2, servers)
    exact = servers == 1 or cv2 == 1
    assert waited.mean() == pytest.approx(expected, rel=0.08 if exact else 0.2)


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 3)), max_size=30),
    st.integers(1, 4),
)
def test_the_queue_is_first_come_first_served(jobs, servers):
    arrivals = np.sort([a for a, _ in jobs])
    work = np.array([w for _, w in jobs])
    waited = serving.play(arrivals, work, servers)
    begun, ended = arrivals + waited, arrivals + waited + work
    assert (waited >= 0).all()
    assert (np.diff(begun) >= -1e-9).all()
    for start in begun:  # never more at work than there are servers
        assert ((begun <= start) & (ended > start + 1e-9)).sum() <= servers
    for i in np.flatnonzero(waited > 1e-6):  # who waits finds all busy
        just_before = begun[i] - 1e-7
        at_work = (begun <= just_before) & (ended > just_before)
        assert at_work.sum() == servers


COSTS = st.builds(serving.CallCost, st.floats(0, 0.1), st.floats(1e-4, 0.1))
SPREAD = st.sampled_from([0.0, 0.25, 1.0, 4.0])


def played_in_batches(rate, cost, cv2, most, count, seed):
    """Play `batch_queue`: mean stay, and mean items of a batch."""
    draw = np.random.default_rng(seed)
    come = serving.poisson_times(rate, count, seed)
    done, begun, stays, batches = 0.0, 0, 0.0, 0
    while begun < count:
        start = max(done, come[begun])
        end = min(
            begun + most, int(np.searchsorted(come, start, side="right"))
        )
        mean = cost.seconds(end - begun)
        done = start + (draw.gamma(1 / cv2, cv2 * mean) if cv2 else mean)
        stays += (done - come[begun:end]).sum()
        begun, batches = end, batches + 1
    return stays / count, count / batches


def chain_in_batches(rate, cost, cv2, most, states=900):
    """Solve the chain that `batch_queue` is about, cut off at some state."""

    def arrivals(mean):
        if cv2:
            shape = 1 / cv2
            return stats.nbinom.pmf(
                np.arange(states), shape, shape / (shape + mean)
            )
        return stats.poisson.pmf(np.arange(states), mean)

    left = np.arange(states)
    taken = np.clip(left, 1, most)
    seconds = cost.fixed + cost.each * taken
    come = [arrivals(rate * cost.seconds(n)) for n in range(most + 1)]
    rests = np.maximum(left, 1) - taken
    moves = np.zeros((states, states))
    for state, (size, rest) in enumerate(zip(taken, rests, strict=True)):
        moves[state, rest:] = come[size][: states - rest]
        moves[state, -1] += come[size][states - rest :].sum()
    balance = moves.T - np.eye(states)
    balance[-1] = 1  # instead of an equation that follows from the others
    share = np.linalg.solve(balance, np.eye(states)[-1])
    assert share[-1] < 1e-12  # what was cut off does not matter
    cycle = share[0] / rate + share @ seconds
    waits = np.maximum(left, 1) * seconds + rate * (1 + cv2) * seconds**2 / 2
    return share @ waits / cycle / rate, rate * cycle


def test_a_calls_cost_is_a_line_and_full_calls_are_the_capacity():
    cost = serving.CallCost(0.002, 0.001)
    assert cost.seconds(8) == pytest.approx(0.01)
    assert cost.capacity(1) == pytest.approx(1 / 0.003)
    assert cost.capacity(8, servers=3) == pytest.approx(2400)
    rates = [cost.capacity(n) for n in (1, 2, 64, 10**6)]
    assert rates == sorted(rates)
    assert rates[-1] < 1 / cost.each


@given(COSTS, st.floats(1e-6, 0.999), SPREAD)
def test_batches_of_one_wait_as_pollaczek_and_khinchine_say(cost, load, cv2):
    rate, alone = load * cost.capacity(1), cost.seconds(1)
    found = serving.batch_queue(rate, cost, cv2, 1)
    wait = serving.mg1_wait(rate, alone, cv2)
    assert found.stay == pytest.approx(alone + wait, rel=1e-9)
    assert found.items == pytest.approx(1)


@pytest.mark.parametrize("cv2", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("most", [1, 2, 5, 16])
@pytest.mark.parametrize("load", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("fixed", [0.0, 0.001, 0.1])
def test_a_queue_in_batches_is_its_chain(cv2, most, load, fixed):
    cost = serving.CallCost(fixed, 0.001)
    rate = load * cost.capacity(most)
    found = serving.batch_queue(rate, cost, cv2, most)
    stay, items = chain_in_batches(rate, cost, cv2, most)
    assert found.stay == pytest.approx(stay, rel=1e-8)
    assert found.items == pytest.approx(items, rel=1e-8)


@pytest.mark.parametrize("cv2", [0.0, 1.0])
@pytest.mark.parametrize("most", [4, 32])
def test_a_queue_in_batches_is_played_as_foretold(cv2, most):
    cost = serving.CallCost(0.004, 0.001)
    rate = 0.5 * cost.capacity(most)
    stay, items = played_in_batches(rate, cost, cv2, most, 100_000, most)
    found = serving.batch_queue(rate, cost, cv2, most)
    assert found.stay == pytest.approx(stay, rel=0.05)
    assert found.items == pytest.approx(items, rel=0.02)


@settings(max_examples=25)
@given(COSTS, st.sampled_from([2, 8, 64]), SPREAD)
def test_batches_grow_with_the_load_from_one_to_the_most(cost, most, cv2):
    full = cost.capacity(most)
    loads = (1e-9, 0.2, 0.5, 0.8, 0.97, 1 - 1e-6)
    found = [serving.batch_queue(a * full, cost, cv2, most) for a in loads]
    for one, more in itertools.pairwise(found):
        assert one.items < more.items
        assert one.stay < more.stay
    assert found[0].items == pytest.approx(1)
    assert found[0].stay == pytest.approx(cost.seconds(1))
    assert found[-1].items == pytest.approx(most, rel=1e-3)
    beyond = serving.batch_queue(1.001 * full, cost, cv2, most)
    assert beyond == serving.Batched(math.inf, most)


@given(st.sampled_from([2, 8, 64]), st.floats(0.01, 0.99))
def test_batches_without_a_fixed_cost_only_cost(most, load):
    """The first of a batch waits for the last, and nothing is saved."""
    cost = serving.CallCost(0.0, 0.001)
    rate = load * cost.capacity(1)
    wait = serving.mg1_wait(rate, cost.each, 0)
    shared = serving.batch_queue(rate, cost, 0, most)
    assert shared.stay > cost.each + wait


def test_arrivals_are_poisson_and_come_again():
    times = serving.poisson_times(50, 40_000, 3)
    gaps = np.diff(times)
    assert (times == serving.poisson_times(50, 40_000, 3)).all()
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.02


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0.01, 50)),
        min_size=1,
        max_size=40,
    )
)
def test_littles_law_is_found_exactly(jobs):
    begun = np.array([start for start, _ in jobs])
    ended = begun + [stay for _, stay in jobs]
    law = serving.little(begun, ended)
    assert law.inside == pytest.approx(law.rate * law.stay)
    span = ended.max() - begun.min()
    assert law.rate == pytest.approx(len(jobs) / span)


@given(
    st.lists(
        st.tuples(st.floats(0, 9), st.floats(0, 1), st.floats(0.01, 3)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 2),
)
def test_times_taken_apart_add_up(jobs, alone):
    due = np.array([start for start, _, _ in jobs])
    sent = due + [late for _, late, _ in jobs]
    ended = sent + [stay for _, _, stay in jobs]
    apart = serving.taken_apart(due, sent, ended, alone)
    beyond = (ended - due).mean() - alone
    assert apart.beyond == pytest.approx(beyond, abs=1e-9)
    assert apart.late == pytest.approx((sent - due).mean(), abs=1e-9)
    reverse = serving.taken_apart(due[::-1], sent[::-1], ended[::-1], alone)
    if len(set(sent)) == len(sent):
        assert reverse.queued == pytest.approx(apart.queued, abs=1e-9)


def test_of_a_played_queue_only_the_wait_is_left():
    due = serving.poisson_times(0.6, 20_000)
    work = np.random.default_rng(1).choice([0.5, 1.5], len(due))
    waited = serving.play(due, work, 1)
    late = np.where(np.arange(len(due)) % 2, 0.0, 0.25)
    apart = serving.taken_apart(due, due, due + waited + work, work.mean())
    assert apart.late == 0
    assert apart.beyond == pytest.approx(waited.mean(), abs=0.01)
    shifted = serving.taken_apart(
        due - late, due, due + waited + work, work.mean()
    )
    assert shifted.late == pytest.approx(0.125)
    assert shifted.queued == apart.queued


def test_who_meets_nobody_has_not_queued():
    sent = np.array([0.0, 10.0, 10.5, 30.0])
    ended = sent + [2.0, 2.0, 3.5, 1.0]
    apart = serving.taken_apart(sent, sent, ended, 1.0)
    assert apart == serving.Apart(0.0, (1 + 1 + 0) / 4, 2.5 / 4)


def test_the_slowest_part_decides():
    seconds = np.arange(1000) / 1000
    got = serving.fan_out(seconds, [1, 10, 100], 0.9895)
    for share, n in zip(got, (1, 10, 100), strict=True):
        assert share == pytest.approx(serving.slow_share(0.01, n), abs=0.03)
    assert serving.slow_share(0.01, 0) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 30))
def test_parts_in_a_row(late, n):
    got = serving.in_a_row(np.array(late, float), [n], 0.5)
    if n > len(late):
        assert got == []
    else:
        windows = [any(late[i : i + n]) for i in range(len(late) - n + 1)]
        assert got == [pytest.approx(np.mean(windows))]


# What comes in


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_json_and_bytes_bring_the_same_pixels(rows, seed):
    draw = np.random.default_rng(seed)
    wanted = draw.integers(0, 256, (rows, 784), dtype="u1")
    as_json = json.dumps({"pixels": wanted.tolist()}).encode()
    as_floats = json.dumps({"pixels": wanted.astype(float).tolist()}).encode()
    for kind, body in (
        (checking.JSON, as_json),
        (checking.JSON, as_floats),
        (checking.BYTES, wanted.tobytes()),
    ):
        got = serving.pixels_from(kind, body, LIMITS)
        assert got.dtype == np.uint8
        assert (got == wanted).all()


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body):
    for kind in (checking.JSON, checking.BYTES, "text/plain"):
        with pytest.raises(serving.RefusedError) as caught:
            serving.pixels_from(kind, body, LIMITS)
        assert 400 <= caught.value.status < 500
        assert str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_no_json_raises_anything_else(value):
    for content in (value, {"pixels": value}, {"pixels": [value]}):
        with pytest.raises(serving.RefusedError):
            serving.pixels_from(
                checking.JSON, json.dumps(content).encode(), LIMITS
            )


# Batches


def doubled(seen):
    def predict(rows):
        seen.append(len(rows))
        return rows.astype(int) * 2

    return predict


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=25),
    st.integers(1, 8),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.001]),
)
def test_each_gets_its_own_and_no_batch_is_too_large(
    sizes, most, threads, wait
):
    async def all_of_them():
        seen, noted = [], []
        design = serving.Design(
            threads=threads, max_batch=most, max_wait=wait, room=10**6
        )
        jobs = [np.full((n, 2), i) for i, n in enumerate(sizes)]
        async with serving.Batcher(
            doubled(seen), design, noted.append
        ) as batcher:
            got = await asyncio.gather(*map(batcher.ask, jobs))
        for job, answer in zip(jobs, got, strict=True):
            assert (answer == job * 2).all()
            assert len(answer) == len(job)
        assert sum(seen) == sum(sizes)
        assert noted == (seen if threads else [])
        assert batcher.rows == 0
        alone = {n for n in sizes if n > most}
        if threads:
            assert all(n <= most or n in alone for n in seen)

    in_thread(all_of_them())


class Gate:
    """A model that waits until it is let go."""

    def __init__(self):
        self.open, self.entered = threading.Event(), threading.Event()
        self.seen = []

    def __call__(self, rows):
        self.seen.append(rows[:, 0].tolist())
        self.entered.set()
        assert self.open.wait(SECONDS)
        return rows


async def entered(gate):
    await asyncio.to_thread(gate.entered.wait, SECONDS)


def test_while_a_batch_is_computed_the_next_one_fills():
    async def play():
        gate = Gate()
        async with serving.Batcher(gate, serving.Design()) as batcher:
            first = asyncio.create_task(batcher.ask(np.array([[0]])))
            await entered(gate)
            others = [
                asyncio.create_task(batcher.ask(np.array([[i]])))
                for i in range(1, 6)
            ]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(first, *others)
        assert gate.seen == [[0], [1, 2, 3, 4, 5]]

    in_thread(play())


def test_a_full_queue_says_no_at_once():
    async def play():
        gate = Gate()
        design = serving.Design(room=2)
        async with serving.Batcher(gate, design) as batcher:
            first = asyncio.create_task(batcher.ask(np.array([[0]])))
            await entered(gate)
            inside = [
                asyncio.create_task(batcher.ask(np.array([[i]])))
                for i in (1, 2)
            ]
            await asyncio.sleep(0)
            with pytest.raises(serving.FullError) as caught:
                await batcher.ask(np.array([[3]]))
            assert caught.value.retry_after >= 1
            gate.open.set()
            await asyncio.gather(first, *inside)
            await batcher.ask(np.zeros((5, 1)))  # larger than the room: alone

    in_thread(play())


def test_who_has_given_up_is_not_computed():
    async def play():
        gate = Gate()
        async with serving.Batcher(
            gate, serving.Design(seconds=0.05)
        ) as batcher:
            first = asyncio.create_task(batcher.ask(np.array([[0]])))
            await entered(gate)
            late = asyncio.create_task(batcher.ask(np.array([[1]])))
            for one in (first, late):
                with pytest.raises(TimeoutError):
                    await one
            gate.open.set()
            assert (await batcher.ask(np.array([[2]]))).tolist() == [[2]]
        assert gate.seen == [[0], [2]]

    in_thread(play())


def test_who_has_left_is_not_computed():
    async def play():
        gate = Gate()
        async with serving.Batcher(gate, serving.Design()) as batcher:
            first = asyncio.create_task(batcher.ask(np.array([[0]])))
            await entered(gate)
            tasks = [
                asyncio.create_task(batcher.ask(np.array([[i]])))
                for i in (1, 2)
            ]
            await asyncio.sleep(0)
            tasks[0].cancel()
            gate.open.set()
            await asyncio.gather(first, tasks[1])
        assert gate.seen == [[0], [2]]

    in_thread(play())


def test_a_model_that_fails_tells_all_of_its_batch_and_goes_on():
    async def play():
        def predict(rows):
            if (rows < 0).any():
                raise ArithmeticError("below zero")
            return rows

        design = serving.Design(max_wait=0.01)
        async with serving.Batcher(predict, design) as batcher:
            asked = [batcher.ask(np.array([[n]])) for n in (1, -1, 2)]
            got = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(one) for one in got] == [ArithmeticError] * 3
            assert (await batcher.ask(np.array([[3]]))).tolist() == [[3]]

    in_thread(play())


def test_in_a_hurry_nobody_waits_for_a_fuller_batch():
    async def play():
        design = serving.Design(max_wait=SECONDS, max_batch=8)
        async with serving.Batcher(np.copy, design) as batcher:
            asked = [batcher.ask(np.array([[n]])) for n in range(3)]
            waiting = asyncio.gather(*asked)
            while batcher.rows < 3:
                await asyncio.sleep(0)
            batcher.hurry()
            assert len(await waiting) == 3

    in_thread(play())


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("warm", [True, False])
def test_a_service_warms_the_threads_that_answer(threads, warm):
    seen = []

    def predict(pixels):
        seen.append((threading.get_ident(), pixels.shape))
        return np.zeros((len(pixels), 10))

    async def play():
        design = serving.Design(threads=threads, max_batch=8)
        model = serving.Model("m", "v", predict)
        cells = np.zeros(len(serving.names_of(["m"])))
        metrics = serving.Metrics(["m"], cells, 0)
        service = serving.Service([model], design, LIMITS, metrics, warm)
        async with service:
            before = set(seen)
            assert not cells.any()  # nobody has asked
            del seen[:]
            await service.batchers["m", "v"].ask(np.zeros((1, 784), "u1"))
        return before

    before = in_thread(play())
    answering = {thread for thread, _ in seen}
    if not warm:
        assert before == set()
        return
    warmed = {thread for thread, _ in before}
    assert len(warmed) == max(1, threads)
    assert answering <= warmed
    shapes = {(1, 784), (8, 784)}
    assert before == set(itertools.product(warmed, shapes))


def test_a_model_that_cannot_be_warmed_leaves_no_thread():
    def predict(_):
        raise ArithmeticError("no answer")

    async def play():
        design = serving.Design(threads=2)
        metrics = serving.Metrics([], np.zeros(99), 0)
        model = serving.Model("m", "v", predict)
        async with serving.Service([model], design, LIMITS, metrics):
            pass

    before = threading.active_count()
    with pytest.raises(ArithmeticError, match="no answer"):
        in_thread(play())
    assert threading.active_count() == before


def test_a_closed_batcher_leaves_nobody_waiting():
    async def play():
        design = serving.Design(max_wait=SECONDS, max_batch=8)
        async with serving.Batcher(np.copy, design) as batcher:
            waiting = asyncio.create_task(batcher.ask(np.array([[0]])))
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    in_thread(play())


# Metrics


def families(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_metrics_and_their_sums():
    names = ["cnn", "trees"]
    cells = np.zeros(3 * len(serving.names_of(names)))
    rows = [serving.Metrics(names, cells, row) for row in range(3)]
    for number, metrics in enumerate(rows, 1):
        for _ in range(number):
            metrics.answered("cnn", 200, 0.003)
            metrics.answered("none", 404, 0.003)
            metrics.batch("trees", 5)
        metrics.answered("cnn", 200, 100.0)
        metrics.waiting("cnn", number + 1)
        metrics.waiting("cnn", -1)
    text = rows[1].text()
    found = families(text)
    assert text == rows[0].text()

    def of(name, **labels):
        return found[name, tuple(sorted(labels.items()))]

    assert of("serving_requests_total", model="cnn", status="200") == 9
    assert of("serving_requests_total", model="none", status="404") == 6
    assert of("serving_batches_total", model="trees") == 6
    assert of("serving_pictures_total", model="trees") == 30
    assert of("serving_waiting", model="cnn") == 6
    buckets = [
        of("serving_seconds_bucket", model="cnn", le=str(le))
        for le in (*serving.BOUNDS, "+Inf")
    ]
    assert buckets[:3] == [0, 0, 6]
    assert buckets == sorted(buckets)
    assert buckets[-1] == of("serving_seconds_count", model="cnn") == 9
    serving.Metrics(names, cells, 2)  # a new worker in the third one's place
    again = families(rows[0].text())
    assert again["serving_waiting", (("model", "cnn"),)] == 3
    assert {k: v for k, v in again.items() if "waiting" not in k[0]} == {
        k: v for k, v in found.items() if "waiting" not in k[0]
    }
    total = of("serving_seconds_sum", model="cnn")
    assert total == pytest.approx(6 * 0.003 + 300)
    kinds = {f.name: f.type for f in text_string_to_metric_families(text)}
    assert kinds["serving_seconds"] == "histogram"
    assert kinds["serving_waiting"] == "gauge"
    assert len(found) == text.count("\n") - text.count("#")


# Models


def test_a_files_content_is_its_version(files, tmp_path, pictures):
    for name, path in files.items():
        model = serving.load_model(name, path)
        assert serving.load_model(name, path).version == model.version
        got = model.predict(pictures[:50])
        assert got.shape == (50, 10)
        assert np.allclose(got.sum(1), 1, atol=1e-5)
    with np.load(files["linear"]) as file:
        np.savez(
            tmp_path / "next.npz",
            weights=file["weights"] * 2, bias=file["bias"],
        )  # fmt: skip
    other = serving.load_model("linear", tmp_path / "next.npz")
    assert (
        other.version != serving.load_model("linear", files["linear"]).version
    )
    assert len(other.version) == 12


def test_files_that_are_no_models_are_refused(tmp_path):
    pickled = tmp_path / "evil.npz"
    np.savez(pickled, weights=np.array([print], object), bias=np.zeros(10))
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no network")
    odd = tmp_path / "model.pkl"
    odd.write_bytes(b"")
    few = tmp_path / "few.npz"
    np.savez(few, weights=np.zeros((784, 3), "f4"), bias=np.zeros(3, "f4"))
    for path in (pickled, broken, odd, few):
        with pytest.raises(ValueError, match=path.name):
            serving.load_model("x", path)


def test_a_part_of_a_model_never_reaches_lightgbm(files, tmp_path):
    """It would end this process, not raise an error."""
    whole = files["trees"].read_text()
    text = serving.whole_trees(whole)
    assert serving.whole_trees(text) == text  # as others write it
    assert serving.sealed(text) == whole
    end = text.index("end of parameters") + len("end of parameters")
    for cut in (*range(0, end, 997), end - 1, end):
        with pytest.raises(ValueError, match=r"head is missing|cut off"):
            serving.whole_trees(whole[:cut])
    for changed in (text[1:], text[: end // 4] + text[end // 4 + 1 :]):
        with pytest.raises(ValueError, match=r"head is missing|cut off"):
            serving.whole_trees(changed)
    for place in (*range(0, len(text), 997), len(whole) - 2):
        other = chr(ord(whole[place]) ^ 1)
        with pytest.raises(ValueError, match="changed since"):
            serving.whole_trees(whole[:place] + other + whole[place + 1 :])
    half = tmp_path / "half.txt"
    half.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.txt: cut off"):
        serving.load_model("trees", half)


# The service


def agree(answers, model, pictures):
    """None is lost, and none is wrong."""
    expected = model.predict(pictures)
    assert None not in answers
    got = np.array([answer["probabilities"][0] for answer in answers])
    assert np.allclose(got, expected, atol=1e-5)
    labels = np.array([answer["labels"][0] for answer in answers])
    assert (labels == got.argmax(1)).all()
    assert {a["version"] for a in answers} == {model.version}
    assert {a["model"] for a in answers} == {model.name}


@pytest.mark.parametrize("name", ["linear", "trees", "cnn"])
def test_a_thousand_requests_none_lost_none_wrong(
    patient, files, pictures, name
):
    asked = [serving.request_of(name, one) for one in pictures[:1000]]
    before = serving.scraped(patient.port)
    told = in_thread(serving.insist(patient.port, asked, 32))
    assert (told.lost, told.refused) == (0, 0)
    agree(told.answers, serving.load_model(name, files[name]), pictures[:1000])
    after = serving.scraped(patient.port)

    def more(metric):
        return after[metric] - before[metric]

    assert (
        more(f'serving_requests_total{{model="{name}",status="200"}}') == 1000
    )
    assert more(f'serving_pictures_total{{model="{name}"}}') == 1000
    assert more(f'serving_seconds_count{{model="{name}"}}') == 1000
    assert 1 <= more(f'serving_batches_total{{model="{name}"}}') <= 1000


def test_json_and_several_pictures(service, files, pictures):
    version = serving.load_model("trees", files["trees"]).version
    body = json.dumps({"pixels": pictures[:5].tolist()}).encode()
    for path in ("/models/trees", f"/models/trees/{version}"):
        status, headers, text = ask(service.port, path, body)
        assert status == 200
        assert headers["content-type"].startswith("application/json")
        answer = json.loads(text)
        model = serving.load_model("trees", files["trees"])
        expected = model.predict(pictures[:5])
        assert np.allclose(answer["probabilities"], expected)
        assert answer["version"] == version
    status, _, text = ask(service.port, "/models")
    assert (status, json.loads(text)["trees"]) == (200, [version])


def test_health(service):
    assert ask(service.port, "/health/live")[::2] == (200, "live\n")
    assert ask(service.port, "/health/ready")[::2] == (200, "ready\n")


def listeners(process):
    """Sockets of a process; psutil 6 has renamed it."""
    listed = getattr(process, "net_connections", None)
    return (listed or process.connections)()


def test_nothing_listens_but_on_loopback(service):
    family = [os.getpid(), *service.pids]
    addresses = {
        connection.laddr.ip
        for pid in family
        for connection in listeners(psutil.Process(pid))
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("name", CASES)
def test_misuse_is_answered_or_closed_and_the_service_lives(
    service, pictures, name
):
    case = CASES[name]
    outcome = serving.misuse(service.port, case.parts())
    assert outcome.status in case.expected, outcome
    assert outcome.status == serving.CLOSED or outcome.reason
    limit = max(QUICKLY.head_seconds, QUICKLY.body_seconds) + 10
    assert outcome.seconds < limit  # a hang would be 30
    good = serving.request_of("linear", pictures[0])
    assert in_thread(serving.insist(service.port, [good], 1)).answers[0]


def test_there_are_thirty_kinds_of_misuse():
    assert len(CASES) >= 30


def test_slow_clients_do_not_hold_up_others(service, pictures):
    drips = [
        socket.create_connection(("127.0.0.1", service.port))
        for _ in range(50)
    ]
    try:
        for line in drips:
            line.sendall(misusing.HEAD)
        asked = [serving.request_of("linear", one) for one in pictures[:50]]
        told = in_thread(serving.insist(service.port, asked, 8))
        assert None not in told.answers
        for line in drips:
            line.settimeout(SECONDS)
            assert b"408" in line.recv(4096)
    finally:
        for line in drips:
            line.close()


def test_connections_beyond_the_limit_wait_outside(files):
    limits = serving.Limits(connections=2)
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        sweeping.serving(serving.Design(), limits=limits) as service,
        contextlib.ExitStack() as stack,
    ):
        lines = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", service.port), SECONDS)
            )
            for _ in range(3)
        ]
        for line in lines:
            line.sendall(request)
        for line in lines[:2]:
            assert b"200 OK" in line.recv(4096)
        lines[2].settimeout(0.1)
        with pytest.raises(TimeoutError):
            lines[2].recv(4096)
        lines[0].close()
        lines[2].settimeout(SECONDS)
        assert b"200 OK" in lines[2].recv(4096)


def test_a_killed_worker_loses_requests_and_a_patient_client_none(
    files, pictures
):
    result = serving.killed(1000, 32)
    agree(
        result.told.answers,
        serving.load_model("cnn", files["cnn"]),
        pictures[:1000],
    )
    assert 0 < result.told.lost <= 64
    assert result.ready


def test_a_worker_that_dies_is_replaced(files, pictures):
    """There was only one: who answers afterwards is another one."""
    asked = [serving.request_of("linear", one) for one in pictures[:20]]
    with sweeping.serving(serving.Design()) as service:
        (worker,) = service.pids
        os.kill(worker, signal.SIGKILL)
        told = in_thread(serving.insist(service.port, asked, 4))
        model = serving.load_model("linear", files["linear"])
        agree(told.answers, model, pictures[:20])
        assert not psutil.pid_exists(worker)


def test_a_connection_that_cannot_be_taken_ends_nobody(monkeypatch):
    class Server:
        connections = ()

    async def play():
        loop, refused = asyncio.get_running_loop(), []

        async def refuse(_, connection):
            refused.append(connection)
            raise OSError("gone already")

        monkeypatch.setattr(loop, "connect_accepted_socket", refuse)
        with serving.listening(0) as listener:
            opened = serving.Door(listener, Server(), LIMITS)
            accepting = asyncio.create_task(opened.accept())
            for count in (1, 2):
                line = socket.create_connection(listener.getsockname())
                with line:
                    while len(refused) < count:
                        await asyncio.sleep(0)
            await opened.shut(accepting)
        assert all(connection.fileno() == -1 for connection in refused)
        assert listener.fileno() == -1

    in_thread(play())


def test_a_second_head_must_not_be_slow_either(service, pictures):
    good = serving.request_of("linear", pictures[0])
    with socket.create_connection(("127.0.0.1", service.port)) as line:
        line.sendall(good)
        assert b" 200 " in line.recv(65536)
        line.settimeout(QUICKLY.body_seconds / 10)
        due = time.monotonic() + QUICKLY.idle_seconds + 10
        answer = None
        line.sendall(misusing.HEAD + b"X: ")
        while answer is None:
            assert time.monotonic() < due
            try:
                line.sendall(b"x")
                answer = line.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                answer = b""
        assert answer == b"" or b"408" in answer


def test_full_and_late_are_said(files, pictures):
    waits = serving.Design(max_wait=SECONDS, max_batch=64, room=2, seconds=0.5)
    body = pictures[0].tobytes()
    with (
        sweeping.serving(waits) as service,
        ThreadPoolExecutor(2) as pool,
    ):
        port = service.port
        asked = ("/models/cnn", body, checking.BYTES)
        waiting = 'serving_waiting{model="cnn"}'
        first = [pool.submit(ask, port, *asked) for _ in range(2)]
        until(lambda: serving.scraped(port)[waiting] == 2)
        status, headers, text = ask(port, *asked)
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        assert "full" in text
        assert ask(port, "/health/ready")[0] == 503
        assert ask(port, "/health/live")[0] == 200
        for one in first:
            status, _, text = one.result(SECONDS)
            assert status == 504
            assert "0.5 s" in text
        found = serving.scraped(port)
        assert found['serving_requests_total{model="cnn",status="503"}'] == 1
        assert found['serving_requests_total{model="cnn",status="504"}'] == 2


@contextlib.contextmanager
def command(files, *arguments):
    """The service as a user starts it, in a process group of its own."""
    line = [
        sys.executable, "-m", "parallel_ai.production.serving",
        f"linear={files['linear']}", "--port", "0", *arguments,
    ]  # fmt: skip
    with subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said = process.stdout.readline()
            port = int(said.partition("127.0.0.1:")[2].partition(",")[0])
            yield process, port
        finally:
            left = alive_in(process.pid)
            process.kill()
            _, left = psutil.wait_procs(left, SECONDS)
            for one in left:
                one.kill()
            assert left == []


def alive_in(group):
    """Processes of a group that still do something."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if (
                os.getpgid(process.pid) == group
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def test_a_library_that_is_not_installed_is_named(files, monkeypatch, capsys):
    monkeypatch.setitem(packed.LIBRARIES, ".npz", ["no_such_library"])
    with pytest.raises(SystemExit):
        serving.main([f"linear={files['linear']}", "--port", "0"])
    assert re.search(r"no_such_library.*pip install", capsys.readouterr().err)


def test_sigterm_lets_requests_under_way_finish(files, pictures):
    patient = ("--max-wait", "30", "--max-batch", "64", "--seconds", "30")
    waiting = 'serving_waiting{model="linear"}'
    with (
        command(files, *patient) as (process, port),
        ThreadPoolExecutor(8) as pool,
    ):
        asked = ("/models/linear", pictures[0].tobytes(), checking.BYTES)
        under_way = [pool.submit(ask, port, *asked) for _ in range(8)]
        until(lambda: serving.scraped(port)[waiting] == 8)
        process.terminate()
        for one in under_way:
            status, headers, _ = one.result(SECONDS)
            assert (status, headers["connection"]) == (200, "close")
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        assert "requests under way finish" in out
        assert "Traceback" not in err
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/health/live")


def test_ctrl_c_ends_the_command_cleanly(files, pictures):
    with command(files, "--workers", "2") as (process, port):
        body = pictures[0].tobytes()
        assert ask(port, "/models/linear", body, checking.BYTES)[0] == 200
        os.killpg(process.pid, signal.SIGINT)  # all of them, as a terminal
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in out + err


def test_a_killed_supervisor_takes_its_workers_along(files):
    with command(files) as (process, _):
        found = alive_in(process.pid)
        assert len(found) >= 2
        if sys.platform == "linux":  # a linear model needs NumPy alone
            maps = [
                Path(f"/proc/{p.pid}/maps").read_text("utf8") for p in found
            ]
            assert not [text for text in maps if "libtorch" in text]
        process.kill()  # and `command` sees that nobody is left


def test_ending_under_load_is_counted(files):
    result = serving.ended(16)
    assert result["code"] == 0
    assert result["answered"] >= 16
    assert result["broken"] <= 16


def test_two_versions_side_by_side(files, tmp_path, pictures):
    with np.load(files["linear"]) as file:
        content = {"weights": -file["weights"], "bias": file["bias"]}
    np.savez(tmp_path / "next.npz", **content)
    paths = [files["linear"], tmp_path / "next.npz"]
    old, new = (serving.load_model("linear", path) for path in paths)
    both = [("linear", path) for path in paths]
    asked = (pictures[0].tobytes(), checking.BYTES)
    with serving.running(serving.Settings(both)) as service:
        for path, model in (
            ("linear", new),
            (f"linear/{new.version}", new),
            (f"linear/{old.version}", old),
        ):
            answer = json.loads(
                ask(service.port, f"/models/{path}", *asked)[2]
            )
            assert answer["version"] == model.version
            expected = model.predict(pictures[:1])
            assert np.allclose(answer["probabilities"], expected, atol=1e-5)
        listed = json.loads(ask(service.port, "/models")[2])
        assert listed == {"linear": [old.version, new.version]}


def test_a_service_that_cannot_load_says_so(tmp_path):
    broken = tmp_path / "cnn.pt"
    broken.write_bytes(b"no network")
    with (
        pytest.raises(RuntimeError, match=r"worker 0.*cnn\.pt"),
        serving.running(serving.Settings([("cnn", broken)])),
    ):
        pass


def test_a_busy_port_is_said_clearly(files, capsys):
    with serving.listening(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(serving.PortBusyError, match="another --port"):
            serving.listening(port)
        path = f"linear={files['linear']}"
        assert serving.main([path, "--port", str(port)]) == 2
        said = capsys.readouterr().out
        assert str(port) in said
        assert "another --port" in said
    for argument, said in (
        ("linear=/no/such/file", "no file"),
        (f"a/b={files['linear']}", "no name for an address"),
        (f'a"b={files["linear"]}', "no name for an address"),
        (str(files["linear"]), "no name for an address"),
    ):
        with pytest.raises(SystemExit):
            serving.main([argument])
        assert said in capsys.readouterr().err


def test_workers_that_keep_ending_are_given_up(monkeypatch, files):
    class Dead:
        exitcode, pid = 1, 0

        def __init__(self):
            self.sentinel, self.other = os.pipe()
            os.close(self.other)  # readable: it has ended

    told, started = [], []
    one = team.Team(
        serving.Settings([("linear", files["linear"])]), told.append
    )

    def start(row, listener):
        started.append(row)
        one.workers[row] = Dead()

    monkeypatch.setattr(one, "start", start)
    start(0, None)
    here, there = os.pipe()
    try:
        with pytest.raises(RuntimeError, match="keeps ending"):
            one.look_after(None, here)
    finally:
        os.close(here)
        os.close(there)
    assert len(told) == 2
    assert len(started) == 3


# Loads


class Slow:
    """A server that answers nobody before it is told to."""

    def __init__(self):
        self.asked, self.go = 0, asyncio.Event()

    async def __call__(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2]
                await reader.readexactly(int(length.partition(b"\r\n")[0]))
                self.asked += 1
                await self.go.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def test_an_open_loop_asks_on_while_a_closed_one_waits(pictures):
    async def play(kind):
        slow = Slow()
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            asked = [serving.request_of("cnn", pictures[0])]
            if kind == "open":
                due = np.linspace(0, 0.05, 20)
                load = asyncio.create_task(loading.open_loop(port, asked, due))
                wanted = 20
            else:
                load = asyncio.create_task(
                    loading.closed_loop(port, asked, 3, 0.05)
                )
                wanted = 3
            while slow.asked < wanted:
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            before = slow.asked
            slow.go.set()
            return before, await load

    for kind, wanted in (("open", 20), ("closed", 3)):
        before, journal = in_thread(play(kind))
        assert before == wanted
        assert len(journal.due) >= wanted
        assert journal.good.all()
        assert (journal.latency >= journal.service - 1e-9).all()
        assert journal.throughput > 0


def test_a_load_counts_what_breaks(pictures):
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def play():
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            asked = [serving.request_of("cnn", pictures[0])] * 3
            journal = await loading.open_loop(port, asked, np.zeros(5))
            told = await serving.insist(port, asked, 2, tries=2)
        return journal, told

    journal, told = in_thread(play())
    assert journal.statuses == [0] * 5
    assert journal.throughput == 0
    assert len(journal.latency) == 0
    assert told.answers == [None] * 3
    assert told.lost == 6


def test_loads_have_a_clock_of_microseconds():
    loop = loading.punctual()
    try:
        assert isinstance(loop._selector, selectors.SelectSelector)
    finally:
        loop.close()
    clocks = {kind: clock for kind, (_, clock) in loading.LOADS.items()}
    assert clocks["open"] is clocks["closed"] is loading.punctual


def test_a_load_without_a_service_says_so():
    with serving.listening(0) as listener:
        port = listener.getsockname()[1]
    journal = serving.load("open", port, [b""], np.zeros(3))
    assert journal.statuses == [0] * 3
    with pytest.raises(RuntimeError, match="died"):
        serving.load("open", "no port", None, None)


# Measured


def test_a_design_is_swept(files):
    ways = {"batches": serving.Design()}
    found = serving.sweep([0.5], 0.1, ways)
    one = found["batches"]
    assert one["capacity"].keys() == {"linear", "trees", "cnn"}
    assert one["loads"][0].keys() >= {"offered", "answered", "p50", "p99"}
    json.dumps(found)  # fit for a record


def test_the_knee_and_its_price():
    loads = [
        {"answered": 100.0, "p99": 0.01, "refused": 0.0},
        {"answered": 200.0, "p99": 0.02, "refused": 0.0},
        {"answered": 300.0, "p99": 0.02, "refused": 0.3},
        {"answered": 250.0, "p99": 0.9, "refused": 0.0},
    ]
    assert serving.knee(loads, 0.05) == 200
    assert serving.knee(loads, 0.001) == 0
    assert serving.cost_of_a_million(1e6 / 3600, 0.2) == pytest.approx(0.2)


def test_a_standstill_ends():
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            with serving.standstill(sleeper.pid, 0, SECONDS):
                process = psutil.Process(sleeper.pid)
                until(lambda: process.status() == psutil.STATUS_STOPPED)
            assert process.status() != psutil.STATUS_STOPPED
        finally:
            sleeper.kill()


def test_one_scrape_knows_all_workers():
    assert serving.one_scrape(3, 50) == {"its own row": 50, "all rows": 150}


def test_comparisons_take_the_naive_way_first(monkeypatch):
    monkeypatch.setattr(sweeping, "capacity", lambda *_: 100.0)
    got = serving.compare_rates("linear", 1)
    assert next(iter(got)) == "one by one"
    assert all(isinstance(way, Timing) for way in got.values())
    for function in serving.COMPARISONS.values():
        assert function.args[0] in packed.TRAINED


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "servers_needed",
            lambda w, r, s, most: math.ceil(r * s),
            "expected 2",
        ),
        ("quantile_of", lambda b, c, q: b[0], "expected"),
        ("batches_of", lambda a, m, w: [1] * len(a), "expected"),
    ],
)
def test_wrong_solutions_do_not(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
