"""Splitting the model: every split is the whole model, or is found out."""

import copy
import itertools
from functools import cache

import pytest
import torch
import torch.optim
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # noqa: F401, sets an environment variable
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.toolbox import figures, ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.training import collectives as c
from parallel_ai.training import model_parallel as mp
from parallel_ai.training.model_parallel import practice

team_sizes = st.integers(1, 4)
SMALL = mp.Job(width=8, depth=2, heads=4, length=6, batch=4, steps=4)


def on_threads(function, size: int) -> list:
    """Call function(team) in a thread for each rank, with our ring."""
    return c.run_local(
        lambda net, _: function(mp.Counted(net)), [None] * size
    )[0]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    layer = vision.seeded(lambda: nn.Linear(inputs, outputs, bias), 0)
    return layer.double()


def results(function, inputs: torch.Tensor) -> tuple:
    """Outputs, and the gradient of the inputs."""
    inputs = inputs.clone().requires_grad_()
    outputs = function(inputs)
    (outputs.square().sum() + outputs.sin().sum()).backward()
    return outputs.detach(), inputs.grad


def close(one: torch.Tensor, two: torch.Tensor) -> bool:
    return torch.allclose(one, two, rtol=1e-10, atol=1e-12)


# Layers


@given(team_sizes, st.integers(1, 9), st.integers(4, 9), st.booleans())
@settings(max_examples=25)
def test_two_split_layers_are_the_whole_ones(size, width, hidden, bias):
    """Also where the ranks do not divide the hidden units."""
    first, second = linear(width, hidden, bias), linear(hidden, 3, bias)
    inputs = noise(5, width)
    expected = results(lambda x: second(F.gelu(first(x))), inputs)

    def split(team):
        part = team.own(hidden)
        one = mp.Columns(first, part, team)
        two = mp.Rows(second, part, team)
        found = results(lambda x: two(F.gelu(one(x))), inputs)
        return part, found, one, two

    for part, found, one, two in on_threads(split, size):
        assert all(map(close, found, expected))
        assert close(one.weight.grad, first.weight.grad[part])
        assert close(two.weight.grad, second.weight.grad[:, part])
        if bias:
            assert close(one.bias.grad, first.bias.grad[part])
            assert close(two.bias.grad, second.bias.grad)


@given(team_sizes, st.sampled_from([(8, 4), (12, 4), (20, 5)]), st.booleans())
@settings(max_examples=15)
def test_a_split_block_is_the_whole_one(size, shape, once):
    whole = vision.seeded(lambda: mp.Block(*shape), 0).double()
    inputs = noise(2, 5, shape[0])
    expected = results(whole, inputs)

    def split(team):
        block = copy.deepcopy(whole)
        block.zero_grad()
        mp.split_block(block, team, once)
        return results(block, inputs), mp.gradient_norm(block, team), block

    norm = torch.cat([p.grad.flatten() for p in whole.parameters()]).norm()
    for found, length, block in on_threads(split, size):
        assert all(map(close, found, expected))
        assert length == pytest.approx(norm.item(), rel=1e-10)
        for name in ("before", "between"):  # whole on each rank
            mine = getattr(block, name).weight.grad
            assert close(mine, getattr(whole, name).weight.grad)


@given(team_sizes, st.integers(4, 40), st.integers(0, 99))
@settings(max_examples=20)
def test_a_split_vocabulary_gives_the_same_vectors(size, count, seed):
    whole = vision.seeded(lambda: nn.Embedding(count, 3), 0).double()
    tokens = torch.arange(2 * count).view(2, count) * (seed + 1) % count
    whole(tokens).sin().sum().backward()

    def split(team):
        part = mp.SplitEmbedding(whole, team)
        found = part(tokens)
        found.sin().sum().backward()
        return part.part, found, part.weight.grad

    for part, found, grad in on_threads(split, size):
        assert close(found, whole(tokens))
        assert close(grad, whole.weight.grad[part])


@given(team_sizes, st.integers(4, 20), st.sampled_from([0.1, 10, 1000]))
@settings(max_examples=20)
def test_a_split_loss_is_the_whole_one(size, classes, scale):
    """Also with logits whose exponentials have no value."""
    logits = (noise(7, classes) * scale).requires_grad_()
    targets = torch.arange(7) * 5 % classes
    expected = F.cross_entropy(logits, targets)
    expected.backward()

    def split(team):
        part = team.own(classes)
        mine = logits.detach()[:, part].clone().requires_grad_()
        loss = mp.SplitCrossEntropy.apply(mine, targets, part.start, team)
        (loss * 2).backward()
        return part, loss, mine.grad, team.elements

    for part, loss, grad, travelled in on_threads(split, size):
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        assert close(grad, 2 * logits.grad[:, part])
        assert travelled == (3 * 7 if size > 1 else 0)


