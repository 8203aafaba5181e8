"""To a thousand GPUs: what the simulator cannot get wrong, and the odds."""

import json
import shlex
import subprocess
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401, sets an environment variable
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics  # noqa: F401, sets an environment variable

from parallel_ai.accelerators import vision
from parallel_ai.many_machines.failures import expected_time, simulate
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.training import data_parallel as dp
from parallel_ai.training import scaling_out as so
from parallel_ai.training.collectives import Link, ring_time
from parallel_ai.training.scaling_out import practice

CPU = torch.device("cpu")
seconds = st.floats(0, 1)
layers = st.builds(so.Layer, seconds, seconds, st.integers(0, 1000))
works = st.builds(
    so.Work, st.lists(layers, min_size=1, max_size=8).map(tuple), seconds
)
buckets = st.integers(1, 3000)
ways = st.sampled_from(sorted(so.WAYS))
links = st.builds(Link, st.floats(0, 1e-3), st.floats(1e-9, 1e-3))
fabrics = st.builds(so.Fabric, links, links, st.integers(1, 9))


def about(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


# A step


@given(works, links, buckets, st.floats(0, 1), st.integers(1, 3))
def test_a_step_is_never_faster_than_its_parts(
    work, link, bucket, stolen, passes
):
    played = so.simulate(
        work, link.message, bucket, passes=passes, stolen=stolen
    )
    computing = passes * (work.compute - work.update) + work.update
    talking = played.busy("link")
    assert played.seconds >= computing - 1e-9
    assert played.seconds >= talking - 1e-9
    assert played.seconds <= computing + talking + 1e-9
    assert played.busy("compute") >= computing - 1e-9


@given(works, links, buckets)
def test_without_overlap_it_is_the_sum(work, link, bucket):
    apart = so.simulate(work, link.message, bucket, overlap=False)
    assert apart.seconds == about(work.compute + apart.busy("link"))
    robbed = so.simulate(work, link.message, bucket, stolen=1.0)
    assert robbed.seconds == about(apart.seconds)


@given(works, links, buckets)
def test_events_agree_with_the_recurrence(work, link, bucket):
    """Each bucket leaves when it is full and its predecessor has left."""
    clock, ready, takes = 0.0, [], []
    for _, taken, count in so.operations(work, bucket, 1, 1.0):
        clock += taken
        if count:
            ready.append(clock)
            takes.append(link.message(count))
    sent = so.all_sent(ready, takes)
    played = so.simulate(work, link.message, bucket)
    assert played.seconds == about(max(clock, sent) + work.update)
    assert sum(1 for s in played.spans if s.lane == "link") == len(ready)


@given(works, buckets, st.floats(0.1, 1))
def test_every_gradient_travels_once(work, bucket, narrow):
    sent = []
    so.simulate(work, lambda n: sent.append(n) or 0.0, bucket, narrow=narrow)
    assert sum(sent) == sum(round(narrow * x.bytes) for x in work.layers)
    assert all(sent)


@given(works, links, buckets, st.floats(1, 100), st.floats(0, 1))
def test_a_faster_link_is_never_slower(work, link, bucket, factor, stolen):
    quick = Link(link.alpha, link.beta / factor)
    slow, fast = (
        so.simulate(work, one.message, bucket, stolen=stolen).seconds
        for one in (link, quick)
    )
    assert fast <= slow + 1e-9


@given(works, st.integers(2, 5))
def test_accumulation_sends_once(work, passes):
    link = Link(0.01, 1e-3)
    once = so.simulate(work, link.message)
    often = so.simulate(work, link.message, passes=passes)
    each = work.compute - work.update
    assert often.seconds == about(once.seconds + (passes - 1) * each)
    assert often.busy("link") == about(once.busy("link"))


def test_overlap_hides_all_but_the_last_bucket():
    work = so.Work(tuple(so.Layer(1, 2, 100) for _ in range(3)), 0.5)
    played = so.simulate(work, lambda count: count / 100, bucket=1)
    assert played.seconds == about(3 + 6 + 1 + 0.5)
    large = so.simulate(work, lambda count: count / 100, bucket=1e9)
    assert large.seconds == about(3 + 6 + 3 + 0.5)
    robbed = so.simulate(work, lambda count: count / 100, 1, stolen=0.5)
    # Two buckets of 1 s each cost half a second of computing.
    assert robbed.seconds == about(3 + 6 + 2 * 0.5 + 1 + 0.5)


@pytest.mark.parametrize(
    "wrong",
    [{"passes": 0}, {"stolen": 1.1}, {"bucket": 0}, {"narrow": 0}],
)
def test_senseless_options_are_refused(wrong):
    with pytest.raises(ValueError, match="need"):
        so.simulate(so.Work(()), lambda count: 0.0, **wrong)


def test_a_share_shrinks_passes_and_not_the_update():
    work = so.Work((so.Layer(1, 2, 7),), 0.5)
    assert work.share(0.5) == so.Work((so.Layer(0.5, 1, 7),), 0.5)
    assert so.Work(()).compute == 0
    assert so.simulate(so.Work(()), lambda count: 1.0).seconds == 0


# Wires


@given(works, fabrics, ways)
def test_one_rank_only_computes(work, fabric, way):
    alone = so.step_time(work, 1, fabric, so.WAYS[way])
    assert alone == about(work.compute)
    assert so.weak(so.Work((so.Layer(1, 1, 1),)), 1, fabric) == 1


@given(fabrics, ways, st.integers(2, 2000), st.integers(1, 10**6))
def test_no_way_beats_the_links(fabric, way, size, count):
    """Each rank, or each node, must send nearly two vectors over its link."""
    took = so.WAYS[way](size, fabric, count)
    if size <= fabric.per_node:
        parties, link = size, fabric.inside
    else:
        parties, link = fabric.nodes(size), fabric.outside
    least = 2 * (parties - 1) / parties * count * link.beta
    assert took >= least * (1 - 1e-9)
    crowded = so.WAYS[way](size, fabric.crowded(3), count)
    assert crowded >= took * (1 - 1e-9)


@given(links, st.integers(1, 300), st.integers(1, 10**6))
def test_a_rank_a_node_is_a_plain_ring(link, size, count):
    fabric = so.Fabric(link, link, per_node=1)
    expected = ring_time(size, count, link)
    assert so.hierarchy(size, fabric, count) == about(expected)
    assert so.flat_ring(size, fabric, count) == about(expected)


def test_the_tree_is_for_short_and_the_ring_for_long_vectors():
    fabric = so.Fabric(Link(5e-6, 1e-11), Link(5e-6, 1e-10), 1)
    short, long = 1e4, 1e11
    for size in (64, 1024):
        assert so.double_tree(size, fabric, short) < so.flat_ring(
            size, fabric, short
        )
        assert so.double_tree(size, fabric, long) > so.flat_ring(
            size, fabric, long
        )


@given(works, fabrics, st.integers(2, 64))
def test_efficiency_is_a_share(work, fabric, size):
    if work.compute > 1e-6:
        assert 0 < so.weak(work, size, fabric) <= 1 + 1e-9
        assert 0 < so.strong(work, size, fabric) <= 1 + 1e-9


# What others printed


@pytest.fixture(scope="module")
def goyal():
    return so.GOYAL.work()


def test_the_spread_keeps_the_sums(goyal):
    assert goyal.compute == about(so.GOYAL.step)
    assert sum(one.backward for one in goyal.layers) == about(0.120)
    assert goyal.bytes == 4 * 25_557_032  # ResNet-50
    assert 0.22 < so.GOYAL.step < 0.25  # as its figure 7 shows


def test_forecasts_of_published_runs_are_bounds(goyal):
    """A link without traffic, ranks without spread: more than was found."""
    for size, found in so.GOYAL.found.items():
        for alpha in so.ALPHAS:
            guess = so.GOYAL.forecast(size, alpha, goyal)
            assert found < guess < 1.1 * found
    vgg = so.HOROVOD["vgg16"]
    work = vgg.work()
    guesses = [vgg.forecast(512, alpha, work) for alpha in so.ALPHAS]
    assert guesses[0] > vgg.found[512] > guesses[-1]
    assert so.GOYAL.forecast(8, 5e-6, goyal) == 1


# Waiting


@pytest.mark.parametrize(("size", "spare"), [(1, 0), (4, 0), (4, 1), (30, 3)])
def test_the_wait_is_that_of_drawn_times(size, spare):
    times = [1.0, 1.0, 1.1, 1.3, 2.0]
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(times, (20_000, size + spare)), axis=1)
    expected = drawn[:, size - 1]
    error = expected.std() / len(expected) ** 0.5 + 1e-6
    got = so.expected_wait(times, size, spare)
    assert abs(got - expected.mean()) < 5 * error


