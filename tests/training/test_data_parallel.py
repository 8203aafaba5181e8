"""Data parallel: equal to one process, whatever the ranks and their ends."""

import contextlib
import json
import os
import select
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # noqa: F401, sets an environment variable
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.many_machines.clusters import networks
from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.data_parallel import launching, practice, scaling

LIMIT = 100
CPU = torch.device("cpu")
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
needs_hosts = pytest.mark.skipif(
    bool(sys.platform != "linux" or networks.forbidden()),
    reason="no network namespaces here",
)


def pictures(count: int, seed: int = 0) -> vision.Part:
    """Noise, in which the class says which rows are bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    noise = torch.randn(count, 1, 28, 28, generator=generator)
    rows = torch.arange(28).view(1, 1, 28, 1) // 2
    return vision.Part(noise + (rows == labels.view(-1, 1, 1, 1)), labels)


def small() -> vision.Data:
    return vision.Data(pictures(200), pictures(51, 1), pictures(0, 2))


def apart(one, two) -> float:
    pairs = zip(one, two, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


# Equal to one large batch


def all_ways(part: vision.Part, batch_size: int) -> list:
    return [dp.train_by(way, part, batch_size) for way in dp.WAYS]


@pytest.mark.parametrize(("size", "batch_size"), [(2, 24), (3, 25), (2, 1)])
def test_every_way_is_one_large_batch(size, batch_size):
    """Also with unequal shares, empty shares, and a smaller last batch."""
    part = pictures(70 if batch_size > 1 else 3)
    losses, weights = dp.train_by("one process", part, batch_size)
    for of_rank in ranks.run(all_ways, size, part, batch_size):
        for theirs, found in of_rank:
            assert theirs == pytest.approx(losses, rel=1e-12)
            assert apart(found, weights) < 1e-13


def test_means_of_unequal_parts_are_another_training():
    part = pictures(27)
    _, weights = dp.train_by("one process", part, 9)
    (_, found), (_, other) = ranks.run(
        dp.train_by, 2, "by hand", part, 9, vision.mlp, False
    )
    assert apart(found, weights) > 1e-5
    assert apart(found, other) == 0


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_the_batch(count, size):
    part = vision.Part(torch.zeros(count, 1), torch.arange(count))
    shares = [dp.share(part, rank, size).labels for rank in range(size)]
    assert torch.cat(shares).tolist() == list(range(count))
    lengths = [len(one) for one in shares]
    assert max(lengths) - min(lengths) <= 1


# Buckets


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 400)
)
def test_buckets_hold_every_parameter_once_last_first(widths, size):
    model = nn.Sequential(*(nn.Linear(1, w) for w in widths))
    buckets = dp.in_buckets(model, size)
    held = [id(p) for bucket in buckets for p in bucket.parameters]
    assert held == [id(p) for p in reversed(list(model.parameters()))]
    for bucket in buckets[:-1]:
        sizes = [p.nbytes for p in bucket.parameters]
        assert sum(sizes) >= size > sum(sizes[:-1])


def buckets_of_unused() -> None:
    model = dp.Replica(vision.seeded(dp.Branching, 0))
    model(torch.ones(1, 4), 0).sum().backward()
    model.finish()


def accumulated(part: vision.Part) -> list:
    return [
        dp.accumulate(way, part, 3, silent)
        for way in ("ddp", "buckets")
        for silent in (True, False)
    ]


def test_accumulation_gives_the_same_gradients_for_less_talk():
    part = pictures(31)
    model = vision.seeded(vision.mlp, 0).double()
    whole = vision.Part(part.images.double(), part.labels)
    dp.part_of_loss(model, whole, 31, 1).backward()
    expected = [p.grad for p in model.parameters()]
    bytes_of_all = sum(grad.nbytes for grad in expected)
    for found in ranks.run(accumulated, 2, part):
        assert [sent for sent, _ in found] == [
            bytes_of_all, 3 * bytes_of_all, bytes_of_all, 3 * bytes_of_all,
        ]  # fmt: skip
        for _, gradients in found:
            assert apart(gradients, expected) < 1e-14


def test_a_parameter_without_a_gradient_is_named_not_waited_for():
    with pytest.raises(ranks.RankError, match="no gradient in this pass"):
        ranks.run(buckets_of_unused, 2)


# Who sees what


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 3))
def test_the_sampler_shows_every_picture_and_pads(count, size, epoch):
    found = dp.shards(count, size, epoch)
    seen = [number for part in found for number in part]
    assert set(seen) == set(range(count))
    assert len(seen) == -(-count // size) * size
    if count % size == 0:
        assert len(set(seen)) == count


def test_set_epoch_decides_the_order():
    assert dp.shards(30, 2) == dp.shards(30, 2) == dp.shards(30, 2, epoch=0)
    assert dp.shards(30, 2, epoch=1) != dp.shards(30, 2, epoch=0)


@given(st.integers(0, 40), st.integers(1, 6))
def test_evaluation_sees_each_once(count, size):
    parts = [dp.each_once(count, rank, size) for rank in range(size)]
    assert sorted(n for part in parts for n in part) == list(range(count))


def evaluations(model: nn.Module, part: vision.Part) -> tuple:
    score = dp.evaluate_shared(model, part)
    return score, dp.padded_accuracy(model, part)


def test_a_padded_score_is_wrong_and_a_shared_one_is_not():
    model, part = vision.seeded(vision.mlp, 0), pictures(3)
    answers = vision.predict(model, part).argmax(1)
    labels = torch.stack([answers[0], answers[1] ^ 1, answers[2] ^ 1])
    part = vision.Part(part.images, labels)
    whole = vision.evaluate(model, part)
    for score, padded in ranks.run(evaluations, 2, model, part):
        assert score.accuracy == pytest.approx(whole.accuracy)
        assert score.loss == pytest.approx(whole.loss, rel=1e-5)
        assert padded == 0.5
    assert whole.accuracy == pytest.approx(1 / 3)


def test_a_score_without_a_group():
    model, part = vision.seeded(vision.mlp, 0), pictures(7)
    found, expected = (
        dp.evaluate_shared(model, part),
        vision.evaluate(model, part),
    )
    assert found.accuracy == pytest.approx(expected.accuracy)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


def test_join_lets_ranks_have_other_numbers_of_batches():
    assert ranks.run(dp.uneven, 2, pictures(20), [1, 4], True) == [1, 4]


def test_without_join_it_hangs_and_the_report_says_where():
    with pytest.raises(ranks.RankError) as caught:
        ranks.run(dp.uneven, 2, pictures(20), [5, 3], False, seconds=8)
    assert caught.value.ranks == (0, 1)
    assert "in train_step" in str(caught.value)


# Normalisation


def test_the_shared_norm_is_that_of_the_whole_batch():
    part = pictures(31)  # unequal shares in each batch
    mean, weights = dp.train_normed(part, shared=False)
    found = ranks.run(dp.train_normed, 2, part, True)
    for theirs, of_rank in found:
        assert apart([theirs], [mean]) < 1e-13
        assert apart(of_rank, weights) < 1e-13
    (one, own), (two, _) = ranks.run(dp.train_normed, 2, part, False)
    assert apart([one], [two]) > 1e-4
    assert apart(own, weights) > 1e-6


def test_the_shared_norm_in_use_is_the_usual_one():
    model, plain = (vision.seeded(lambda s=s: dp.normed(s), 0) for s in (1, 0))
    batch = pictures(5).images
    assert torch.equal(model.eval()(batch), plain.eval()(batch))


def test_sync_norm_of_pytorch_wants_a_gpu():
    said = ranks.run(dp.try_sync_norm, 2)[0]
    assert "GPU" in said or said == "it works here"


# Traps


def test_without_a_broadcast_ranks_stay_apart():
    part = pictures(20)
    assert ranks.run(dp.drift, 2, part, True) == [0, 0]
    assert ranks.run(dp.drift, 2, part, False)[1] > 1e-3


def test_unused_parameters():
    assert len(ranks.run(dp.train_branching, 2, True)[0]) == 2
    with pytest.raises(ranks.RankError, match="find_unused_parameters"):
        ranks.run(dp.train_branching, 2, False)


def test_different_models_are_refused():
    with pytest.raises(ranks.RankError, match="sizes .* not to match"):
        ranks.run(dp.wrap_different_models, 2)


def test_the_rank_with_the_bad_label_is_named():
    with pytest.raises(ranks.RankError, match="out of bounds") as caught:
        ranks.run(dp.read_broken, 2, pictures(20), 1)
    assert caught.value.ranks == (1,)


def test_one_line_or_one_of_each(tmp_path):
    for only_first, lines in ((True, 1), (False, 2)):
        path = tmp_path / f"{only_first}"
        ranks.run(dp.log_on_all, 2, str(path), only_first)
        assert len(path.read_text().splitlines()) == lines


# Large batches, and models of time


def test_the_rate_is_scaled_and_warmed():
    assert dp.scaled_rate(0.1, 8192, 256) == pytest.approx(3.2)
    factors = [dp.warmed(done, 0.25, 0.1) for done in (0, 0.125, 0.25, 1)]
    assert factors == pytest.approx([0.1, 0.55, 1, 1])
    assert dp.warmed(0, 0, 0.1) == 1


def test_a_larger_batch_takes_fewer_steps():
    data = small()
    for size, count in ((50, 8), (199, 4), (200, 2), (500, 2)):
        _, losses = dp.train_large(data, size, 0.01, 2)
        assert len(losses) == count


@settings(max_examples=20)
@given(st.floats(1e-6, 1e-3), st.floats(1e-11, 1e-8))
def test_the_fit_finds_the_line(alpha, beta):
    sums = [(n, alpha + beta * n) for n in (1 << 10, 1 << 17, 1 << 23)]
    found = dp.fit_alpha_beta(sums)
    assert found == pytest.approx((alpha, beta), rel=1e-3)


def test_the_ring_and_the_efficiency():
    assert dp.ring_seconds(1, 1e6, 1, 1) == 0
    assert dp.ring_seconds(4, 100, 2, 0.5) == 6 * 2 + 1.5 * 100 * 0.5
    assert dp.predicted_efficiency(1, 1) == 0.5
    assert dp.predicted_efficiency(1, 1, hidden=2) == 1


def test_steps_are_timed_and_talk_is_the_difference():
    found = ranks.run(dp.step_seconds, 2, pictures(8), 4, 1, 2)
    (steps, sums), (other, _) = found
    assert (steps.ranks, steps.each) == (2, 4)
    assert len(steps.whole) == len(steps.alone) == 2
    assert steps.whole == other.whole  # the slowest rank's, on both
    model = vision.cnn()
    assert steps.gradient_bytes == 4 * vision.parameters(model)
    assert [n for n, _ in sums] == list(dp.LENGTHS)
    made = dp.Steps(2, 5, [3.0, 2.0], [1.0, 1.0], 8)
    assert (made.talking, made.rate) == (1.5, 4.0)
    json.dumps(steps.whole)


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
        ("whole_mean", lambda m, n: sum(m) / len(m), "not each rank"),
        ("shares_of", lambda c, r, s: [*range(r * c // s, c)], "see"),
        ("fill_buckets", lambda s, f: [[*range(len(s))]], "expected"),
    ],
)
def test_checks_find_the_usual_mistakes(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)


# The program


def options(path: Path | str = "", **others) -> dp.Options:
    given = {
        "pictures": 130, "batch_size": 16, "save_every": 3, "model": "mlp",
        "checkpoint": str(path),
    }  # fmt: skip
    return dp.Options(**given | others)


def weights_in(path: Path) -> list[torch.Tensor]:
    state = torch.load(path, weights_only=True)
    return list(state["model"].values())


def train(size: int, path: Path, **others) -> float:
    given = options(path, **others)
    found = ranks.run(dp.train_shared, size, small(), given, CPU, threads=1)
    assert len(set(found)) == 1
    return found[0]


def test_any_number_of_ranks_gives_the_same_weights(tmp_path):
    paths = [tmp_path / str(size) for size in (1, 2, 4)]
    scores = [
        train(size, path) for size, path in zip((1, 2, 4), paths, strict=True)
    ]
    one, two, four = map(weights_in, paths)
    assert 0 < apart(two, one) < 1e-5
    assert 0 < apart(four, one) < 1e-5
    assert scores == pytest.approx([scores[0]] * 3, abs=0.03)


@pytest.mark.parametrize(("size", "model"), [(1, "mlp"), (2, "cnn")])
def test_it_goes_on_to_the_same_weights(tmp_path, size, model):
    """The CNN has dropout and running means, too."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(size, whole, model=model)
    with pytest.raises(ranks.RankError, match="SIGKILL"):
        train(size, parts, model=model, kill_at=10)
    assert torch.load(parts, weights_only=True)["step"] == 9
    train(size, parts, model=model)
    assert apart(weights_in(whole), weights_in(parts)) == 0


