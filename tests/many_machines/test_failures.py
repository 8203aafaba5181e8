"""Failures: after every death the serial result, and each loss counted."""

import gzip
import math
import os
import signal
import sqlite3
import threading
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed import KilledWorker
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from parallel_ai.many_machines import failures
from parallel_ai.many_machines.failures import faults, lost, practice
from parallel_ai.toolbox import cluster, datasets
from parallel_ai.toolbox.exercises import EXERCISES

WORKERS = 2
LIMIT = 60  # seconds

# What dies here comes back: a test leaves other workers than it found. What
# is left behind is looked at when the module's last test is over.


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(request):
    plugins = request.config.pluginmanager.get_plugins()
    (book,) = (p for p in plugins if hasattr(p, "used_by_others"))
    processes, environment = book.children(), dict(os.environ)
    threads = set(threading.enumerate())
    yield
    _, left = psutil.wait_procs(book.children() - processes, timeout=5)
    assert not left, f"processes left: {[p.cmdline() for p in left]}"
    for thread in set(threading.enumerate()) - threads:
        if not thread.name.startswith(book.OFFLOAD):
            thread.join(5)
            assert not thread.is_alive(), f"thread left: {thread.name}"
    environment["PYTEST_CURRENT_TEST"] = os.environ["PYTEST_CURRENT_TEST"]
    assert dict(os.environ) == environment


@pytest.fixture(scope="module")
def lasting(nothing_left_behind):
    with failures.breakable(WORKERS) as client, failures.log_kept():
        yield client


@pytest.fixture
def client(lasting):
    """The module's cluster, at full strength again."""
    failures.at_full_strength(lasting, WORKERS)
    return lasting


def month(path: Path, delays: list) -> str:
    """Write a small file in the flights' format."""
    rows = "".join(f"{delay},UA\n" for delay in delays)
    with gzip.open(path, "wt") as file:
        file.write("dep_delay,carrier\n" + rows)
    return str(path)


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    folder = tmp_path_factory.mktemp("months")
    rng = np.random.default_rng(0)
    return [
        month(folder / f"{n}.csv.gz", rng.integers(-9, 99, 20 + n).tolist())
        for n in range(1, 6)
    ]


def same(some, others):
    return len(some) == len(others) and all(map(np.array_equal, some, others))


# Odds


@given(st.integers(1, 10_000), st.floats(0, 1e3), st.floats(1, 1e6))
def test_machines_survive_together_if_each_does(machines, hours, mean):
    one = failures.survival(1, hours, mean)
    together = failures.survival(machines, hours, mean)
    assert math.isclose(together, one**machines, rel_tol=1e-6, abs_tol=1e-300)


@given(st.floats(0.01, 10), st.floats(100, 1e5), st.floats(0.1, 10))
def test_no_interval_costs_less_than_youngs(cost, mean, factor):
    def price(interval):
        return cost / interval + interval / 2 / mean

    best = failures.young_interval(cost, mean)
    assert price(best) <= price(best * factor) * (1 + 1e-12)


def test_without_failures_only_saving_costs():
    sure = {"work": 100, "cost": 1, "mean": 1e12, "restart": 5}
    for interval, expected in ((10, 110), (50, 102)):
        got = failures.expected_time(interval=interval, **sure)
        assert math.isclose(got, expected, rel_tol=1e-4)
        played = failures.simulate(interval=interval, runs=3, **sure)
        assert played.tolist() == [expected] * 3


@pytest.mark.parametrize("interval", [5, 20, 100])
def test_the_simulation_agrees_with_daly(interval):
    job = {"work": 400, "cost": 2, "mean": 50, "restart": 5}
    played = failures.simulate(interval=interval, runs=3000, **job)
    expected = failures.expected_time(interval=interval, **job)
    error = played.std() / math.sqrt(len(played))
    assert abs(played.mean() - expected) < 5 * error
    assert played.min() >= 400 + 400 / interval * 2


def test_no_work_takes_no_time():
    assert failures.simulate(0, 5, 1, 10, 1, runs=4).tolist() == [0] * 4