@given(
    st.lists(st.floats(0.1, 9), min_size=1, max_size=20), st.integers(1, 2000)
)
def test_more_ranks_wait_longer_and_spares_help(times, size):
    one = so.expected_wait(times, size)
    assert min(times) - 1e-9 <= one <= max(times) + 1e-9
    assert so.expected_wait(times, size + 1) >= one - 1e-9
    assert so.expected_wait(times, size, 2) <= one + 1e-9
    assert so.expected_wait(times, 1) == about(float(np.mean(times)))


def test_normal_times():
    rng = np.random.default_rng(1)
    for size in (8, 256):
        drawn = rng.normal(1, 0.05, (4000, size)).max(1).mean()
        assert so.normal_wait(size, 0.05) == pytest.approx(drawn, abs=0.004)
    assert so.normal_wait(1, 0.3) == 1
    spread = so.spread_for(256, 0.9)
    assert 1 / so.normal_wait(256, spread) == about(0.9)


def test_waiting_for_nobody_is_refused():
    for wrong in (([], 1, 0), ([1.0], 0, 0), ([1.0], 1, -1)):
        with pytest.raises(ValueError, match="need one"):
            so.expected_wait(*wrong)


def test_a_store_is_found_again():
    rates = {n: so.shared_store(n, 0.01, 0.002) for n in (1, 3, 9)}
    assert so.fit_store(rates) == about((0.01, 0.002))
    assert so.shared_store(1e9, 0.01, 0.002) == pytest.approx(500)
    assert so.with_input(2, 3) == 3
    assert so.with_input(2, 3, ahead=False) == 5


