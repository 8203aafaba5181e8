"""Actors: both libraries give the serial result; messages are counted."""

import asyncio
import os
import pickle
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from parallel_ai.many_machines import actors
from parallel_ai.many_machines.actors import (
    local_ray,
    objects,
    overheads,
    practice,
    stale,
)
from parallel_ai.many_machines.actors.quietly import ray
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES

LIMIT = 60  # seconds
CPUS = 3


def relatives() -> set[psutil.Process]:
    """Child processes, except those that Python itself keeps."""
    kept = ("resource_tracker", "forkserver")
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if line and not any(word in line for word in kept):
            found.add(child)
    return found


def of_ray(process: psutil.Process) -> bool:
    """Is it, or was it started by, Ray's raylet?"""
    try:
        line = [process, *process.parents()]
        return any("raylet" in one.name() for one in line)
    except psutil.Error:
        return True


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Compare processes, threads and environment before and after a test.

    As for all tests, save that the shared Ray may start and end workers as
    it likes; that it is gone with all of them is checked by `both`.
    """
    processes, threads = relatives(), set(threading.enumerate())
    environment = dict(os.environ)
    yield
    new = {p for p in relatives() - processes if not of_ray(p)}
    _, left = psutil.wait_procs(new, timeout=5)
    assert not left, f"processes left: {[p.cmdline() for p in left]}"
    for thread in set(threading.enumerate()) - threads:
        if not thread.name.startswith("Dask-Offload"):
            thread.join(5)
            assert not thread.is_alive(), f"thread left: {thread.name}"
    environment["PYTEST_CURRENT_TEST"] = os.environ["PYTEST_CURRENT_TEST"]
    assert dict(os.environ) == environment


@pytest.fixture(scope="module")
def both():
    """One cluster of Dask and one of Ray, shared by all tests of this file."""
    processes, threads = relatives(), set(threading.enumerate())
    changed = {"PYTEST_CURRENT_TEST": ""}
    environment = dict(os.environ) | changed
    folders = set(Path("/tmp").glob("ray*"))
    hooks = sys.excepthook, signal.getsignal(signal.SIGTERM)
    with cluster.local(2, threads=2) as client, actors.ray_local(CPUS):
        yield client
    assert not psutil.wait_procs(relatives() - processes, timeout=5)[1]
    left = set(threading.enumerate()) - threads
    assert not [t for t in left if not t.name.startswith("Dask-Offload")]
    assert dict(os.environ) | changed == environment
    assert set(Path("/tmp").glob("ray*")) <= folders
    assert (sys.excepthook, signal.getsignal(signal.SIGTERM)) == hooks


@pytest.fixture(params=["pipe", "Dask", "Ray"])
def start(request, both):
    """A way to start an actor: ``start(cls, *args)`` returns its ``ask``."""
    running = []

    def by_pipe(cls, *args):
        actor = actors.Actor(cls, *args)
        running.append(actor.stop)
        return lambda *message: actor.ask(*message).result(LIMIT)

    def by_dask(cls, *args):
        future = both.submit(cls, *args, actor=True, pure=False)
        return partial(actors.ask_dask, future.result(LIMIT))

    def by_ray(cls, *args):
        actor = ray.remote(cls).remote(*args)
        running.append(partial(ray.kill, actor))
        return partial(actors.ask_ray, actor)

    yield {"pipe": by_pipe, "Dask": by_dask, "Ray": by_ray}[request.param]
    for stop in running:
        stop()


def some(count: int, features: int = 5, seed: int = 0) -> actors.Shard:
    rng = np.random.default_rng(seed)
    rows = rng.random((count, features), np.float32)
    return actors.Shard(rows, rng.integers(0, 10, count))


def cut(shard: actors.Shard, count: int) -> list[actors.Shard]:
    return [
        actors.Shard(*(part[i::count] for part in shard)) for i in range(count)
    ]


# An actor, from scratch and in both libraries


def test_one_message_at_a_time_and_no_update_is_lost(start):
    ask = start(actors.Tally)
    threads = [
        threading.Thread(target=lambda: [ask("add", 1) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert ask("add", 0) == 80
    assert len(ask("order")) == 81


def test_an_error_reaches_the_one_who_asked_and_nobody_else(start):
    ask = start(actors.Tally)
    ask("add", 3)
    with pytest.raises(ZeroDivisionError):
        ask("divide", 0)
    assert ask("divide", 2) == 1.5


@pytest.fixture(scope="module")
def pair():
    """Two actors from scratch, for tests that leave them alive."""
    with actors.Actor(actors.Tally) as one, actors.Actor(actors.Tally) as two:
        yield one, two


def test_the_error_holds_the_actors_traceback(pair):
    error = pair[0].ask("divide", 0).exception(LIMIT)
    unknown = pair[0].ask("no_such_method").exception(LIMIT)
    assert any("in divide" in note for note in error.__notes__)
    assert isinstance(unknown, AttributeError)


def test_what_cannot_be_sent_is_an_error_at_once(pair):
    before = pair[0].ask("add", 0).result(LIMIT)
    with pytest.raises((TypeError, AttributeError)):
        pair[0].ask("add", threading.Lock())
    assert pair[0].ask("add", 1).result(LIMIT) == before + 1


def test_all_questions_before_the_stop_are_answered():
    with actors.Actor(actors.Tally) as actor:
        answers = [actor.ask("add", 1) for _ in range(100)]
    assert [a.result(0) for a in answers] == list(range(1, 101))
    assert not actor.process.is_alive()
    with pytest.raises(actors.ActorDiedError):
        actor.ask("add", 1)
    actor.stop()  # once more does no harm


def test_a_dead_actor_answers_nobody():
    with actors.Actor(actors.Tally) as actor:
        answers = [actor.ask("add", 1), actor.ask("crash"), actor.ask("order")]
        assert answers[0].result(LIMIT) == 1
        for answer in answers[1:]:
            with pytest.raises(actors.ActorDiedError):
                answer.result(LIMIT)


def test_a_constructor_that_fails_ends_the_actor():
    answers = FakeConnection()
    with pytest.raises(TypeError):
        actors.live(FakeConnection(("add", (1,))), answers, actors.Saved, ())
    assert not answers.sent


class FakeConnection:
    """Gives what it was given, and remembers what it is sent."""

    def __init__(self, *incoming):
        self.incoming, self.sent = list(incoming), []

    def recv(self):
        if not self.incoming:
            raise EOFError
        return self.incoming.pop(0)

    def send_bytes(self, message):
        self.sent.append(message)


def test_an_actor_lives_until_its_requests_end():
    answers = FakeConnection()
    requests = FakeConnection(("add", (2,)), ("divide", (0,)), ("add", (3,)))
    actors.live(requests, answers, actors.Tally, ())
    assert len(answers.sent) == 3


def test_until_gives_up():
    actors.until(lambda: True, 0)
    with pytest.raises(TimeoutError):
        actors.until(lambda: False, 0.05)


# What the libraries promise


def test_ray_keeps_the_order_of_one_caller(both):
    actor = ray.remote(actors.Tally).remote()
    ray.get([actor.add.remote(0, np.ones(500_000)), actor.add.remote(1)])
    ray.get([actor.add.remote(i) for i in range(2, 100)])
    assert actors.ask_ray(actor, "order") == list(range(100))


def test_in_dask_a_light_message_overtakes_a_heavy_one(both):
    for _ in range(5):  # what is not promised may happen all the same
        actor = both.submit(actors.Tally, actor=True, pure=False).result(LIMIT)
        answers = [actor.add(0, np.ones(4_000_000)), actor.add(1)]
        for answer in answers:
            answer.result(LIMIT)
        if actors.ask_dask(actor, "order") == [1, 0]:
            return
    pytest.fail("five times in order: the page says that it need not be")


def test_an_await_loses_updates(both):
    in_dask = both.submit(actors.Interleaved, actor=True, pure=False).result(
        LIMIT
    )
    in_ray = ray.remote(actors.Interleaved).remote()
    for answer in [in_dask.add(1) for _ in range(20)]:
        answer.result(LIMIT)
    ray.get([in_ray.add.remote(1) for _ in range(20)], timeout=LIMIT)
    assert actors.ask_dask(in_dask, "add", 0) < 20
    assert actors.ask_ray(in_ray, "add", 0) < 20


def test_two_rays_that_wait_for_each_other(both):
    one, two = (ray.remote(actors.Friend).remote() for _ in range(2))
    ask = partial(actors.ask_ray, seconds=30)
    with pytest.raises(ray.exceptions.GetTimeoutError):
        actors.ask_ray(one, "call", ask, two, one, seconds=0.5)
    for friend in (one, two):
        ray.kill(friend)


def test_a_second_thread_ends_the_deadlock(both):
    one, two = (
        ray.remote(actors.Friend).options(max_concurrency=2).remote()
        for _ in range(2)
    )
    assert actors.ask_ray(one, "call", actors.ask_ray, two, one) == "a friend"


def test_two_of_dask_that_wait_for_each_other(both):
    one, two = (
        both.submit(actors.Friend, actor=True, pure=False, workers=[w]).result(
            LIMIT
        )
        for w in both.nthreads()
    )
    ask = partial(actors.ask_dask, seconds=1)
    with pytest.raises(TimeoutError):
        actors.ask_dask(one, "call", ask, two, one, seconds=0.3)
    assert actors.ask_dask(one, "name") == "a friend"  # when it has given up


def test_ray_refuses_a_full_mailbox_if_told_to(both):
    actor = ray.remote(actors.Tally).options(max_pending_calls=2).remote()
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        [actor.add.remote(number) for number in range(10_000)]


def test_a_restart_knows_what_was_saved(both, tmp_path):
    again = {"max_restarts": 1}
    plain = ray.remote(actors.Tally).options(**again).remote()
    saved = (
        ray.remote(actors.Saved).options(**again).remote(str(tmp_path / "sum"))
    )
    for actor in (plain, saved):
        assert actors.ask_ray(actor, "add", 5) == 5
        with pytest.raises(ray.exceptions.RayActorError):
            actors.ask_ray(actor, "crash")
    for actor, after in ((plain, 1), (saved, 6)):
        actors.until(partial(actors.is_back, actor), LIMIT)
        assert actors.ask_ray(actor, "add", 1) == after


def test_a_saved_sum_is_whole_or_not_there(tmp_path):
    path = tmp_path / "sum"
    assert actors.Saved(str(path)).add(4) == 4
    assert actors.Saved(str(path)).add(2) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["sum"]


# Ray, private and gone


def test_nothing_of_ray_listens_or_talks_beyond_this_machine(both):
    family = {psutil.Process(), *psutil.Process().children(recursive=True)}
    assert actors.listening(family) == {local_ray.LOOPBACK}
    reached = {
        connection.raddr.ip.removeprefix("::ffff:")
        for process in family
        for connection in process.net_connections("inet")
        if connection.raddr
    }
    assert reached == {local_ray.LOOPBACK}


def test_ray_tells_its_makers_nothing_and_keeps_its_token(both):
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert not ray._private.worker._global_node.webui_url


def test_ray_runs_once(both):
    with pytest.raises(RuntimeError, match="already"), actors.ray_local():
        pass
    assert ray.is_initialized()


def test_ray_needs_a_cpu():
    with pytest.raises(ValueError, match="CPU"), actors.ray_local(0):
        pass


INTERRUPTED = """
import os, sys, time, psutil
from parallel_ai.many_machines.actors import ray_local
before = dict(os.environ)
try:
    with ray_local(1):
        family = psutil.Process().children(recursive=True)
        folder = {p for p in os.listdir("/tmp") if p.startswith("ray-")}
        print("running", len(family) > 3, flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("alive", sum(p.is_running() for p in family))
    print("changed", dict(os.environ) != before)
"""


def test_ctrl_c_ends_ray_and_leaves_nothing():
    output = attempt(INTERRUPTED, seconds=LIMIT, interrupt_at="running True")
    assert "alive 0" in output
    assert "changed False" in output


# Large objects


def test_dask_copies_and_ray_shares(both):
    values = np.arange(200_000.0)
    workers = len(both.nthreads())
    readers = [ray.remote(actors.Reader).remote() for _ in range(workers)]
    copied = actors.hand_out_dask(both, values)
    mapped = actors.hand_out_file(both, values)
    shared = actors.hand_out_ray(readers, values)
    for places in (copied, mapped, shared):
        assert [one.total for one in places] == [values.sum()] * workers
        assert len({one.process for one in places}) == workers
    assert actors.memories(copied) == workers
    assert actors.memories(mapped) == actors.memories(shared) == 1
    assert not any(one.writable for one in mapped + shared)


def test_a_place_in_this_process(tmp_path):
    np.save(tmp_path / "values.npy", np.ones(3))
    mapped = actors.place_of_file(str(tmp_path / "values.npy"))
    own = actors.place(np.ones(3))
    assert (mapped.total, mapped.writable) == (3, False)
    assert mapped.file == str((tmp_path / "values.npy").stat().st_ino)
    assert (own.process, own.writable, own.file) == (os.getpid(), True, "")


def test_rays_arrays_cannot_be_written(both):
    there = ray.put(np.ones(200_000))
    values = ray.get(there)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 2


def test_an_argument_is_packed_for_every_task(both):
    found = actors.packings(both, 6)
    assert found["Ray, put"] == 1
    assert found["Ray, argument"] == found["Ray, in a closure"] == 6
    assert found["Dask, argument"] >= 6 > found["Dask, scatter"]


def test_a_parcel_arrives_whole():
    parcel = pickle.loads(pickle.dumps(actors.Parcel([1, 2])))
    assert actors.opened(parcel) == [1, 2]


def test_costs_are_measured_for_all_ways(both):
    calls = actors.call_costs(both, 3, repeats=1)
    assert next(iter(calls)) == "plain call"
    assert len(calls) == 5
    tasks = actors.task_costs(both, 3, repeats=1)
    assert all(t.result == [0, 1, 2] for t in tasks.values())
    handed = actors.hand_out_costs(both, 80_000, repeats=1)
    assert list(handed)[-1].startswith("limit")
    assert actors.nothing(3) == 3


def test_the_titles_of_the_comparisons():
    assert list(overheads.COMPARISONS) == [
        "an actor's call",
        "a task in Dask and in Ray",
    ]
    assert list(objects.COMPARISONS) == ["an array of 100 MB to every worker"]


# Softmax regression


@given(st.integers(0, 40), st.integers(0, 99))
def test_the_gradient_is_that_of_the_loss(count, seed):
    shard = some(count, 4, seed)
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(4, 10))
    total, n = actors.gradient(theta, *shard)
    assert (n, total.shape) == (count, theta.shape)
    if not count:
        assert not total.any()
        return
    way = rng.normal(size=theta.shape)
    step = 1e-5 * way
    up = actors.cross_entropy(theta + step, shard)
    down = actors.cross_entropy(theta - step, shard)
    np.testing.assert_allclose(
        (up - down) / 2e-5 * count, (total * way).sum(), rtol=1e-3, atol=1e-4
    )


@given(st.integers(0, 30), st.integers(1, 5))
def test_gradients_of_shards_add_up(count, workers):
    shard = some(count)
    theta = np.random.default_rng(1).normal(size=(5, 10)).astype(np.float32)
    whole = actors.gradient(theta, *shard)
    pieces = [actors.gradient(theta, *part) for part in cut(shard, workers)]
    total, n = actors.together(pieces)
    assert n == count
    np.testing.assert_allclose(total, whole[0], rtol=1e-4, atol=1e-4)


def test_training_finds_what_scikit_learn_finds():
    shard = some(200, 5)
    theta = actors.train_serial(
        actors.start_theta(5), [shard], 3000, 1.0, size=200
    )
    other = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=5000)
    other.fit(shard.rows, shard.labels)
    ours = actors.probabilities(theta, shard.rows)
    np.testing.assert_allclose(
        ours, other.predict_proba(shard.rows), atol=0.02
    )
    right = np.mean(other.predict(shard.rows) == shard.labels)
    assert abs(actors.accuracy(theta, shard) - right) < 0.05


@given(st.integers(0, 20), st.integers(1, 4))
def test_cards_are_dealt_to_all(count, workers):
    images = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)
    parts = actors.shards(images, np.arange(count), workers)
    sizes = [len(part.labels) for part in parts]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert all(part.rows.shape[1] == 5 for part in parts)


def test_batches_go_round():
    shard = some(5)
    seen = [list(actors.minibatch(shard, i, 2)[1]) for i in range(4)]
    labels = list(shard.labels)
    assert seen[:2] == [labels[0:2], labels[2:4]]
    assert sum(map(len, seen)) > 5
    assert len(actors.minibatch(some(0), 3)[1]) == 0


# The two jobs


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8])
def test_a_tree_merges_everything_once(count):
    merged = []

    def merge(a, b):
        merged.append((a, b))
        return a + b

    if not count:
        with pytest.raises(ValueError, match="nothing"):
            actors.tree([], merge)
        return
    items = [str(i) for i in range(count)]
    assert actors.tree(items, merge) == "".join(items)
    assert len(merged) == count - 1


@pytest.mark.parametrize("count", [1, 5])
def test_the_same_search_everywhere(both, count):
    train, held_out = some(60), some(30, seed=1)
    settings = [(0.1 * (i + 1), 7 - i) for i in range(count)]
    best = actors.search_serial(train, held_out, settings)
    assert best.loss == min(
        actors.trial(train, held_out, *one).loss for one in settings
    )
    for got in (
        actors.search_dask(both, train, held_out, settings),
        actors.search_ray(train, held_out, settings),
    ):
        assert got[1:] == best[1:]
        assert got.loss == pytest.approx(best.loss, rel=1e-5)


def test_the_better_trial_has_the_lower_loss():
    low, high = actors.Trial(0.5, 1, 2), actors.Trial(0.6, 1, 2)
    assert actors.better(low, high) == actors.better(high, low) == low


@pytest.mark.parametrize(
    ("workers", "count"), [(1, 37), (2, 37), (3, 37), (3, 2)]
)
def test_a_synchronous_server_is_the_serial_program(both, workers, count):
    theta, data = actors.start_theta(5), cut(some(count), workers)
    work = theta, data, 4, 0.5, 3
    expected = actors.train_serial(*work)
    in_dask = actors.train_dask(both, actors.Synchronous, *work)
    in_ray = actors.train_ray(actors.Synchronous, *work)
    by_tasks = actors.train_tasks(both, *work)
    for got in (in_dask.theta, in_ray.theta, by_tasks):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    ray.kill(in_ray.server)


def test_no_steps_change_nothing(both):
    theta, data = actors.start_theta(5), cut(some(4), 2)
    got = actors.train_dask(both, actors.Synchronous, theta, data, 0, 1)
    assert not got.theta.any()
    assert got.step == 0


def test_an_asynchronous_server_uses_every_gradient(both):
    theta, data = actors.start_theta(5), cut(some(40), 2)
    for got, ask in (
        (
            actors.train_dask(both, actors.Asynchronous, theta, data, 6, 0.5),
            actors.ask_dask,
        ),
        (
            actors.train_ray(actors.Asynchronous, theta, data, 6, 0.5),
            actors.ask_ray,
        ),
    ):
        ages = ask(got.server, "report")
        assert len(ages) == 12
        assert min(ages) >= 0
        assert got.theta.any()


def test_more_shards_than_threads_would_wait_for_ever(both):
    theta, data = actors.start_theta(5), cut(some(40), 5)
    with pytest.raises(ValueError, match="5 shards for 4 threads"):
        actors.train_dask(both, actors.Synchronous, theta, data, 1, 1)
    with pytest.raises(ValueError, match="5 shards for 3 CPUs"):
        actors.train_ray(actors.Synchronous, theta, data, 1, 1)


def test_the_workers_loop_pulls_once_and_pushes_each_step():
    shard, asked = some(10), []

    def ask(method, *args):
        asked.append((method, *args[:1]))
        return actors.start_theta(5)

    assert len(actors.learn(ask, 3, shard, 4, 2)) == 4
    assert asked == [("pull",)] + [("push", 3)] * 4


def test_a_synchronous_server_answers_all_together():
    async def rounds():
        server = actors.Synchronous(np.zeros((1, 1), np.float32), 1.0, 2)
        one = np.ones((1, 1), np.float32)
        first = asyncio.create_task(server.push(1, one, 1))
        await asyncio.sleep(0)
        assert not first.done()
        last = await server.push(0, 3 * one, 1)
        assert (await first) is last is await server.pull()
        return last

    assert asyncio.run(rounds()) == [[-2]]


@given(st.lists(st.integers(0, 3), max_size=30))
def test_a_server_measures_what_the_exercise_computes(pushes):
    server = actors.Asynchronous(np.zeros((1, 1), np.float32), 1.0, 4)
    for rank in pushes:
        server.push(rank, np.zeros((1, 1), np.float32), 1)
    assert server.report() == actors.staleness(pushes)
    assert server.pull().shape == (1, 1)


# Old gradients


def test_no_delay_is_plain_descent():
    shard, theta = some(50), actors.start_theta(5)
    history = actors.train_stale(theta, shard, 6, 0.3, 0)
    expected = actors.train_serial(theta, [shard], 6, 0.3)
    np.testing.assert_array_equal(history[-1], expected)
    assert len(history) == 7


def test_a_delay_begins_with_the_same_gradient():
    shard, theta = some(actors.softmax.BATCH), actors.start_theta(5)
    steps = np.diff(actors.train_stale(theta, shard, 4, 0.3, 2), axis=0)
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-6)
    np.testing.assert_allclose(steps[0], steps[2], atol=1e-6)
    assert not np.allclose(steps[0], steps[3], atol=1e-5)


@given(st.integers(0, 30), st.floats(0.5, 20))
def test_the_formula_is_where_the_recurrence_begins_to_grow(delay, curve):
    """Roots of z^(d+1) - z^d + rate · curvature, largest modulus."""
    for factor, grows in ((0.98, False), (1.02, True)):
        rate = factor * actors.predicted_rate(curve, delay)
        polynomial = np.zeros(delay + 2)
        polynomial[0], polynomial[1] = 1, -1
        polynomial[-1] += rate * curve
        assert (np.abs(np.roots(polynomial)).max() > 1) == grows


def test_the_curvature_is_that_of_the_loss():
    shard = some(300, 4)
    theta = np.zeros((4, 10))
    moments = shard.rows.T @ shard.rows / 300
    direction = np.linalg.eigh(moments)[1][:, -1:]
    classes = np.zeros((1, 10))
    classes[0, :2] = np.sqrt(0.5), -np.sqrt(0.5)
    step = 1e-3 * direction @ classes
    loss = [actors.cross_entropy(theta + k * step, shard) for k in (-1, 0, 1)]
    second = (loss[0] - 2 * loss[1] + loss[2]) / 1e-6
    assert actors.curvature(shard) == pytest.approx(second, rel=1e-2)


def test_older_gradients_bear_smaller_rates():
    shard = some(400, 20)
    rates = [actors.largest_rate(shard, d, rounds=4) for d in (0, 4, 16)]
    assert rates[0] > rates[1] > rates[2]
    bend = actors.curvature(shard)
    low = actors.predicted_rate(bend, 4) / 4
    assert stale.trains(shard, low, 4)


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def counts_all(pushes):
    return list(range(len(pushes)))


def since_own_push_too(pushes):
    seen, found = {}, []
    for now, rank in enumerate(pushes):
        found.append(now - seen.get(rank, 0))
        seen[rank] = now
    return found


def dealt_like_cards(members, method, items):
    futures = [
        members[i % len(members)].ask(method, item)
        for i, item in enumerate(items)
    ]
    return [future.result() for future in futures]


def in_turns(members, method, items):
    items, answers = list(items), []
    while items:
        now, items = items[: len(members)], items[len(members) :]
        futures = [
            m.ask(method, i) for m, i in zip(members, now, strict=False)
        ]
        answers += [future.result() for future in futures]
    return answers


def as_they_come(members, method, items):
    return practice.pooled(members, method, items)[::-1]


def always(apply):
    return lambda sender, number, content: apply(content)


def by_number(apply):
    known = {}

    def handle(sender, number, content):
        if number not in known:
            known[number] = apply(content)
        return known[number]

    return handle


def before_it_is_done(apply):
    last = {}

    def handle(sender, number, content):
        if last.get(sender, (-1,))[0] == number:
            return last[sender][1]
        last[sender] = number, None
        last[sender] = number, apply(content)
        return last[sender][1]

    return handle


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("staleness", counts_all, "expected"),
        ("staleness", since_own_push_too, "expected"),
        ("pooled", dealt_like_cards, "messages at a time"),
        ("pooled", in_turns, "a free actor got nothing"),
        ("pooled", as_they_come, "returned"),
        ("once", always, "expected 5"),
        ("once", by_number, "expected 6"),
        ("once", before_it_is_done, "did not come out|had failed"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


def test_the_pool_works_with_real_actors(pair):
    before = [a.ask("add", 0).result(LIMIT) for a in pair]
    got = actors.pooled(list(pair), "add", [1] * 9)
    after = [a.ask("add", 0).result(LIMIT) for a in pair]
    assert len(got) == sum(after) - sum(before) == 9


def test_once_makes_a_retried_message_harmless():
    tally = actors.Tally()
    handle = actors.once(tally.add)
    assert [handle("a", 0, 5), handle("a", 0, 5), handle("a", 1, 1)] == [
        5,
        5,
        6,
    ]


def test_an_actor_of_dask_dies_with_its_worker():
    with cluster.local(1) as client:
        future = client.submit(actors.Tally, actor=True, pure=False)
        tally = future.result(LIMIT)
        assert actors.ask_dask(tally, "add", 5) == 5
        with pytest.raises(OSError, match="Unable to contact"):
            actors.ask_dask(tally, "crash")
        actors.until(lambda: future.status == "error", LIMIT)
        with pytest.raises(RuntimeError, match="was lost"):
            actors.ask_dask(tally, "add", 1)
