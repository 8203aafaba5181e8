"""Looking inside: counts against the hand, answers against another process."""

import copy
import hashlib
import inspect
import json
import logging
import shutil
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxscript  # noqa: F401 - its first import takes long: not in a test
import pytest
import torch
import torchinfo
import torchviz  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import looking_inside, vision
from parallel_ai.accelerators.looking_inside import (
    __main__,
    counting,
    inference,
    practice,
    viewer,
)
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.exercises import EXERCISES, verdict
from parallel_ai.toolbox.stopwatch import Timing

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "book/accelerators/figures/looking_inside_netron.webp"
SIZES = (1, 3, 8)
CPU = torch.device("cpu")
DEVICES = [CPU]
if devices.choose().type != "cpu":
    DEVICES.append(devices.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)


def images(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 28, 28, generator=generator)


def labels(count: int) -> torch.Tensor:
    return torch.arange(count) % 10


@pytest.fixture(scope="module")
def model():
    """A CNN whose running means are not those of a new one."""
    torch.set_num_threads(1)
    net = vision.seeded(vision.cnn, 0)
    net.train()
    with torch.no_grad():
        for seed in range(3):
            net(images(64, seed) * 2 + 1)
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """The model in every format; the example had two pictures."""
    place = tmp_path_factory.mktemp("exported")
    torch.save(model.state_dict(), place / "weights.pth")
    example = images(2)
    place.joinpath("warned.json").write_text(
        json.dumps(
            looking_inside.to_torchscript(model, example, place / "traced.pt")
        )
    )
    looking_inside.to_torchscript(
        model, example, place / "scripted.pt", by="script"
    )
    looking_inside.to_program(model, example, place / "program.pt2")
    looking_inside.to_onnx(model, example, place / "model.onnx")
    return place


def answers(model: nn.Module, batch: torch.Tensor) -> np.ndarray:
    with vision.evaluating(model):
        return model(batch).numpy()


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(model.state_dict())


def same(one: dict, two: dict) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


# Counting


@pytest.mark.parametrize(
    "build",
    [vision.cnn, vision.original, vision.mlp],
    ids=lambda b: b.__name__,
)
@pytest.mark.parametrize("batch", [1, 3])
def test_layers_agree_with_torchinfo_and_the_dispatcher(build, batch):
    net = build()
    rows = looking_inside.layers(net, images(batch))
    info = looking_inside.torchinfos_table(net, (1, 28, 28))
    assert sum(row.parameters for row in rows) == info.total_params
    assert info.total_params == vision.parameters(net)
    work = sum(row.multiply_adds for row in rows)
    assert work * batch == looking_inside.products(net, images(batch))
    assert rows[-1].shape == (10,)
    leaves = [m for m in info.summary_list if not list(m.module.children())]
    assert [r.kind for r in rows] == [m.class_name for m in leaves]
    assert [list(r.shape) for r in rows] == [m.output_size[1:] for m in leaves]


def test_counting_by_hand():
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten())
    rows = looking_inside.layers(net, torch.zeros(5, 2, 4, 4))
    assert [(r.kind, r.shape) for r in rows] == [
        ("Conv2d", (3, 4, 4)),
        ("ReLU", (3, 4, 4)),
        ("Flatten", (48,)),
    ]
    assert rows[0].parameters == 3 * 2 * 9 + 3
    assert rows[0].multiply_adds == 48 * 2 * 9


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)
)
@settings(max_examples=20)
def test_multiply_adds_are_those_of_the_dispatcher(
    inputs, outputs, size, groups
):
    layer = nn.Conv2d(
        inputs * groups, outputs * groups, size, padding=1, groups=groups
    )
    [row] = looking_inside.layers(
        nn.Sequential(layer), torch.zeros(1, inputs * groups, 6, 6)
    )
    assert row.multiply_adds == looking_inside.products(
        layer, torch.zeros(1, inputs * groups, 6, 6)
    )