def test_the_link_needed_just_hides():
    work = so.Work((so.Layer(1, 2, 1000), so.Layer(1, 2, 1000)))
    link = so.link_needed(work, 8, 0.01)
    assert ring_time(8, work.bytes, link) == about(4)
    with pytest.raises(ValueError, match="latency"):
        so.link_needed(work, 1000, 0.1)


# Interruptions


@given(st.floats(0.01, 100), st.floats(1, 1e5))
def test_no_interval_beats_the_best(cost, mean):
    best = so.best_interval(cost, mean)
    least = so.wasted(cost, mean, 0.0)
    for factor in (0.5, 0.9, 1.1, 2):
        assert so.wasted(cost, mean, 0.0, factor * best) >= least - 1e-9


def test_young_is_the_limit_of_rare_failures():
    assert so.wasted(1, 1e6, 0) == pytest.approx(
        so.young_share(1, 1e6), rel=0.01
    )
    assert so.wasted(60, 100, 0) > so.wasted(60, 1000, 0)


def test_the_played_job_is_as_long_as_the_formula_says():
    job = {"work": 600, "interval": 20, "mean": 90, "restart": 5}
    played = so.simulate_writing(pause=2, write=0, runs=2000, **job)
    expected = expected_time(cost=2, **job)
    assert abs(played.mean() - expected) < 5 * played.std() / 2000**0.5
    other = simulate(cost=2, runs=2000, seed=1, **job)
    assert abs(played.mean() - other.mean()) < 7 * other.std() / 2000**0.5
    late = so.simulate_writing(pause=2, write=30, runs=2000, **job)
    assert late.mean() > played.mean()
    stopped = simulate(cost=32, runs=500, **job)
    assert late.mean() < stopped.mean()


def test_without_failures_only_pauses_count():
    played = so.simulate_writing(100, 10, 1, 5, 1e12, 3, runs=3)
    assert played.tolist() == [110] * 3


def test_an_elastic_job():
    assert so.elastic_share(10, 1000, 0, 0) == 1
    assert so.elastic_share(10, 1000, 1000, 0) == 0.5
    assert so.elastic_share(1000, 10, 1, 1) == 0
    assert so.mean_of_one(2, 3, 4) == 144


# Useful


def test_the_critical_batch_is_found_again():
    steps = {b: so.steps_needed(b, 100, 500) for b in (10, 100, 1000)}
    assert so.fit_critical(steps) == about((100, 500))
    assert so.steps_needed(500, 100, 500) == 200
    with pytest.raises(ValueError, match="no batch"):
        so.fit_critical({10: 100, 20: 40})


