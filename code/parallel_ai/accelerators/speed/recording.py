"""The fastest honest time to an accuracy, as a mean over seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.speed.ladder import compare_loops
from parallel_ai.accelerators.speed.loading import SHIFT, shifted
from parallel_ai.accelerators.speed.loops import Settings
from parallel_ai.accelerators.vision import Data, Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import Timing, measure

GOAL = 0.93
SEEDS = 10


class Residual(nn.Module):
    """Two convolutions, and their input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            vision.convolution(channels, channels),
            vision.convolution(channels, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the same shape."""
        return x + self.layers(x)


def wide_cnn(width: int = 64) -> nn.Sequential:
    """Build a network that a GPU is worth: nine layers, 28 → 14 → 7 → 1."""
    return nn.Sequential(
        vision.convolution(1, width),
        vision.convolution(width, 2 * width),
        nn.MaxPool2d(2),
        Residual(2 * width),
        vision.convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),
        Residual(4 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, vision.CLASSES),
    )


def varied(images: torch.Tensor) -> torch.Tensor:
    """Shift each picture a little, and mirror half of them."""
    size = (len(images), 2)
    by = torch.randint(-SHIFT, SHIFT + 1, size, device=images.device)
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    moved = shifted(images, by)
    return torch.where(mirrored, moved.flip(-1), moved)


def train_varied(
    data: Data,
    epochs: int,
    seed: int,
    device: torch.device,
    settings: Settings,
    build: Callable[[], nn.Module] = wide_cnn,
) -> tuple[nn.Module, float]:
    """Train with varied pictures; all that is timed is in the time.

    Returns
    -------
    tuple
        The model, and seconds, which hold the first (slow) steps too, and
        the copy of the pictures to the device.

    Raises
    ------
    NotFiniteError
        The loss came to be no number.
    """
    model = vision.seeded(build, seed).to(memory_format=torch.channels_last)
    model = model.to(device).train()

    def work() -> float:
        part = data.train.to(device)
        fused = settings.fused
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, fused=fused
        )
        size = settings.batch_size
        steps, done = epochs * math.ceil(len(part) / size), 0
        loss = torch.zeros(())
        for epoch in range(epochs):
            order = vision.shuffled(len(part), seed, epoch)
            for batch in vision.batches(part, size, order):
                rate = settings.learning_rate * vision.one_cycle(done / steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                images = varied(batch.images).contiguous(
                    memory_format=torch.channels_last
                )
                with torch.autocast(
                    device.type, torch.bfloat16, enabled=settings.bfloat16
                ):
                    logits = model(images)
                loss = F.cross_entropy(
                    logits.float(), batch.labels, label_smoothing=0.1
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                done += 1
        return loss.item()

    own = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(own):
        torch.manual_seed(seed)
        timing = measure(devices.finished(work, device), repeats=1, warmup=0)
    if not math.isfinite(timing.result):
        raise vision.NotFiniteError(f"The last loss is {timing.result}.")
    return model, timing.median


def runs(
    data: Data,
    judged_by: Part,
    epochs: int,
    seeds: Sequence[int],
    device: torch.device,
    settings: Settings,
    build: Callable[[], nn.Module] = wide_cnn,
) -> dict[str, Any]:
    """Train once for each seed; every run counts, none is left out."""
    found = []
    for seed in seeds:
        model, seconds = train_varied(
            data, epochs, seed, device, settings, build
        )
        score = vision.evaluate(model, judged_by)
        found.append({"seed": seed, "seconds": seconds, **asdict(score)})
    accuracy = torch.tensor([run["accuracy"] for run in found])
    return {
        "device": devices.name(device),
        "epochs": epochs,
        "settings": asdict(settings),
        "runs": found,
        "mean_accuracy": accuracy.mean().item(),
        "mean_seconds": sum(run["seconds"] for run in found) / len(found),
    }


def fastest_to(
    goal: float,
    data: Data,
    device: torch.device,
    settings: Settings,
    choices: Sequence[int] = (4, 5, 6, 8, 10, 12, 16),
    seeds: int = SEEDS,
    build: Callable[[], nn.Module] = wide_cnn,
) -> dict[str, Any]:
    """Find the fewest epochs that reach a mean accuracy, honestly.

    Validation chooses the epochs, with seeds of its own; then the test set
    is used once, by other seeds, and what it says is reported whether or not
    it reaches the goal.

    Raises
    ------
    ValueError
        There are no choices.
    """
    if not choices:
        raise ValueError("choices: name at least one number of epochs")
    others = range(1_000, 1_003)
    for epochs in choices:
        tried = runs(
            data, data.validation, epochs, others, device, settings, build
        )
        if tried["mean_accuracy"] >= goal:
            break
    found = runs(
        data, data.test, epochs, range(seeds), device, settings, build
    )
    found["goal"] = goal
    found["reached"] = found["mean_accuracy"] >= goal
    return found


def record() -> dict[str, Any]:
    """Record the loops' pace and, on an accelerator, the time to 0.93."""
    device = devices.choose()
    ways = compare_loops(device=device)
    found: dict[str, Any] = {
        "device": devices.name(device),
        "images": 4_096,
        "seconds": {
            name: way.median if isinstance(way, Timing) else way
            for name, way in ways.items()
        },
    }
    if device.type != "cpu":
        settings = Settings(512, 0.004, True, fused=True, bfloat16=True)
        found["to_goal"] = fastest_to(
            GOAL, vision.load_data(), device, settings
        )
    return found
