"""Blood cells: one training for any ranks, and scores that are the protocol's."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics
from tensorboard.backend.event_processing import event_accumulator
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter  # noqa: F401, environment

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Data, Part
from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.intervals import wilson
from parallel_ai.training import blood_cells as bc
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.blood_cells import comparing, practice

CPU = torch.device("cpu")
LITTLE = bc.CellOptions(
    epochs=2, batch_size=32, pictures=128, width=4, shrink=2, save_every=3
)


def part(count: int, seed: int = 0) -> Part:
    """Noise of eight colours, one for each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 8
    bits = torch.stack([labels & 1, labels // 2 & 1, labels // 4]) * 120
    noise = torch.randint(0, 130, (count, 3, 28, 28), generator=generator)
    return Part((noise + bits.T[:, :, None, None]).to(torch.uint8), labels)


def data() -> Data:
    return Data(part(128), part(43, 1), part(41, 2))


def replaced(**changes) -> bc.CellOptions:
    return bc.CellOptions(**{**vars(LITTLE), **changes})


def probabilities(rows: int, seed: int, classes: int = 8) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(classes), rows)


# The set and the network


def test_cells_are_bytes_in_three_splits_with_names():
    cells = bc.load_cells(200)
    assert len(cells.names) == bc.CLASSES
    for some in (cells.data.train, cells.data.validation, cells.data.test):
        assert some.images.shape == (200, 3, 28, 28)
        assert some.images.dtype == torch.uint8
        assert some.labels.max() < bc.CLASSES
    assert not cells.official  # here the rebuilt set lies


def test_network_is_medmnists():
    """Parameters of its code's ResNet18(in_channels=3, num_classes=8)."""
    assert vision.parameters(bc.network()) == 11_172_936
    logits = bc.network(4)(part(3).images)
    assert logits.shape == (3, bc.CLASSES)


@pytest.mark.parametrize(("width", "together"), [(4, False), (8, True)])
def test_channels_lie_together_where_that_is_safe(width, together):
    """Below eight, a kernel for AVX2 writes beyond its memory."""
    model = bc.network(width, shrink=4)
    assert model[0](torch.zeros(2, 3, 28, 28)).is_contiguous() is not together
    weights = model[1].state_dict().values()
    wide = [w for w in weights if w.ndim == 4 and w.shape[2] > 1]
    assert wide
    assert all(w.is_contiguous() is not together for w in wide)


def test_bytes_become_minus_one_to_one():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    whole = images.expand(2, 3, 4, 4)
    assert bc.FromBytes()(whole).flatten(1).unique(dim=1).tolist() == [
        [-1],
        [1],
    ]
    assert bc.FromBytes(2)(whole).shape == (2, 3, 2, 2)


def test_all_eight_ways_to_turn_occur_and_no_other():
    torch.manual_seed(0)
    one = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    found = bc.turned(one.expand(400, 1, 4, 4)).unique(dim=0)
    expected = torch.cat(
        [
            torch.rot90(side, k, (2, 3))
            for k in range(4)
            for side in (one, one.flip(3))
        ]
    ).unique(dim=0)
    assert torch.equal(found, expected)


# Training


def alone(options: bc.CellOptions) -> torch.nn.Module:
    """Train in this process, as a group of one."""
    with dp.joined():
        torch.set_num_threads(1)
        return bc.train_cells(data(), options)


def two_norms(options: bc.CellOptions) -> list[torch.Tensor]:
    """Weights after a training with normalisation over all ranks' batch."""
    model = bc.train_cells(data(), options)
    return [p.detach().double() for p in model.parameters()]


def test_ranks_do_not_matter_where_the_norm_is_shared():
    """Without turning, two ranks take the steps of one."""
    options = replaced(
        sync_norm=True, turn=False, learning_rate=1e-4, epochs=1
    )
    one = [p.detach().double() for p in alone(options).parameters()]
    first, second = ranks.run(two_norms, 2, options)
    begun = bc.built(4, 2, True, 0, CPU).parameters()
    for a, b, c, start in zip(one, first, second, begun, strict=True):
        assert torch.equal(b, c)
        moved = (a - start.detach().double()).norm()
        assert (a - b).norm() < 0.05 * moved + 1e-9


def killed_and_calm(folder: Path) -> dict:
    """State after a kill and a second start; the last rank died."""
    path = str(folder / "killed.pt")
    with pytest.raises(ranks.RankError) as error:
        ranks.run(
            bc.train_cells, 2, data(),
            replaced(checkpoint=path, kill_at=5),
        )  # fmt: skip
    assert error.value.ranks == (1,)
    assert torch.load(path, weights_only=True)["step"] == 3
    return ranks.run(
        bc.train_cells, 2, data(),
        replaced(checkpoint=path, events=str(folder / "again")),
    )[0].state_dict()  # fmt: skip


def test_killed_training_ends_with_the_same_weights(tmp_path):
    again = killed_and_calm(tmp_path)
    calm = ranks.run(bc.train_cells, 2, data(), LITTLE)
    for model in calm:
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, again[name]), name
    points = bc.Events(tmp_path / "again").new()
    assert min(bc.curve(points, "train/loss")) > 3


