"""PyTorch on Dask: equal to torchrun, and never a hang."""

import contextlib
import multiprocessing
import os
import signal
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module, metadata
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import torchvision  # noqa: F401, sets environment variables
from distributed import Client, Event
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics  # noqa: F401, sets an environment variable

from parallel_ai.accelerators import imagenet, vision
from parallel_ai.many_machines import clusters
from parallel_ai.many_machines.clusters import cutting, networks
from parallel_ai.toolbox import cluster, ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.training import data_parallel as dp
from parallel_ai.training import on_dask as od
from parallel_ai.training.on_dask import practice, program, running

LIMIT = 300
CPU = torch.device("cpu")
needs_hosts = pytest.mark.skipif(
    bool(sys.platform != "linux" or networks.forbidden()),
    reason="no network namespaces here",
)


@pytest.fixture(scope="module")
def client():
    """Two workers, whose fork servers stay as long as they do."""
    with cluster.local(2, memory="3GB") as connected:
        od.run_ddp(connected, od.add_up)
        yield connected


def ranks_below(client: Client) -> list[psutil.Process]:
    """Processes of ranks: children of the workers' fork servers."""
    found = []
    for pid in client.run(os.getpid).values():
        for server in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += server.children()
    return found


def none_below(client: Client) -> bool:
    _, left = psutil.wait_procs(ranks_below(client), timeout=LIMIT)
    return not left


# It works, and is torchrun's


def test_all_that_ranks_say_comes_back_and_twice(client):
    def chat(steps: int) -> tuple[int, int, int]:
        for step in range(steps):
            od.tell(od.packed({"step": step}), step=step)
        print("one\ntwo", end="")
        return *dp.position(), multiprocessing.parent_process().pid

    told: list[od.Told] = []
    found = od.run_ddp(client, chat, 5, report=told.append)
    assert [one[:2] for one in found] == [(0, 2), (1, 2)]
    assert {one[2] for one in found} == set(client.run(os.getpid).values())
    for rank in range(2):
        mine = [one for one in told if one.rank == rank]
        steps = [one.values["step"] for one in mine if one.values]
        assert steps == list(range(5))
        assert [one.line for one in mine if one.line] == ["one", "two"]
        states = [one for one in mine if one.state is not None]
        assert states  # newer ones may have replaced others
        for one in states:
            assert od.unpacked(one.state) == one.values
    for total, doors in od.run_ddp(client, od.open_doors):
        assert total == 2
        assert set(doors) <= {"127.0.0.1", "::1"}
    assert none_below(client)


def test_weights_are_those_of_torchrun(client, tmp_path):
    files = [tmp_path / "dask", tmp_path / "torchrun"]
    plans = [dp.Options(pictures=256, checkpoint=str(file)) for file in files]
    one = od.by_dask(client, plans[0])
    two = od.by_torchrun(plans[1])
    assert one["accuracy"] == two["accuracy"]
    a, b = (torch.load(f, weights_only=True)["model"] for f in files)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_torchrun_that_fails_says_why(monkeypatch):
    words = [sys.executable, "-c", "raise SystemExit('no rank')", ""]
    monkeypatch.setattr(dp, "torchrun_command", lambda *_: words)
    with pytest.raises(RuntimeError, match="no rank"):
        od.by_torchrun(dp.Options())


def on_hosts() -> list:
    cutting.IMPATIENT.clear()  # no host is lost here
    with (
        networks.lan(["a", "b", "c"]) as network,
        cutting.cluster_on(network) as (client, _),
    ):
        found = od.run_ddp(client, od.open_doors, patience=LIMIT)
        return [network.addresses, found]


@needs_hosts
def test_two_hosts_meet_on_their_own_addresses():
    addresses, found = networks.inside(f"{__name__}:on_hosts", seconds=LIMIT)
    hosts = [addresses[name] for name in cutting.WORKERS]
    assert [total for total, _ in found] == [2, 2]
    for (_, doors), host in zip(found, hosts, strict=True):
        assert set(doors) <= {host}
    assert found[0][1] == [hosts[0]]


def test_threads_of_one_process_are_workers_too():
    with Client(
        n_workers=1, threads_per_worker=3, processes=False,
        dashboard_address=f"{cluster.LOOPBACK}:0",
        worker_dashboard_address=f"{cluster.LOOPBACK}:0",
    ) as inside:  # fmt: skip
        (threads,) = od.run_ddp(inside, torch.get_num_threads)
    assert threads == 3


