"""Speed: every faster way gives what the ordinary way gives."""

import itertools
import math
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.optim
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parallel_ai.accelerators import speed, vision
from parallel_ai.accelerators.speed import compiling, practice, recording
from parallel_ai.accelerators.speed.loops import Settings
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

DEVICES = [torch.device("cpu")]
if devices.choose().type != "cpu":
    DEVICES.append(devices.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)
CPU = DEVICES[0]
METHODS = multiprocessing.get_all_start_methods()
COMPILED = "TORCHINDUCTOR_CACHE_DIR"


def pictures(count: int, seed: int = 0, by: float = 1) -> vision.Part:
    """Noise, in which the class says which rows are bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    noise = torch.randn(count, 1, 28, 28, generator=generator)
    rows = torch.arange(28).view(1, 1, 28, 1) // 2
    bright = rows == labels.view(-1, 1, 1, 1)
    return vision.Part(noise + by * bright, labels)


def smooth() -> nn.Sequential:
    """A model that treats each picture alone: no norm, no dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 10),
    )


def normed() -> nn.Sequential:
    """The same with batch normalisation."""
    return nn.Sequential(
        vision.convolution(1, 4, stride=4),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 10),
    )


def raw(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    return images, rng.integers(0, 10, count, np.uint8)


# Pictures: one by one, all at once, by workers


@every_device
@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_all_at_once_gives_the_pictures_of_one_by_one(count, device):
    images, labels = raw(count)
    dataset = speed.PicturesOneByOne(images, labels, 3)
    slow = list(speed.one_by_one(dataset, 4, device))
    stored = torch.as_tensor(images).to(device)
    answers = torch.as_tensor(labels).to(device)
    fast = list(speed.all_at_once(stored, answers, 4, 3))
    assert [len(b) for b in fast] == [len(b) for b in slow]
    for one, two in zip(slow, fast, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
        assert one.images.device.type == device.type


@pytest.mark.parametrize("method", METHODS)
def test_workers_give_the_same_batches(method):
    images, labels = raw(7)
    dataset = speed.PicturesOneByOne(images, labels, 1)
    alone = list(speed.one_by_one(dataset, 3, CPU))
    helped = list(speed.one_by_one(dataset, 3, CPU, 2, method))
    assert len(alone) == len(helped) == 3
    for one, two in zip(alone, helped, strict=True):
        assert torch.equal(one.images, two.images)


@given(
    st.integers(-speed.loading.SHIFT, speed.loading.SHIFT),
    st.integers(-speed.loading.SHIFT, speed.loading.SHIFT),
)
@settings(max_examples=20)
def test_a_shift_moves_a_pixel_and_brings_black(down, right):
    images = torch.zeros(2, 1, 9, 8)
    images[0, 0, 4, 4] = 1
    images[1, 0] = 1
    moved = speed.shifted(images, torch.tensor([[down, right]] * 2))
    assert moved[0].nonzero().tolist() == [[0, 4 + down, 4 + right]]
    assert moved[1].sum() == (9 - abs(down)) * (8 - abs(right))


def test_shifts_reach_everything_and_depend_on_the_seed():
    found = speed.shifts(1000, 0)
    most = speed.loading.SHIFT
    assert sorted(set(found.flatten().tolist())) == list(
        range(-most, most + 1)
    )
    assert torch.equal(found, speed.shifts(1000, 0))
    assert not torch.equal(found, speed.shifts(1000, 1))


@pytest.mark.parametrize(
    "method", sorted({"spawn", "forkserver"} & {*METHODS})
)
def test_a_lambda_does_not_travel(method):
    stuck = speed.Unpicklable(*raw(4))
    assert sum(len(b) for b in speed.one_by_one(stuck, 2, CPU)) == 4
    with pytest.raises(Exception, match="lambda|pickle"):
        next(speed.one_by_one(stuck, 2, CPU, 1, method))


def test_count_counts():
    dataset = speed.PicturesOneByOne(*raw(5))
    assert speed.count(lambda: speed.one_by_one(dataset, 2, CPU))() == 5


# Quick layers


def test_a_quickened_model_computes_the_same():
    model = vision.seeded(vision.cnn, 0).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    quick = speed.quicken(model).eval()
    images = torch.randn(5, 1, 28, 28)
    torch.testing.assert_close(quick(images), model(images))
    assert all(
        torch.equal(before[k], v) for k, v in model.state_dict().items()
    )
    assert quick[3](torch.zeros(2, 3, 4, 5)).shape == (2, 60)


def test_a_quickened_model_has_the_same_gradients():
    model = vision.seeded(vision.cnn, 0)
    model[4].p = 0.0
    quick = speed.quicken(model)
    images = torch.randn(6, 1, 28, 28)
    for one in (model, quick):
        one(images).square().mean().backward()
    for a, b in zip(
        model[:3].parameters(), quick[:3].parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)


def test_nothing_moves_where_nothing_is_flattened_before_a_dense_layer():
    model = vision.seeded(vision.mlp, 0)
    images = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(speed.quicken(model)(images), model(images))
    assert isinstance(speed.quick_cnn()[3], speed.InMemoryOrder)


@given(st.integers(0, 40), st.sampled_from([0.1, 0.25, 0.5]))
@settings(max_examples=20)
def test_byte_dropout_drops_or_scales(count, p):
    layer = speed.ByteDropout(p)
    scale = 256 / (256 - layer.dropped)
    got = layer(torch.ones(count, 3))
    assert got.shape == (count, 3)
    for value in got.flatten().tolist():
        assert value in (0, pytest.approx(scale))


def test_byte_dropout_drops_its_share_of_every_byte():
    layer = speed.ByteDropout(0.2)
    layer.generator = torch.Generator().manual_seed(0)
    got = layer(torch.ones(8 * 20_000)).view(-1, 8)
    # Each place in the 64 bits, the byte of the sign too.
    assert ((got == 0).float().mean(0) - 51 / 256).abs().max() < 0.01
    assert got.mean().item() == pytest.approx(1, abs=0.01)
    layer.generator.manual_seed(0)
    assert torch.equal(got.flatten(), layer(torch.ones(8 * 20_000)))
    assert layer.eval()(got) is got


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0])
def test_byte_dropout_refuses_other_shares(p):
    with pytest.raises(ValueError, match="share"):
        speed.ByteDropout(p)


