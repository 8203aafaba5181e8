"""Vision: one function on any device, and a kill that changes nothing."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # sets an environment variable: not in a test
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import practice, recording, training
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

DEVICES = [torch.device("cpu")]
if devices.choose().type != "cpu":
    DEVICES.append(devices.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)
CPU = DEVICES[0]


def pictures(count: int, seed: int = 0, by: float = 1) -> vision.Part:
    """Noise, in which the class says which rows are bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    noise = torch.randn(count, 1, 28, 28, generator=generator)
    rows = torch.arange(28).view(1, 1, 28, 1) // 2
    bright = rows == labels.view(-1, 1, 1, 1)
    return vision.Part(noise + by * bright, labels)


def small(count: int = 60, seed: int = 0) -> vision.Data:
    parts = (pictures(n, seed + i) for i, n in enumerate((count, 23, 10)))
    return vision.Data(*parts)


def tiny() -> nn.Sequential:
    """A model with all that has a state: weights, norms, dropout."""
    return nn.Sequential(
        vision.convolution(1, 4, stride=4),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 7 * 7, 10),
    )


def learn(data=None, build=tiny, **options):
    model = vision.seeded(build, 0)
    options = {"epochs": 2, "batch_size": 16, "device": CPU, **options}
    return model, vision.train(model, data or small(), **options)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def equal(one: dict, two: dict) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[k], two[k]) for k in one)


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    return equal(one.state_dict(), two.state_dict())


# Models


@pytest.mark.parametrize(
    ("build", "count"),
    [(vision.original, 1_475_338), (vision.mlp, 235_146), (vision.cnn, None)],
)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_models_give_logits(build, count, size):
    model = build().eval()
    assert model(torch.zeros(size, 1, 28, 28)).shape == (size, 10)
    assert count in (None, vision.parameters(model))


def test_the_originals_layers():
    kinds = [type(layer) for layer in vision.original()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.BatchNorm2d) == 2
    assert kinds.count(nn.Linear) == 3


def test_the_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = vision.seeded(tiny, 1)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert same_weights(one, vision.seeded(tiny, 1))
    assert not same_weights(one, vision.seeded(tiny, 2))


# Data


def fake_set(monkeypatch):
    rng = np.random.default_rng(0)
    raw = {}
    for name, count in (("train", 50), ("test", 9)):
        raw[f"{name}_images"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        raw[f"{name}_labels"] = rng.integers(0, 10, count, np.uint8)
    monkeypatch.setattr(datasets, "load", lambda name: raw)
    return raw


@pytest.mark.parametrize("held", [0, 1, 13])
def test_parts_do_not_mix(monkeypatch, held):
    raw = fake_set(monkeypatch)
    data = vision.load_data(held)
    assert (len(data.train), len(data.validation)) == (50 - held, held)
    assert data.train.images.std().item() == pytest.approx(1, abs=1e-3)
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-3)
    both = torch.cat([data.train.images, data.validation.images])
    assert len({one.numpy().tobytes() for one in both}) == 50
    assert data.test.labels.tolist() == raw["test_labels"].tolist()
    again = vision.load_data(held)
    assert torch.equal(again.train.labels, data.train.labels)


def test_pixels_go_from_zero_to_one():
    part = vision.as_part(np.array([[[0, 255]]], np.uint8), np.uint8([3]))
    assert part.images.tolist() == [[[[0, 1]]]]
    assert (part.labels.dtype, part.images.shape) == (
        torch.int64,
        (1, 1, 1, 2),
    )


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 3))
def test_batches_lose_nothing(count, size, epoch):
    part = pictures(count)
    order = vision.shuffled(count, 7, epoch)
    assert sorted(order.tolist()) == list(range(count))
    got = list(vision.batches(part, size, order))
    labels = [x for batch in got for x in batch.labels.tolist()]
    assert labels == part.labels[order].tolist()
    assert all(len(batch) == size for batch in got[:-1])
    later = list(vision.batches(part, size, order, first=1))
    assert [len(b) for b in later] == [len(b) for b in got[1:]]


def test_another_epoch_has_another_order():
    orders = {tuple(vision.shuffled(50, s, e)) for s in (0, 1) for e in (0, 1)}
    assert len(orders) == 4