@given(st.integers(0, 30), team_sizes)
def test_shares_are_the_whole_and_none_is_empty(count, size):
    teams = [mp.Team(rank, size) for rank in range(size)]
    if count < size:
        with pytest.raises(ValueError, match=f"{size} ranks cannot share"):
            teams[0].own(count)
        return
    numbers = list(range(count))
    parts = [numbers[team.own(count)] for team in teams]
    assert [n for part in parts for n in part] == numbers
    assert all(parts)


def test_heads_must_share_the_width_and_ranks_the_heads():
    with pytest.raises(ValueError, match="3 heads cannot share"):
        mp.Attention(8, 3)
    with pytest.raises(ValueError, match="4 ranks cannot share 2"):
        mp.split_block(mp.Block(8, 2), mp.Team(0, 4))


@given(team_sizes, st.sampled_from([1, 2, 3]))
@settings(max_examples=12)
def test_bytes_of_a_block_are_those_of_the_formula(size, batch):
    shape = mp.Shape(batch, 12, 24)
    for once, sums in ((True, 4), (False, 6)):
        found = c.run_local(
            lambda net, _, once=once: mp.count_block(net, shape, once=once),
            [None] * size,
        )[0]
        expected = mp.tensor_bytes(shape, size) * sums / 4
        assert found == [(expected, sums if size > 1 else 0)] * size


def test_parameters_are_those_of_the_formula():
    model = mp.language(24, 3, 4, 10)
    assert vision.parameters(model) == mp.model_parameters(24, 3, 10)
    assert vision.parameters(model[1]) == mp.block_parameters(24)


# Traps


def test_only_the_right_split_is_right():
    for size in (2, 4):
        assert max(mp.try_split("right", size)) < 1e-14
        for name in ("bias on each rank", "GELU before the sum"):
            assert mp.try_split(name, size)[0] > 0.1
        for name in ("no sum backwards", "sums both ways"):
            outputs, grad = mp.try_split(name, size)
            assert outputs < 1e-14
            assert grad > 0.1
    assert mp.try_split("sums both ways", 3)[1] == pytest.approx(2)


def test_a_fused_weight_is_cut_by_heads():
    assert mp.fused_cut(2, True) < 1e-14
    assert mp.fused_cut(2, False) > 1e-3


def test_sends_that_wait_block_1f1b():
    losses = {mp.blocking_pipeline(float("inf")) for _ in range(3)}
    assert len(losses) == 1
    with pytest.raises(c.Deadlock, match=r"rank 0 waits .* rank 1 waits"):
        mp.blocking_pipeline(0)
    assert {mp.blocking_pipeline(0, "GPipe")} == losses


def test_seeds_of_dropout():
    for found in ranks.run(mp.dropped_each_way, 2):
        (alike, still), (_, away), (own, right), _ = found.values()
        assert alike == 1  # the same units of both ranks, always
        assert still == right == 0 < away
        assert 0.4 < own < 0.6


# Schedules


SCHEDULES = st.sampled_from(["GPipe", "1F1B"])
seconds = st.floats(0.1, 10)


@given(SCHEDULES, st.integers(1, 6), st.integers(1, 9), seconds, seconds)
def test_the_bubble_is_that_of_the_formula(name, devices, micros, f, b):
    orders = mp.SCHEDULES[name](devices, micros)
    spans = mp.simulate(orders, [f] * devices, [b] * devices)
    assert max(s.stop for s in spans) == pytest.approx(
        (micros + devices - 1) * (f + b)
    )
    expected = mp.bubble_formula(devices, micros)
    assert mp.bubble(spans) == pytest.approx(expected, abs=1e-9)


@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), seconds, seconds
)
def test_interleaving_divides_the_bubble(devices, groups, chunks, f, b):
    micros, stages = groups * devices, devices * chunks
    orders = mp.interleaved(devices, micros, chunks)
    spans = mp.simulate(orders, [f] * stages, [b] * stages)
    expected = mp.bubble_formula(devices, micros, chunks)
    assert mp.bubble(spans) == pytest.approx(expected, abs=1e-9)
    assert sorted(s.task for s in spans) == sorted(
        mp.Task(kind, stage, m)
        for kind in "FB"
        for stage in range(stages)
        for m in range(micros)
    )
    if chunks == 1:
        turns = mp.one_f_one_b(devices, micros)
        same = mp.simulate(turns, [f] * stages, [b] * stages)
        assert spans[-1].stop == pytest.approx(same[-1].stop)


