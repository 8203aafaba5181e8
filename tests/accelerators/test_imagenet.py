"""ImageNet: blocks as torchvision's, files good and bad, a bounded queue."""

import hashlib
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.resnet import Bottleneck as TheirBottleneck
from torchvision.transforms._presets import ImageClassification

from parallel_ai.accelerators import imagenet, vision
from parallel_ai.accelerators.imagenet import (
    practice,
    pretrained,
    recording,
    transferring,
)
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.downloads import DatasetError
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.toolbox.workers import bounds

CPU = torch.device("cpu")
DEVICES = [CPU]
if devices.choose().type != "cpu":
    DEVICES.append(devices.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Seven small pictures of all shapes and modes, as JPEG files."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    shapes = [(40, 60), (60, 40), (50, 50), (33, 97), (97, 33), (64, 64)]
    paths = []
    for number, (height, width) in enumerate(shapes):
        coarse = rng.integers(0, 256, (5, 7, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((width, height))
        paths.append(folder / f"{number}.jpg")
        picture.save(paths[-1], quality=90)
    paths.append(folder / "grey.jpg")
    Image.new("L", (50, 40), 99).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def broken(files, tmp_path_factory) -> list[Path]:
    """A truncated file, one that is no image, an empty one, a missing one."""
    folder = tmp_path_factory.mktemp("broken")
    content = files[0].read_bytes()
    paths = [folder / n for n in ("cut.jpg", "text.jpg", "empty.jpg", "no")]
    paths[0].write_bytes(content[: len(content) // 2])
    paths[1].write_bytes(b"<html>")
    paths[2].write_bytes(b"")
    return paths


def tiny(classes: int = 5) -> imagenet.ResNet:
    """A network whose running means have moved."""
    model = vision.seeded(
        lambda: imagenet.ResNet(imagenet.Basic, (1, 1), classes, 4), 0
    )
    model.train()(torch.randn(8, 3, 32, 32))
    return model.eval()


def photo_like(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)


# Blocks


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    ("ours", "theirs", "inputs", "width"),
    [
        (imagenet.Basic, BasicBlock, 8, 8),
        (imagenet.Basic, BasicBlock, 8, 16),
        (imagenet.Bottleneck, TheirBottleneck, 16, 4),
        (imagenet.Bottleneck, TheirBottleneck, 8, 4),
    ],
)
def test_a_block_is_torchvisions(ours, theirs, inputs, width, stride, mode):
    outputs = width * ours.expansion
    way = None
    if stride > 1 or inputs != outputs:
        way = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False),
            nn.BatchNorm2d(outputs),
        )
    torch.manual_seed(0)
    reference = theirs(inputs, width, stride, way)
    for p in reference.parameters():
        nn.init.normal_(p)
    block = ours(inputs, width, stride)
    block.load_state_dict(reference.state_dict())
    x = torch.randn(3, inputs, 9, 9)
    pair = []
    for model in (block.train(mode), reference.train(mode)):
        here = x.clone().requires_grad_()
        out = model(here)
        out.square().sum().backward()
        grads = [p.grad for p in model.parameters()]
        pair.append((out, here.grad, *grads, *model.buffers()))
    names = [n for n, _ in block.named_parameters()]
    assert names == [n for n, _ in reference.named_parameters()]
    for one, two in zip(*pair, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet18", 1.814), ("resnet50", 4.089)]
)
def test_a_network_is_torchvisions(name, billions):
    torch.manual_seed(0)
    reference = getattr(torchvision.models, name)()
    reference.train()(torch.randn(2, 3, 64, 64))  # moves the running means
    ours = getattr(imagenet, name)()
    ours.load_state_dict(reference.state_dict())
    assert list(ours.state_dict()) == list(reference.state_dict())
    assert vision.parameters(ours) == vision.parameters(reference)
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), reference.eval()(x))
    counted = imagenet.multiply_adds(ours, 224) / 1e9
    assert counted == pytest.approx(billions, abs=1e-3)
    assert not ours.training