def test_the_comparison_has_a_timing_of_each(monkeypatch):
    times = {"start": 1.0, "training": 2.0}
    monkeypatch.setattr(cluster, "local", contextlib.nullcontext)
    monkeypatch.setattr(program, "by_torchrun", lambda options: times)
    monkeypatch.setattr(program, "by_dask", lambda client, options: times)
    program.by_turns.cache_clear()
    medians = [
        [timing.median for timing in compare().values()]
        for compare in od.COMPARISONS.values()
    ]
    program.by_turns.cache_clear()
    assert medians == [[1, 1, 1], [2, 2]]


# Faults


def failing(client: Client, *arguments, **options) -> ranks.RankError:
    with pytest.raises(ranks.RankError) as caught:
        od.run_ddp(client, *arguments, **options)
    assert none_below(client)
    return caught.value


def test_the_rank_that_raises_is_named_with_its_traceback(client):
    error = failing(client, od.raise_on, 1)
    assert error.ranks == (1,)
    assert "ArithmeticError: the loss is not a number" in str(error)
    assert "in raise_on" in str(error)
    assert "rank 1 of 2 (worker tcp://127.0.0.1:" in str(error)


def test_the_rank_that_dies_is_named(client):
    error = failing(client, od.kill_on, 0)
    assert error.ranks == (0,)
    assert "SIGKILL" in str(error)


def test_a_rank_that_dies_is_heard_and_takes_its_children_with_it(client):
    """They hold its end of the pipe: that it breaks tells nothing."""

    def fork_and_die() -> None:
        child = os.fork()
        if child == 0:
            signal.sigwait([signal.SIGUSR2])  # for ever
        od.tell(child=child)
        od.kill_on(0)

    told: list[od.Told] = []
    error = failing(
        client, fork_and_die, workers=1, report=told.append, seconds=60
    )
    assert "SIGKILL" in str(error)
    with contextlib.suppress(psutil.NoSuchProcess):
        child = psutil.Process(told[0].values["child"])
        assert child.status() == psutil.STATUS_ZOMBIE


def test_threads_speak_one_after_the_other(client):
    def chat(size: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            for number in range(40):
                pool.submit(od.tell, bytes(size), number=number)
                pool.submit(print, number)

    told: list[od.Told] = []
    od.run_ddp(client, chat, 1 << 20, workers=1, report=told.append)
    numbers = [one.values["number"] for one in told if one.values]
    assert sorted(numbers) == list(range(40))


def test_a_hang_says_where_each_rank_stands(client):
    error = failing(client, od.hang_on, 1, seconds=1)
    assert error.ranks == (0, 1)
    assert "in all_reduce" in str(error)
    assert "in hang_on" in str(error)


def test_what_the_report_raises_ends_the_ranks(client):
    """Ctrl-C is such an error."""

    def stop(told):
        raise KeyboardInterrupt

    def chat_and_hang() -> None:
        od.tell(here=True)
        od.hang_on(0)

    with pytest.raises(KeyboardInterrupt):
        od.run_ddp(client, chat_and_hang, workers=1, report=stop)
    assert none_below(client)


def test_ranks_end_with_the_client_that_started_them(client):
    with Client(client.scheduler.address) as other:
        team = od.find_places(other, 1, LIMIT)
        run = od.Run(other, team, None)
        run.__enter__()
        call = running.cloudpickle.dumps((od.hang_on, (0,)))
        run.start(call, LIMIT, LIMIT)
        run.gather(LIMIT)
        assert len(ranks_below(client)) == 1
    assert none_below(client)


def test_a_busy_worker_is_named_with_its_tasks(client):
    free = Event("free", client)
    team = od.find_places(client, None, LIMIT)
    blocker = client.submit(
        free.wait, LIMIT, key="something-else", workers=team[1].worker
    )
    try:
        error = failing(client, od.add_up, patience=2)
    finally:
        free.set()
    blocker.result(LIMIT)
    assert error.ranks == (1,)
    assert "something-else" in str(error)


def test_missing_workers(client):
    with pytest.raises(TimeoutError, match=r"asked for 3 .* has 2"):
        od.run_ddp(client, od.add_up, workers=3, patience=0.1)
    with pytest.raises(TimeoutError, match="not in the cluster: tcp://x:1"):
        od.run_ddp(client, od.add_up, workers=["tcp://x:1"])
    for none in (0, -1, []):
        with pytest.raises(ValueError, match="no workers"):
            od.run_ddp(client, od.add_up, workers=none)


def test_a_lost_worker_is_named_and_its_successor_works():
    with cluster.local(2, memory="3GB") as client:
        with pytest.raises(ranks.RankError, match="lost its worker") as caught:
            od.run_ddp(client, od.kill_worker_of, 1)
        assert caught.value.ranks == (1,)
        client.wait_for_workers(2, timeout=LIMIT)
        assert od.run_ddp(client, od.add_up, workers=1) == [1]
        # The same for a worker's fork server.
        with pytest.raises(ranks.RankError, match=r"rank 0 of 1 .* died"):
            od.run_ddp(client, kill_server, workers=1)
        assert od.run_ddp(client, od.add_up, workers=1) == [1]


def kill_server() -> float:
    os.kill(os.getppid(), signal.SIGKILL)
    return od.hang_on(0)


def test_a_frozen_worker_is_named(client):
    frozen = od.find_places(client, None, LIMIT)[0].worker
    pid = client.run(os.getpid, workers=[frozen])[frozen]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ranks.RankError, match="not answer") as caught:
            od.run_ddp(client, od.add_up, patience=2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert 0 in caught.value.ranks
    assert none_below(client)


def test_numbers_that_json_does_not_know_are_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        od.tell(loss=torch.zeros(1))


# Who is which rank


def workers(*hosts: str) -> dict[str, dict]:
    return {
        f"tcp://{host}:{port}": {
            "host": host, "local_directory": f"{port}", "nthreads": 2,
        }
        for port, host in enumerate(hosts)
    }  # fmt: skip


def test_ranks_of_a_host_are_in_a_row():
    team = od.places(workers("b", "a", "b", "a"))
    assert [place.host for place in team] == ["a", "a", "b", "b"]
    assert [place.rank for place in team] == [0, 1, 2, 3]
    assert od.meeting_address(team) == "a"
    assert od.meeting_address(team[:2]) == "127.0.0.1"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 4))