def test_a_damaged_or_foreign_checkpoint_ends_all_ranks(tmp_path):
    path = tmp_path / "there"
    vision.save(path, {"settings": {}, "step": 1})
    with pytest.raises(ranks.RankError, match="another training"):
        train(2, path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ranks.RankError, match="damaged"):
        train(2, path)


@pytest.mark.parametrize(("batch", "size"), [(100, 3), (2, 4), (0, 1)])
def test_a_batch_that_cannot_be_shared(batch, size):
    with pytest.raises(ValueError, match=f"multiple of {size}"):
        dp.share_of_batch(batch, size)


def test_bad_options_are_refused_by_all():
    with pytest.raises(ranks.RankError, match="cannot be shared equally"):
        ranks.run(dp.train_shared, 3, small(), options(), CPU)
    with pytest.raises(ranks.RankError, match="less than one batch"):
        ranks.run(dp.train_shared, 1, small(), options(pictures=9), CPU)


def pictures_of(part: vision.Part, given: dp.Options) -> list[list[int]]:
    steps = dp.steps_of_epoch(part, given, 1, 2)
    return [batch.labels.tolist() for batch in steps]


def test_a_step_has_the_same_pictures_for_any_number_of_ranks():
    part = vision.Part(torch.zeros(37, 1), torch.arange(37))
    given = options(batch_size=8)
    of_two = ranks.run(pictures_of, 2, part, given)
    (of_one,) = ranks.run(pictures_of, 1, part, given)
    assert [len(batch) for batch in of_one] == [8, 8]  # steps 2 and 3 of 4
    together = [a + b for a, b in zip(*of_two, strict=True)]
    assert list(map(sorted, together)) == list(map(sorted, of_one))