# The loop


def steps(settings, build=smooth, count=3, size=12):
    with speed.Loop(settings, CPU, build) as loop:
        part = pictures(size * count)
        losses = [
            loop.step(batch).item()
            for batch in itertools.islice(
                speed.epoch_of(part, settings), count
            )
        ]
    return losses, loop


@pytest.mark.parametrize(
    "change",
    [
        {"channels_last": True},
        {"fused": True},
        {"quick": True},
        {"quick": True, "channels_last": True, "fused": True},
        *({"replicas": n} for n in (1, 2, 3)),
    ],
    ids=str,
)
def test_each_rung_takes_the_same_steps(change):
    base = Settings(batch_size=10, learning_rate=0.01)  # 10 = 4 + 3 + 3
    ordinary, one = steps(base)
    changed, two = steps(replace(base, **change))
    assert changed == pytest.approx(ordinary, rel=1e-4)
    images = pictures(5).images
    with torch.no_grad():
        torch.testing.assert_close(
            one.model(images), two.model(images), rtol=1e-3, atol=1e-3
        )


def test_bfloat16_is_near_and_its_loss_is_float32():
    base = Settings(batch_size=12, learning_rate=0.001)
    ordinary, _ = steps(base)
    rough, loop = steps(replace(base, bfloat16=True))
    assert rough == pytest.approx(ordinary, rel=0.05)
    assert rough != ordinary
    loss = loop.loss(loop.model, pictures(4))
    assert loss.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in loop.parameters)