def test_each_rank_has_a_gpu_of_its_own_or_none_has(sizes, count):
    seen = [
        (f"host {n}", "", count) for n, size in enumerate(sizes)
        for _ in range(size)
    ]  # fmt: skip
    found = od.gpus(seen)
    if max(sizes) > count:
        assert found is None
    else:
        pairs = [(s[0], gpu) for s, gpu in zip(seen, found, strict=True)]
        assert len(set(pairs)) == len(seen)
        assert all(gpu < count for gpu in found)


def test_workers_of_dask_cuda_take_the_first_that_they_see():
    assert od.gpus([("a", "0,1", 2), ("a", "1,0", 2)]) == [0, 0]


def test_the_interface_of_an_address():
    assert od.interface("127.0.0.1") == ranks.LOOPBACK
    with pytest.raises(LookupError, match="no network interface"):
        od.interface("203.0.113.1")


@given(st.permutations([(0, "lost"), (1, "died"), (2, "error"), (3, "error")]))
def test_the_guilty_one_is_not_who_lost_a_partner(order):
    team = od.places(workers(*"abcd"))
    heard: dict[str, dict[int, str]] = {}
    for rank, kind in order:
        heard.setdefault(kind, {})[rank] = f"text of {rank}"
    assert od.guilty(team, heard).ranks == (0,)
    del heard["lost"]
    assert od.guilty(team, heard).ranks == (1,)
    del heard["died"]
    first = next(rank for rank, kind in order if kind == "error")
    assert od.guilty(team, heard).ranks == (first,)
    assert f"text of {first}" in str(od.guilty(team, heard))


# Photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty pictures of four colours, and the labels."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (4, 3))
    paths, labels = [], []
    for number in range(20):
        label = number % 4
        noise = rng.integers(-20, 20, (80, 90, 3))
        pixels = np.clip(colours[label] + noise, 0, 255).astype(np.uint8)
        path = folder / f"{number:02}.jpg"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
        labels.append(label)
    return paths, labels