@given(
    SCHEDULES,
    st.lists(st.tuples(seconds, seconds), min_size=1, max_size=5),
    st.integers(1, 7),
    st.floats(0, 2),
)
def test_unequal_stages_wait_for_their_input(name, times, micros, link):
    forward, backward = zip(*times, strict=True)
    orders = mp.SCHEDULES[name](len(times), micros)
    spans = mp.simulate(orders, forward, backward, link)
    when = {span.task: span for span in spans}
    for task, span in when.items():
        side = task.stage + (-1 if task.kind == "F" else 1)
        source = when.get(task._replace(stage=side))
        if source:
            assert span.start >= source.stop + link
        if task.kind == "B":
            assert span.start >= when[task._replace(kind="F")].stop
    for device in range(len(times)):
        mine = [s for s in spans if s.device == device]
        for one, other in itertools.pairwise(mine):
            assert other.start >= one.stop
    slowest = max(f + b for f, b in times)
    assert max(s.stop for s in spans) >= micros * slowest - 1e-9


@given(st.integers(1, 6), st.integers(1, 9))
def test_what_is_held(devices, micros):
    assert [mp.held(o) for o in mp.gpipe(devices, micros)] == [micros] * (
        devices
    )
    assert [mp.held(o) for o in mp.one_f_one_b(devices, micros)] == [
        min(micros, devices - stage) for stage in range(devices)
    ]


def test_orders_that_cannot_be():
    orders = mp.gpipe(2, 2)
    orders[1].reverse()
    with pytest.raises(ValueError, match="device 1 waits to do B of micro"):
        mp.simulate(orders, [1, 1], [1, 1])
    with pytest.raises(ValueError, match="5 micro-batches are no multiple"):
        mp.interleaved(2, 5, 2)


def test_a_timeline_has_a_box_for_each_task():
    spans = mp.simulate(mp.one_f_one_b(3, 4), [1] * 3, [2] * 3)
    fig, ax = figures.new()
    mp.draw_schedule(ax, spans, "1F1B", until=30)
    assert len(ax.patches) == len(spans) == 24
    assert ax.get_xlim() == (0, 30)
    figures.plt.close(fig)


# Pipelines that run


@cache
def trained(job: mp.Job) -> tuple:
    return mp.train_whole(job)


def apart(found: dict, job: mp.Job, team: mp.Team | None = None) -> float:
    return mp.distance(found, trained(job)[1], job, team)


@given(SCHEDULES, st.integers(1, 4), st.sampled_from([1, 2, 4]))
@settings(max_examples=12)
def test_a_pipeline_has_the_gradients_of_the_whole(name, size, micros):
    tokens, targets = SMALL.batches()[0]
    whole = SMALL.model()
    loss = mp.loss_of(whole(tokens), targets)
    loss.backward()
    expected = {n: p.grad for n, p in whole.named_parameters()}
    cuts = mp.even_cuts(4, size)

    def go(net, model):
        stage = mp.stage_of(model, net.rank, cuts)
        pipeline = mp.Pipeline(stage, net, SMALL.width)
        order = mp.SCHEDULES[name](size, micros)[net.rank]
        spans = pipeline.step(order, tokens, targets)
        assert [span.task for span in spans] == order
        assert not pipeline.kept
        assert pipeline.most == mp.held(order)
        grads = {n: p.grad for n, p in stage.named_parameters()}
        return grads, pipeline.loss, net.bytes

    models = [SMALL.model() for _ in range(size)]  # seeds are not for threads
    found = c.run_local(go, models)[0]
    assert found[-1][1] == pytest.approx(loss.item(), rel=1e-12)
    grads = {n: grad for one, _, _ in found for n, grad in one.items()}
    assert grads.keys() == expected.keys()
    assert all(close(grads[n], expected[n]) for n in grads)
    shape = mp.Shape(SMALL.batch, SMALL.length, SMALL.width, 8)
    sent = sum(count for _, _, count in found)
    assert sent == (size - 1) * mp.pipeline_bytes(shape)