def test_only_what_is_needed_is_loaded_and_it_is_the_same():
    whole, few = vision.load_data(), dp.only_needed(100)
    assert (len(few.train), len(few.validation)) == (100, 6000)
    assert torch.equal(few.train.labels, whole.train.labels[:100])
    assert apart([few.train.images], [whole.train.images[:100]]) < 1e-4
    assert torch.equal(few.validation.labels, whole.validation.labels)


# Under torchrun

FEW = ["--pictures=640", "--epochs=1", "--batch-size=64", "--save-every=4"]


def listening(process: psutil.Process) -> set[str]:
    """Addresses on which it, or anything below it, listens."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        try:
            ends = one.net_connections("inet")
        except psutil.Error:
            continue
        found |= {c.laddr.ip for c in ends if c.status == "LISTEN"}
    return found


def ranks_of(agent: psutil.Process) -> set[int]:
    """Its children that train: a busy machine shows short-lived others."""
    with contextlib.suppress(psutil.Error):
        itself = agent.cmdline()
        return {
            child.pid
            for child in agent.children()
            if dp.__name__ in child.cmdline() and child.cmdline() != itself
        }
    return set()


def test_a_killed_rank_is_restarted_to_the_same_weights(tmp_path):
    """Started by torchrun; nobody listens beyond loopback meanwhile."""
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    words = [
        *dp.torchrun_command(2, tmp_path / "store", restarts=1), *FEW,
        f"--checkpoint={killed}", "--kill-at=6",
    ]  # fmt: skip
    seen, workers = set(), set()
    with dp.started_command(words, **launching.QUIET) as process:
        agent = psutil.Process(process.pid)
        until = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < until:
            seen |= listening(agent)
            workers |= ranks_of(agent)
            select.select([process.stdout], [], [], 0.05)
        output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, errors
    assert "going on after step 4" in output
    assert output.count("2 ranks, accuracy") == 1  # rank 0 alone
    assert len(workers) == 4  # two, and two again
    assert seen
    assert seen <= LOOPBACK
    given = dp.Options(
        pictures=640, epochs=1, batch_size=64, save_every=4,
        checkpoint=str(calm),
    )  # fmt: skip
    few = dp.only_needed(640)
    ranks.run(dp.train_shared, 2, few, given, CPU, threads=1)
    if os.cpu_count() < 4:  # else the ranks above had more threads
        assert apart(weights_in(killed), weights_in(calm)) == 0
    assert apart(weights_in(killed), weights_in(calm)) < 1e-5


def test_a_training_that_cannot_succeed_ends_under_torchrun():
    done = dp.launch(2, *FEW, "--batch-size=63", seconds=LIMIT)
    assert done.code != 0
    assert "cannot be shared equally" in done.errors


def test_a_launch_ends_in_time_and_takes_all_with_it():
    with pytest.raises(TimeoutError, match=r"ran for 0\.1 s"):
        dp.launch(2, *FEW, seconds=0.1)


def test_it_runs_without_torchrun_too():
    done = subprocess.run(
        [sys.executable, "-m", launching.MODULE, *FEW],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 ranks, accuracy" in done.stdout


@needs_hosts
def test_the_line_of_the_page_in_a_network_of_its_own(tmp_path):
    path = tmp_path / "there"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc_per_node=2", "-m", launching.MODULE, *FEW,
        f"--checkpoint={path}",
    ]  # fmt: skip
    line = "ip link set lo up && exec " + shlex.join(command)
    done = subprocess.run(
        [*networks.apart(), "sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 ranks, accuracy") == 1
    assert path.exists()


def train_on_hosts(folder: str) -> list[str]:
    """Run torchrun on two hosts, with one process each; for `inside`."""
    with networks.lan(["a", "b"]) as network, ExitStack() as stack:
        started = []
        for host in network.addresses:
            command = [
                sys.executable, "-m", "torch.distributed.run", "--nnodes=2",
                "--nproc_per_node=1", "--rdzv-backend=c10d",
                f"--rdzv-endpoint={network.addresses['a']}:29400",
                f"--local-addr={network.addresses[host]}",
                f"--rdzv-conf=is_host={int(host == 'a')}",
                "-m", launching.MODULE, *FEW,
                f"--checkpoint={folder}/{host}",
            ]  # fmt: skip
            words = network.on(host, command)
            started.append(
                stack.enter_context(
                    dp.started_command(words, GLOO_SOCKET_IFNAME="eth0")
                )
            )
        ended = [one.communicate(timeout=LIMIT) for one in started]
        codes = [one.returncode for one in started]
    assert codes == [0, 0], ended
    return [output for output, _ in ended]


@needs_hosts
def test_two_hosts_train_one_model(tmp_path):
    said = networks.inside(
        f"{__name__}:train_on_hosts", str(tmp_path), seconds=LIMIT
    )
    assert sorted(text.count("2 ranks, accuracy") for text in said) == [0, 1]
    assert len(list(tmp_path.iterdir())) == 1  # rank 0 alone saves


def test_only_what_does_the_whole_work_is_compared(monkeypatch):
    whole = Timing((1.0,))
    ways = {"one process": whole, "DDP": whole, "all-reduce alone": 0.1}
    monkeypatch.setattr(scaling, "compare_processes", lambda: ways)
    assert dp.compare_ddp() == {"one process": whole, "DDP": whole}


def test_runs_by_the_toolbox_meet_nobody_of_a_killed_run():
    with pytest.raises(ranks.RankError):
        ranks.run(os.abort, 2)
    assert ranks.run(dp.position, 2) == [(0, 2), (1, 2)]