@given(
    st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 3),
    st.integers(0, 5), st.integers(1, 4),
)  # fmt: skip
def test_a_split_has_every_picture_once_and_so_have_its_shards(
    kinds, held, seed, size
):
    split = od.split_once(kinds, held, seed)
    assert sorted(split.learn + split.ask) == list(range(len(kinds)))
    for kind in set(kinds):
        asked = [n for n in split.ask if kinds[n] == kind]
        assert len(asked) == min(held, kinds.count(kind))
    assert split == od.split_once(kinds, held, seed)
    shards = [od.shard(split.learn, rank, size) for rank in range(size)]
    assert sorted(n for one in shards for n in one) == sorted(split.learn)


def test_every_photograph_has_one_row_and_each_worker_one_model(
    client, photos, tmp_path
):
    paths, _ = photos
    bad = tmp_path / "00-cut.jpg"
    bad.write_bytes(Path(paths[0]).read_bytes()[:300])
    every = [str(bad), *paths]
    model = vision.seeded(lambda: imagenet.own_network(4), 0).eval()
    file, out = tmp_path / "model.pt", tmp_path / "out"
    out.mkdir()
    od.save_model(model, list("wxyz"), file)
    done = od.classify_all(client, every, file, out, each=4)
    assert sum(one.rows for one in done) == 21
    used = {one.process for one in done}
    assert sum(one.loads for one in done) == len(used) <= 2
    frame = od.read_answers(out)
    assert frame.path.tolist() == every
    assert frame.error.notna().tolist() == [True] + [False] * 20
    assert pd.isna(frame.class_1[0])
    pixels = imagenet.decode_serial(paths, imagenet.SMALL, draft=True).pixels
    chances = imagenet.probabilities(imagenet.logits_of(model, pixels))
    expected = imagenet.top(chances, list("wxyz"), 5)
    for row, best in zip(frame[1:].itertuples(), expected, strict=True):
        assert [row.class_1, row.class_4] == [best[0][0], best[3][0]]
        assert row.confidence_1 == pytest.approx(best[0][1], rel=1e-4)
    (out / "part-00003.parquet").unlink()
    again = od.classify_all(client, every, file, out, each=4)
    assert [one.rows for one in again] == [0, 0, 0, 4, 0, 0]
    assert od.read_answers(out).equals(frame)


def test_a_training_goes_on_from_a_state_that_was_handed_over(client, photos):
    paths, labels = photos
    split = od.split_once([str(label) for label in labels], 1, 0)
    plan = od.Plan(epochs=2, batch_size=8)
    told: list[od.Told] = []
    given = (paths, labels, split, plan)
    whole = od.run_ddp(client, od.train_photos, *given, report=told.append)
    assert [one.values["epoch"] for one in told] == [1, 2]
    assert {one.values["asked"] for one in told} == {4}
    first = told[0].state
    assert first is not None
    parts = od.run_ddp(client, od.train_photos, *given, first)
    for name, value in whole[0].items():
        assert torch.equal(value, whole[1][name])
        assert torch.equal(value, parts[0][name])