def test_looking_changes_nothing():
    net = vision.cnn()
    net[1].eval()
    before, modes = state(net), [m.training for m in net.modules()]
    looking_inside.layers(net, images(2))
    looking_inside.products(net, images(2))
    looking_inside.feature_maps(net, images(2))
    looking_inside.saliency(net, images(2), labels(2))
    looking_inside.gradient_norms(net, vision.Part(images(2), labels(2)))
    looking_inside.torchinfos_table(net, (1, 28, 28))
    assert same(before, net.state_dict())
    assert [m.training for m in net.modules()] == modes
    assert looking_inside.hooks_on(net) == 0
    assert all(p.grad is None for p in net.parameters())


def test_hooks_are_removed_after_an_error():
    net = vision.mlp()

    def broken(name, module, output):
        raise KeyError(name)

    chosen = looking_inside.leaves(net)
    with pytest.raises(KeyError), looking_inside.hooked(chosen, broken):
        net(images(1))
    assert looking_inside.hooks_on(net) == 0
    with pytest.raises(RuntimeError):
        looking_inside.layers(net, torch.zeros(1, 5))
    assert looking_inside.hooks_on(net) == 0
    assert net.training


def test_torchsummary_is_right_on_our_models_and_wrong_elsewhere():
    count = looking_inside.torchsummarys_count
    for build in (vision.cnn, vision.original, vision.mlp):
        assert count(build(), (1, 28, 28)) == vision.parameters(build())
    for build, ours, theirs in (
        (looking_inside.Twice, 72, 144),
        (looking_inside.Scaled, 80, 72),
        (looking_inside.Attending, 360, "AttributeError"),
    ):
        net = build()
        assert vision.parameters(net) == ours
        table = looking_inside.torchinfos_table(net, (5, 8))
        assert table.total_params == ours
        assert count(net, (5, 8)) == theirs


def test_torchsummary_changes_what_it_looks_at():
    net = vision.cnn()
    looking_inside.torchsummarys_count(net, (1, 28, 28))
    assert net[0][1].num_batches_tracked == 1
    assert net[0][1].running_mean.abs().max() > 0
    net = looking_inside.Attending()
    looking_inside.torchsummarys_count(net, (5, 8))
    assert looking_inside.hooks_on(net) > 0
    with pytest.raises(AttributeError):
        net(torch.zeros(1, 5, 8))


def test_twice_is_called_twice_and_counted_once():
    rows = looking_inside.layers(looking_inside.Twice(), torch.zeros(1, 8))
    assert [row.parameters for row in rows] == [72, 0]
    assert [row.multiply_adds for row in rows] == [64, 64]
    assert isinstance(
        looking_inside.torchinfos_table(looking_inside.Twice(), (8,)),
        torchinfo.ModelStatistics,
    )


def test_the_dispatcher_sees_what_no_module_is():
    net, before = looking_inside.Attending(), torch.backends.mha
    fast = before.get_fastpath_enabled()
    projections, scores = 5 * 8 * 40, 2 * 5 * 5 * 8
    work = looking_inside.products(net, torch.zeros(1, 5, 8))
    assert work == projections + scores
    assert before.get_fastpath_enabled() == fast
    info = looking_inside.torchinfos_table(net, (5, 8))
    assert info.total_mult_adds < work


# Activations and gradients


@every_device
def test_feature_maps_are_the_layers_outputs(model, device):
    batch = images(3)
    net = copy.deepcopy(model).to(device)
    found = looking_inside.feature_maps(net, batch)
    assert list(found) == ["0.2", "1.2", "2.2", "6"]
    with vision.evaluating(net):
        first = net[0](batch.to(device))
        third = net[2](net[1](first))
    assert torch.equal(found["0.2"], first.cpu())
    assert torch.equal(found["2.2"], third.cpu())
    assert all(m.device == CPU for m in found.values())


def test_dead_units_are_found():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.ReLU())
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    assert looking_inside.dead_units(net, images(5)) == {"2": 0.5}
    channels = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    with torch.no_grad():
        channels[0].weight.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
        channels[0].bias.zero_()
    # One pixel of one picture is enough to be alive.
    batch = torch.full((3, 1, 2, 2), -1.0)
    assert looking_inside.dead_units(channels, batch) == {"1": 1.0}
    batch[2, 0, 1, 1] = 1
    assert looking_inside.dead_units(channels, batch) == {"1": 0.5}