def test_a_block_of_zeros_changes_nothing():
    block = imagenet.Basic(4, 4)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 4, 6, 6)  # nothing below 0 for the ReLU to take
    assert torch.equal(block(x), x)
    plain = imagenet.Basic(4, 4, residual=False)
    plain.load_state_dict(block.state_dict())
    assert not plain(x).any()


@pytest.mark.parametrize("small", [True, False])
def test_the_small_one_keeps_the_sides(small):
    model = imagenet.ResNet(imagenet.Basic, (1, 1), 3, 4, small=small)
    shapes = []
    model.layer1.register_forward_hook(
        lambda _, __, out: shapes.append(out.shape[-1])
    )
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    assert shapes == [32 if small else 8]
    assert model.features(torch.zeros(2, 3, 32, 32)).shape == (2, 8)


# Depth


@pytest.mark.parametrize("depth", [8, 20])
@pytest.mark.parametrize("residual", [True, False])
def test_depth_counts_layers(depth, residual):
    model = imagenet.deep(depth, residual)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    main = [m for m in layers if m.kernel_size == (3, 3)]
    assert len(main) + 1 == depth
    assert (len(layers) > len(main)) == residual
    batch = vision.Part(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    norms = imagenet.gradient_norms(model.eval(), batch)
    assert len(norms) == depth - 1
    assert min(norms) > 0
    assert not model.training
    assert all(
        torch.equal(before[k], v) for k, v in model.state_dict().items()
    )
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("depth", [2, 9, 21])
def test_impossible_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"not {depth}"):
        imagenet.deep(depth, True)


def test_what_the_page_says_of_gradients():
    batch = vision.Part(torch.randn(16, 3, 8, 8), torch.arange(16) % 8)

    def norms(build):
        return imagenet.gradient_norms(vision.seeded(build, 0), batch)

    gone = norms(
        lambda: imagenet.usual_start(
            imagenet.deep(56, False, imagenet.no_norm)
        )
    )
    plain = norms(lambda: imagenet.deep(56, False))
    residual = norms(lambda: imagenet.deep(56, True))
    assert max(gone) < 1e-6
    assert plain[0] / plain[-1] > 3 * residual[0] / residual[-1]