@pytest.mark.parametrize("fault", ["cut", "other"])
def test_a_state_that_does_not_fit_is_refused(fault):
    plan = od.Plan()
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters())
    state = od.packed({"plan": {"epochs": 99}, "model": {}})
    if fault == "cut":
        state = state[: len(state) // 2]
    with pytest.raises(vision.CheckpointError, match="damaged|another plan"):
        od.resume_from(state, plan, model, optimizer)


# Many models


def settings() -> list[od.Setting]:
    return [
        od.Setting(rate, 100, epochs=1, pictures=300) for rate in (0.01, 0.1)
    ]


def test_a_task_each_gives_the_rows_of_a_loop(client):
    told: list[dict] = []
    frame = od.search(client, settings(), told.append)
    rows = [od.fit(setting) for setting in settings()]
    assert frame.equals(pd.DataFrame(rows))
    assert {one["learning_rate"] for one in told} == {0.01, 0.1}


def test_all_ranks_for_one_model_give_the_same_rows():
    rows = pd.DataFrame([od.fit(setting) for setting in settings()])
    for seconds, found in ranks.run(od.fit_each, 2, settings(), threads=1):
        assert seconds > 0
        pd.testing.assert_frame_equal(pd.DataFrame(found), rows, rtol=1e-3)


# Letters


def test_targets_are_the_letters_that_come_next():
    part = od.lines_of(5, 0)
    assert torch.equal(part.images[:, 1:], part.labels[:, :-1])
    assert od.python_text().max() < 128
    losses = od.next_letter_loss(12, batch=8)
    assert losses[-1] < losses[0]


def test_steps_are_timed_alone_and_in_a_group():
    sizes = {kind: [4, 6] for kind in od.KINDS}
    for size, found in (
        (1, od.time_kinds(sizes, 1, 1)),
        (2, ranks.run(od.time_kinds, 2, sizes, 1, 1, threads=1)[1]),
    ):  # fmt: skip
        for kind, rows in found.items():
            assert [(r.kind, r.ranks, r.batch) for r in rows] == [
                (kind, size, 4), (kind, size, 6),
            ]  # fmt: skip
            assert all(row.whole > 0 and row.silent > 0 for row in rows)


def test_weights_and_multiplications_are_counted():
    model = od.Letters()
    size, work = od.weights_of("letters")
    assert size == sum(p.nbytes for p in model.parameters())
    lstm, head = model.lstm, model.head
    each = lstm.weight_ih_l0.numel() + lstm.weight_hh_l0.numel()
    assert work == 24 * (each + head.weight.numel())
    size, work = od.weights_of("cnn")
    assert work > size  # a convolution uses each weight many times
    assert od.predicted_gain(4, 1, 1) == 2


# To take home


def test_the_template_uses_what_connect_finds(monkeypatch):
    asked = []

    @contextlib.contextmanager
    def connect(**options):
        asked.append(options)
        yield "a client"

    monkeypatch.setattr(clusters, "connect", connect)
    monkeypatch.setattr(
        od.templates, "run_ddp", lambda *given, **options: (given, options)
    )
    given, options = od.train_anywhere(od.add_up, 2.0, workers=3)
    assert asked == [{"workers": 3}]
    assert given == ("a client", od.add_up, 2.0)
    assert options["workers"] == 3


def test_the_call_of_ray_train(monkeypatch):
    """Ray Train is not installed whole here: its classes note their calls."""

    class Trainer:
        def __init__(self, train, **options):
            self.called = {"train": train, **options}

        def fit(self):
            return self.called

    train = types.ModuleType("ray.train")
    for name in ("FailureConfig", "RunConfig", "ScalingConfig"):
        setattr(train, name, lambda **given: given)
    of_torch = types.ModuleType("ray.train.torch")
    of_torch.TorchTrainer = Trainer
    monkeypatch.setitem(sys.modules, "ray.train", train)
    monkeypatch.setitem(sys.modules, "ray.train.torch", of_torch)
    called = od.train_by_ray(print, {"rate": 0.1}, workers=4, folder="f")
    assert called["train"] is print
    assert called["train_loop_config"] == {"rate": 0.1}
    assert called["scaling_config"] == {"num_workers": 4, "use_gpu": False}
    assert called["run_config"]["storage_path"] == "f"


def test_both_ways_are_compared_by_their_weights(monkeypatch):
    """Without Ray Train: other numbers of ranks stand for other ways."""

    def by_ranks(size: int, given: dict) -> dict:
        return ranks.run(od.fashion_anywhere, size, given)[0]

    monkeypatch.setattr(
        od.beside_ray, "WAYS",
        {"one": partial(by_ranks, 2), "other": partial(by_ranks, 2)},
    )  # fmt: skip
    found = od.both_ways(640)
    assert found["same weights"]
    for row in found["ways"].values():
        assert row["accuracy"] > 0.3
        assert set(row["doors"]) <= {"127.0.0.1", "::1"}
    monkeypatch.setitem(od.beside_ray.WAYS, "other", partial(by_ranks, 1))
    assert not od.both_ways(640)["same weights"]  # sums in another order


@needs_hosts
def test_ray_train_is_recorded_where_it_can_be_and_in_networks_apart(
    monkeypatch,
):
    monkeypatch.setattr(metadata, "version", lambda name: f"of {name}")
    asked = []
    monkeypatch.setattr(
        networks, "inside", lambda *given, **_: asked.append(given) or {"a": 1}
    )
    found = od.record()
    assert found == {
        "a": 1, "versions": {"ray": "of ray", "pydantic": "of pydantic"},
    }  # fmt: skip
    module, _, name = asked[0][0].partition(":")
    assert callable(getattr(import_module(module), name))


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
            "number_ranks",
            lambda h: [(n, 0) for n in range(len(h))],
            "in a row",
        ),
        ("who_is_guilty", lambda f: [f[0][0]], "expected"),
        ("break_even", lambda fixed, each, talk: talk / each, "pay"),
    ],
)
def test_checks_find_the_usual_mistakes(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