def rows(count):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (count,), generator=generator)
    images = torch.eye(10)[labels] + 0.3 * torch.randn(
        count, 10, generator=generator
    )
    return vision.Part(images.view(count, 1, 2, 5), labels)


def test_larger_batches_need_no_more_steps():
    part = rows(1000)
    rates = [0.3, 1.0, 3.0]
    found = [so.least_steps(part, n, rates, 0.5, 2000) for n in (2, 128)]
    assert found[0] > found[1] > 0
    assert so.least_steps(part, 2, rates, 0.5, 1) is None
    assert so.steps_to_loss(part, 2, float("inf"), 0.5, 50, 0) is None


def test_sums_of_use():
    assert so.gpu_hours(4, 900, 2.0) == 2
    assert so.utilisation(6, 2, 10) == about(0.3)
    assert so.goodput(10, 0.9, 0.1, 100, 100) == about(4.05)


# Submitting


def test_bash_and_the_program_understand_the_job(tmp_path, monkeypatch):
    module = "parallel_ai.training.data_parallel"
    given = ["--batch-size=8192", "--checkpoint=a b.pt", "--seconds=300"]
    text = so.sbatch_script(module, given, 128, 8)
    path = tmp_path / "job.sh"
    path.write_text(text)
    subprocess.run(["bash", "-n", path], check=True)
    assert "#SBATCH --nodes=128" in text
    assert "--nproc-per-node=8" in text
    line = text.rpartition(f"-m {module} ")[2]
    seen = []
    monkeypatch.setattr(dp.program, "only_needed", lambda _: None)
    monkeypatch.setattr(dp.program, "joined", nullcontext)
    monkeypatch.setattr(
        dp.program, "train_shared", lambda _, options, __: seen.append(options)
    )
    dp.program.main(shlex.split(line))
    assert seen == [dp.Options(batch_size=8192, checkpoint="a b.pt")]
    for wrong in (
        ("a; rm", [], 1, 8), ("a..b", [], 1, 8), ("a", [], 0, 8),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="module|least"):
            so.sbatch_script(*wrong)


# Forecasts of this machine


def test_a_watched_step_tells_all_gradients():
    model = vision.seeded(vision.mlp, 0)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    images = torch.zeros(4, 1, 28, 28)
    batch = vision.Part(images, torch.zeros(4, dtype=torch.long))
    seen = [so.watch(model, optimizer, batch) for _ in range(3)]
    work = so.typical(seen)
    assert work.bytes == sum(p.nbytes for p in model.parameters())
    assert len(work.layers) == len(list(model.parameters()))
    assert all(one.backward >= 0 for one in work.layers)
    assert work.compute > 0
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_a_record_can_be_read_back():
    work = so.watch_resnet(CPU, 2, steps=1, pixels=32)
    data = {"device": "a", "batch": 2, **asdict(work)}
    assert so.from_record(json.loads(json.dumps(data))) == ("a", 2, work)
    assert work.bytes == 4 * 25_557_032


def test_two_ranks_forecast_and_measure():
    found = so.measure_forecasts((("perceptron", 8),), steps=1, rounds=2)
    assert [row.cap for row in found] == list(so.CAPS)
    for row in found:
        assert len(row.measured) == len(row.forecast) == 2
        assert min(*row.measured, *row.alone, *row.forecast) > 0
        pairs = zip(row.forecast, row.summed, strict=True)
        assert all(with_ <= apart * (1 + 1e-6) for with_, apart in pairs)
        assert row.error > -1


# Exercises


def test_solutions_pass_and_starters_fail():
    mine = {
        name: task
        for name, task in EXERCISES.items()
        if name.startswith(practice.__name__)
    }
    assert len(mine) == 3
    for task in mine.values():
        task.check(task.solution)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("all_sent", lambda ready, takes: max(ready) + sum(takes)),
        ("all_sent", lambda ready, takes: ready[-1] + takes[-1]),
        ("ring_crossings", lambda nodes: len(set(nodes)) - 1),
        ("largest_job", lambda cost, one, restart, most: 1024),
    ],
)
def test_wrong_solutions_are_told(name, wrong):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match="returned"):
        task.check(wrong)
