"""Architectures: equal to the library's, counted right, less memory."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.optim  # sets an environment variable: not in a test
import torchvision  # noqa: F401 - likewise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from parallel_ai.accelerators import architectures, vision
from parallel_ai.accelerators.architectures import (
    attention,
    costs,
    growth,
    practice,
    profiles,
)
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

CPU = torch.device("cpu")
DEVICES = [CPU]
if devices.choose().type != "cpu":
    DEVICES.append(devices.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)
every_architecture = pytest.mark.parametrize(
    "name", architectures.ARCHITECTURES
)
every_way = pytest.mark.parametrize("way", architectures.WAYS)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


def build(name: str) -> nn.Module:
    return vision.seeded(architectures.ARCHITECTURES[name], 0)


def close(one: torch.Tensor, two: torch.Tensor, by: float = 1e-5) -> None:
    torch.testing.assert_close(one, two, rtol=by, atol=by)


# Attention


@every_device
@every_way
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 3, 17, 8), (1, 2, 300, 16), (0, 2, 5, 4)]
)
def test_all_ways_give_what_the_formula_says(way, shape, device):
    q, k, v = noise(3, *shape).to(device)
    scores = q.double() @ k.double().mT / math.sqrt(shape[-1])
    powers = scores.exp()
    right = powers / powers.sum(-1, keepdim=True) @ v.double()
    got = architectures.WAYS[way](q, k, v)
    close(got, right.float())


@settings(max_examples=40)
@given(
    tokens=st.integers(1, 40),
    tile=st.integers(1, 50),
    by=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 10_000),
)
def test_tiles_of_any_size_change_nothing(tokens, tile, by, seed):
    q, k, v = noise(3, 1, 2, tokens, 4, seed=seed)
    got = architectures.attention_tiled(by * q, k, v, tile)
    close(got, F.scaled_dot_product_attention(by * q, k, v), 1e-4)


@pytest.mark.parametrize("queries", [1, 5, 9])
def test_queries_need_not_be_as_many_as_keys(queries):
    q, (k, v) = noise(1, 2, queries, 4), noise(2, 1, 2, 7, 4, seed=1)
    close(
        architectures.attention_tiled(q, k, v, 4),
        architectures.attention_naive(q, k, v),
    )


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_tiles_do_not_overflow(shift):
    q = torch.full((1, 1, 6, 4), 1.0)
    k = torch.linspace(0, 1, 24).view(1, 1, 6, 4) + shift
    v = noise(1, 1, 6, 3)
    got = architectures.attention_tiled(q, k, v, 2)
    assert got.isfinite().all()
    close(got, F.scaled_dot_product_attention(q, k, v), 1e-3)


@pytest.mark.parametrize("tile", [1, 3, 16])
def test_tiles_have_the_gradient_of_the_formula(tile):
    q, k, v = (x.double().requires_grad_() for x in noise(3, 1, 2, 7, 3))
    tiled = partial(architectures.attention_tiled, tile=tile)
    assert torch.autograd.gradcheck(tiled, (q, k, v))
    ask = noise(1, 2, 7, 3).double()
    mine = torch.autograd.grad((tiled(q, k, v) * ask).sum(), (q, k, v))
    theirs = torch.autograd.grad(
        (architectures.attention_naive(q, k, v) * ask).sum(), (q, k, v)
    )
    for one, two in zip(mine, theirs, strict=True):
        close(one, two)


@pytest.mark.parametrize("tile", [0, -3])
def test_a_tile_without_tokens_is_refused(tile):
    q, k, v = noise(3, 1, 1, 4, 2)
    with pytest.raises(ValueError, match="at least one token"):
        architectures.attention_tiled(q, k, v, tile)


def test_no_keys_are_refused():
    q = noise(1, 1, 4, 2)
    with pytest.raises(ValueError, match="at least one key"):
        architectures.attention_tiled(q, q[..., :0, :], q[..., :0, :])


@every_way
@settings(max_examples=20)
@given(order=st.permutations(range(9)))
def test_permuted_tokens_give_permuted_results(way, order):
    q, k, v = noise(3, 1, 2, 9, 4)
    attend = architectures.WAYS[way]
    moved = attend(*(x[..., order, :] for x in (q, k, v)))
    close(moved, attend(q, k, v)[..., order, :])


# Memory


@pytest.mark.parametrize("tokens", [1, 64, 128, 300])
@pytest.mark.parametrize("heads", [1, 3])
def test_naive_bytes_are_what_the_allocator_sees(tokens, heads):
    given_ = architectures.heads_of_noise(tokens, CPU, heads)
    seen = architectures.peak_bytes(
        partial(architectures.attention_naive, *given_), CPU
    )
    assert abs(seen - architectures.naive_bytes(1, heads, tokens, 64)) <= 16


def test_tiles_hold_bytes_that_grow_with_the_length_only():
    ways = {"tiled": partial(architectures.attention_tiled, tile=32)}
    found = architectures.bytes_by_length([64, 128, 256], CPU, ways)["tiled"]
    each = 4 * (growth.WIDTH + 1) * growth.HEADS  # a result, a logarithm
    assert found[1] - found[0] == 64 * each
    assert found[2] - found[1] == 128 * each


@pytest.mark.parametrize("way", ["tiled by hand", "library"])
def test_what_tiles_keep_for_the_way_back(way):
    tokens, width = 200, growth.WIDTH
    inputs = architectures.heads_of_noise(tokens, CPU)
    q, k, v = (one.requires_grad_() for one in inputs)
    kept = architectures.saved_bytes(partial(architectures.WAYS[way], q, k, v))
    assert kept == 4 * growth.HEADS * (4 * tokens * width + tokens)


def test_what_naive_attention_keeps_for_the_way_back():
    tokens, width = 200, growth.WIDTH
    inputs = architectures.heads_of_noise(tokens, CPU)
    q, k, v = (one.requires_grad_() for one in inputs)
    kept = architectures.saved_bytes(
        partial(architectures.attention_naive, q, k, v)
    )
    pairs = tokens * tokens
    assert kept == 4 * growth.HEADS * (3 * tokens * width + pairs)


def test_the_highest_level():
    assert architectures.highest([]) == 0
    assert architectures.highest([5, -5, 3, 4, -7]) == 7
    assert architectures.highest([-4, 2]) == 0


def test_a_length_without_room_is_refused_before_it_is_computed(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 10**9)
    called = []
    monkeypatch.setattr(
        attention, "attention_naive", lambda *x: called.append(x) or x[2]
    )
    q = torch.zeros(1, 1, 1, 64).expand(1, 8, 100_000, 64)
    with pytest.raises(devices.OutOfMemoryError, match="Half as"):
        architectures.attention_careful(q, q, q)
    assert called == []
    small = noise(1, 8, 5, 4)
    assert architectures.attention_careful(small, small, small) is small


def test_a_full_allocator_says_what_to_reduce(monkeypatch):
    def full(*_):
        raise RuntimeError("you tried to allocate 5 bytes. Error code 12")

    monkeypatch.setattr(attention, "attention_naive", full)
    q = noise(2, 1, 5, 4)
    with pytest.raises(devices.OutOfMemoryError, match="5 tokens"):
        architectures.attention_careful(q, q, q)


# The transformer


@pytest.mark.parametrize("size", [1, 2, 4, 7, 14, 28])
def test_patches_are_those_of_unfold(size):
    images = noise(3, 2, 28, 28)
    right = F.unfold(images, size, stride=size).mT
    assert torch.equal(architectures.patches(images, size), right)


def test_embedded_patches_are_a_convolution():
    layer, images = nn.Conv2d(1, 8, 7, stride=7), noise(2, 1, 28, 28)
    weight = layer.weight.flatten(1)
    mine = F.linear(architectures.patches(images, 7), weight, layer.bias)
    close(mine, layer(images).flatten(2).mT)


@pytest.mark.parametrize("size", [0, -1, 3, 29])
def test_patches_that_do_not_tile_are_refused(size):
    with pytest.raises(ValueError, match="do not tile"):
        architectures.patches(noise(1, 1, 28, 28), size)


@every_way
@pytest.mark.parametrize(("width", "heads"), [(8, 1), (12, 3), (64, 4)])
def test_multi_head_is_the_librarys(way, width, heads):
    attend = architectures.WAYS[way]
    ours = architectures.MultiHead(width, heads, attend)
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    nn.init.normal_(ours.into.bias)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.into.weight,
            "in_proj_bias": ours.into.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    tokens = noise(2, 11, width)
    close(ours(tokens), theirs(tokens, tokens, tokens)[0])


def test_a_block_is_the_librarys_with_the_norm_first():
    ours = architectures.Block(16, 2)
    theirs = nn.TransformerEncoderLayer(
        16, 2, 32, 0.0, F.gelu, batch_first=True, norm_first=True
    )
    pairs = {
        "self_attn.in_proj_": ours.exchange.into,
        "self_attn.out_proj.": ours.exchange.out,
        "linear1.": ours.think[0],
        "linear2.": ours.think[2],
        "norm1.": ours.before,
        "norm2.": ours.between,
    }
    theirs.load_state_dict(
        {
            f"{start}{end}": getattr(layer, end)
            for start, layer in pairs.items()
            for end in ("weight", "bias")
        }
    )
    tokens = noise(3, 5, 16)
    close(ours(tokens), theirs(tokens))


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match="3 heads"):
        architectures.MultiHead(16, 3)


@settings(max_examples=20)
@given(order=st.permutations(range(16)))
def test_a_block_does_not_know_the_order(order):
    block = vision.seeded(lambda: architectures.Block(8, 2), 0)
    tokens = noise(2, 16, 8)
    close(block(tokens[:, order]), block(tokens)[:, order])


@settings(max_examples=10)
@given(order=st.permutations(range(16)))
def test_without_positions_a_heap_of_pieces_is_the_picture(order):
    which, images = torch.tensor(order), noise(2, 1, 28, 28)
    pieces = architectures.patches_shuffled(images, 7, which)
    for positions in (False, True):
        make = partial(
            architectures.VisionTransformer, depth=1, positions=positions
        )
        model = vision.seeded(make, 0)
        same = torch.allclose(model(images), model(pieces), atol=1e-5)
        assert same is (not positions or order == sorted(order))


def test_shuffled_patches_are_the_same_pieces_elsewhere():
    images = noise(2, 1, 28, 28)
    order = torch.tensor([3, 0, 2, 1])
    moved = architectures.patches_shuffled(images, 14, order)
    assert torch.equal(moved[:, :, :14, :14], images[:, :, 14:, 14:])
    assert torch.equal(moved[:, :, :14, 14:], images[:, :, :14, :14])
    back = architectures.patches_shuffled(moved, 14, order.argsort())
    assert torch.equal(back, images)


@every_architecture
@pytest.mark.parametrize("size", [0, 1, 3])
def test_models_give_logits(name, size):
    model = build(name).eval()
    assert model(torch.zeros(size, 1, 28, 28)).shape == (size, 10)


def test_the_way_to_attend_does_not_matter():
    images = noise(2, 1, 28, 28)
    answers = [
        vision.seeded(
            partial(architectures.VisionTransformer, attend=attend), 0
        )(images)
        for attend in architectures.WAYS.values()
    ]
    for answer in answers[1:]:
        close(answer, answers[0])


# Operations and bytes


@every_architecture
@pytest.mark.parametrize("size", [1, 5])
def test_operations_are_those_of_the_counter(name, size):
    model, images = build(name), noise(size, 1, 28, 28)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(images)
    counted = architectures.forward_products(model, images)
    assert counted == counter.get_total_flops() > 0
    with FlopCounterMode(display=False) as counter:
        model.train()(images.repeat(2, 1, 1, 1)).sum().backward()
    mine = architectures.training_products(
        model, images.repeat(2, 1, 1, 1), again=True
    )
    assert mine == counter.get_total_flops()


@pytest.mark.parametrize("size", [4, 7, 14])
def test_attention_written_out_has_no_fifth_product(size):
    make = partial(
        architectures.VisionTransformer,
        size,
        attend=architectures.attention_naive,
    )
    model, images = vision.seeded(make, 0), noise(2, 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    mine = architectures.training_products(model, images)
    assert mine == counter.get_total_flops()
    assert mine < architectures.training_products(model, images, again=True)


@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (2, 2), (4, 1)])
def test_a_convolution_in_groups_is_counted(groups, stride):
    layer = nn.Conv2d(4, 8, (3, 5), stride, groups=groups)
    images = noise(2, 4, 12, 12)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        came = layer(images)
    mine = architectures.products(layer, images, came)
    assert mine == counter.get_total_flops()


def test_formulas_by_hand():
    assert architectures.dense_products(3, 5, 7) == 2 * 3 * 5 * 7
    assert architectures.convolution_products(10, 2, 4, 3) == 2 * 10 * 18 * 4
    assert architectures.attention_products(2, 3, 5, 7, 4) == 4 * 6 * 35 * 4


def test_bytes_and_intensity_of_a_dense_layer():
    (layer,) = architectures.layers(nn.Linear(6, 4), noise(10, 6))
    assert layer.weights == 4 * (6 * 4 + 4)
    assert layer.activations == 4 * (10 * 6 + 10 * 4)
    assert layer.operations == 2 * 10 * 6 * 4
    assert layer.intensity == layer.operations / layer.bytes
    assert layer.independent == 40


def test_a_batch_raises_the_intensity_of_dense_layers_not_of_attention():
    def by_kind(size):
        model = build("transformer")
        found = architectures.layers(model, noise(size, 1, 28, 28))
        return {layer.kind: layer.intensity for layer in found}

    one, many = by_kind(1), by_kind(8)
    assert many["Linear"] > one["Linear"]
    assert many["Mix"] == one["Mix"]


@every_architecture
def test_layers_leave_the_model_as_it_was(name):
    model, images = build(name).train(), noise(3, 1, 28, 28)
    before = {k: x.clone() for k, x in model.state_dict().items()}
    found = architectures.layers(model, images)
    for layer in found:
        assert layer.call().numel() == layer.independent
    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks for m in model.modules())
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_layers_that_compute_nothing_are_left_out():
    kinds = [
        one.kind for one in costs.layers(build("CNN"), noise(1, 1, 28, 28))
    ]
    assert "Dropout" not in kinds
    assert "Flatten" not in kinds
    assert kinds.count("Conv2d") == kinds.count("BatchNorm2d") == 3


# Profiles


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::addmm", "matrix product"),
        ("aten::bmm", "matrix product"),
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::convolution_backward", "convolution"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::_softmax_backward_data", "softmax"),
        ("aten::_log_softmax", "softmax"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::threshold_backward", "elementwise"),
        ("aten::gelu", "elementwise"),
        ("aten::copy_", "moving"),
        ("aten::nll_loss_forward", "other"),
    ],
)
def test_operators_have_kinds(operator, kind):
    assert architectures.kind_of(operator) == kind


@given(st.dictionaries(st.text(max_size=8), st.floats(0, 10), max_size=8))
def test_no_second_is_lost(seconds):
    found = architectures.by_kind(seconds)
    assert tuple(found) == architectures.KINDS
    assert sum(found.values()) == pytest.approx(sum(seconds.values()))


@every_device
def test_a_pass_is_seen_by_the_profiler(device):
    part = vision.Part(noise(4, 1, 28, 28), torch.arange(4))
    job = architectures.a_pass(build("CNN"), part, device)
    spent = architectures.by_kind(architectures.profiled(job, device, 1))
    for kind in ("convolution", "matrix product", "normalisation"):
        assert spent[kind] > 0
    assert spent["attention"] == 0


@every_device
def test_a_pass_leaves_gradients_and_adds_none_up(device):
    part = vision.Part(noise(4, 1, 28, 28), torch.arange(4))
    model = build("MLP")
    job = architectures.a_pass(model, part, device)
    job()
    first = [p.grad.clone() for p in model.parameters()]
    job()
    for one, two in zip(first, model.parameters(), strict=True):
        close(one, two.grad)


@every_device
def test_the_peak_of_a_known_job(device):
    def job():
        a = torch.ones(1 << 18, device=device)  # 1 MiB
        b = a + 1
        del a
        return b.sum()

    seen = profiles.peak_bytes(job, device)
    assert 2 << 20 <= seen <= (2 << 20) + 4096


# Growth


@every_device
def test_all_lengths_are_timed_and_equal(device):
    found = architectures.times_by_length([4, 40], device, repeats=1)
    assert list(found) == list(architectures.WAYS)
    for each in found.values():
        assert len(each) == 2
        for mine, right in zip(each, found["naive"], strict=True):
            close(mine.result, right.result)


def test_noise_depends_on_the_length_alone():
    one, two = (architectures.heads_of_noise(9, CPU) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert len({x.untyped_storage().data_ptr() for x in one}) == 3


@given(
    start=st.floats(0, 1e-3),
    square=st.floats(1e-10, 1e-6),
)
def test_a_square_is_found_again(start, square):
    lengths = [128, 256, 512, 1024, 2048]
    seconds = [start + square * n * n for n in lengths]
    got = architectures.fit_square(lengths, seconds)
    again = [got[0] + got[1] * n * n for n in lengths]
    assert again == pytest.approx(seconds, rel=1e-5)


def test_a_start_is_never_negative():
    lengths = np.array([1.0, 2.0, 4.0])
    start, square = architectures.fit_square(lengths, lengths**3)
    assert start == 0
    assert square > 0


@every_device
def test_rates_and_comparison(device, monkeypatch):
    monkeypatch.setattr(
        growth, "product_rate", partial(growth.product_rate, sides=[16])
    )
    found = growth.compare_attention(32, 1, device)
    assert list(found)[:-1] == list(architectures.WAYS)
    assert found.popitem()[1] > 0
    assert all(isinstance(way, Timing) for way in found.values())


def test_reading_has_a_rate(monkeypatch):
    monkeypatch.setattr(growth, "read_bandwidth", lambda size: float(size))
    assert architectures.reading_rate(CPU, 12) == 12


# Trainings


def small() -> vision.Data:
    """Noise, in which the class says which rows are bright."""
    labels = torch.arange(200) % 10
    rows = torch.arange(28).view(1, 1, 28, 1) // 2
    images = noise(200, 1, 28, 28) + (rows == labels.view(-1, 1, 1, 1))
    part = vision.Part(images, labels)
    return vision.Data(part, part[:50], part[:0])


def test_a_contest_trains_each_with_each_size():
    some = {n: architectures.ARCHITECTURES[n] for n in ("MLP", "transformer")}
    rows = architectures.contest([20, 100], 200, CPU, some, small())
    assert [(row["model"], row["pictures"]) for row in rows] == [
        ("MLP", 20), ("transformer", 20), ("MLP", 100), ("transformer", 100),
    ]  # fmt: skip
    assert [row["epochs"] for row in rows] == [10, 10, 2, 2]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_a_record_is_json(monkeypatch):
    monkeypatch.setattr(vision, "load_data", small)
    monkeypatch.setattr(
        growth, "product_rate", partial(growth.product_rate, sides=[16])
    )
    found = growth.record([4, 8], [20], 20)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["lengths"] == [4, 8]
    for kind in ("seconds", "bytes"):
        assert list(found[kind]) == list(architectures.WAYS)
        assert all(len(each) == 2 for each in found[kind].values())
    assert [row["model"] for row in found["contest"]] == list(
        architectures.ARCHITECTURES
    )


@pytest.mark.parametrize("way", ["library", "tiled by hand"])
def test_a_transformer_learns(way):
    make = partial(
        architectures.VisionTransformer,
        width=16, depth=1, heads=2, attend=architectures.WAYS[way],
    )  # fmt: skip
    model, data = vision.seeded(make, 0), small()
    vision.train(
        model, data, epochs=20, batch_size=20, learning_rate=0.01, device=CPU
    )
    assert vision.evaluate(model, data.train).accuracy > 0.8


@pytest.mark.parametrize(
    ("pictures", "shown", "epochs"), [(10, 100, 10), (100, 10, 1), (8, 20, 2)]
)
def test_about_as_many_pictures_are_shown(pictures, shown, epochs):
    assert architectures.passes(pictures, shown) == epochs


@every_device
def test_predictions_of_a_batch(device):
    job = architectures.pictures_per_second(build("CNN"), device, 3)
    assert job().shape == (3, 10)


# Traps


@pytest.mark.parametrize("factor", [0.1, 1.0, 5.0])
def test_the_softmax_without_its_maximum_overflows(factor):
    scores = factor * torch.tensor([10.0, 20.0, 30.0])
    right = torch.softmax(scores, -1)
    close(architectures.softmax_shifted(scores), right)
    plain = architectures.softmax_plain(scores)
    if factor < 5:
        close(plain, right)
    else:
        assert plain.isnan().any()


def test_mixtures_of_ones_are_ones_only_over_the_keys():
    q, k, v = noise(3, 1, 1, 6, 4)
    ones = torch.ones_like(v)
    for attend in architectures.WAYS.values():
        close(attend(q, k, ones), ones)
    wrong = architectures.attention_down(q, k, ones)
    assert wrong.shape == ones.shape
    assert (wrong - ones).abs().max() > 0.05


def test_without_the_scale_wide_heads_grow_deaf():
    narrow, wide = (
        [architectures.sharpness(width, scaled) for scaled in (True, False)]
        for width in (4, 1024)
    )
    assert wide[0][0] == pytest.approx(narrow[0][0], abs=0.05)
    assert wide[1][0] > 0.8
    assert wide[1][1] < wide[0][1] / 4


def test_the_scale_is_the_only_difference():
    q, k, v = noise(3, 1, 2, 6, 16)
    got = architectures.attention_unscaled(q / 4, k, v)
    close(got, architectures.attention_naive(q, k, v))


# Exercises


@pytest.mark.parametrize("name", ["merge", "longest", "causal"])
def test_solutions_pass_their_checks(name):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    task.check(task.solution)


def sum_without_shift(one, two):
    best = torch.maximum(one[0], two[0])
    return best, one[1] + two[1], one[2] + two[2]


def peeks(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("merge", sum_without_shift),
        ("longest", lambda room, heads, size: math.isqrt(room // heads)),
        ("longest", lambda r, h, s: int((r / (2 * h * s)) ** 0.5)),
        ("causal", peeks),
    ],
)
def test_wrong_solutions_do_not(name, wrong):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError):
        task.check(wrong)