def test_what_makes_no_pipeline():
    with pytest.raises(ValueError, match="4 layers make no 5 stages"):
        mp.even_cuts(4, 5)
    tokens, targets = SMALL.batches()[0]
    pipeline = mp.Pipeline(SMALL.model(), c.Memory(0, c.Network(1)), 8)
    with pytest.raises(ValueError, match="4 rows make no 3 equal"):
        pipeline.step(mp.gpipe(1, 3)[0], tokens, targets)


def test_every_way_trains_the_same_model():
    losses, weights = trained(SMALL)
    assert len(set(losses)) == SMALL.steps
    for rank, ways in enumerate(ranks.run(mp.train_each_way, 2, SMALL)):
        for name, (found, mine) in ways.items():
            if rank == 1 or name.startswith("tensors"):
                assert found == pytest.approx(losses, rel=1e-12), name
            team = mp.Team(rank, 2) if "by hand" in name else None
            assert apart(mine, SMALL, team) < 1e-11, name
            if "Pipe" in name or "1F1B" in name:
                cuts = mp.even_cuts(SMALL.depth + 2, 2)
                first, last = cuts[rank : rank + 2]
                layers = {int(key.partition(".")[0]) for key in mine}
                assert layers == set(range(first, last))
            else:
                assert mine.keys() == weights.keys()


def test_two_dimensions_are_one_process():
    places = []
    for place, (losses, weights) in ranks.run(mp.train_mesh, 4, SMALL, 2, 2):
        places.append(place)
        assert losses == pytest.approx(trained(SMALL)[0], rel=1e-12)
        assert apart(weights, SMALL, mp.Team(place[1], 2)) < 1e-11
    assert places == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_another_model_is_found_to_be_another():
    job = mp.Job(**{**vars(SMALL), "steps": 1})
    assert apart(trained(job)[1], SMALL) > 1e-4


# Ring attention


@given(team_sizes, st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=20)
def test_ring_attention_is_attention(size, each, width):
    q, k, v = noise(3, size * each, width) * 5
    expected = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    mine = list(zip(q.chunk(size), k.chunk(size), v.chunk(size), strict=True))
    found, ends, _ = c.run_local(
        lambda net, qkv: mp.ring_attention(net, *qkv), mine
    )
    assert close(torch.cat(found), expected)
    sent = (size - 1) * 2 * each * width * 8
    assert all(end.bytes == sent for end in ends)


# Measured, recorded, planned


def test_what_is_measured_has_every_way_and_task(monkeypatch):
    job = mp.Job(**{**vars(SMALL), "steps": 1, "double": False})
    ways = mp.compare_ways(job, 1)
    assert [name.partition(",")[0] for name in ways] == [
        "one process", "data", "tensor", "pipeline", "pipeline",
    ]  # fmt: skip
    assert all(timing.median > 0 for timing in ways.values())
    (forward, backward), found = mp.measure_pipelines(job, (0, 2, 4))
    assert len(forward) == len(backward) == 2
    for name, (spans, most) in found.items():
        orders = mp.SCHEDULES[name](2, job.micros)
        assert most == [mp.held(order) for order in orders]
        assert sorted(s.task for s in spans) == sorted(
            itertools.chain(*orders)
        )
        assert 0 <= mp.bubble(spans) < 1


def test_plans_fit_and_split_layers_within_nodes():
    cluster = mp.Cluster(1024)
    found = mp.plans(cluster, mp.Model(12288, 96))
    assert found == sorted(found, key=lambda plan: plan.seconds)
    for plan in found:
        assert plan.tensor * plan.pipeline * plan.data == 1024
        assert plan.memory <= 0.9 * cluster.memory
    assert found[0].tensor <= cluster.node
    assert not mp.plans(mp.Cluster(8), mp.Model(12288, 96))  # too large


def test_a_small_model_is_not_split():
    (best, *_) = mp.plans(mp.Cluster(8), mp.Model(1024, 8, batch=512))
    assert (best.tensor, best.pipeline, best.data) == (1, 1, 8)


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
        ("balance", lambda c, s: mp.even_cuts(len(c), s), "it can be"),
        ("balance", lambda c, s: [0] * s + [len(c)], "no stage is empty"),
        (
            "qkv_rows",
            lambda w, r, s: [*range(3 * w * r // s, 3 * w * (r + 1) // s)],
            "rows of q, of k and of v",
        ),
        ("loss_of_parts", lambda p: sum(t for _, t, _ in p), "expected"),
    ],
)
def test_checks_find_the_usual_mistakes(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