def test_it_learns_and_ends_though_it_begins_at_the_end(tmp_path):
    options = replaced(
        epochs=6, learning_rate=0.01, checkpoint=str(tmp_path / "cells.pt")
    )
    model = alone(options)
    assert vision.evaluate(model, data().test).accuracy > 0.8
    again = alone(options)
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ranks.RankError, match="a batch of 33 cannot"):
        ranks.run(bc.train_cells, 2, data(), replaced(batch_size=33))


def test_less_than_a_batch_is_refused():
    try:
        with pytest.raises(ValueError, match="less than one batch"):
            alone(replaced(pictures=31))
    finally:
        dist.destroy_process_group()  # in trouble, it was left as it was


def test_half_precision_learns_almost_the_same():
    steps = []
    for bf16 in (False, True):
        model = bc.built(4, 2, False, 0, CPU)
        optimizer = torch.optim.AdamW(model.parameters())
        options = replaced(bf16=bf16, turn=False)
        steps.append(
            [
                bc.cell_step(model, optimizer, part(32), options, 1e-3).item()
                for _ in range(3)
            ]
        )
    assert steps[1] != steps[0]
    assert steps[1] == pytest.approx(steps[0], rel=0.05)


def test_the_command_trains_two_ranks_and_tests_only_when_asked(tmp_path):
    words = [
        *dp.torchrun_command(2, tmp_path / "store")[:-1],
        "parallel_ai.training.blood_cells", "--pictures=64", "--width=2",
        "--shrink=4", "--epochs=1", "--batch-size=32", "--test",
        f"--events={tmp_path / 'run'}",
    ]  # fmt: skip
    quiet = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with dp.started_command(words, **quiet) as process:
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    first, last = output.splitlines()
    assert first.startswith("epoch 1:")
    assert last.startswith("test: AUC")
    assert len(list((tmp_path / "run").iterdir())) == 1  # rank 0 alone


# Watching


def test_tensorboard_reads_what_we_read(tmp_path):
    def job() -> str:
        with bc.Monitor(str(tmp_path)) as monitor:
            for step in (1, 2, 3):
                monitor.write(step, train__loss=1 / step)
        return "done"

    shown: list[int] = []
    result, points = bc.watch(
        job, tmp_path, lambda p: shown.append(len(p)), 0.05
    )
    assert result == "done"
    assert shown[-1] == len(points) == 3
    assert all(p.written <= p.seen for p in points)
    theirs = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    ours = bc.curve(points, "train/loss")
    assert ours == {e.step: e.value for e in theirs.Scalars("train/loss")}


def test_half_a_record_is_left_for_the_next_time(tmp_path):
    with bc.Monitor(str(tmp_path)) as monitor:
        for step in range(5):
            monitor.write(step, a=step)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    events = bc.Events(tmp_path)
    assert [p.step for p in events.new()] == [0, 1, 2, 3]
    assert events.new() == []
    file.write_bytes(whole)
    assert [p.step for p in events.new()] == [4]