def test_more_replicas_than_pictures():
    base = Settings(batch_size=2, learning_rate=0.01)
    few, _ = steps(base, size=2)
    many, _ = steps(replace(base, replicas=4), size=2)
    assert many == pytest.approx(few, rel=1e-4)


def test_replicas_leave_the_threads_as_they_were():
    torch.set_num_threads(2)
    with speed.Loop(Settings(4, replicas=2), CPU, smooth) as loop:
        loop.step(pictures(4))
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2


def test_replicas_are_repeatable():
    settings = Settings(8, replicas=2, quick=True)
    assert steps(settings, vision.cnn)[0] == steps(settings, vision.cnn)[0]


def test_replicas_share_weights_and_not_statistics():
    model = normed()
    other = speed.share_weights(model)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert a is b
    other(torch.randn(4, 1, 28, 28))
    assert not torch.equal(model[0][1].running_mean, other[0][1].running_mean)


def test_replicas_are_for_a_cpu():
    with pytest.raises(ValueError, match="replicas=0"):
        speed.Loop(Settings(replicas=2), torch.device("meta"))


@every_device
def test_learning_learns(device):
    part, fresh = pictures(400), pictures(200, 9)
    found = speed.learn(
        Settings(40, 0.02), part, fresh, 3, device=device, build=normed
    )
    assert found.accuracy > 0.5
    assert found.images == 1200
    assert found.rate == pytest.approx(1200 / found.seconds)


def test_learning_stops_at_a_loss_that_is_no_number():
    part = pictures(30)
    part.images[:] = math.nan
    with pytest.raises(vision.NotFiniteError, match="step 1"):
        speed.learn(Settings(10), part, part, build=smooth)


def test_an_epoch_has_every_picture_in_the_order_wanted():
    part = pictures(11)
    batches = list(speed.epoch_of(part, Settings(4, channels_last=True)))
    assert [len(b) for b in batches] == [4, 4, 3]
    assert torch.cat([b.labels for b in batches]).sum() == part.labels.sum()


# The ladder


def fake_paces(per_picture):
    def paces(settings, part, device, images=0, repeats=3):
        return {
            name: Timing((per_picture(s),) * repeats, "fake", 1, None)
            for name, s in settings.items()
        }

    return paces


def test_climbing_keeps_what_is_faster(monkeypatch):
    def per_picture(s):
        return 8 / (2 if s.fused else 1) / (0.5 if s.bfloat16 else 1)

    monkeypatch.setattr(speed.ladder, "paces", fake_paces(per_picture))
    changes = {
        "fused": {"fused": True},
        "again": {"fused": True},  # no change: not tried
        "half": {"bfloat16": True},
    }
    top, rungs = speed.climb(Settings(), changes, pictures(1), CPU)
    assert top == Settings(fused=True)
    assert [(r.name, r.gain, r.kept) for r in rungs] == [
        ("fused", 2, True),
        ("half", 0.5, False),
    ]


def test_the_ordinary_batch_is_tuned(monkeypatch):
    monkeypatch.setattr(
        speed.ladder, "paces", fake_paces(lambda s: abs(s.batch_size - 250))
    )
    best, found = speed.ordinary(pictures(1), CPU, 256)
    assert best == Settings(256, pytest.approx(0.004 * 2**0.5))
    assert list(found) == ["64", "128", "256"]


@every_device
def test_paces_are_measured_for_as_many_pictures(device):
    part = pictures(40)
    ways = {"one": Settings(8), "two": Settings(16, fused=True)}
    found = speed.paces(ways, part, device, images=16, repeats=1)
    assert list(found) == ["one", "two"]
    assert all(speed.least(t) > 0 for t in found.values())


@pytest.mark.parametrize(("size", "images"), [(16, 24), (64, 64)])
def test_paces_refuse_broken_batches(size, images):
    with pytest.raises(ValueError, match="whole batches"):
        speed.paces({"": Settings(size)}, pictures(40), CPU, images, 1)


