"""Tasks: every scheduler gives the serial result; moves are counted."""

import gzip
import operator
import re
from base64 import b64decode
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from types import SimpleNamespace

import dask
import matplotlib.pyplot as plt
import numpy as np
import pytest
from dask import delayed
from dask.order import order
from distributed import (
    Event,
    as_completed,
    fire_and_forget,
    performance_report,
    wait,
)
from distributed.protocol import serialize, to_serialize
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from parallel_ai.many_machines import tasks
from parallel_ai.many_machines.tasks import (
    graphs,
    moving,
    practice,
    schedulers,
    traps,
)
from parallel_ai.toolbox import cluster, roofs
from parallel_ai.toolbox.cluster import Span
from parallel_ai.toolbox.exercises import EXERCISES, starter, verdict
from parallel_ai.toolbox.stopwatch import Timing, count_to

LIMIT = 60  # seconds
SLOW = 1_000_000  # bytes a second, as the scheduler believes
BELIEFS = {
    "distributed.scheduler.work-stealing-interval": "50ms",
    "distributed.scheduler.bandwidth": SLOW,
}
TEAMS = [1, 2, 3]


@pytest.fixture(scope="module")
def team():
    """Start a cluster and a pool of two workers each, for all tests."""
    with dask.config.set(BELIEFS), tasks.teams(2) as (client, pool):
        tasks.quiet(client)
        yield client, pool


@pytest.fixture
def client(team):
    """Hand out the cluster, and wait until it holds nothing afterwards."""
    yield team[0]
    cluster.wait_until(lambda: tasks.held(team[0]) == 0)


class Inline(Executor):
    """Does each task when it is submitted, and counts."""

    def __init__(self) -> None:
        self.began = 0

    def submit(self, function, /, *args, **kwargs):
        self.began += 1
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future


class Never(Executor):
    """Takes tasks and does none."""

    def __init__(self) -> None:
        self.began = 0

    def submit(self, function, /, *args, **kwargs):
        self.began += 1
        return Future()


def add(*numbers):
    return 1 + sum(numbers)


def add_list(numbers, more):
    return sum(numbers) - more


@st.composite
def random_graphs(draw, most=12):
    """Graphs in which each task needs some of those before it."""
    size = draw(st.integers(1, most))
    graph = {}
    for number in range(size):
        before = st.lists(st.sampled_from(range(number)), max_size=3)
        chosen = [("t", i) for i in (draw(before) if number else [])]
        if draw(st.booleans()):
            graph["t", number] = (add, *chosen)
        else:
            graph["t", number] = (add_list, chosen, number)
    return graph


def last(graph):
    return list(graph)[-1]


# A scheduler from scratch


@settings(max_examples=60)
@given(random_graphs(), st.integers(1, 3))
def test_our_schedulers_agree_with_dask(graph, workers):
    wanted = last(graph)
    expected = dask.get(graph, wanted)
    seconds = {}
    assert tasks.get_serial(graph, wanted, seconds) == expected
    assert list(seconds) == tasks.in_order(graph, wanted)
    for places in (None, tasks.levels(graph, wanted), order(graph)):
        tally = tasks.Tally()
        got = tasks.get_pool(graph, wanted, Inline(), workers, places, tally)
        assert got == expected
        assert tally.held == graphs.sizeof(expected)  # all else was let go
        assert tally.most_held >= tally.held


@given(random_graphs())
def test_the_order_is_topological_and_complete(graph):
    wanted = last(graph)
    found = tasks.in_order(graph, wanted)
    place = {key: number for number, key in enumerate(found)}
    assert len(place) == len(found)
    assert found[-1] == wanted
    level = tasks.levels(graph, wanted)
    for key in found:
        for other in tasks.needs(graph, key):
            assert place[other] < place[key]
            assert level[other] < level[key]


@pytest.mark.parametrize("workers", TEAMS)
def test_the_pool_agrees_in_threads(workers):
    graph = {("leaf", i): (add, i) for i in range(7)}
    graph["sum"] = (sum, list(graph))
    with ThreadPoolExecutor(workers) as pool:
        got = tasks.get_pool(graph, "sum", pool, workers)
    assert got == sum(i + 1 for i in range(7))