# The journal


def test_lines_of_several_processes_never_mix(client, tmp_path):
    journal = tmp_path / "journal"
    texts = [f"{n} " + "x" * 300 for n in range(200)]
    client.gather(
        client.map(failures.write_line, [journal] * len(texts), texts)
    )
    assert sorted(journal.read_text().splitlines()) == sorted(texts)


def test_the_tally_tells_again_from_cut_short(tmp_path):
    journal = tmp_path / "journal"
    nothing = failures.Tally(0, 0, 0, 0, {})
    assert failures.tally(journal) == nothing
    assert failures.noted(journal, "read-1", sum, [1, 2]) == 3
    assert failures.tally(journal) == failures.Tally(1, 1, 0, 0, {})
    failures.noted(journal, "read-1", sum, [1, 2])
    failures.noted(journal, "draw-1", sum, [])
    with pytest.raises(ZeroDivisionError):
        failures.noted(journal, "draw-2", divmod, 1, 0)
    expected = failures.Tally(2, 4, 1, 1, {"read": 1})
    assert failures.tally(journal) == expected


# The job


def test_draws_depend_on_their_names_alone(months):
    delays = failures.read_delays(months[0])
    first = failures.draw_medians(delays, 1, 0, 9)
    assert np.array_equal(first, failures.draw_medians(delays, 1, 0, 9))
    for other in ((2, 0), (1, 1)):
        assert not np.array_equal(
            first, failures.draw_medians(delays, *other, 9)
        )
    assert np.isin(first * 2, np.add.outer(delays, delays)).all()


def test_flights_that_never_left_have_no_delay(tmp_path):
    path = month(tmp_path / "m.csv.gz", [4, "", 4])
    assert failures.read_delays(path).tolist() == [4, 4]
    assert failures.month_interval((1, path)).tolist() == [4, 4, 4]
    assert failures.count_flights(path) == 3


def test_an_interval_holds_its_middle():
    low, middle, high = failures.interval(np.arange(50.0), np.arange(51.0))
    assert low < middle < high


@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize(
    "way", [failures.complete, failures.complete_fetching]
)
def test_the_graph_agrees_with_the_serial_job(client, months, size, way):
    run = failures.run_year(client, months[:size], batches=3, draws=4, way=way)
    assert same(run.result, failures.year_serial(months[:size], 3, 4))
    assert run.tally == failures.Tally(5 * size, 5 * size, 0, 0, {})
    assert run.deaths == run.births == []
    assert len({span.key for span in run.spans}) == 5 * size


# Deaths


def test_what_is_held_on_the_cluster_is_computed_again(client, months):
    """Killed after the last result: all is done, and some of it is lost."""
    run = failures.run_year(client, months, [5], batches=2, draws=3)
    assert same(run.result, failures.year_serial(months, 2, 3))
    assert run.tally.tasks == 20
    assert run.tally.by_kind["interval"] >= 1
    assert len(run.deaths) == 1
    assert any("recomputed elsewhere" in line for line in run.log)
    assert not any("tcp://" in line for line in run.log)
    extra = [span for span in run.spans if span.action == "compute"]
    assert len(extra) == 20 + run.tally.again


def test_what_was_fetched_is_not_computed_again(client, months):
    run = failures.run_year(
        client, months, [5], 2, 3, way=failures.complete_fetching
    )
    assert same(run.result, failures.year_serial(months, 2, 3))
    assert run.tally.tasks == 20
    # Five were fetched. What each worker ended while the fifth was on its
    # way was not, and is computed again if it lay on the one that is killed.
    assert run.tally.again <= 2
    assert len(run.deaths) == 1


def graph_serial(graph):
    values = []
    for number, inputs in enumerate(graph):
        values.append(number + 3 * sum(values[i] for i in inputs))
    return values


def value(number, *inputs):
    return number + 3 * sum(inputs)


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 12))
    return [
        draw(st.lists(st.integers(0, n - 1), max_size=3)) if n else []
        for n in range(size)
    ]