def test_rungs_name_fields_and_rates():
    for device in ("cpu", "meta"):
        for fields in speed.rungs_for(torch.device(device)).values():
            replace(Settings(), **fields)
    assert "a replica a core" not in speed.rungs_for(torch.device("meta"))
    assert speed.scaled(0.1, 100, 400) == pytest.approx(0.2)
    assert speed.scaled(0.1, 100, 400, power=1) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="at least 1"):
        speed.scaled(0.1, 0, 4)


def test_loops_are_compared(monkeypatch):
    data = vision.Data(pictures(4), pictures(1), pictures(1))
    monkeypatch.setattr(vision, "load_data", lambda held: data)
    monkeypatch.setattr(speed.ladder, "paces", fake_paces(lambda s: 1.0))
    found = speed.compare_loops(device=CPU)
    assert list(found) == ["ordinary", "ours"]
    assert speed.COMPARISONS


# Trace and limits


def test_a_trace_names_stations_and_operations():
    with speed.Loop(Settings(8), CPU, normed) as loop:
        spans = speed.trace(loop, pictures(32), steps=2, warm=1)
    stations = [span.name for span in spans if span.depth == 0]
    assert stations == [*speed.PHASES] * 2
    inside = [span for span in spans if span.depth == 1]
    assert any(
        "convolution" in s.name for s in inside if s.phase == "backward"
    )
    for one, two in itertools.pairwise(inside):
        assert one.stop <= two.start + 1e-6
    shares = speed.shares(spans)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 < share < 1 for share in shares.values())
    longest = list(speed.costly(spans, 3).values())
    assert longest == sorted(longest, reverse=True)
    assert len(longest) == 3


@given(st.floats(0, 0.99), st.integers(2, 64))
def test_amdahl_forwards_and_backwards(serial, cores):
    gain = 1 / (serial + (1 - serial) / cores)
    assert speed.serial_share(gain, cores) == pytest.approx(serial, abs=1e-9)
    assert speed.at_most(1 - 1 / gain) == pytest.approx(gain)


def test_amdahl_refuses_nonsense():
    with pytest.raises(ValueError, match="below 1"):
        speed.at_most(1)
    with pytest.raises(ValueError, match="one core"):
        speed.serial_share(1, 1)


def test_flops_of_a_dense_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    # Forward and the gradient of the weights; none of the pictures.
    found = speed.flops(model, torch.zeros(4, 1, 28, 28))
    assert found == 2 * 2 * 28 * 28 * 10
    assert model[1].weight.grad is None


@every_device
def test_peaks_and_features(device):
    found = speed.peaks(device, 32, 1)
    assert list(found) == ["float32", "bfloat16"]
    assert min(found.values()) > 0
    assert speed.features(device)


# Memory


def test_saved_bytes_are_counted_exactly():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.zeros(5, 8)
    # The input, and ReLU's output, which both ReLU and the last layer keep.
    assert speed.saved_bytes(model, lambda: model(x)) == 4 * 5 * (8 + 16)
    with torch.no_grad():
        assert speed.saved_bytes(model, lambda: model(x)) == 0


def test_checkpointing_keeps_less_and_computes_the_same():
    model = vision.seeded(vision.cnn, 0)
    pieces = speed.Checkpointed(model, [3, 5])
    images = torch.randn(6, 1, 28, 28)
    found = []
    for way in (model, pieces):
        torch.manual_seed(0)
        model.zero_grad()
        way(images).square().mean().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
    whole = speed.saved_bytes(model, lambda: model(images))
    less = speed.saved_bytes(model, lambda: pieces(images))
    assert images.nbytes < less < whole


def test_checkpointing_moves_running_means_twice():
    norms = []
    for wrap in (lambda m: m, lambda m: speed.Checkpointed(m, [1, 2])):
        model = vision.seeded(normed, 0)
        wrap(model)(pictures(6).images).sum().backward()
        norms.append(model[0][1].num_batches_tracked.item())
    assert norms == [1, 2]


