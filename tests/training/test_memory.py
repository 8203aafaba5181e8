"""Where memory goes: formulas to the byte, and divided means the same."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy
from torch.distributed.tensor.debug import CommDebugMode
from torch.nn import functional as F

from parallel_ai.accelerators import architectures, vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.training import data_parallel as dp
from parallel_ai.training import memory
from parallel_ai.training.memory import practice, recording, traffic

CPU = torch.device("cpu")
EXACT = 1e-13  # of weights in double precision, after an epoch of SGD
WIDTH = 48


def pictures(count: int, seed: int = 0) -> Part:
    generator = torch.Generator().manual_seed(seed)
    return Part(
        torch.randn(count, 1, 28, 28, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
    )


def apart(one, two) -> float:
    pairs = zip(one, two, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


# Formulas, to the byte


@pytest.mark.parametrize("batch", [1, 7])
def test_activations_are_what_the_formulas_say(batch):
    part = pictures(batch)
    for build, expected in (
        (vision.mlp, memory.mlp_activations(batch, [784, 256, 128, 10])),
        (vision.cnn, memory.cnn_activations(batch)),
        (
            architectures.vit,
            memory.transformer_activations(batch, 16, 64, 4, 3),
        ),
    ):
        found = memory.measure_step(build, part)
        count = vision.parameters(build())
        rest = memory.training_bytes(count)
        assert found.activations == expected
        assert found.parameters == rest.parameters
        assert found.gradients == rest.gradients
        tensors = len([*build().parameters()])
        assert found.states == rest.states + 4 * tensors  # Adam counts steps


@pytest.mark.parametrize(
    ("precision", "optimizer", "each"),
    [
        ("fp32", "SGD", 8),
        ("fp32", "momentum", 12),
        ("fp32", "Adam", 16),
        ("bf16, fp32 master", "Adam", 16),
        ("bf16 alone", "Adam", 8),
        ("bf16, 8-bit states", "Adam", 10),
    ],
)
def test_bytes_of_a_parameter(precision, optimizer, each):
    assert memory.training_bytes(3, precision, optimizer).total == 3 * each


@pytest.mark.parametrize(
    "wrong", [(-1, "fp32", "Adam"), (1, "fp8", "Adam"), (1, "fp32", "Lion")]
)
def test_what_no_formula_knows_is_refused(wrong):
    with pytest.raises(ValueError, match=r"at least 0|is none of"):
        memory.training_bytes(*wrong)


@pytest.mark.parametrize(
    ("master", "precision"),
    [(True, "bf16, fp32 master"), (False, "bf16 alone")],
)
def test_half_precision_is_measured(master, precision):
    found, count = memory.measure_halves(vision.mlp, pictures(3), master)
    expected = memory.training_bytes(count, precision)
    assert found.parameters == expected.parameters
    assert found.gradients == expected.gradients
    assert 0 <= found.states - expected.states <= 4 * 6


def test_a_master_trains_where_half_precision_forgets():
    assert memory.small_steps(torch.bfloat16, 100, 1e-3) == 1
    assert memory.small_steps(torch.float32, 100, 1e-3) < 0.91
    model = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.ones_(model.weight)
    master = memory.Master(model)
    for _ in range(10):
        model(torch.ones(1, 1).bfloat16()).sum().backward()
        master.step()
    assert model.weight.item() < 1


# Measuring


def test_a_storage_counts_once_and_lives_while_a_view_does():
    tracker = memory.Tracker()
    with tracker:
        whole = torch.zeros(1000)
        part = whole[:10]
        assert tracker.now == 4000 == memory.bytes_of([whole, part, "text"])
        del whole
        assert tracker.now == 4000
        part = part.clone()
        assert tracker.now == 40
    assert tracker.peak == 4040
    del part
    assert tracker.now == 0


def test_a_storage_that_shrinks_is_noticed():
    tensor = torch.zeros(100)
    tracker = memory.Tracker([tensor])
    tensor.untyped_storage().resize_(0)
    assert tracker.now == 0
    tensor.untyped_storage().resize_(40)
    assert tracker.now == 40


def steps(**how) -> memory.Timeline:
    model = vision.seeded(architectures.vit, 0)
    optimizer = memory.adam(model.parameters())
    return memory.timeline(model, optimizer, pictures(32), **how)


def test_the_peak_is_in_the_second_step():
    found = steps(steps=3)
    first, second, third = found.peaks
    count = vision.parameters(architectures.vit())
    assert second == third
    states = second - first
    assert 0 <= states - memory.training_bytes(count).states <= 4 * 60
    assert abs(found.line[-1] - found.before - states) <= 4 * 60
    places = list(found.marks.values())
    assert places == sorted(places)


def test_pieces_lower_the_peak_and_zeros_raise_it():
    plain = steps().peaks[1]
    assert steps(pieces=8).peaks[1] < plain
    assert steps(none=False).peaks[1] > plain


# Planning


@given(
    st.integers(1, 10**9),
    st.integers(1, 500),
    st.sampled_from([*memory.STATES]),
)
def test_each_stage_needs_no_more_than_the_one_before(count, size, optimizer):
    needs = [
        memory.need(count, size, stage, optimizer=optimizer).total
        for stage in memory.STAGES
    ]
    assert needs == sorted(needs, reverse=True)
    if size == 1:
        assert len(set(needs)) == 1


def test_zero_paper():
    """Figure 1 of Rajbhandari et al.: 7.5 billion, 64 devices, in GB."""
    found = [
        memory.need(7_500_000_000, 64, stage).total / 1e9
        for stage in memory.STAGES
    ]
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.06)


@given(st.integers(1, 10**12))
def test_fewest_is_enough_and_half_of_it_is_not(count):
    found = memory.fewest(80e9, count, 3, most=64)
    if found:
        assert memory.need(count, found, 3).total <= 80e9
    if found > 1:
        assert memory.need(count, found // 2, 3).total > 80e9
    if not found:
        assert memory.need(count, 64, 3).total > 80e9


@pytest.mark.parametrize("wrong", [(9, 0, 1, 0), (9, 2, 4, 0), (9, 2, 1, 10)])
def test_a_plan_without_sense_is_refused(wrong):
    count, size, stage, unit = wrong
    with pytest.raises(ValueError, match="need at least 1 rank"):
        memory.need(count, size, stage, unit=unit)
    with pytest.raises(ValueError, match="no stage"):
        memory.sent_bytes(7, 1, 1, 2)


# Divided is the same


def every_way(part: Part, batch_size: int) -> dict:
    found = memory.every_way(part, batch_size)
    for way in ("by hand", "ddp"):
        found[f"chapter {way}"] = dp.train_by(way, part, batch_size)
    return found


def check_every_way(of_ranks: list, batch_size: int) -> None:
    part = pictures(33)
    losses, weights = memory.train_divided("alone", part, batch_size)
    theirs = dp.train_by("one process", part, batch_size)
    assert apart(theirs[1], weights) == 0
    for of_rank in of_ranks:
        for way, (found, ended) in of_rank.items():
            assert found == pytest.approx(losses, rel=1e-12), way
            assert apart(ended, weights) < EXACT, way


def test_every_way_ends_with_the_same_weights(two):
    check_every_way([one["every way"] for one in two], 13)


def test_three_ranks_and_shares_that_are_padded():
    check_every_way(ranks.run(every_way, 3, pictures(33), 20), 20)


def adam_ways(part: Part) -> dict:
    torch.set_num_threads(1)
    return {
        way: memory.train_divided(way, part, 16, architectures.vit, True)[1]
        for way in ("zero 2", "zero 3", "fsdp")
    }


def offloaded(part: Part) -> list:
    model = memory.divide(
        "fsdp",
        vision.seeded(vision.mlp, 0).double(),
        offload_policy=CPUOffloadPolicy(pin_memory=False),
    )
    dp.part_of_loss(model, part, len(part), 1).backward()
    return [p.grad.full_tensor() for p in model.parameters()]


def mixed(part: Part) -> set:
    model = memory.divide("fsdp", memory.wide(WIDTH), mp_policy=traffic.MIXED)
    seen = set()
    model[1].register_forward_hook(lambda *args: seen.add(args[2].dtype))
    F.cross_entropy(model(part.images).float(), part.labels).backward()
    seen |= {p.dtype for p in model.parameters()}
    return seen | {p.grad.dtype for p in model.parameters()}


def with_two(folders: dict[str, str]) -> dict:
    """Be one of two ranks: all that these tests ask of two."""
    part, hundred = pictures(16), pictures(100)
    double = Part(part.images.double(), part.labels)
    variants = [*memory.VARIANTS]
    return {
        "every way": every_way(pictures(33), 13),
        "adam": adam_ways(part),
        "offloaded": offloaded(double),
        "mixed": mixed(part),
        "traps": memory.sharded_traps(part),
        "counted": counted(part),
        "timed": memory.held_and_timed(part[:8], WIDTH, variants, 1, 1),
        "saved": memory.train_and_save(hundred, folders["two"]),
        "resumed": memory.train_and_save(hundred, folders["one"], False),
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {
        n: str(tmp_path_factory.mktemp(n) / "step") for n in ("one", "two")
    }
    return made | {"first": alone(pictures(100), made["one"], True)}


@pytest.fixture(scope="module")
def two(folders):
    names = {name: folders[name] for name in ("one", "two")}
    return ranks.run(with_two, 2, names)


def counted(part: Part) -> tuple:
    model = memory.divide("fsdp", vision.seeded(vision.mlp, 0))
    mine, theirs = memory.Traffic(), CommDebugMode()
    with mine:
        model(part.images).sum().backward()
    with theirs:
        model(part.images).sum().backward()
    return sum(mine.calls.values()), theirs.get_total_counts()


def test_transformers_end_with_the_same_weights(two):
    _, weights = memory.train_divided(
        "alone", pictures(16), 16, architectures.vit, True
    )
    for one in two:
        for way, found in one["adam"].items():
            assert apart(found, weights) < 1e-9, way


def test_offloading_and_mixed_precision(two):
    plain, part = vision.seeded(vision.mlp, 0).double(), pictures(16)
    whole = Part(part.images.double(), part.labels)
    dp.part_of_loss(plain, whole, 16, 1).backward()
    for one in two:
        expected = [p.grad for p in plain.parameters()]
        assert apart(one["offloaded"], expected) < EXACT
        assert one["mixed"] == {torch.float32, torch.bfloat16}


def test_an_optimizer_that_came_first_and_a_norm_of_shares(two):
    for one in two:
        moved, norms = one["traps"]
        assert moved[True] == 0 < moved[False]
        assert norms["all shares"] == pytest.approx(norms["ddp"], rel=1e-5)
        assert norms["fsdp"] == pytest.approx(norms["ddp"], rel=1e-5)
        assert norms["own share"] < 0.99 * norms["ddp"]


def test_collectives_are_counted_as_pytorch_counts_them(two):
    for one in two:
        ours, theirs = one["counted"]
        assert ours == theirs > 0


def test_what_a_rank_holds_and_sends_is_what_was_planned(two):
    count = vision.parameters(memory.wide(WIDTH))
    weight, pad = 4 * count, 4 * 64
    for found, _ in (one["timed"] for one in two):
        stages = {"ddp": 0, "zero 1": 1, "zero 2": 2, "zero 3": 3, "fsdp": 3}
        for variant, stage in stages.items():
            got = found[variant]
            plan = memory.need(count, 2, stage, "fp32").rest
            assert 0 <= got.rest.parameters - plan.parameters <= pad
            assert 0 <= got.rest.gradients - plan.gradients <= pad
            assert 0 <= got.rest.states - plan.states <= 3 * pad
            sent = memory.sent_bytes(stage, weight, weight, 2)
            assert 0 <= got.sent - sent <= 4 * pad, variant
            assert got.peak > got.rest.total
        kept, half = found["fsdp, kept"], found["fsdp, bf16"]
        assert kept.sent == found["zero 2"].sent
        assert kept.calls["allgather"] < found["fsdp"].calls["allgather"]
        assert half.sent < 0.7 * found["fsdp"].sent
        # gloo's threads let go of buffers a little later, or earlier
        assert (
            max(found[way].peak for way in [*stages][1:]) < found["ddp"].peak
        )


def unused(stage: int) -> None:
    model = memory.Sharded(vision.seeded(dp.Branching, 0), stage)
    optimizer = memory.adam(model.shares())
    model(torch.ones(1, 4), 0).sum().backward()
    model.step(optimizer)


def alone_in_group(part: Part) -> tuple:
    told = []
    for wrong in (lambda: memory.Sharded(vision.mlp(), 4),
                  lambda: memory.divide("zero 9", vision.mlp()),
                  lambda: unused(1), lambda: unused(2)):  # fmt: skip
        try:
            wrong()
        except (ValueError, RuntimeError) as error:
            told.append(str(error))
    model = memory.Sharded(vision.seeded(vision.mlp, 0), 3)
    away = memory.bytes_of(model.model.parameters())
    whole = memory.bytes_of(model.weights())
    optimizer = memory.adam(model.shares())
    for piece in (part[:3], part[3:]):
        dp.part_of_loss(model, piece, len(part), 1).backward()
    summed = [share.grad.clone() for share in model.shares()]
    model.step(optimizer)
    return told, away, whole, summed, dist.get_world_size()


def test_a_group_of_one_accumulates_and_refuses():
    part = pictures(7)
    plain = vision.seeded(vision.mlp, 0)
    dp.part_of_loss(plain, part, 7, 1).backward()
    told, away, whole, summed, size = ranks.run(alone_in_group, 1, part)[0]
    assert "stages are 1, 2 and 3" in told[0]
    assert "is none of" in told[1]
    assert told[2:] == ["a parameter has no gradient in this pass"] * 2
    assert size == 1
    assert away == 0
    assert whole == 4 * vision.parameters(plain)
    flat = torch.cat([p.grad.flatten() for p in plain.parameters()])
    torch.testing.assert_close(torch.cat(summed), flat)


# Checkpoints of several ranks


def alone(part, folder, save):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no group
        return memory.train_and_save(part, str(folder), save)


def test_two_ranks_save_and_any_number_goes_on(two, folders):
    part = pictures(100)
    assert apart(two[0]["saved"], two[1]["saved"]) == 0
    assert apart(folders["first"], two[0]["saved"]) < 1e-9
    whole = alone(part, folders["one"], False)
    assert apart(alone(part, folders["two"], False), whole) < 1e-9
    assert apart(two[0]["resumed"], whole) < 1e-9


@pytest.mark.parametrize("what", ["cut", "lost", "no index", "cut index"])
def test_half_a_checkpoint_is_refused(two, folders, tmp_path, what):
    copy = Path(shutil.copytree(folders["two"], tmp_path / "copy"))
    victim = copy / (".metadata" if "index" in what else "__1_0.distcp")
    size = victim.stat().st_size
    if "cut" in what:
        victim.write_bytes(victim.read_bytes()[: size // 2])
    else:
        victim.unlink()
    told = {"cut": "it was cut", "lost": "has 0 of", "no index": "no index"}
    with pytest.raises(
        memory.CheckpointError, match=told.get(what, "cut or damaged")
    ):
        alone(pictures(100), copy, False)


# Computing again


def noisy(depth: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(
            nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.3))
            for _ in range(depth)
        )
    ).double()


def gradients(count: int, how, grad: bool) -> list:
    layers = noisy()
    layers[1][0].bias.requires_grad = False
    model = memory.Segmented(layers, count, how)
    x = torch.ones(4, 6).double().requires_grad_(grad)
    torch.manual_seed(1)
    y = model(x)
    after = torch.rand(1).item()  # the generator went on as it should
    y.square().sum().backward()
    found = [p.grad for p in layers.parameters() if p.grad is not None]
    return [*found, torch.tensor(after), *([x.grad] if grad else [])]


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_recomputed_gradients_are_the_librarys_and_those_of_none(count, grad):
    plain = gradients(0, memory.recompute, grad)
    for how in (memory.recompute, memory.library_recompute):
        found = gradients(count, how, grad)
        assert len(found) == len(plain) == 10 + grad
        assert apart(found, plain) < 1e-12


@pytest.mark.parametrize("count", [-1, 6])
def test_segments_that_cannot_be(count):
    with pytest.raises(ValueError, match="cannot be cut"):
        memory.Segmented(noisy(), count)


def test_memory_of_segments_follows_the_model():
    part = pictures(8)
    rows = memory.recomputed([0, 1, 3, 9], 9, part, CPU, repeats=1)
    peaks = {row.count: row.peak for row in rows}
    assert peaks[3] < 0.6 * peaks[0] < peaks[1]
    inner = memory.transformer_activations(8, 16, 64, 4, 1)
    inner -= memory.transformer_activations(8, 16, 64, 4, 0)
    ends = memory.transformer_activations(8, 16, 64, 4, 0)
    for count, peak in peaks.items():
        says = ends + memory.segments_peak(count, 9, 8 * 16 * 64 * 4, inner)
        assert peak == pytest.approx(says, rel=0.2)
    best = memory.square_root_rule(100, 1, 1)
    assert best == 10


# To disk


def test_gradients_through_files_are_the_same(tmp_path):
    part = pictures(4)
    model = vision.seeded(vision.cnn, 0).bfloat16()
    images = part.images.bfloat16()
    found = []
    for least in (1 << 40, 16):
        model.zero_grad()
        torch.manual_seed(0)
        with memory.saved_on_disk(tmp_path, model.parameters(), least):
            loss = model(images).float().square().sum()
        loss.backward()
        found.append([p.grad for p in model.parameters()])
        assert any(tmp_path.iterdir()) == (least == 16)
    assert all(map(torch.equal, *found))


def test_files_lower_the_peak():
    peaks, times, difference = memory.try_disk(pictures(16), 3, repeats=1)
    assert peaks["on disk"] < 0.5 * peaks["in memory"]
    assert difference == 0
    assert [*times] == [*peaks]


# Traps, records, exercises


def test_what_a_list_of_losses_keeps():
    model, part = vision.seeded(vision.mlp, 0), pictures(40)
    grown = {}
    for learn in (True, False):
        for what in memory.KEPT:
            line = memory.keep_losses(model, part, 10, what, learn)
            grown[what, learn] = line[-1] - line[0]
    activations = 10 * (256 + 128 + 10) * 4
    assert grown["loss", False] >= 3 * activations
    assert max(v for k, v in grown.items() if k != ("loss", False)) <= 12


def test_an_evaluation_without_a_graph_needs_less():
    model, part = vision.seeded(architectures.vit, 0), pictures(20)
    with_graph, without = (
        memory.evaluation_peak(model, part, graph) for graph in (True, False)
    )
    assert without < 0.7 * with_graph


def test_one_kernel_for_all_needs_nothing_beside():
    found = memory.optimizer_peaks(WIDTH, CPU)
    weight = 4 * vision.parameters(memory.wide(WIDTH))
    largest = 4 * 784 * WIDTH
    assert found["fused"][0] == 0
    assert 0 <= found["loop"][0] - 2 * largest < 100
    assert 0 <= found["foreach"][0] - weight < 100
    assert max(away for _, away in found.values()) < 1e-6


def test_a_record_is_json(monkeypatch):
    few = vision.Data(pictures(8), pictures(0), pictures(0))
    monkeypatch.setattr(recording.dp, "only_needed", lambda _: few)
    small = memory.recomputed
    monkeypatch.setattr(
        recording, "recomputed",
        lambda counts, depth, *rest: small(counts[:2], 2, *rest, 1),
    )  # fmt: skip
    monkeypatch.setattr(
        recording, "outside", lambda *_: memory.outside(few.train, WIDTH)
    )
    monkeypatch.setattr(
        recording, "allocator_peak",
        lambda batch, count, depth, device: memory.allocator_peak(
            batch, min(count, 2), 2, device
        ),
    )  # fmt: skip
    found = json.loads(json.dumps(memory.record(), allow_nan=False))
    weight = 4 * vision.parameters(memory.wide(WIDTH))
    assert found["outside"]["parameters"][0] == weight
    assert found["outside"]["+ states"][0] >= 4 * weight
    assert [row["count"] for row in found["segments"]] == [0, 1]


def test_the_comparison_names_the_bytes(monkeypatch, two):
    few = vision.Data(pictures(8), pictures(0), pictures(0))
    monkeypatch.setattr(traffic.dp, "only_needed", lambda _: few)
    measured = [one["timed"] for one in two]
    monkeypatch.setattr(traffic.ranks, "run", lambda *_: measured)
    found = memory.compare_sharded(WIDTH, 8, 1)
    names = list(found)
    assert len(names) == 6
    assert all("a rank" in name for name in names[1:])
    assert all(way.median > 0 for way in found.values())


WRONG = {
    "bytes_on_rank": lambda count, size, stage: 16 * count // size,
    "peak_of": lambda lives: sum(size for size, _, _ in lives),
    "best_segments": lambda depth, boundary, inner: 1 + int(depth**0.5),
}


@pytest.mark.parametrize("name", WRONG)
def test_exercises_take_the_solution_and_refuse_others(name):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    one.check(one.solution)
    with pytest.raises(AssertionError):
        one.check(WRONG[name])