@pytest.mark.parametrize("method", [None, "fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_loader_gives_the_same_batches(method):
    part = pictures(7)
    order = vision.shuffled(7, 0, 0)
    workers = 2 if method else 0
    got = list(vision.loader_batches(part, 3, order, workers, method))
    expected = list(vision.batches(part, 3, order))
    assert [len(batch) for batch in got] == [3, 3, 1]
    for one, two in zip(got, expected, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert len(vision.Clothes(part)) == 7
    assert list(vision.loader_batches(part[:0], 3, order[:0])) == []


# Training


@every_device
@pytest.mark.parametrize("build", [vision.cnn, vision.mlp, tiny])
def test_the_same_function_trains_every_model(device, build):
    model, history = learn(build=build, device=device, learning_rate=0.002)
    assert [row.epoch for row in history.rows] == [1, 2]
    assert len(history.steps) == 2 * 4
    assert history.steps[-1] < history.steps[0]
    assert history.device == devices.name(device)
    assert next(model.parameters()).device.type == device.type
    for row, losses in zip(
        history.rows, (history.steps[:4], history.steps[4:]), strict=True
    ):
        assert row.loss == pytest.approx(np.mean(losses))
        assert row.training_seconds > 0
        assert row.evaluation_seconds > 0
    assert history.seconds == sum(r.training_seconds for r in history.rows)
    table = history.table()
    assert table.index.tolist() == [1, 2]
    last = vision.evaluate(model, small().validation)
    assert table["validation_accuracy"][2] == last.accuracy
    assert table["validation_loss"][2] == pytest.approx(last.loss)


def test_a_seed_gives_the_same_weights_and_leaves_chance_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, first = learn(seed=1)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(9)
    two, second = learn(seed=1)
    assert same_weights(one, two)
    assert first.steps == second.steps
    assert not same_weights(one, learn(seed=2)[0])


@pytest.mark.parametrize("count", [1, 16, 17])
def test_any_number_of_pictures(count):
    _, history = learn(small(count), vision.mlp)
    assert len(history.steps) == 2 * math.ceil(count / 16)


def test_no_pictures_and_no_epochs():
    model, history = learn(small(0))
    assert history.steps == []
    assert math.isnan(history.rows[0].loss)
    fresh = vision.seeded(tiny, 0)
    assert not learn(epochs=0)[1].rows
    assert torch.equal(model[3].weight, fresh[3].weight)


def test_the_validation_part_teaches_nothing():
    one, two = small(), small()
    two.validation.images.zero_()
    assert same_weights(learn(one)[0], learn(two)[0])


def test_the_rates_of_a_schedule():
    rates = [vision.one_cycle(x / 100) for x in range(101)]
    assert max(rates) == rates[25] == 1
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert vision.constant(0.3) == 1


@pytest.mark.parametrize("bad", [0, 37, 59])
def test_a_loss_that_is_no_number_names_its_step(bad, tmp_path):
    data = small()
    step = vision.shuffled(60, 0, 0).tolist().index(bad) // 16 + 1
    data.train.images[bad] = math.nan
    with pytest.raises(vision.NotFiniteError, match=f"nan in step {step} "):
        learn(data, vision.mlp, checkpoint=tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_the_losses_are_looked_at_in_the_long_run(monkeypatch):
    monkeypatch.setattr(training, "CHECKED", 3)
    steps = []
    learn(report=lambda step, loss: steps.append(step))
    assert steps == [3, 4, 7, 8]


def test_a_full_memory_says_what_to_reduce(monkeypatch):
    def full(*_):
        return torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(training, "train_step", full)
    with pytest.raises(
        devices.OutOfMemoryError, match="batch of 16.*smaller batch_size"
    ):
        learn()


def test_a_missing_device_is_told(monkeypatch):
    monkeypatch.setenv(devices.WANTED, "cuda:99")
    with pytest.raises(devices.DeviceError, match="Devices: cpu"):
        learn(device=None)
    monkeypatch.setenv(devices.WANTED, "cpu")
    assert learn(device=None, epochs=1)[1].rows


# Checkpoints

PROGRAM = """
import os, signal, sys, torch
from pathlib import Path
import importlib.util

spec = importlib.util.spec_from_file_location("tests_vision", {tests!r})
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
torch.set_num_threads(1)

def stop(step, loss):
    if step == {kill}:
        os.kill(os.getpid(), signal.SIGKILL)

replace = os.replace
def half(*names):
    if {in_save} and Path({file!r}).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = half

model, history = tests.learn(
    checkpoint={file!r}, save_every=3, report=stop, epochs=3)
torch.save((model.state_dict(), history.steps), {result!r})
"""


def child(folder: Path, file: str, kill: int = 0, in_save=False) -> str:
    program = PROGRAM.format(
        tests=str(Path(__file__).resolve()),
        file=str(folder / file),
        result=str(folder / "result.pt"),
        kill=kill,
        in_save=in_save,
    )
    return attempt(program, seconds=100)


@pytest.mark.parametrize(
    ("kill", "in_save", "saved"),
    [(8, False, 7), (0, True, 3)],
)
def test_kill_9_changes_nothing(tmp_path, kill, in_save, saved):
    """4 steps an epoch; saved after 3 and 4, 7 and 8, 11 and 12."""
    assert "-9" in child(tmp_path, "c.pt", kill, in_save)
    assert not (tmp_path / "result.pt").exists()
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    assert len(state["steps"]) == saved
    torch.rand(5)  # whatever else has drawn meanwhile
    resumed, history = learn(
        epochs=3, checkpoint=tmp_path / "c.pt", save_every=3
    )
    whole, expected = learn(epochs=3)
    assert history.steps == expected.steps
    assert [r.epoch for r in history.rows] == [1, 2, 3]
    assert same_weights(resumed, whole)


def test_a_finished_training_is_not_done_again(tmp_path):
    one, first = learn(checkpoint=tmp_path / "c.pt")
    taken = []
    two, second = learn(
        checkpoint=tmp_path / "c.pt", report=lambda *_: taken.append(1)
    )
    assert same_weights(one, two)
    assert second.rows == first.rows
    assert taken == []
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    learn(checkpoint=tmp_path / "c.pt")
    with pytest.raises(vision.CheckpointError, match=r"\['epochs', 'seed'\]"):
        learn(checkpoint=tmp_path / "c.pt", epochs=5, seed=9)


class Bad:
    """What `weights_only` must not load."""


def test_damaged_and_dangerous_files_are_refused(tmp_path):
    path = tmp_path / "c.pt"
    learn(checkpoint=path)
    vision.cut_in_half(path, {"settings": {}}, vision.save)
    with pytest.raises(vision.CheckpointError, match="damaged.*Remove"):
        vision.load(path, {})
    for content in (b"", b"nonsense" * 9):
        path.write_bytes(content)
        with pytest.raises(vision.CheckpointError, match="damaged"):
            vision.load(path, {})
    torch.save({"settings": Bad()}, path)
    with pytest.raises(vision.CheckpointError, match="UnpicklingError"):
        vision.load(path, {})
    assert vision.load(tmp_path / "none", {}) is None


def test_a_failed_save_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "c.pt"
    vision.save(path, {"settings": {"a": 1}})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        vision.save(path, {"settings": lambda: 0})
    assert vision.load(path, {"a": 1}) == {"settings": {"a": 1}}
    assert [p.name for p in path.parent.iterdir()] == ["c.pt"]


@every_device
def test_chance_goes_on_where_it_was(device):
    states = vision.chance(device)
    first = torch.rand(3, device=device), torch.rand(3)
    vision.restore_chance(states, device)
    again = torch.rand(3, device=device), torch.rand(3)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


# Scores


@pytest.mark.parametrize("count", [1, 2, 35])
def test_scores_agree_with_scikit_learn(count):
    model, _ = learn()
    part = pictures(count, 9)
    logits = vision.predict(model, part, 4)
    labels, answers = part.labels.numpy(), logits.argmax(1).numpy()
    score = vision.evaluate(model, part)
    assert score.accuracy == pytest.approx(
        metrics.accuracy_score(labels, answers)
    )
    chances = logits.double().softmax(1).numpy()
    expected = metrics.log_loss(labels, chances, labels=range(10))
    assert score.loss == pytest.approx(expected, rel=1e-4)
    table = vision.confusion(model, part)
    right = metrics.confusion_matrix(labels, answers, labels=range(10))
    assert np.array_equal(table.numpy(), right)


def test_no_pictures_have_no_score():
    model, nothing = tiny(), pictures(0)
    score = vision.evaluate(model, nothing)
    assert math.isnan(score.accuracy)
    assert math.isnan(score.loss)
    assert vision.confusion(model, nothing).sum() == 0


def test_evaluating_leaves_the_model_as_it_was():
    model = tiny().train()
    before = weights(model)
    vision.evaluate(model, pictures(9))
    assert model.training
    assert equal(before, weights(model))
    with vision.evaluating(model):
        assert not model.training
    with pytest.raises(KeyError), vision.evaluating(model):
        raise KeyError
    assert model.training


# Traps


def test_the_training_mode_gives_other_answers_and_no_other_weights():
    model, _ = learn(epochs=5)
    part = pictures(64, 9)
    before = weights(model)
    torch.manual_seed(0)  # dropout draws: two scores of 64 may be equal
    got = vision.accuracy_in_training_mode(model, part, 1)
    assert got != vision.evaluate(model, part).accuracy
    assert equal(before, weights(model))


@pytest.mark.parametrize("shuffle", [True, False])
def test_without_shuffling_the_classes_come_one_by_one(shuffle):
    seen = []
    model = vision.mlp()
    model.register_forward_pre_hook(
        lambda _, inputs: seen.extend(inputs[0][:, 0, 0, 0].tolist())
    )
    part = pictures(250)
    part.images[:, 0, 0, 0] = part.labels
    vision.careless(model, part, shuffle=shuffle)
    assert sorted(seen) == sorted(part.labels.tolist())
    assert (seen == sorted(seen)) != shuffle


def test_a_gradient_that_is_not_cleared_is_taken_twice():
    def learned(epochs, **mistake):
        build = lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        model = vision.careless(
            vision.seeded(build, 0), part, epochs=epochs, **mistake
        )
        return model[1].weight.detach()

    part = pictures(50)  # one batch
    start, once, twice = (learned(epochs) for epochs in (0, 1, 2))
    wrong = learned(2, zero_grad=False)
    torch.testing.assert_close(wrong - twice, once - start, rtol=0, atol=1e-4)


def test_the_best_of_several_was_lucky():
    chosen, fresh = vision.best_of(
        3, pictures(50), pictures(20, 1), pictures(99, 2)
    )
    assert 0 <= fresh <= 1
    assert 0 <= chosen <= 1


# Records


@every_device
def test_some_steps_go_on(device):
    job = vision.some_steps(tiny, pictures(40), 3, device, 16)
    first, last = job(), [job() for _ in range(10)][-1]
    assert last < first


def test_records_are_json_and_use_all_pictures(monkeypatch):
    monkeypatch.setattr(recording, "load_data", small)
    monkeypatch.setattr(recording, "EPOCHS", 1)
    one = vision.train_original(small(), CPU)
    assert one["steps"] == 1
    monkeypatch.setattr(
        recording,
        "train_original",
        lambda data, device: {"model": "original"},
    )
    found = vision.record()
    assert [row["model"] for row in found] == ["original", "cnn", "mlp"]
    assert {"training_seconds", "test_accuracy", "rows"} <= found[1].keys()
    ways = vision.compare_models(1, 1)
    assert list(ways) == ["original", "cnn", "mlp"]
    assert all(isinstance(way, Timing) for way in ways.values())


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
        ("recalls", lambda t: t.diagonal() / t.sum(0).clip(1), "row holds"),
        (
            "recalls",
            lambda t: t.diagonal() / t.sum(1).clip(1),
            "without pictures",
        ),
        ("count_weights", lambda i, o, s, bias: i * o * s * s, "returned"),
        ("stop_after", lambda losses, patience: len(losses), "expected"),
        (
            "normalise",
            lambda a, b: ((a - a.mean()) / a.std(), (b - b.mean()) / b.std()),
            "treated",
        ),
        (
            "normalise",
            lambda a, b: (a.sub_(a.mean()).div_(a.std()), b),
            "changed",
        ),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