@settings(
    max_examples=4,
    phases=[Phase.generate],  # to shrink takes a kill for each try
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), graph=graphs())
def test_any_graph_survives_a_kill_at_any_moment(lasting, data, graph):
    from dask.delayed import delayed

    failures.at_full_strength(lasting, WORKERS)
    nodes = []
    for number, inputs in enumerate(graph):
        given_ = [nodes[i] for i in inputs]
        nodes.append(delayed(value, pure=False)(number, *given_))
    moment = data.draw(st.integers(1, len(graph)))
    way = data.draw(
        st.sampled_from([failures.complete, failures.complete_fetching])
    )
    assert way(lasting, nodes, {moment}) == graph_serial(graph)


def test_the_richest_worker_holds_most(client):
    one, other = sorted(client.nthreads())
    held = client.map(
        abs, range(-3, 0), workers=[other], allow_other_workers=False
    )
    client.gather(held)
    assert failures.richest(client) == other
    assert failures.richest(client) != one


def test_the_log_shows_as_before_afterwards():
    import logging

    loggers = [
        logging.getLogger(n) for n in ("distributed", "distributed.client")
    ]
    before = [logger.handlers for logger in loggers]
    with failures.log_kept() as log:
        for logger in loggers:
            logger.error("lost tcp://127.0.0.1:1234 again")
    assert log == ["lost a worker again"] * 2
    assert [logger.handlers for logger in loggers] == before


def test_a_stopped_worker_goes_on(client):
    worker = min(client.nthreads())
    process = failures.process_of(client, worker)

    def fail():
        with failures.stopped(client, worker):
            assert process.status() == psutil.STATUS_STOPPED
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert client.submit(abs, -1, workers=[worker]).result(LIMIT) == 1
    assert process.status() != psutil.STATUS_STOPPED


def test_the_price_adds_up():
    def span(key, start, stop, action="compute"):
        return cluster.Span("w", 1, key, key, action, start, stop)

    spans = [
        span("a", 0, 1),
        span("b", 0, 2),
        span("a", 3, 3.5),
        span("b", 2, 3, "transfer"),
    ]
    nothing = failures.Tally(0, 0, 0, 0, {})
    run = failures.Run([], 5, nothing, spans, [2.0, 4.0], [3.0], [])
    assert failures.worker_seconds(run, 2) == {
        "done once": 3,
        "done again": 0.5,
        "worker absent": 2,
        "rest": 4.5,
    }


# Suspects


def test_errors_are_tried_again(client, tmp_path):
    send = partial(client.submit, failures.flaky, pure=False)
    journal = tmp_path / "enough"
    assert "try 3" in send(journal, 2, retries=2).result(LIMIT)
    assert failures.tally(journal).begun == 3
    journal = tmp_path / "few"
    future = send(journal, 2, retries=1)
    error = future.exception(LIMIT)
    assert isinstance(error, ConnectionError)
    assert "try 2" in str(error)
    assert failures.tally(journal).begun == 2
    frames = []
    trace = future.traceback()
    while trace:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames[-1] == "flaky"


def allowed(dask_scheduler):
    return dask_scheduler.allowed_failures


def test_a_task_that_kills_its_workers_ends_in_an_error(client, tmp_path):
    error = failures.again_and_again(client, tmp_path, allowed=1)
    assert isinstance(error, KilledWorker)
    assert error.task.startswith("poison")
    assert error.allowed_failures == 1
    assert failures.tally(tmp_path / "journal").begun == 2
    assert client.run_on_scheduler(allowed) == 3


def test_deaths_are_forgiven_again_after_an_error(client):
    def fail():
        with failures.allowed_failures(client, 7):
            assert client.run_on_scheduler(allowed) == 7
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert client.run_on_scheduler(allowed) == 3


def test_an_innocent_task_is_condemned_with_the_guilty(client, tmp_path):
    errors = failures.beside_poison(client, tmp_path)
    assert all(isinstance(error, KilledWorker) for error in errors)
    assert failures.tally(tmp_path / "journal").begun == 1