@every_device
def test_gradient_norms_are_those_of_autograd(model, device):
    part = vision.Part(images(6), labels(6))
    net = copy.deepcopy(model).to(device)
    norms = looking_inside.gradient_norms(net, part)
    assert list(norms) == ["0.0", "1.0", "2.0", "5", "7"]
    net.eval()
    logits = net(part.images.to(device))
    loss = F.cross_entropy(logits, part.labels.to(device))
    [gradient] = torch.autograd.grad(loss, logits)
    assert norms["7"] == pytest.approx(gradient.norm().item(), rel=1e-4)
    assert not part.images.requires_grad


@every_device
def test_saliency_is_the_gradient(model, device):
    net = copy.deepcopy(model).to(device)
    batch, classes = images(3), labels(3)
    found = looking_inside.saliency(net, batch, classes)
    assert found.shape == batch.shape
    net.eval()
    pixels = batch[1:2].clone().to(device).requires_grad_()
    net(pixels)[0, 1].backward()
    assert torch.allclose(found[1:2], pixels.grad.abs().cpu(), atol=1e-4)
    assert not batch.requires_grad


def test_a_linear_models_saliency_is_its_weights():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    found = looking_inside.saliency(net, images(2), torch.tensor([4, 7]))
    assert torch.allclose(found[1].flatten(), net[1].weight[7].abs())


def test_alike_is_a_rank_correlation():
    maps = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert looking_inside.alike(maps, maps) == pytest.approx(1)
    assert looking_inside.alike(maps, maps**3) == pytest.approx(1)
    assert looking_inside.alike(maps, -maps) == pytest.approx(-1)