def test_a_task_names_its_inputs_once_and_in_order():
    graph = {"a": (add,), "b": (add,)}
    graph["c"] = (add_list, ["b", ["a", "b"], "no key"], {"a": 1})
    assert tasks.needs(graph, "c") == ["b", "a"]
    assert tasks.in_order(graph, "c") == ["b", "a", "c"]
    assert tasks.needs(graph, "a") == []


@pytest.mark.parametrize(
    "graph",
    [
        {"a": (add, "a")},
        {"a": (add, "b"), "b": (add, "a")},
        {"a": (add, "b"), "b": (add, "c"), "c": (add, ["b"])},
    ],
)
def test_a_circle_is_an_error(graph):
    for get in (
        tasks.get_serial,
        partial(tasks.get_pool, pool=Inline(), workers=1),
    ):
        with pytest.raises(ValueError, match="its own result"):
            get(graph, "a")


def test_only_what_is_wanted_runs():
    graph = {"a": (add,), "b": (add, "a"), "c": (add, "b"), "d": (add, "a")}
    pool = Inline()
    assert tasks.get_pool(graph, "b", pool, 2) == 2
    assert pool.began == 2


@pytest.mark.parametrize("workers", TEAMS)
def test_no_more_tasks_begin_than_there_are_workers(monkeypatch, workers):
    monkeypatch.setattr(graphs, "LIMIT", 0.01)
    graph = {("leaf", i): (add, i) for i in range(7)}
    graph["sum"] = (sum, list(graph))
    pool = Never()
    with pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        tasks.get_pool(graph, "sum", pool, workers)
    assert pool.began == workers


def test_an_error_ends_the_graph():
    graph = {"a": (tasks.reciprocal, 0), "b": (add, "a"), "c": (add, "b")}
    pool = Inline()
    with pytest.raises(ZeroDivisionError):
        tasks.get_pool(graph, "c", pool, 2)
    assert pool.began == 1


def test_breadth_first_holds_all_leaves_and_depth_first_few():
    graph = {}
    for i in range(16):
        graph["leaf", i] = (bytes, 1000)
        graph["end", i] = (len, ("leaf", i))
    graph["sum"] = (sum, [("end", i) for i in range(16)])
    held = []
    for places in (tasks.levels(graph, "sum"), None, order(graph)):
        tally = tasks.Tally()
        tasks.get_pool(graph, "sum", Inline(), 1, places, tally)
        held.append(tally.most_held)
    breadth, depth, dasks = held
    assert breadth > 16_000
    assert depth < 2 * 1033 + 16 * 32
    assert dasks < 2 * 1033 + 16 * 32


def test_the_tally_counts_arguments_and_results():
    tally = tasks.Tally()
    graph = {"a": (bytes, 1000), "b": (len, "a")}
    tasks.get_pool(graph, "b", Inline(), 1, tally=tally)
    assert 2000 < tally.sent < 2200  # to us, and to the next worker


# Work and span


def simulated(graph, wanted, seconds, workers):
    """Seconds that a scheduler takes who is never lazy."""
    waits = {k: set(tasks.needs(graph, k)) for k in graph}
    waits = {k: waits[k] for k in tasks.in_order(graph, wanted)}
    ready = [key for key, inputs in waits.items() if not inputs]
    running, now = [], 0.0
    while ready or running:
        while ready and len(running) < workers:
            key = ready.pop()
            heappush(running, (now + seconds[key], str(key), key))
        now, _, done = heappop(running)
        for key, inputs in waits.items():
            if done in inputs:
                inputs.remove(done)
                if not inputs:
                    ready.append(key)
    return now