def test_points_appear_while_the_training_goes_on(tmp_path):
    seen = []
    ends = iter([False, False, True])
    monitor = bc.Monitor(str(tmp_path))

    def over() -> bool:
        monitor.write(len(seen), a=1.0)
        monitor.writer.flush()
        return next(ends)

    for points in bc.follow(tmp_path, over, interval=0):
        seen.append(len(points))
    monitor.writer.close()
    assert seen == [1, 1, 1]


def test_a_training_that_fails_is_no_silent_end(tmp_path):
    with pytest.raises(ZeroDivisionError):
        bc.watch(lambda: 1 / 0, tmp_path, lambda _: None, 0)


# Distributed inference


def predicted(model: torch.nn.Module, some: list[Part]) -> list[torch.Tensor]:
    return [bc.predict_shared(model, one) for one in some]


def test_ranks_answer_what_one_process_answers():
    """Also where shares are unequal, or empty."""
    model = bc.built(4, 2, False, 0, CPU).eval()
    some = [part(count) for count in (7, 3, 1)]
    expected = [bc.predict_shared(model, one) for one in some]
    for found in ranks.run(predicted, 3, model, some):
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# Scores


@given(
    hnp.arrays(int, st.integers(2, 40), elements=st.integers(0, 5)),
    st.data(),
)
def test_auc_is_scikit_learns_also_with_ties(scores, draw):
    truth = draw.draw(
        hnp.arrays(bool, len(scores)).filter(lambda a: 0 < a.sum() < len(a))
    )
    expected = metrics.roc_auc_score(truth, scores)
    assert bc.auc_of(scores / 5, truth) == pytest.approx(expected)
    pairs = practice.pair_auc(scores[~truth].tolist(), scores[truth].tolist())
    assert pairs == pytest.approx(expected)


def test_auc_without_pairs_is_an_error():
    with pytest.raises(ValueError, match="positives and negatives"):
        bc.auc_of(np.ones(3), np.ones(3, bool))


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_scores_and_report_are_scikit_learns(seed):
    given_ = probabilities(60, seed)
    labels = np.random.default_rng(seed).permutation(np.arange(60) % 8)
    found = bc.score(given_, labels)
    assert found.auc == pytest.approx(
        metrics.roc_auc_score(
            labels, given_, multi_class="ovr", average="macro"
        )
    )
    answers = given_.argmax(1)
    assert found.acc == metrics.accuracy_score(labels, answers)
    table = bc.confusion_of(given_, labels)
    kinds = range(8)
    theirs = metrics.confusion_matrix(labels, answers, labels=kinds)
    assert table.tolist() == theirs.tolist()
    frame = bc.report(table, [str(k) for k in kinds])
    expected = metrics.precision_recall_fscore_support(
        labels, answers, labels=kinds, zero_division=0
    )
    assert np.allclose(frame.to_numpy().T, expected)


def test_softmax_and_temperature():
    logits = torch.tensor([[2.0, 0.0]])
    assert bc.softmax(logits)[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert bc.softmax(logits, 2)[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_bootstrap_holds_the_score_and_shrinks_with_pictures():
    random = np.random.default_rng(0)
    widths = []
    for count in (100, 1600):
        labels = random.integers(0, 8, count)
        right = random.random(count) < 0.8
        answers = np.where(right, labels, (labels + 1) % 8)
        sure = np.eye(8)[answers]
        low, high = bc.bootstrap(bc.accuracy, sure, labels)
        assert low < right.mean() < high
        a, b = wilson(int(right.sum()), count)
        assert (low, high) == pytest.approx((a, b), abs=0.03)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)


# Calibration


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=30)
def test_bins_hold_every_answer_once(seed, bins):
    given_ = probabilities(50, seed)
    given_[0] = np.eye(8)[0]  # as sure as can be
    labels = np.arange(50) % 8
    found = bc.reliability(given_, labels, bins)
    assert sum(one.count for one in found) == 50
    mean = sum(one.count * one.confidence for one in found) / 50
    assert mean == pytest.approx(given_.max(1).mean())
    gap = abs(bc.accuracy(given_, labels) - given_.max(1).mean())
    assert gap - 1e-12 <= bc.calibration_error(found) <= 1
    if bins == 1:
        assert bc.calibration_error(found) == pytest.approx(gap)


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_temperature_is_found_again(true):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4000, 8, generator=generator)
    labels = torch.multinomial(
        logits.softmax(1), 1, generator=generator
    ).flatten()
    found = bc.fit_temperature(logits * true, labels)
    assert found == pytest.approx(true, rel=0.08)
    before = F.cross_entropy(logits * true, labels)
    assert F.cross_entropy(logits * true / found, labels) <= before + 1e-6