def test_training_a_deep_one_depends_on_its_seed_alone():
    part = vision.Part(torch.randn(70, 3, 8, 8), torch.arange(70) % 8)
    data = vision.Data(part, part[:9], part[:0])
    runs = [imagenet.train_deep(8, True, data, 1, s).steps for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


# Decoding

WAYS = [
    imagenet.decode_serial,
    imagenet.decode_threads,
]


@pytest.mark.parametrize("side", [14, 28])
def test_pixels_are_those_of_torchvisions_transform(files, side):
    transform = ImageClassification(
        crop_size=side, resize_size=side * 8 // 7, antialias=True
    )
    for path in files:
        with Image.open(path) as image:
            expected = transform(image.convert("RGB"))
        ours = imagenet.normalise(imagenet.decode(path, side)[None])[0]
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("workers", [1, 2, 3, 20])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_all_ways_give_the_same(files, way, workers, count):
    expected = imagenet.decode_serial(files[:count], 14)
    got = way(files[:count], 14, workers)
    assert got.pixels.shape == (count, 14, 14, 3)
    assert got.pixels.dtype == np.uint8
    assert np.array_equal(got.pixels, expected.pixels)
    assert got.kept == list(range(count))
    assert got.faults == []


def test_processes_give_the_same_and_name_the_broken(files, broken):
    mixed = [files[0], *broken[:2], files[1], *broken[2:], files[2]]
    expected = imagenet.decode_serial(mixed, 14)
    got = imagenet.decode_processes(mixed, 14, 2)
    assert np.array_equal(got.pixels, expected.pixels)
    assert got.kept == expected.kept == [0, 3, 6]
    assert got.faults == expected.faults
    with pytest.raises(imagenet.BadImageError, match="cut.jpg"):
        imagenet.decode_processes(mixed, 14, 2, on_error="raise")


@pytest.mark.parametrize("way", WAYS)
def test_broken_files_are_counted_and_named(files, broken, way):
    mixed = [broken[3], files[0], broken[0], broken[1], files[1], broken[2]]
    got = way(mixed, 14, 3)
    assert got.kept == [1, 4]
    expected = imagenet.decode_serial([files[0], files[1]], 14)
    assert np.array_equal(got.pixels, expected.pixels)
    assert [Path(f.path).name for f in got.faults] == [
        "no", "cut.jpg", "text.jpg", "empty.jpg",
    ]  # fmt: skip
    words = ["FileNotFound", "truncated", "cannot identify", "cannot identify"]
    for fault, word in zip(got.faults, words, strict=True):
        assert word in fault.reason
        assert str(Path(fault.path).parent) not in fault.reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("which", range(4))
def test_a_broken_file_stops_if_asked(files, broken, way, which):
    with pytest.raises(
        imagenet.BadImageError, match=broken[which].name
    ) as caught:
        way([files[0], broken[which], files[1]], 14, on_error="raise")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("way", WAYS)
def test_only_broken_files_and_wrong_wishes(broken, way):
    got = way(broken, 14)
    assert got.pixels.shape == (0, 14, 14, 3)
    assert (got.kept, len(got.faults)) == ([], 4)
    with pytest.raises(ValueError, match="not 'ignore'"):
        way([], on_error="ignore")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(imagenet.BadImageError, match=r"Is.*Directory|denied"):
        imagenet.decode(tmp_path)


def test_a_draft_is_smaller_before_it_is_scaled(tmp_path, monkeypatch):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    picture = np.stack([np.tile(ramp, (512, 1))] * 3, -1)
    Image.fromarray(picture).save(tmp_path / "large.jpg")
    widths = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image,
        "resize",
        lambda self, *a, **k: (
            widths.append(self.width) or resize(self, *a, **k)
        ),
    )
    whole = imagenet.decode(tmp_path / "large.jpg", 56)
    draft = imagenet.decode(tmp_path / "large.jpg", 56, draft=True)
    assert widths == [512, 64]
    assert np.abs(whole.astype(int) - draft).max() < 8


# Classifying


@every_device
@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_size_of_batches_changes_nothing(device, count):
    model = tiny().to(device)
    pixels = photo_like(count)
    whole = imagenet.logits_of(model, pixels, 100)
    assert whole.device.type == device.type
    with torch.inference_mode():
        expected = model(imagenet.normalise(pixels, device))
    torch.testing.assert_close(whole, expected)
    for batch in (1, 2, 3):
        torch.testing.assert_close(
            imagenet.logits_of(model, pixels, batch), whole
        )


def test_asking_leaves_a_model_as_it_is():
    model = tiny().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    imagenet.logits_of(model, photo_like(3))
    assert model.training
    assert all(
        torch.equal(before[k], v) for k, v in model.state_dict().items()
    )


def test_a_full_memory_says_what_to_reduce():
    class Hungry(nn.Linear):
        def forward(self, x):
            return torch.empty(1 << 60)

    with pytest.raises(
        devices.OutOfMemoryError, match="batch of 2 .*smaller batch"
    ):
        imagenet.logits_of(Hungry(1, 1), photo_like(2), 2)


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(2, 12), st.integers(0, 99))
def test_answers_are_sorted_and_belong_to_their_row(count, classes, seed):
    logits = torch.randn(
        count, classes, generator=torch.Generator().manual_seed(seed)
    )
    chances = imagenet.probabilities(logits)
    torch.testing.assert_close(chances.sum(1), torch.ones(count))
    names = [str(n) for n in range(classes)]
    for row, answers in zip(
        chances, imagenet.top(chances, names), strict=True
    ):
        assert len(answers) == min(5, classes)
        values = [v for _, v in answers]
        assert values == sorted(values, reverse=True)
        assert values == [row[int(name)].item() for name, _ in answers]
    right = [[int(row.argmin())] for row in logits]
    assert imagenet.top_accuracy(chances, right, classes) == 1
    assert imagenet.top_accuracy(chances, right, 1) == 0
    assert imagenet.top_accuracy(chances, [[]] * count) == 0