# Export: the same answers in another process


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (looking_inside.read_weights, "weights.pth"),
        (looking_inside.read_torchscript, "traced.pt"),
        (looking_inside.read_program, "program.pt2"),
        (looking_inside.read_onnx, "model.onnx"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_another_process_gives_the_same_answers(read, name, folder, model):
    batches = [images(size, seed=size) for size in SIZES]
    got = looking_inside.elsewhere(
        read, folder / name, [batch.numpy() for batch in batches]
    )
    for theirs, batch in zip(got.answers, batches, strict=True):
        ours = answers(model, batch)
        assert looking_inside.same_answers(ours, theirs)
        assert (ours.argmax(1) == theirs.argmax(1)).all()
    assert got.memory > 0
    assert len(got.stages) == 3
    needed = {
        "weights.pth": ["parallel_ai", "torch"],
        "model.onnx": [],
    }
    assert got.imported == needed.get(name, ["torch"])


@pytest.mark.parametrize("size", [0, 1, 2, 5, 64])
def test_every_format_answers_every_size(size, folder, model):
    batch = images(size, seed=size)
    ours = answers(model, batch)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = {
            "script": torch.jit.load(folder / "scripted.pt")(batch),
            "trace": torch.jit.load(folder / "traced.pt")(batch),
            "program": torch.export.load(folder / "program.pt2").module()(
                batch
            ),
        }
    loaded = looking_inside.session(folder / "model.onnx")
    [theirs] = loaded.run(None, {"images": batch.numpy()})
    assert looking_inside.same_answers(ours, theirs)
    for way, logits in found.items():
        assert looking_inside.same_answers(ours, logits.numpy()), way


def test_exporting_changes_nothing(model, folder):
    assert model.training  # as the fixture left it
    assert model[0][1].num_batches_tracked == 3


def test_torchscript_says_that_it_is_deprecated(folder):
    warned = json.loads(folder.joinpath("warned.json").read_text())
    assert any("deprecated" in text for text in warned)
    assert len(set(warned)) == len(warned)


def test_normalisation_is_folded_on_the_way(folder, model):
    program = torch.export.load(folder / "program.pt2")
    counts = looking_inside.program_operations(program)
    assert counts["conv2d"] == counts["batch_norm"] == 3
    exported = looking_inside.onnx_operations(folder / "model.onnx")
    assert exported["Conv"] == 3
    assert exported["BatchNormalization"] == exported["Dropout"] == 0
    proto = onnx.load(folder / "model.onnx")
    assert sum(exported.values()) == len(proto.graph.node)
    assert proto.opset_import[0].version == 20
    size = proto.graph.input[0].type.tensor_type.shape.dim[0]
    assert size.dim_param == "batch"


def test_a_file_names_no_folder_of_this_machine(folder):
    content = (folder / "model.onnx").read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in content
    assert not list(folder.glob("*.data"))  # one file, not two


def test_the_runtime_merges_activations(folder, tmp_path):
    path = tmp_path / "optimized.onnx"
    looking_inside.session(folder / "model.onnx", optimized=path)
    assert sum(looking_inside.onnx_operations(path).values()) < sum(
        looking_inside.onnx_operations(folder / "model.onnx").values()
    )


def test_elsewhere_tells_what_went_wrong(tmp_path):
    with pytest.raises(RuntimeError, match="none.onnx.*exit 1.*NoSuchFile|No"):
        looking_inside.elsewhere(
            looking_inside.read_onnx, tmp_path / "none.onnx", [np.zeros(1)]
        )


def test_answers_are_not_the_same_if_anything_differs(folder):
    ours = np.ones((2, 10), np.float32)
    assert not looking_inside.same_answers(ours, ours[:1])
    assert not looking_inside.same_answers(ours, ours + np.float32(1e-2))


# What goes wrong


def test_a_trace_freezes_a_branch_and_script_does_not(tmp_path):
    net = looking_inside.Branching()
    bright, dark = torch.ones(2, 4), -torch.ones(2, 4)
    warned = looking_inside.to_torchscript(net, bright, tmp_path / "t.pt")
    assert any("TracerWarning" in text for text in warned)
    looking_inside.to_torchscript(net, bright, tmp_path / "s.pt", by="script")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.load(tmp_path / "t.pt")
        scripted = torch.jit.load(tmp_path / "s.pt")
        assert torch.equal(traced(dark), net.bright(dark))
        assert not torch.equal(traced(dark), net(dark))
        assert torch.equal(scripted(dark), net(dark))


def test_export_refuses_a_branch_and_takes_a_condition(tmp_path, capfd):
    bright, dark = torch.ones(2, 4), -torch.ones(2, 4)
    with pytest.raises(Exception, match="data-dependent"):
        looking_inside.to_program(looking_inside.Branching(), bright)
    net = looking_inside.BothBranches()
    looking_inside.to_onnx(net, bright, tmp_path / "both.onnx")
    loaded = looking_inside.session(tmp_path / "both.onnx")
    for x in (bright, dark):
        [got] = loaded.run(None, {"images": x.numpy()})
        assert np.allclose(got, net(x).detach(), atol=1e-6)


def test_a_fixed_batch_is_refused(model):
    fixed = looking_inside.to_program(model, images(2), any_batch=False)
    with pytest.raises(AssertionError, match="== 2"):
        fixed.module()(images(3))
    with pytest.raises(Exception, match="constant"):
        looking_inside.to_program(model, images(1))


def test_hooks_in_a_hurry_keep_everything():
    net = vision.mlp()
    spy = looking_inside.Remembering(net)
    kept = []
    for _ in range(3):
        net(images(4))
        kept.append(spy.bytes())
    assert kept == [kept[0], 2 * kept[0], 3 * kept[0]]
    assert spy.kept[-1].grad_fn is not None
    assert looking_inside.hooks_on(net) == len(list(net.children()))
    light = looking_inside.Remembering(vision.mlp(), detach=True)
    assert light.kept == []


def test_a_pickle_runs_code_only_where_it_is_allowed(tmp_path, capsys):
    path = tmp_path / "found.pt"
    torch.save({"weights": looking_inside.Curious()}, path)
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path)
    assert capsys.readouterr().out == ""
    torch.load(path, weights_only=False)
    assert "ran" in capsys.readouterr().out


def load_any(path: Path) -> object:
    if path.suffix == ".onnx":
        return looking_inside.session(path)
    if path.suffix == ".pt2":
        return torch.export.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)


