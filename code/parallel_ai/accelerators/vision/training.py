"""One function that trains any of the models on any device."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.vision import checkpoints
from parallel_ai.accelerators.vision.data import (
    Data,
    Part,
    batches,
    shuffled,
)
from parallel_ai.accelerators.vision.scoring import evaluate
from parallel_ai.toolbox import device as devices

CHECKED = 50  # steps between two looks at the losses: a look waits for a GPU
Schedule = Callable[[float], float]


class NotFiniteError(ArithmeticError):
    """The loss is no number any more; the message names the step."""


@dataclass(frozen=True)
class Epoch:
    """One row of the table: what an epoch brought and took."""

    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    training_seconds: float
    evaluation_seconds: float


@dataclass
class History:
    """What `train` returns.

    Attributes
    ----------
    rows : list of Epoch
    steps : list of float
        Training loss of each step.
    device : str
        The device's name.
    """

    rows: list[Epoch] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    device: str = ""

    @property
    def seconds(self) -> float:
        """Seconds of training, without evaluation and without saving."""
        return sum(row.training_seconds for row in self.rows)

    def table(self) -> Any:
        """Return a pandas frame, one row an epoch."""
        import pandas as pd

        return pd.DataFrame(map(asdict, self.rows)).set_index("epoch")


def one_cycle(done: float) -> float:
    """Rise to the full learning rate, then fall to nothing.

    Parameters
    ----------
    done : float
        Part of the training that is over, from 0 to 1.
    """
    if done < 0.25:
        return 0.04 + 0.96 * done / 0.25
    return 0.5 + 0.5 * math.cos(math.pi * (done - 0.25) / 0.75)


def constant(done: float) -> float:
    """Keep the learning rate as it is."""
    return 1.0


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a model whose first weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Part
) -> torch.Tensor:
    """Take one step downhill; return the loss, still on its device."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch.images), batch.labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


@dataclass
class Run:
    """A training under way: all that a checkpoint must hold."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    settings: dict[str, Any]
    history: History
    epoch: int = 0
    step: int = 0  # in the epoch
    seconds: float = 0.0  # of training, in the epoch

    def save(self, path: Path) -> None:
        """Write everything, the generators' states too."""
        state = {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "chance": checkpoints.chance(self.device),
            "rows": [asdict(row) for row in self.history.rows],
            "steps": self.history.steps,
            "place": (self.epoch, self.step, self.seconds),
        }
        checkpoints.save(path, state)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was written, if there is one."""
        state = checkpoints.load(path, self.settings)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        checkpoints.restore_chance(state["chance"], self.device)
        self.history.rows = [Epoch(**row) for row in state["rows"]]
        self.history.steps = state["steps"]
        self.epoch, self.step, self.seconds = state["place"]


def train(
    model: nn.Module,
    data: Data,
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 0.004,
    schedule: Schedule = one_cycle,
    device: torch.device | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    report: Callable[[int, float], object] | None = None,
) -> History:
    """Train a model, in place, on the CPU or on an accelerator.

    Parameters
    ----------
    model : Module
        Moved to the device, and left there.
    schedule : callable
        Factor of the learning rate, by the part of the training done.
    device : torch.device, optional
        Without one, what `toolbox.device.choose` finds.
    seed : int
        Of the order of the pictures and of dropout. The first weights come
        with the model, see `seeded`.
    checkpoint : path, optional
        Where to save at the end of each epoch. If the file is there the
        training goes on from it.
    save_every : int, optional
        Save after so many steps, too.
    report : callable, optional
        Called after each look at the losses, with step and last loss.

    Returns
    -------
    History
        One row an epoch; nothing of the test set is in it.

    Raises
    ------
    NotFiniteError
        The loss became NaN or infinite.
    OutOfMemoryError
        Of `toolbox.device`: the device's memory is full.
    CheckpointError
        The checkpoint is damaged or belongs to another training.
    """
    device = device or devices.choose()
    own = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    settings = {
        "epochs": epochs, "batch_size": batch_size, "seed": seed,
        "learning_rate": learning_rate, "schedule": schedule.__name__,
        "pictures": len(data.train),
    }  # fmt: skip
    advice = "a smaller batch_size needs less"
    with (
        torch.random.fork_rng(devices=own, device_type=kind),
        devices.room_for(f"a batch of {batch_size:,} pictures", advice),
    ):
        torch.manual_seed(seed)
        model.to(device)
        here, validation = data.train.to(device), data.validation.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
        history = History(device=devices.name(device))
        run = Run(model, optimizer, device, settings, history)
        path = Path(checkpoint) if checkpoint else None
        if path:
            run.resume(path)
        while run.epoch < epochs:
            _finish_epoch(run, here, schedule, path, save_every, report)
            _close_epoch(run, validation)
            if path:
                run.save(path)
    return history


def _finish_epoch(
    run: Run,
    part: Part,
    schedule: Schedule,
    path: Path | None,
    save_every: int | None,
    report: Callable[[int, float], object] | None,
) -> None:
    """Take the steps of an epoch that are still to be taken."""
    size = run.settings["batch_size"]
    length = math.ceil(len(part) / size)
    order = shuffled(len(part), run.settings["seed"], run.epoch)
    pending: list[torch.Tensor] = []
    run.model.train()
    begun = time.perf_counter()
    for batch in batches(part, size, order, run.step):
        done = (run.epoch + run.step / length) / run.settings["epochs"]
        rate = run.settings["learning_rate"] * schedule(done)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        pending.append(train_step(run.model, run.optimizer, batch))
        run.step += 1
        saving = path and save_every and run.step % save_every == 0
        if len(pending) == CHECKED or run.step == length or saving:
            _check(run, pending, report)
        if path and saving:
            run.seconds += time.perf_counter() - begun
            run.save(path)
            begun = time.perf_counter()
    devices.finish(run.device)
    run.seconds += time.perf_counter() - begun


def _check(
    run: Run,
    pending: list[torch.Tensor],
    report: Callable[[int, float], object] | None,
) -> None:
    """Fetch the losses of the last steps, in one go, and look at them."""
    losses = run.history.steps
    for loss in torch.stack(pending).tolist():
        losses.append(loss)
        if not math.isfinite(loss):
            raise NotFiniteError(
                f"The loss is {loss} in step {len(losses)} (epoch "
                f"{run.epoch + 1}). Try a lower learning_rate than "
                f"{run.settings['learning_rate']}, and look for pixels and "
                "labels that are no numbers."
            )
    pending.clear()
    if report:
        report(len(losses), losses[-1])


def _close_epoch(run: Run, validation: Part) -> None:
    """Evaluate, with a clock of its own, and write the row."""
    begun = time.perf_counter()
    score = evaluate(run.model, validation)
    taken = time.perf_counter() - begun
    losses = run.history.steps[len(run.history.steps) - run.step :]
    mean = sum(losses) / len(losses) if losses else math.nan
    run.history.rows.append(
        Epoch(
            run.epoch + 1, mean, score.loss, score.accuracy,
            run.seconds, taken,
        )
    )  # fmt: skip
    run.epoch, run.step, run.seconds = run.epoch + 1, 0, 0.0