@settings(max_examples=60)
@given(random_graphs(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_schedule_that_is_not_lazy_is_between_the_bounds(
    graph, workers, rng
):
    wanted = last(graph)
    seconds = {
        key: rng.uniform(0.1, 2) for key in tasks.in_order(graph, wanted)
    }
    work = tasks.work(seconds)
    span = tasks.span(graph, wanted, seconds)
    assert max(seconds.values()) <= span <= work + 1e-9
    least, most = tasks.brackets(work, span, workers)
    took = simulated(graph, wanted, seconds, workers)
    assert least - 1e-9 <= took <= most + 1e-9
    if workers == 1:
        assert took == pytest.approx(work)


@settings(max_examples=60)
@given(random_graphs(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_schedule_keeps_the_graphs_promises(graph, workers, rng):
    wanted = last(graph)
    order = tasks.in_order(graph, wanted)
    seconds = {key: float(rng.randint(1, 9)) for key in order}
    placed = {one.key: one for one in tasks.schedule(
        graph, wanted, seconds, workers
    )}  # fmt: skip
    assert set(placed) == set(order)
    for key, one in placed.items():
        assert one.stop == one.start + seconds[key]
        assert all(
            placed[other].stop <= one.start
            for other in tasks.needs(graph, key)
        )
    for worker in range(workers):
        own = sorted(one[2:] for one in placed.values() if one[1] == worker)
        assert all(a[1] <= b[0] for a, b in pairwise(own))
    took = max(one.stop for one in placed.values())
    work, span = tasks.work(seconds), tasks.span(graph, wanted, seconds)
    least, most = tasks.brackets(work, span, workers)
    assert least <= took <= most
    assert {one.worker for one in placed.values()} <= set(range(workers))


@settings(max_examples=20)
@given(random_graphs(), st.randoms(use_true_random=False))
def test_a_schedule_for_one_worker_is_the_order_of_the_pool(graph, rng):
    wanted = last(graph)
    order = tasks.in_order(graph, wanted)
    places = {key: rng.random() for key in order}
    begun = []

    class Noting(Inline):
        def submit(self, function, *arguments):
            begun.append(function)
            return super().submit(function, *arguments)

    named = {
        key: (partial(lambda key, task, *args: task(*args), key, task), *rest)
        for key, (task, *rest) in graph.items()
    }
    tasks.get_pool(named, wanted, Noting(), 1, places)
    seconds = dict.fromkeys(order, 1.0)
    planned = tasks.schedule(graph, wanted, seconds, 1, places)
    assert [call.args[0] for call in begun] == [one.key for one in planned]


def test_work_and_span_of_a_diamond():
    graph = {"a": (add,), "b": (add, "a"), "c": (add, "a")}
    graph["d"] = (add, "b", "c")
    seconds = {"a": 1, "b": 5, "c": 2, "d": 1}
    assert tasks.work(seconds) == 9
    assert tasks.span(graph, "d", seconds) == 7
    assert tasks.brackets(9, 7, 3) == (7, pytest.approx(2 / 3 + 7))


# The photographs


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eight photographs of each of five kinds, which colours tell apart."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    groups = {}
    for number, kind in enumerate(("ant", "cup", "llama", "pizza", "tick")):
        colour = rng.integers(0, 200, 3)
        groups[kind] = []
        for i in range(8):
            shape = (9 + i, 12 + number, 3)
            pixels = (colour + rng.integers(0, 50, shape)).astype(np.uint8)
            path = folder / f"{kind}{i}.png"
            Image.fromarray(pixels).save(path)
            groups[kind].append(str(path))
    return groups


@pytest.mark.parametrize("kinds", [1, 2, 3, 5])
def test_the_job_is_the_same_in_all_forms(pictures, kinds):
    groups = dict(list(pictures.items())[:kinds])
    expected = tasks.photos_serial(groups)
    graph = tasks.photos_graph(groups)
    assert expected == 2 * kinds  # these are easy
    assert tasks.get_serial(graph, "total") == expected
    assert dask.get(graph, "total") == expected
    note = tasks.photos_delayed(groups)
    assert note.compute(scheduler="sync") == expected
    assert len(graph) == 4 * kinds + (kinds - 1) + 2
    assert len(tasks.inputs(note)) == len(graph)


def test_features_are_shares(pictures):
    photos = tasks.read(pictures["ant"])
    features = tasks.describe(photos)
    assert features.shape == (8, 192)
    np.testing.assert_allclose((features**2).sum(axis=1), 2)
    assert tasks.describe([]).shape == (0, 192)
    flat = tasks.describe([np.zeros((5, 7, 3), np.uint8)])
    assert flat.sum() == 1  # no edges, one colour


def test_grey_photographs_are_read_in_colour(tmp_path):
    Image.new("L", (4, 3), 7).save(tmp_path / "grey.png")
    (photo,) = tasks.read([str(tmp_path / "grey.png")])
    assert photo.shape == (3, 4, 3)
    assert (photo == 7).all()


def test_merged_summaries_are_those_of_all():
    rng = np.random.default_rng(1)
    features = {kind: rng.random((8, 4)) for kind in "abc"}
    one, two, three = (tasks.summarise(k, f) for k, f in features.items())
    left = tasks.merge(tasks.merge(one, two), three)
    right = tasks.merge(one, tasks.merge(two, three))
    known = np.concatenate([f[:6] - f[:6].mean(0) for f in features.values()])
    for summary in (left, right):
        assert summary.count == 18
        assert list(summary.means) == ["a", "b", "c"]
        np.testing.assert_allclose(summary.scatter, known.T @ known)


def test_the_model_takes_the_nearest_mean_where_all_scatter_alike():
    means = {"a": np.array([0.0, 0.0]), "b": np.array([4.0, 0.0])}
    model = tasks.fit(tasks.Summary(12, means, 12 * np.eye(2)))
    rows = np.array([[0.0, 9.0]] * 6 + [[1.0, 0.0], [3.0, 0.0]])
    assert tasks.hits("a", rows, model) == 1
    assert tasks.hits("b", rows, model) == 1


def test_photographs_come_by_kind():
    groups = tasks.photo_groups(2)
    assert len(groups) == 2
    assert all(len(paths) == 8 for paths in groups.values())
    for kind, paths in groups.items():
        assert all(kind in path for path in paths)


# Drawing


def test_tasks_are_drawn_to_the_right_of_what_they_need(pictures):
    graph = tasks.photos_graph(pictures)
    inputs = tasks.inputs(graph)
    figure, ax = plt.subplots()
    shades = tasks.colours(graph)
    tasks.draw(ax, inputs, shades)
    labels = [artist.get_label() for artist in ax.collections]
    assert set(shades) <= set(labels)
    drawn = sum(
        len(artist.get_offsets())
        for artist in ax.collections
        if artist.get_label() in shades
    )
    assert drawn == len(graph)
    x = {
        artist.get_label(): artist.get_offsets()[:, 0]
        for artist in ax.collections
        if artist.get_label() in shades
    }
    names = ["read", "describe", "summarise", "merge", "fit", "hits", "total"]
    for before, after in pairwise(names):
        assert max(x[before]) < max(x[after])
    plt.close(figure)


def test_inputs_of_a_delayed_graph():
    one = delayed(add)(1)
    both = delayed(add)(one, [one, 3])
    found = tasks.inputs(both)
    assert found[both.key] == [one.key]
    assert found[one.key] == []


# Many schedulers


def test_all_schedulers_agree(team, client, pictures):
    graph = tasks.photos_graph(pictures)
    expected = tasks.photos_serial(pictures)
    found = tasks.ways(graph, "total", client, team[1])
    assert len(found) == 6
    assert {way: get() for way, get in found.items()} == dict.fromkeys(
        found, expected
    )


def test_the_latest_month(team, client, tmp_path):
    paths = []
    for number, delays in enumerate(([1, 3], [10, -2], [0])):
        path = tmp_path / f"{number}.csv.gz"
        with gzip.open(path, "wt") as file:
            file.write("dep_delay\n" + "".join(f"{d}\n" for d in delays))
        paths.append(str(path))
    graph = tasks.months_graph(paths)
    assert {
        get() for get in tasks.ways(graph, "total", client, team[1]).values()
    } == {4.0}


@pytest.mark.parametrize("count", [0, 1, 7, 19])
def test_tiny_tasks_are_all_done(team, client, monkeypatch, count):
    monkeypatch.setattr(schedulers, "count_lasting", lambda seconds: 5)
    for way, run in tasks.tiny_tasks(client, team[1], count, 0.0).items():
        assert run() == [5] * count, way


@pytest.fixture
def borrowed(team, client, monkeypatch):
    """Let comparisons use the cluster that is there."""

    def teams():
        return nullcontext((client, team[1]))

    monkeypatch.setattr(schedulers, "teams", teams)
    monkeypatch.setattr(schedulers.machine, "cpus", lambda: 2)


def test_seconds_of_a_task_end_with_the_limit(borrowed):
    found = tasks.task_seconds(tasks=6, repeats=1)
    *ways, limit = found
    assert ways[0] == "plain loop"
    assert len(ways) == 6
    assert all(isinstance(found[way], Timing) for way in ways)
    assert limit == "limit: loop / 2 CPUs"
    assert found[limit] == min(found["plain loop"].seconds) / 2
    assert tasks.a_task(Timing((6.0, 3.0)), 3).seconds == (2.0, 1.0)


def test_all_schedulers_are_compared_with_the_bound(
    borrowed, monkeypatch, pictures
):
    monkeypatch.setattr(schedulers, "photo_groups", lambda kinds: pictures)
    found = tasks.run_all(repeats=1)
    *ways, limit = found
    assert len({found[way].result for way in ways}) == 1
    assert found[limit] > 0


def test_the_titles_of_the_comparisons():
    assert list(tasks.COMPARISONS) == [
        "scheduler overhead a task",
        "a graph of tasks, six schedulers",
        "move the data, or the function",
    ]
    assert all(map(callable, tasks.COMPARISONS.values()))


# Futures


def test_futures_are_arguments(client):
    one = client.submit(operator.add, 1, 2)
    two = client.submit(sum, [one, one, 4])
    assert two.result(timeout=LIMIT) == 10


def test_futures_come_as_they_are_completed(client):
    futures = client.map(abs, range(-5, 0))
    done = as_completed(futures, with_results=True, timeout=LIMIT)
    assert sorted(result for _, result in done) == [1, 2, 3, 4, 5]


def test_errors_carry_the_workers_traceback_to_all_who_need_it(client):
    futures = client.map(tasks.reciprocal, [1, 0, 4])
    dependent = client.submit(abs, futures[1])
    assert isinstance(dependent.exception(LIMIT), ZeroDivisionError)
    frame = futures[1].traceback(LIMIT)
    while frame.tb_next:
        frame = frame.tb_next
    assert frame.tb_frame.f_code.co_name == "reciprocal"
    assert client.gather(futures, errors="skip") == [1, 0.25]


def test_urgent_tasks_come_first(client):
    with cluster.watched(client) as spans:
        with tasks.busy(client, "urgent"):
            patient = client.map(tasks.reciprocal, range(1, 9), pure=False)
            urgent = client.submit(tasks.roll, priority=5, pure=False)
            cluster.wait_until(lambda: tasks.known(client, urgent.key))
        wait([*patient, urgent], LIMIT)
    (its,) = {s.worker for s in spans if s.name == "roll"}
    names = [
        s.name for s in spans if s.worker == its and s.action == "compute"
    ]
    assert names[:2] == ["hold", "roll"]


# Places


@pytest.mark.parametrize(
    ("sizes", "where"), [((50_000, 10_000), 0), ((10_000, 50_000), 1)]
)
def test_a_task_goes_to_most_of_its_bytes(client, sizes, where):
    assert tasks.runs_where(client, sizes) == (where, min(sizes))


def test_idle_workers_steal_if_they_may(client):
    workers = sorted(client.nthreads())
    try:
        tasks.let_steal(client, False)
        spans = tasks.from_one_worker(client, 1000, 8, 0.01)
    finally:
        tasks.let_steal(client, True)
    assert tasks.shares(spans, workers) == [8, 0]
    assert tasks.transferred(spans) == 0
    spans = tasks.from_one_worker(client, 1000, 16, 0.05)
    first, second = tasks.shares(spans, workers)
    assert first + second == 16
    assert second > 0
    assert 0 < tasks.transferred(spans) <= second


def test_nobody_steals_what_takes_too_long_to_fetch(client):
    assert tasks.believed_bandwidth(client) == SLOW
    spans = tasks.from_one_worker(client, 20 * SLOW, 5, 0.05)
    assert tasks.shares(spans, sorted(client.nthreads())) == [5, 0]


def test_what_workers_did_is_summed_up():
    spans = [
        Span("a", 1, "x", "read", "compute", 0, 2),
        Span("a", 1, "y", "read", "compute", 2, 3),
        Span("b", 2, "z", "join", "transfer", 0, 1),
        Span("b", 2, "z", "join", "compute", 3, 4),
    ]
    assert tasks.by_name(spans) == {
        "read": (2, 3),
        "transfer": (1, 1),
        "join": (1, 1),
    }
    assert tasks.busy_share(spans, 2) == 4 / 8
    assert tasks.busy_share([], 2) == 0
    assert tasks.transferred(spans) == 1
    assert tasks.shares(spans, ["b", "a", "c"]) == [1, 2, 0]
    assert tasks.both(np.ones(2), np.ones(3)) == 5
    assert tasks.count_beside(np.ones(2), 4) == 4


# Moving


@given(
    st.floats(1e-6, 1e-1), st.floats(1e6, 1e11), st.sets(
        st.integers(1, 10**9), min_size=2, max_size=6
    )
)  # fmt: skip
def test_a_line_is_found_again(latency, rate, sizes):
    line = tasks.Line(latency, rate)
    sizes = sorted(sizes)
    seconds = [line.seconds(size) for size in sizes]
    found = tasks.fit_line(sizes, seconds)
    for size, expected in zip(sizes, seconds, strict=True):
        assert found.seconds(size) == pytest.approx(expected, rel=1e-3)


def test_a_line_needs_two_sizes():
    with pytest.raises(ValueError, match="two different"):
        tasks.fit_line([5, 5], [1, 2])


def test_small_results_are_moved_and_quick_ones_computed():
    lines = {"send": tasks.Line(1e-3, 1e9), "read": tasks.Line(1e-2, 1e10)}
    assert tasks.cheapest(1e3, 1.0, lines)[0] == "send"
    assert tasks.cheapest(1e9, 1.0, lines)[0] == "read"
    assert tasks.cheapest(1e9, 0.01, lines) == ("compute it again", 0.01)


def test_transfers_are_timed_for_each_size(client):
    found = tasks.transfer_seconds(client, tasks.make_array, [10, 5000], 2)
    assert list(found) == [10, 5000]
    assert all(seconds > 0 for seconds in found.values())


def test_lists_are_sent_element_by_element():
    made = tasks.make_list(1300)
    assert len(made) == 100
    frames = {
        name: len(serialize(to_serialize(value))[1])
        for name, value in {
            "list": made,
            "packed": tasks.make_packed(1300),
            "array": tasks.make_array(1300),
        }.items()
    }
    assert frames == {"list": 100, "packed": 1, "array": 1}
    assert tasks.make_array(0).nbytes == 1
    assert tasks.nothing(made) is None


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_reading_changes_nothing(tmp_path, size, cold):
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    reading = tasks.read_file(path, cold)
    assert reading.seconds > 0
    assert reading.from_disk >= 0
    assert path.read_bytes() == bytes(size)
    assert tasks.read_seconds(size, cold, 2, tmp_path).seconds > 0
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_system_that_does_not_tell(monkeypatch, tmp_path):
    silent = SimpleNamespace(Process=lambda: object(), Error=OSError)
    monkeypatch.setattr(moving, "psutil", silent)
    assert tasks.from_disk() == 0
    monkeypatch.delattr(moving.os, "posix_fadvise", raising=False)
    tasks.forget(tmp_path / "is not even opened")


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_function_travels_lighter_than_data(client, parts):
    size = 100_000
    made = tasks.spread_out(client, parts, size)
    holders = [held for held in client.has_what().values() if held]
    assert len(holders) == min(parts, 2)
    before = tasks.bytes_sent(client)
    assert tasks.sum_there(client, made) == parts * size
    between = tasks.bytes_sent(client)
    assert tasks.sum_here(client, made) == parts * size
    assert between - before < 1000
    assert tasks.bytes_sent(client) - between == parts * (
        moving.np.ones(size, np.uint8).nbytes
    )


def test_both_directions_give_the_same_sum(client, monkeypatch):
    found = tasks.here_or_there(client, 3, 1000, repeats=1)
    assert {timing.result for timing in found.values()} == {3000}
    monkeypatch.setattr(moving.cluster, "local", lambda: nullcontext(client))
    monkeypatch.setattr(roofs, "read_bandwidth", lambda: 300.0)
    *_, limit = tasks.bring_or_send(3, 1000, 1).values()
    assert limit == 10


# Reports


def test_a_report_needs_no_other_host(client, tmp_path):
    path = tmp_path / "report.html"
    graph = {"a": (add, 1), "b": (add, "a")}
    job = partial(client.get, graph, "b")
    assert tasks.report(client, path, job) == 3
    page = path.read_text(encoding="utf-8")
    assert "Dask Performance Report" in page
    assert tasks.fetches_from(page) == set()
    with client.as_current(), performance_report(path):
        pass
    assert tasks.fetches_from(path.read_text(encoding="utf-8"))


def test_a_report_with_scripts_elsewhere_is_small(client, tmp_path):
    path = tmp_path / "report.html"
    assert tasks.report(client, path, lambda: 4, mode="cdn") == 4
    page = path.read_text(encoding="utf-8")
    assert tasks.fetches_from(page) == {"cdn.bokeh.org"}
    assert len(page) < 300_000


def test_a_link_holds_the_page_that_it_leads_to():
    link = tasks.link_to("<h1>é</h1>", "Open").data
    data = re.search(r'href="data:text/html;base64,([^"]+)"', link)[1]
    assert b64decode(data).decode() == "<h1>é</h1>"
    assert link.endswith(">Open</a>")


def test_links_are_not_fetched():
    page = """<a href="https://a.org">a</a><script src='//b.org/x.js'></script>
    <img alt="" src=http://c.org/y><link rel="icon" href="https://d.org">
    <script src="here.js"></script><script>"https://e.org"</script>"""
    assert tasks.fetches_from(page) == {"b.org", "c.org", "d.org"}


# What goes wrong


def test_computing_in_a_loop_gives_out_one_task_at_a_time(client):
    most = []
    for way in (tasks.computed_in_the_loop, lambda ns: [*dask.compute(*ns)]):
        notes = [delayed(count_to)(100 + i) for i in range(6)]
        with client.as_current():
            assert way(notes) == [100 + i for i in range(6)]
        most.append(tasks.most_given(client, [note.key for note in notes]))
    assert most[0] == 1
    assert most[1] > 1
    assert tasks.most_given(client, []) == 0


def test_gathering_notes_computes_nothing(client):
    notes = [delayed(tasks.reciprocal)(i) for i in (1, 2)]
    assert client.gather(notes) == notes
    assert client.gather(client.compute(notes)) == [1, 0.5]


def test_equal_calls_have_one_future(client):
    for pure, different in ((True, 1), (False, 5)):
        dice = [client.submit(tasks.roll, pure=pure) for _ in range(5)]
        assert len({die.key for die in dice}) == different
        assert len(set(client.gather(dice))) == different


def test_a_spoilt_input_spoils_the_next_task(client):
    data = client.scatter(np.arange(5.0))
    means = [
        client.submit(tasks.centred_in_place, data, pure=False).result(LIMIT)
        for _ in range(2)
    ]
    assert means == [2, 0]


def test_data_in_the_graph_are_warned_of(client):
    values = np.ones(2_000_000)
    with tasks.warned() as said:
        inside = client.map(tasks.mean_within, [values] * 2, range(2))
        assert client.gather(inside) == [1, 2]
    assert ["large graph" in line for line in said] == [True]
    with tasks.warned() as said:
        once = client.scatter(values)
        outside = client.map(tasks.mean_within, [once] * 2, range(2))
        assert client.gather(outside) == [1, 2]
    assert said == []


def test_kept_futures_keep_results(client):
    kept = [client.submit(tasks.make_array, 10 + i) for i in range(7)]
    wait(kept, LIMIT)
    assert tasks.held(client) == 7
    del kept[3:]
    cluster.wait_until(lambda: tasks.held(client) == 3)


def test_dropped_tasks_do_not_run_unless_fired(client, tmp_path):
    with tasks.busy(client, "drop"):
        kept, dropped, fired = (
            client.submit(tasks.leave_mark, str(tmp_path / name))
            for name in ("kept", "dropped", "fired")
        )
        fire_and_forget(fired)
        key = dropped.key
        cluster.wait_until(lambda: tasks.known(client, key))
        del dropped, fired
        cluster.wait_until(lambda: not tasks.known(client, key))
    wait(kept, LIMIT)
    cluster.wait_until((tmp_path / "fired").exists)
    assert not (tmp_path / "dropped").exists()


def test_workers_are_free_after_an_error_while_they_were_busy(client):
    with pytest.raises(KeyError), tasks.busy(client, "error"):
        raise KeyError
    assert client.submit(abs, -3).result(LIMIT) == 3


def test_holding_does_not_last_for_ever(client, monkeypatch):
    monkeypatch.setattr(traps, "LIMIT", 0.05)
    with client.as_current(), pytest.raises(TimeoutError, match="'nobody'"):
        traps.hold("nobody", 1)
    Event("somebody", client).set()
    with client.as_current():
        assert traps.hold("somebody", 2) == 2


@pytest.mark.parametrize("size", [0, 1, 3, 64])
def test_who_secedes_does_not_block(client, size):
    numbers = list(range(size))
    assert client.submit(tasks.add_up, numbers).result(LIMIT) == sum(numbers)


def test_tasks_that_wait_for_tasks_block_each_other(client):
    numbers = list(range(16))
    future = client.submit(tasks.add_up_blocking, numbers, 0.2)
    assert isinstance(future.exception(LIMIT), TimeoutError)
    del future
    cluster.wait_until(lambda: not any(client.processing().values()))
    assert client.submit(tasks.add_up_blocking, [1, 2], 0.2).result(LIMIT) == 3


# The exercises


def verdict_of(name, candidate):
    candidate.__name__ = name
    return verdict(candidate, tasks)


def wrong_longest(inputs, seconds):
    return [max(seconds, key=seconds.get)] if seconds else []


def wrong_most_tasks(inputs, seconds):
    def chain(task):
        return max((chain(t) for t in inputs[task]), key=len, default=[]) + [
            task
        ]

    return max(map(chain, inputs), key=len, default=[])


def wrong_backwards(inputs, seconds):
    return practice.critical_path(inputs, seconds)[::-1]


def wrong_four_batches(tasks, seconds, overhead, workers):
    return max(1, tasks // (4 * workers))


def wrong_all_at_once(tasks, seconds, overhead, workers):
    return -(-tasks // workers)


def wrong_later_of_equals(tasks, seconds, overhead, workers):
    times = {
        b: practice._takes(b, tasks, seconds, overhead, workers)
        for b in range(1, tasks + 1)
    }
    return max(b for b in times if times[b] == min(times.values()))


def wrong_gather(client, function, items, width):
    futures = [client.submit(function, item) for item in items]
    return [future.result() for future in futures]


def wrong_unbounded(client, function, items, width):
    futures = [client.submit(function, item) for item in items]
    yield from (future.result() for future in futures)


def wrong_one_by_one(client, function, items, width):
    for item in items:
        yield client.submit(function, item).result()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("critical_path", wrong_longest),
        ("critical_path", wrong_most_tasks),
        ("critical_path", wrong_backwards),
        ("best_batch", wrong_four_batches),
        ("best_batch", wrong_all_at_once),
        ("best_batch", wrong_later_of_equals),
        ("window", wrong_gather),
        ("window", wrong_unbounded),
        ("window", wrong_one_by_one),
    ],
)
def test_wrong_answers_are_told(name, wrong):
    said = verdict_of(name, wrong)
    assert name in said
    assert "raised" not in said


@pytest.mark.parametrize("name", ["critical_path", "best_batch", "window"])
def test_solutions_pass_and_starters_do_not(name):
    solution = getattr(practice, name)
    assert f"{practice.__name__}.{name}" in EXERCISES
    assert verdict(solution, tasks) == ""
    room = {}
    exec(starter(solution), room)
    assert "starter" in verdict(room[name], tasks)


def test_a_window_works_on_a_cluster(client):
    results = tasks.window(client, abs, iter(range(-7, 0)), 3)
    assert list(results) == [7, 6, 5, 4, 3, 2, 1]


@settings(max_examples=30)
@given(random_graphs(), st.randoms(use_true_random=False))
def test_the_critical_path_has_the_span(graph, rng):
    inputs = {str(k): [*map(str, v)] for k, v in tasks.inputs(graph).items()}
    inputs["end"] = list(inputs)
    seconds = {key: rng.uniform(0.5, 2) for key in inputs}
    path = tasks.critical_path(inputs, seconds)
    plain = {key: (add, *others) for key, others in inputs.items()}
    span = tasks.span(plain, "end", seconds)
    assert sum(seconds[key] for key in path) == pytest.approx(span)
    for before, after in pairwise(path):
        assert before in inputs[after]