def test_no_pictures_have_no_accuracy():
    assert math.isnan(imagenet.top_accuracy(torch.empty(0, 5), []))


# Pipeline


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_threads_work_ahead_but_not_far(workers, depth, count):
    lock, begun, most = threading.Lock(), [0], [0]
    taken = 0

    def job(item):
        with lock:
            begun[0] += 1
            most[0] = max(most[0], begun[0] - taken)
        return item * 2

    found = []
    for result in imagenet.ahead(job, range(count), workers, depth):
        taken += 1
        found.append(result)
    assert found == [2 * n for n in range(count)]
    assert begun[0] == count
    assert most[0] <= depth + 1  # those that wait, and the one in hand


def test_an_error_comes_in_its_turn_and_the_rest_is_dropped():
    done = []

    def job(item):
        if item == 2:
            raise KeyError(item)
        done.append(item)
        return item

    stream = imagenet.ahead(job, range(100), 1, 2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(KeyError):
        next(stream)
    assert len(done) < 10
    stream = imagenet.ahead(job, range(2), 1, 2)
    next(stream)
    stream.close()  # whoever stops early leaves no thread behind
    with pytest.raises(ValueError, match="depth"):
        next(imagenet.ahead(job, [1], depth=0))


@every_device
@pytest.mark.parametrize("batch", [1, 2, 3, 50])
def test_the_pipeline_answers_as_the_serial_one(files, broken, batch, device):
    model = tiny().to(device)
    mixed = [files[0], *broken[:3], files[1], broken[3], *files[2:]]
    one = imagenet.classify_serial(model, mixed, 32, batch)
    two = imagenet.classify_pipelined(model, mixed, 32, batch)
    assert one.kept == two.kept == [0, 4, 6, 7, 8, 9, 10]
    assert one.faults == two.faults
    assert len(one.faults) == 4
    assert torch.equal(one.logits, two.logits)
    decoded = imagenet.decode_serial(files, 32)
    expected = imagenet.logits_of(model, decoded.pixels).cpu()
    torch.testing.assert_close(one.logits, expected)
    for way in (imagenet.classify_serial, imagenet.classify_pipelined):
        with pytest.raises(imagenet.BadImageError, match="cut.jpg"):
            way(model, mixed, 32, batch, on_error="raise")


def test_a_pipeline_of_nothing(broken):
    for paths in ([], broken):
        answers = imagenet.classify_pipelined(tiny(), paths, 32)
        assert answers.logits.shape == (0,)
        assert (answers.kept, len(answers.faults)) == ([], len(paths))


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_pipeline_gains_at_most_two(d, c):
    gain = imagenet.pipeline_limit(d, c)
    assert 1 <= gain <= 2
    assert gain == pytest.approx(imagenet.pipeline_limit(c, d))
    many = 10_000
    serial = many * (d + c)
    piped = imagenet.pipeline_seconds(many, d, c)
    assert serial / piped == pytest.approx(gain, rel=1e-3)


# Weights


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Official weights that are not: random ones, with their checksum."""
    state = vision.seeded(torchvision.models.resnet18, 3).state_dict()
    source = tmp_path / "source.pth"
    torch.save(state, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    row = imagenet.Weights("fake.pth", digest, imagenet.resnet18)
    monkeypatch.setitem(pretrained.WEIGHTS, "resnet18", row)
    photos = {
        "images": [("a.jpg", "tick")] * 3,
        "labels": {"tick": (78,)},
        "class_index": [(f"n{n}", f"name_{n}") for n in range(1000)],
    }
    monkeypatch.setattr(datasets, "load", lambda name: photos)
    return source, state


def test_official_weights_fit_ours(fake, tmp_path, monkeypatch):
    source, state = fake
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path))
    (tmp_path / "weights").mkdir()
    source.rename(tmp_path / "weights" / "fake.pth")
    found = imagenet.classifier()
    assert found.note is None
    assert (found.names[78], found.side) == ("name 78", 224)
    assert found.fresh == [0, 1, 2]
    ours = found.model.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in state.items())


def test_weights_are_downloaded_once_and_verified(fake, tmp_path, monkeypatch):
    source, _ = fake
    monkeypatch.delenv(datasets.OFFLINE, raising=False)
    monkeypatch.setattr(datasets, "cache", lambda: tmp_path / "cache")
    asked = []

    def downloader(url, file, pooch):
        asked.append(url)
        Path(file).write_bytes(source.read_bytes())

    for _ in range(2):
        path = imagenet.weights_file("resnet18", downloader=downloader)
        assert path.read_bytes() == source.read_bytes()
    assert asked == ["https://download.pytorch.org/models/fake.pth"]


def test_a_wrong_download_is_not_kept(fake, tmp_path, monkeypatch):
    monkeypatch.delenv(datasets.OFFLINE, raising=False)
    monkeypatch.setattr(datasets, "cache", lambda: tmp_path / "cache")

    def downloader(url, file, pooch):
        Path(file).write_bytes(b"another file")

    with pytest.raises(DatasetError, match="another file than expected"):
        imagenet.official(downloader=downloader)
    assert not (tmp_path / "cache" / "weights" / "fake.pth").exists()


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_without_weights_ours_has_a_note(fake, tmp_path, monkeypatch, content):
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path))
    if content:
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "fake.pth").write_bytes(content)
    word = "damaged" if content else "missing"
    with pytest.raises(DatasetError, match=f"{word}.*unset"):
        imagenet.official()
    monkeypatch.setattr(pretrained, "stand_in", lambda why: why)
    assert word in imagenet.classifier()


def test_the_checksums_are_those_in_the_names():
    for row in imagenet.WEIGHTS.values():
        assert row.sha256.startswith(row.file.rpartition("-")[2][:8])
        assert len(row.sha256) == 64


def test_the_stand_in_says_what_it_is():
    found = imagenet.stand_in("No network", epochs=1)
    assert found.note.startswith("These are **not** ImageNet's weights. No n")
    assert len(found.names) == len(found.right) == 37
    assert len(found.fresh) == 2 * 37
    learn, test, fresh = imagenet.photo_parts(14)
    assert fresh == found.fresh
    assert (len(learn), len(test)) == (6 * 37, 2 * 37)
    kinds = list(found.right)
    images = datasets.load("photos")["images"]
    for number, label in zip(fresh, test.labels.tolist(), strict=True):
        assert images[number][1] == kinds[label]
    assert not found.model.training


# Transfer


def blobs(count: int, classes: int = 3) -> vision.Part:
    """Pictures whose class is their colour."""
    labels = torch.arange(count) % classes
    images = 0.3 * torch.randn(count, 3, 28, 28)
    images[torch.arange(count), labels] += 1
    return vision.Part(images, labels)


def test_known_and_new_kinds_do_not_mix():
    new = [k for k in range(8) if k not in imagenet.KNOWN]
    raw = datasets.load("blood-cells")
    for kinds in (imagenet.KNOWN, new):
        found = imagenet.cells_of(kinds, 10**6)
        assert found.names == [raw["labels"][k] for k in sorted(kinds)]
        for split, part in (("train", found.learn), ("val", found.ask)):
            expected = sum((raw[f"{split}_labels"] == k).sum() for k in kinds)
            assert len(part) == expected
            assert part.labels.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("each", [1, 4])
def test_few_are_as_many_of_each_kind(each):
    part = blobs(40)
    few = imagenet.few_of(part, each, 0)
    assert few.labels.bincount().tolist() == [each] * 3
    again, other = (imagenet.few_of(part, each, seed) for seed in (0, 1))
    assert torch.equal(few.images, again.images)
    assert not torch.equal(few.images, other.images)


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_pieces_of_features_are_the_whole(workers):
    model = imagenet.backbone(3, 4).train()
    images = blobs(10).images
    whole = imagenet.features(model, images)
    assert model.training
    with ThreadPoolExecutor(2) as team:
        parts = imagenet.features_by(team, model, images, workers)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(imagenet.features(model, images, 3), whole)
    assert not whole.is_inference()


def test_features_once_give_the_head_of_features_always():
    model, few = imagenet.backbone(3).eval(), blobs(30)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    described = imagenet.features(model, few.images)
    once = imagenet.fit_head(described, few.labels, 3, 20)
    again, passed = imagenet.fit_head_again_and_again(model, few, 3, 20)
    assert passed == 21 * 30
    torch.testing.assert_close(once[1].weight, again[1].weight)
    assert all(
        torch.equal(before[k], v) for k, v in model.state_dict().items()
    )
    fresh = blobs(30)
    assert imagenet.accuracy_of_head(model, once, fresh) > 0.9


def test_transfer_is_compared_with_the_same_pictures(monkeypatch):
    kinds = imagenet.Kinds(["a", "b", "c"], blobs(60), blobs(30))
    model = imagenet.pretrain(kinds, epochs=2)
    assert not model.training
    seen = []
    monkeypatch.setattr(
        transferring,
        "from_scratch",
        lambda few, ask, classes, seed: seen.append((len(few), seed)) or 0.5,
    )
    found = imagenet.compare_transfer(model, kinds, [1, 3], seeds=2)
    assert seen == [(3, 0), (3, 1), (9, 0), (9, 1)]
    assert {k: len(v) for k, v in found.items()} == {1: 2, 3: 2}
    assert all(b == 0.5 and a > 0.5 for a, b in found[3])


def test_from_scratch_learns():
    assert imagenet.from_scratch(blobs(24), blobs(30), 3, epochs=6) > 0.6


# Traps


def test_the_missing_row_shows_with_two_pictures():
    logits = torch.tensor([[9.0, 0], [0, 9.0]])
    assert imagenet.probabilities(logits).argmax(1).tolist() == [0, 1]
    assert imagenet.first_ones(logits).argmax(1).tolist() == [0, 0]


def test_what_training_mode_and_bare_pixels_do():
    model, pixels = tiny(), photo_like(8)
    pixels[:4] //= 4  # darker: the batch matters
    before = {k: v.clone() for k, v in model.state_dict().items()}
    good = imagenet.logits_of(model, pixels)
    for wrong in (
        imagenet.without_normalising(model, pixels),
        imagenet.in_training_mode(model, pixels, 8),
    ):
        assert (wrong - good).abs().max() > 0.01
    one, two = (imagenet.in_training_mode(model, pixels, n) for n in (4, 8))
    assert (one - two).abs().max() > 0.01
    assert not model.training
    assert all(
        torch.equal(before[k], v) for k, v in model.state_dict().items()
    )


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_that_pass_all_pass_too_many(workers):
    model, pixels, passed = tiny(), photo_like(7), []
    model.register_forward_hook(lambda _, x, __: passed.append(len(x[0])))
    every = imagenet.all_of_them(model, pixels, workers)
    assert sum(passed) == 7 * workers
    passed.clear()
    own = imagenet.its_own(model, pixels, workers)
    assert sum(passed) == 7
    assert [len(x) for x in own] == [b - a for a, b in bounds(7, workers)]
    torch.testing.assert_close(torch.cat(own), torch.cat(every))


def test_a_kept_model_is_read_once(tmp_path):
    built = []

    def build():
        built.append(1)
        return tiny()

    torch.save(tiny().state_dict(), tmp_path / "m.pt")
    pixels = photo_like(2)
    results = [
        imagenet.answer_task(build, tmp_path / "m.pt", pixels, keep)
        for keep in (False, False, True, True, True)
    ]
    assert len(built) == 3
    assert all(torch.equal(results[0], r) for r in results)
    imagenet.kept_model.cache_clear()


# Records, exercises


def test_the_winners():
    years = [w.year for w in imagenet.WINNERS]
    assert years == list(range(2010, 2018))
    errors = [w.error for w in imagenet.WINNERS]
    assert errors == sorted(errors, reverse=True)
    below = [w.year for w in imagenet.WINNERS if w.error < imagenet.HUMAN]
    assert below[0] == 2015
    text = Path("book/references.bib").read_text("utf8")
    for winner in (*imagenet.WINNERS, imagenet.VGG):
        assert f"{{{winner.source}," in text


@every_device
def test_rates_have_their_keys(monkeypatch, files, device):
    model = tiny().to(device)
    timings = imagenet.time_batches(model, 32, [1, 3], repeats=1)
    assert list(timings) == [1, 3]
    assert timings[3].result.shape == (3, 5)
    assert imagenet.product_rate(device, 32) > 0
    stages = imagenet.time_pipeline(model, files, 32, 2, repeats=1)
    assert list(stages) == [
        "decode", "compute", "one after the other", "pipeline",
    ]  # fmt: skip
    assert torch.equal(
        stages["pipeline"].result.logits,
        stages["one after the other"].result.logits,
    )


def test_a_record_is_json_with_three_kinds_of_rows(monkeypatch, files):
    paths = [str(path) for path in files]
    monkeypatch.setattr(recording, "photo_paths", lambda: paths)
    monkeypatch.setattr(recording, "SIDE", 32)
    monkeypatch.setattr(recording, "resnet50", tiny)
    monkeypatch.setattr(recording.machine, "cpus", lambda: 2)
    monkeypatch.setenv(devices.WANTED, "cpu")
    monkeypatch.setattr(
        recording, "process_team", lambda workers: ThreadPoolExecutor(workers)
    )
    rows = imagenet.record()
    assert all(row["images_per_second"] > 0 for row in rows)
    whats = [row["what"] for row in rows]
    assert whats.count("decode") == 5 + 1  # ways, and the pipeline's stage
    types = {row["type"] for row in rows if row["what"] == "inference"}
    assert types == {"float32", "bfloat16"}
    assert whats[-1] == "pipeline"
    ways = imagenet.compare_decoding()
    assert list(ways) == [
        "serial", "1 thread", "2 threads", "1 process", "2 processes",
    ]  # fmt: skip
    assert all(isinstance(way, Timing) for way in ways.values())


OWN = [name for name in EXERCISES if practice.__name__ in name]


@pytest.mark.parametrize("name", OWN)
def test_solutions_pass_their_checks(name):
    EXERCISES[name].check(EXERCISES[name].solution)


def half_frozen(model: nn.Module) -> int:
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc.requires_grad_()
    return 10  # and the running means still move


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("block_weights", lambda inputs, width, bottleneck: 9 * width**2),
        ("top_five", lambda logits, right: 1.0),
        ("top_five", lambda logits, right: float(logits.max() < 50) / 2),
        ("pipeline_seconds", lambda n, d, c: n * max(d, c)),
        ("pipeline_seconds", lambda n, d, c: n * (d + c)),
        ("freeze", half_frozen),
        ("freeze", lambda model: 10),
    ],
)
def test_wrong_answers_do_not_pass(name, wrong):
    full = next(full for full in OWN if full.endswith(f".{name}"))
    with pytest.raises(AssertionError):
        EXERCISES[full].check(wrong)