# Baselines


def test_baselines_say_what_they_can():
    learn, ask = part(160), part(80, 3)
    labels = ask.labels.numpy()
    found = bc.baselines(learn, ask)
    scores = {name: bc.score(p, labels) for name, p in found.items()}
    constant = scores.pop("most frequent")
    assert (constant.auc, constant.acc) == (0.5, 1 / 8)
    assert all(one.acc > 0.9 for one in scores.values())
    for p in found.values():
        assert np.allclose(p.sum(1), 1)


def test_log_loss_is_scikit_learns():
    given_, labels = probabilities(40, 0), np.arange(40) % 8
    expected = metrics.log_loss(labels, given_)
    assert bc.log_loss(given_, labels) == pytest.approx(expected)


# Traps


def test_means_of_shares_are_other_scores():
    given_ = probabilities(90, 1)
    labels = np.arange(90) % 8
    whole = bc.score(given_, labels)
    one = bc.mean_of_shares(given_, labels, [90])
    assert one == whole
    uneven = bc.mean_of_shares(given_, labels, [80, 10])
    assert uneven.acc != pytest.approx(whole.acc, abs=1e-6)
    assert uneven.auc != pytest.approx(whole.auc, abs=1e-6)
    even = bc.mean_of_shares(given_, labels, [45, 45])
    assert even.acc == pytest.approx(whole.acc)
    assert even.auc != pytest.approx(whole.auc, abs=1e-6)


def of_a_rank(learn: Part, ask: Part) -> tuple:
    return bc.turns_of_rank(), bc.answers_of_rank(learn, ask)


def test_seeds_and_statistics_of_ranks():
    (turns, answers), (others, theirs) = ranks.run(
        of_a_rank, 2, part(64), part(16, 1)
    )
    assert turns[0] == others[0]
    assert turns[1] != others[1]
    assert set("".join(turns)) <= set("01234567")
    assert not torch.allclose(answers[0], theirs[0])
    assert torch.equal(answers[1], theirs[1])


def test_shifts_of_noise_gain_only_where_they_were_chosen():
    random = np.random.default_rng(0)
    labels = np.arange(2000) % 8
    given_ = bc.softmax(
        torch.from_numpy(random.normal(size=(2000, 8)) + 2 * np.eye(8)[labels])
    )
    before, after, gain = bc.tune_shifts(given_, labels, 60)
    assert after > before
    assert gain < after - before


# Comparing, exercises


def test_both_ways_are_timed():
    options = replaced(width=2, shrink=4)
    found = bc.compare_ranks(part(64), options)
    assert len(found) == 4
    assert all(one.median > 0 for one in found.values())


def test_a_step_is_compared_with_steps_alone(monkeypatch):
    ways = {"step: a": 1, "asking: a": 2, "step: b": 3, "asking: b": 4}
    monkeypatch.setattr(comparing, "compare_ranks", lambda: ways)
    assert bc.compare_one("step") == {"a": 1, "b": 3}
    assert bc.compare_one("asking") == {"a": 2, "b": 4}


def test_what_a_record_holds():
    options = replaced(width=2, shrink=4, epochs=1)
    with dp.joined():
        torch.set_num_threads(1)
        seconds, scores = bc.train_timed(data(), options)
    assert seconds > 0
    assert scores.keys() == {"auc", "acc"}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pair_auc", lambda negatives, positives: 1.0),
        ("balanced_accuracy", lambda t: t.diagonal().sum() / t.sum()),
        ("in_order", lambda shares: [n for one in shares for n in one]),
    ],
)
def test_exercises_accept_the_solution_and_nothing_else(name, wrong):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    task.check(task.solution)
    with pytest.raises(AssertionError):
        task.check(wrong)