def test_poison_kills_by_signal_9(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    (tmp_path / "gate").touch()
    failures.poison(tmp_path / "journal", tmp_path / "gate")
    assert sent == [(os.getpid(), signal.SIGKILL)]


# What is lost


def test_what_one_kill_leaves(client, months):
    things, leaks = failures.after_one_kill(client, months[0], 200)
    assert things == {
        "computed by a task": "there",
        "scattered": "lost: FutureCancelledError",
        "scattered, two copies": "there",
        "state of an actor": "lost: RuntimeError",
    }
    assert leaks["a seed"] == 0
    assert leaks["no seed"] > 0


def test_copies_stay_while_the_memory_manager_is_stopped(client):
    worker = min(client.nthreads())
    assert client.amm.running()
    assert failures.copies_left(client, worker) == (2, 1)
    assert client.amm.running()
    with failures.copies_kept(client):
        with failures.copies_kept(client):
            pass
        assert not client.amm.running(), "as it was found"


def test_what_is_laid_out_keeps_its_copy(client, months, monkeypatch):
    looks = []

    def look_then_kill(*args):
        looks.append(client.amm.running())
        faults.kill(*args)

    monkeypatch.setattr(lost, "kill", look_then_kill)
    failures.after_one_kill(client, months[0], 50)
    assert looks == [False]


def test_without_a_kill_all_is_there(client, months):
    worker = min(client.nthreads())
    things = failures.laid_out(client, worker, months[0])
    assert {*map(failures.what_remains, things.values())} == {"there"}
    split = failures.Split.begin(client, worker, 50, None)
    assert split.leaked(client) == 0


def test_a_count_counts():
    count = failures.Count()
    assert [count.add(2), count.add(3)] == [2, 5]


@given(st.integers(0, 300), st.integers(0, 9))
def test_a_split_is_complete_and_the_same_for_a_seed(size, seed):
    order = failures.shuffled(size, seed)
    train, test = failures.to_train(order), failures.to_test(order)
    assert sorted([*train, *test]) == list(range(size))
    assert len(train) == size * 4 // 5
    assert np.array_equal(order, failures.shuffled(size, seed))


# Output


class DeathError(Exception):
    pass


def die():
    raise DeathError


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_file_is_there_entirely_or_not_at_all(tmp_path_factory, old, new):
    file = tmp_path_factory.mktemp("whole") / "f"
    with pytest.raises(DeathError):
        failures.save_whole(file, new, die)
    assert not file.exists()
    failures.save_whole(file, old)
    with pytest.raises(DeathError):
        failures.save_whole(file, new, die)
    assert file.read_bytes() == old
    failures.save_whole(file, new, lambda: None)
    assert file.read_bytes() == new


def test_half_a_file_is_taken_for_a_whole_one(tmp_path):
    file = tmp_path / "f"
    with pytest.raises(DeathError):
        failures.save_if_absent(file, b"12345678", die)
    failures.save_if_absent(file, b"12345678", die)
    assert file.read_bytes() == b"1234"


@pytest.mark.parametrize("victim", [None, "month-02"])
def test_careful_output_bears_a_death(client, months, tmp_path, victim):
    flights = sum(map(failures.count_flights, months))
    told = failures.published(
        client, failures.publish_carefully, months, tmp_path, victim
    )
    assert set(told) == {"a row for each key", "a file for each key"}
    assert set(told.values()) == {flights}
    assert (tmp_path / "died").exists() == (victim is not None)
    drafts = [*tmp_path.glob(".month*")]
    assert len(drafts) == (victim is not None)


@pytest.mark.parametrize("victim", [None, "month-02"])
def test_careless_output_does_not(client, months, tmp_path, victim):
    flights = sum(map(failures.count_flights, months))
    told = failures.published(
        client, failures.publish_carelessly, months, tmp_path, victim
    )
    appended, added, filed = told.values()
    assert appended == added
    if victim is None:
        assert appended == filed == flights
    else:
        assert appended >= flights + failures.count_flights(months[1])
        assert filed < flights


def test_a_row_may_be_put_twice_and_a_sum_not(tmp_path):
    base = tmp_path / "base"
    with closing(sqlite3.connect(base)) as opened, opened:
        opened.execute("CREATE TABLE total (flights)")
        opened.execute("INSERT INTO total VALUES (0)")
        opened.execute("CREATE TABLE flights (key PRIMARY KEY, number)")
    for _ in range(2):
        failures.put_row(base, "may", 5)
        failures.add_to_total(base, "may", 5)
        failures.append_row(tmp_path / "rows", "may", 5)
    with closing(sqlite3.connect(base)) as opened:
        assert [*opened.execute("SELECT * FROM flights")] == [("may", 5)]
        assert [*opened.execute("SELECT * FROM total")] == [(10,)]
    assert (tmp_path / "rows").read_text() == "may,5\n" * 2


def test_only_the_first_dies(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    for _ in range(3):
        failures.die_once(tmp_path / "marker")
    assert sent == [(os.getpid(), 9)]


# Silence


def test_a_quick_task_has_no_second_copy(client, tmp_path):
    journal = tmp_path / "journal"
    call = (failures.noted, journal, "sum", sum, [1, 2])
    assert failures.hedged(client, *call, after=LIMIT) == 3
    assert failures.tally(journal).begun == 1


def test_a_slow_task_gets_one_on_another_worker(client, tmp_path):
    journal, gate = tmp_path / "journal", tmp_path / "gate"

    def open_gate():
        cluster.wait_until(
            lambda: failures.tally(journal).begun == 2, "two copies"
        )
        gate.touch()

    opener = threading.Thread(target=open_gate)
    opener.start()
    failures.hedged(
        client, failures.noted, journal, "x", failures.wait_for_file, gate,
        after=0.01,
    )  # fmt: skip
    opener.join(LIMIT)
    cluster.wait_until(lambda: failures.tally(journal).again == 1, "end")


def test_a_sleeper_ends_its_copy_too(client, tmp_path):
    count = failures.hang_and_hedge(client, tmp_path)
    assert count == failures.Tally(1, 2, 1, 0, {"task": 1})


# The scheduler dies


def listening(process):
    everybody = [process, *process.children(recursive=True)]
    return {
        connection.laddr.ip
        for one in everybody
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def square(x):
    if isinstance(x, tuple):  # of a gate and a number
        failures.wait_for_file(x[0])
        x = x[1]
    return [x, x * x]


def test_a_silent_worker_is_given_up_and_a_scheduler_dies(tmp_path):
    """One cluster of separate programs for both: starting it takes long."""
    kept, gate = tmp_path / "kept", tmp_path / "never"
    kept.mkdir()
    items = {"a": 1, "b": 2, "c": (gate, 3)}  # the last cannot end
    with failures.separate(2, ttl="1s") as (client, programs):
        assert listening(psutil.Process()) == {cluster.LOOPBACK}
        seconds, count = failures.presumed_dead(client, tmp_path)
        assert count == failures.Tally(1, 2, 1, 0, {"task": 1})
        assert seconds > 1  # no sooner than it was told to

        def kill(done):
            if done == 2:
                programs[0].kill()

        with failures.log_kept(), pytest.raises(CancelledError):
            failures.resume(client, square, items, kept, kill)
        gate.touch()  # the worker's thread may end
        _, alive = psutil.wait_procs(programs, timeout=LIMIT)
        assert not alive
    assert len([*kept.glob("*.npy")]) >= 2


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_second_start_computes_what_is_missing(client, tmp_path, size):
    items = {str(n): n for n in range(size)}
    expected = {name: [n, n * n] for name, n in items.items()}
    steps = []
    for known in (0, size):
        assert len([*tmp_path.glob("*.npy")]) == known
        found = failures.resume(client, square, items, tmp_path, steps.append)
        assert {k: v.tolist() for k, v in found.items()} == expected
    assert steps == list(range(1, size + 1))
    more = {**items, "new": 9}
    failures.resume(client, square, more, tmp_path, steps.append)
    assert steps[size:] == [size + 1]


def test_an_error_reaches_the_caller_and_saves_nothing(client, tmp_path):
    with pytest.raises(ZeroDivisionError):
        failures.resume(client, partial(divmod, 1), {"a": 0}, tmp_path)
    assert [*tmp_path.iterdir()] == []
    file = tmp_path / "a.npy"
    failures.save_result(file, abs, -3)
    assert np.load(file, allow_pickle=False) == 3


# Long tasks


@pytest.mark.parametrize("every", [1, 4, 7, 100])
def test_a_long_task_goes_on_from_its_state(tmp_path, every):
    delays = np.arange(30, dtype=np.float32)
    (fresh := tmp_path / "fresh").mkdir()
    (again := tmp_path / "again").mkdir()
    right = failures.long_task(delays, 20, 3, fresh)
    failures.long_task(delays, 13, every, again)  # as if it had ended there
    steps = (again / "journal").read_text().split().count("step")
    assert steps == 13
    got = failures.long_task(delays, 20, every, again)
    assert np.array_equal(got, right)
    steps = (again / "journal").read_text().split().count("step")
    assert steps == failures.steps_predicted(20, every, [13])


def test_a_killed_long_task_does_the_predicted_steps(client, tmp_path):
    delays = np.arange(30, dtype=np.float32)
    (quiet := tmp_path / "quiet").mkdir()
    (killed := tmp_path / "killed").mkdir()
    plan = {"steps": 20, "every": 6, "deaths": (5, 15)}
    future = client.submit(failures.long_task, delays, folder=killed, **plan)
    right = failures.long_task(delays, 20, 6, quiet)
    assert np.array_equal(future.result(LIMIT), right)
    steps = (killed / "journal").read_text().split().count("step")
    assert steps == failures.steps_predicted(**plan) == 28


# The comparison


@pytest.fixture
def few_months(months, monkeypatch):
    paths = {path: Path(path) for path in months}
    monkeypatch.setattr(datasets, "paths", lambda name: paths)


def test_recovery_is_compared_with_the_fault_free_run(few_months):
    found = failures.recovery(1, 1, workers=1, repeats=1)
    *ways, limit = found
    assert ways == [
        "no worker killed",
        "one worker killed",
        "two workers killed",
        "second start, half of it saved",
    ]
    assert all(found[way].median > 0 for way in ways)
    assert limit == "limit: serial / 1 CPUs"
    assert list(failures.COMPARISONS) == [
        "fault recovery against the fault-free run"
    ]


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def all_that_died(graph, holders, dead, wanted):
    return {task for task in graph if dead in holders.get(task, ())}


def whole_history(graph, holders, dead, wanted):
    run, stack = set(), list(wanted)
    while stack:
        task = stack.pop()
        if task not in run:
            run.add(task)
            stack += graph[task]
    return run


def only_wanted(graph, holders, dead, wanted):
    return {task for task in wanted if not set(holders.get(task, ())) - {dead}}


def adds_always(base, key, number):
    base.execute("UPDATE total SET flights = flights + ?", (number,))
    base.commit()


def commits_between(base, key, number):
    row = base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,))
    base.commit()
    if row.rowcount:
        base.execute("UPDATE total SET flights = flights + ?", (number,))
        base.commit()


def never_commits(base, key, number):
    row = base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,))
    if row.rowcount:
        base.execute("UPDATE total SET flights = flights + ?", (number,))


def loses_nothing(work, interval, cost, failures):
    return work + -(-work // interval) * cost


def begins_anew(work, interval, cost, failures):
    clock, whole = 0, work + -(-work // interval) * cost
    for failure in failures:
        if failure < clock + whole:
            clock = failure
    return clock + whole


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("to_recompute", all_that_died, "expected"),
        ("to_recompute", whole_history, r"expected \[\]"),
        ("to_recompute", only_wanted, "expected"),
        ("add_once", adds_always, "expected 12"),
        ("add_once", commits_between, "killed before its step"),
        ("add_once", never_commits, "expected 12"),
        ("finish_time", loses_nothing, "expected 15"),
        ("finish_time", begins_anew, "expected"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)