@pytest.mark.parametrize("pieces", [[], [3], [3, 6], [0, 8]])
def test_checkpointing_refuses_other_pieces(pieces):
    with pytest.raises(ValueError, match="layers"):
        speed.Checkpointed(vision.cnn(), pieces)


def gradient(build, count):
    model = vision.seeded(build, 0).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    part = pictures(10)
    part = vision.Part(part.images.double(), part.labels)
    loss = speed.accumulated_step(model, optimizer, part, count)
    return loss, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("count", [2, 3, 10])
def test_accumulation_is_the_large_batch_without_norm(count):
    (one, whole), (two, pieces) = gradient(smooth, 1), gradient(smooth, count)
    torch.testing.assert_close(pieces, whole, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(two, one)


def test_accumulation_is_not_the_large_batch_with_norm():
    whole, pieces = gradient(normed, 1)[1], gradient(normed, 2)[1]
    assert (whole - pieces).norm() > 0.01 * whole.norm()


@pytest.mark.parametrize("count", [0, 11])
def test_accumulation_refuses_other_pieces(count):
    with pytest.raises(ValueError, match="pieces"):
        gradient(smooth, count)


# Compiling and graphs


def test_no_compiler_is_said(monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(speed.CompilerError, match=r"g\+\+"):
        speed.measure_compiled()


@pytest.mark.parametrize(
    ("program", "seconds", "said"),
    [
        ("import sys; sys.exit('it broke')", 60, "it broke"),
        ("import threading; threading.Event().wait()", 0.01, "not compiled"),
    ],
)
def test_a_compiler_that_fails_is_said(monkeypatch, program, seconds, said):
    monkeypatch.setenv("CXX", "c++")
    real = compiling.subprocess.run

    def run(command, **options):
        assert COMPILED in options["env"]
        return real([command[0], "-c", program], **options)

    monkeypatch.setattr(compiling.subprocess, "run", run)
    with pytest.raises(speed.CompilerError, match=said):
        speed.measure_compiled(seconds=seconds)


def test_the_child_reports_four_times(monkeypatch):
    monkeypatch.setenv("CXX", "c++")
    real = compiling.subprocess.run
    line = '{"eager_first": 1, "eager": 0.5, "compiled_first": 9, "compiled": 0.25}'

    def run(command, **options):
        program = f"print('noise'); print({line!r})"
        return real([command[0], "-c", program], **options)

    monkeypatch.setattr(compiling.subprocess, "run", run)
    assert speed.measure_compiled() == speed.Compiling(1, 0.5, 9, 0.25)


def test_eager_and_compiled_are_timed(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    found = speed.time_both(4, repeats=1)
    assert min(found.eager, found.compiled, found.compiled_first) > 0


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((1, 0.5, 9, 0.25), 32), ((1, 0.5, 9, 0.5), math.inf), ((9, 2, 1, 1), 0)],
)
def test_break_even(numbers, expected):
    assert speed.Compiling(*numbers).break_even == expected


@every_device
def test_a_graph_takes_the_same_steps_or_says_why_not(device):
    model = vision.seeded(smooth, 0).to(device)
    part = pictures(24).to(device)
    if device.type != "cuda":
        with pytest.raises(devices.DeviceError, match="CUDA device"):
            speed.GraphedStep(model, part[:8], 0.01)
        return
    step = speed.GraphedStep(model, part[:8], 0.01)
    settings = Settings(8, 0.01, fused=True)
    with speed.Loop(settings, device, smooth) as loop:
        for batch in (part[:8], part[8:16], part[16:]):
            assert step(batch).item() == pytest.approx(
                loop.step(batch).item(), rel=1e-3
            )


# Traps


def test_first_steps_are_timed_one_by_one():
    found = speed.step_seconds(pictures(300), CPU, 2)
    assert len(found) == 2
    assert min(found) > 0


def test_asking_often_or_once_gives_the_same():
    part = pictures(20)
    sums = []
    for each_step in (True, False):
        with speed.Loop(Settings(8), CPU, smooth) as loop:
            sums.append(speed.asking(loop, part, each_step))
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_float16_overflows_and_bfloat16_does_not():
    assert not math.isfinite(speed.loss_in(torch.float16, 1e5))
    assert math.isfinite(speed.loss_in(torch.bfloat16, 1e5))
    exact = speed.loss_in(torch.float32, 1.0)
    assert speed.loss_in(torch.bfloat16, 1.0) == pytest.approx(exact, rel=0.1)


# The record


def small() -> vision.Data:
    return vision.Data(pictures(60), pictures(30, 1), pictures(30, 2))


@every_device
def test_a_wide_network_learns_varied_pictures(device):
    model = speed.wide_cnn(2).eval()
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    images = torch.rand(7, 1, 28, 28, device=device)
    assert speed.varied(images).shape == images.shape
    settings = Settings(16, 0.01, fused=True)
    state = torch.get_rng_state()
    ends = [
        speed.train_varied(
            small(), 1, 3, device, settings, lambda: speed.wide_cnn(2)
        )
        for _ in range(2)
    ]
    assert torch.equal(state, torch.get_rng_state())
    assert ends[0][1] > 0
    if device.type == "cpu":
        for a, b in zip(
            ends[0][0].parameters(), ends[1][0].parameters(), strict=True
        ):
            assert torch.equal(a, b)


def test_every_seed_counts():
    found = speed.runs(
        small(), small().test, 1, [4, 5], CPU, Settings(20), normed
    )
    assert [run["seed"] for run in found["runs"]] == [4, 5]
    mean = sum(run["accuracy"] for run in found["runs"]) / 2
    assert found["mean_accuracy"] == pytest.approx(mean)


def test_validation_chooses_and_the_test_set_reports_once(monkeypatch):
    asked = []

    def runs(data, judged_by, epochs, seeds, *rest):
        asked.append((len(judged_by), epochs, list(seeds)))
        return {"mean_accuracy": 0.1 * epochs}

    monkeypatch.setattr(recording, "runs", runs)
    data = vision.Data(pictures(1), pictures(2), pictures(3))
    found = speed.fastest_to(0.35, data, CPU, Settings(), (2, 4, 8), seeds=10)
    assert asked[0] == (2, 2, [1000, 1001, 1002])
    assert [a[:2] for a in asked] == [(2, 2), (2, 4), (3, 4)]
    assert asked[-1][2] == list(range(10))
    assert found["reached"]
    assert found["goal"] == 0.35
    with pytest.raises(ValueError, match="choices"):
        speed.fastest_to(0.35, data, CPU, Settings(), ())


def test_a_record_on_a_cpu_has_paces_only(monkeypatch):
    ways = {"ordinary": Timing((2.0,), "fake", 1, None), "ours": 1.0}
    monkeypatch.setattr(recording, "compare_loops", lambda **_: ways)
    monkeypatch.setattr(devices, "choose", lambda: CPU)
    found = speed.record()
    assert found["seconds"] == {"ordinary": 2.0, "ours": 1.0}
    assert "to_goal" not in found
    assert list(speed.RECORDS) == ["speed"]


# Exercises


@pytest.mark.parametrize("name", ["overall", "pays_after", "mean_loss"])
def test_solutions_pass(name):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    task.check(task.solution)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("overall", lambda shares, gains: 1.0),
        ("overall", lambda shares, gains: sum(gains.values())),
        ("pays_after", lambda cost, slow, fast: cost / (slow - fast or 1)),
        ("mean_loss", lambda p: torch.stack([x.mean() for x in p]).mean()),
    ],
)
def test_wrong_answers_do_not(name, wrong):
    with pytest.raises(AssertionError):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