@pytest.mark.parametrize("name", ["traced.pt", "program.pt2", "model.onnx"])
def test_half_a_file_is_noticed_and_a_bit_is_not(
    name, folder, tmp_path, model
):
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)
    path = Path(shutil.copy(folder / name, tmp_path))
    looking_inside.seal(path)
    assert looking_inside.sealed(path) == path
    load_any(path)
    flipped = looking_inside.flip_bit(path, model[-1].weight)
    load_any(flipped)  # without a word
    one, two = path.read_bytes(), flipped.read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(one, two, strict=True)) == 1
    path.write_bytes(two)
    with pytest.raises(looking_inside.ModelFileError, match="another check"):
        looking_inside.sealed(path)
    path.write_bytes(one[: len(one) // 2])
    with pytest.raises(looking_inside.ModelFileError, match="cut short"):
        looking_inside.sealed(path)
    with pytest.raises(Exception, match=r"zip|Protobuf"):
        load_any(path)


def test_seals(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"abc")
    assert looking_inside.seal(path) == hashlib.sha256(b"abc").hexdigest()
    path.unlink()
    with pytest.raises(looking_inside.ModelFileError, match="cannot be read"):
        looking_inside.sealed(path)
    path.write_bytes(b"abc")
    tmp_path.joinpath("model.onnx.sha256").write_text("")
    with pytest.raises(looking_inside.ModelFileError, match="Export again"):
        looking_inside.sealed(path)
    with pytest.raises(ValueError, match="does not hold"):
        looking_inside.flip_bit(path, torch.ones(2))


# Inference


def test_ways_give_the_same_answers(folder, model):
    batch = images(4)
    net = copy.deepcopy(model).eval()
    ways = looking_inside.eager_and_runtime(
        net, batch, folder / "model.onnx", threads=1
    )
    [theirs] = ways["ONNX Runtime"]()
    assert looking_inside.same_answers(ways["eager"]().numpy(), theirs)


def test_a_compiled_model_answers_the_same(model, monkeypatch):
    """With a compiler that does nothing: the real one takes long."""
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda net, **how: real(net, backend="eager", **how)
    )
    net = copy.deepcopy(model).eval()
    call, first = looking_inside.compiled(net, images(3))
    assert looking_inside.same_answers(
        answers(model, images(3)), call().numpy()
    )
    assert first > 0


@every_device
def test_rows_of_times(folder, device, monkeypatch):
    path = folder / "model.onnx"
    row = looking_inside.time_batch(
        2, path, repeats=2, threads=1, with_compiler=False
    )
    assert list(row["seconds"]) == ["eager", "ONNX Runtime"]
    assert all(len(s) == 2 and min(s) > 0 for s in row["seconds"].values())
    assert json.loads(json.dumps(row)) == row

    def no_compiler(*arguments):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(inference, "compiled", no_compiler)
    row = looking_inside.time_batch(1, path, repeats=1, threads=1)
    assert "no C++ compiler" in row["problem"]
    assert "compiled" not in row["seconds"]
    there = looking_inside.on_device(2, device, repeats=1, with_compiler=False)
    assert json.loads(json.dumps(there)) == there
    assert there["device"] == devices.name(device)


def test_comparisons_and_records(monkeypatch):
    asked = []

    def row(path, batches):
        assert path.is_file()
        asked.append(batches)
        return [{"batch": batches[0], "seconds": {"eager": [0.1, 0.2]}}]

    monkeypatch.setattr(inference, "time_elsewhere", row)
    monkeypatch.setattr(
        inference, "to_onnx", lambda model, example, path: path.touch()
    )
    for compare in looking_inside.COMPARISONS.values():
        ways = compare()
        assert ways == {"eager": Timing((0.1, 0.2))}
    assert asked == [(1,), (256,)]
    monkeypatch.setattr(inference, "on_device", lambda size, device: size)
    assert looking_inside.RECORDS["looking-inside"]() == [1, 16, 256, 4_096]
    assert looking_inside.best_rate(64) > 0


def test_recording_needs_none_of_the_tools():
    """A machine that only records has PyTorch and no more."""
    program = """
import sys
from parallel_ai.accelerators import looking_inside
tools = {"onnx", "onnxruntime", "onnxscript", "netron", "torchinfo"}
print(*(tools | {"torchsummary", "torchviz", "playwright"}) & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == ""


def test_the_command_tells_json(monkeypatch, capsys):
    monkeypatch.setattr(
        __main__, "time_batch", lambda size, path: {"batch": size}
    )
    monkeypatch.setattr(sys, "argv", ["it", "time", "cnn.onnx", "1", "3"])
    __main__._main()
    assert json.loads(capsys.readouterr().out) == [{"batch": 1}, {"batch": 3}]


# Drawings


needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz's dot is not installed"
)


@needs_dot
def test_the_backward_graph_holds_each_parameter():
    svg = looking_inside.backward_graph(vision.mlp(), images(1))
    assert svg.rstrip().endswith("</svg>")
    for name, _ in vision.mlp().named_parameters():
        assert name in svg
    assert "AddmmBackward0" in svg


def test_without_dot_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        looking_inside.NotInstalledError, match="apt install graphviz"
    ):
        looking_inside.backward_graph(vision.mlp(), images(1))
    with pytest.raises(looking_inside.NotInstalledError, match="chromium"):
        looking_inside.photographed(tmp_path / "model.onnx")


def test_netron_serves_the_file_on_loopback(folder):
    path = folder / "model.onnx"
    with looking_inside.served(path) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}/data/model.onnx") as answer:
            assert answer.read() == path.read_bytes()
    with pytest.raises(FileNotFoundError, match="no model"):
        next(looking_inside.served(folder / "none.onnx").gen)


needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, viewer.BROWSERS)), reason="no browser"
)


@needs_browser
def test_the_picture_in_the_book_shows_what_is_exported(folder):
    """Taken again, it holds the same operations, weights and shapes."""
    picture = looking_inside.photographed(folder / "model.onnx")
    # Whatever the page reports to others, it does not get there.
    assert all(url.startswith("https://") for url in picture.refused)
    assert not any("127.0.0.1" in url[:20] for url in picture.refused)
    kinds = looking_inside.onnx_operations(folder / "model.onnx")
    for kind, count in kinds.items():
        assert picture.labels.count(kind) == count
    assert "batch×32×14×14" in picture.labels
    assert picture.png.startswith(b"\x89PNG")
    with Image.open(PICTURE) as shown:
        assert sorted(json.loads(shown.info["xmp"])) == sorted(picture.labels)
        assert shown.width > 600
    assert PICTURE.stat().st_size < 150_000


def test_a_picture_is_drawn_into_a_folder(monkeypatch, tmp_path, capsys):
    page = PICTURE.read_bytes()
    picture = looking_inside.Picture("<svg><text>Conv</text></svg>", page, [])
    monkeypatch.setattr(__main__, "photographed", lambda file: picture)
    monkeypatch.setattr(__main__, "to_onnx", lambda *arguments: None)
    __main__._draw(tmp_path)
    with Image.open(tmp_path / PICTURE.name) as drawn:
        assert json.loads(drawn.info["xmp"]) == ["Conv"]


def test_open_ends_with_its_input(folder, monkeypatch, capsys):
    def ended():
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    __main__._open(folder / "model.onnx")
    printed = capsys.readouterr().out
    assert "127.0.0.1" in printed
    assert "closed" in printed


# Exercises


@pytest.mark.parametrize("name", ["receptive_field", "fold", "same_answers"])
def test_solutions_pass_and_starters_do_not(name):
    function = getattr(practice, name)
    assert verdict(function, looking_inside) == ""
    task = EXERCISES[f"{practice.__name__}.{name}"]
    wrong = {
        "receptive_field": lambda layers: 1 + sum(k - 1 for k, _ in layers),
        "fold": lambda weight, gamma, beta, mean, variance, eps: (
            weight * (gamma / variance).view(-1, 1, 1, 1),
            beta - mean,
        ),
        "same_answers": lambda ours, theirs: (
            ours.shape == theirs.shape and np.allclose(ours, theirs)
        ),
    }[name]
    with pytest.raises(AssertionError):
        task.check(wrong)


def test_the_receptive_field_is_what_gradients_reach():
    layers = [(5, 2), (3, 2), (3, 1)]
    net = nn.Sequential(
        *(nn.Conv1d(1, 1, k, s, bias=False) for k, s in layers)
    )
    for layer in net:
        nn.init.ones_(layer.weight)
    pixels = torch.zeros(1, 1, 60, requires_grad=True)
    net(pixels)[0, 0, 3].backward()
    assert (pixels.grad != 0).sum() == looking_inside.receptive_field(layers)


def test_readers_need_nothing_of_their_module():
    for read in (looking_inside.read_onnx, looking_inside.answer_all):
        source = inspect.getsource(read)
        compile(source, "reader", "exec")
    assert counting.multiply_adds(nn.ReLU(), (3,)) == 0
