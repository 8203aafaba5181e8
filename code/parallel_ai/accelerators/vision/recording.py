"""Whole trainings, for records and comparisons of machines."""

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from parallel_ai.accelerators.vision.data import (
    Data,
    Part,
    batches,
    load_data,
    shuffled,
)
from parallel_ai.accelerators.vision.models import cnn, mlp, original
from parallel_ai.accelerators.vision.scoring import evaluate
from parallel_ai.accelerators.vision.training import (
    constant,
    seeded,
    train,
    train_step,
)
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import Timing, compare

BATCH, RATE, EPOCHS = 100, 1e-3, 5  # the original's


def some_steps(
    build: Callable[[], nn.Module],
    part: Part,
    steps: int,
    device: torch.device,
    batch_size: int = BATCH,
) -> Callable[[], float]:
    """Prepare a job: so many steps with a model that is warm.

    Returns
    -------
    callable
        Takes the steps, waits for the device, returns the last loss.
    """
    model, here = seeded(build, 0).to(device), part.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    every = itertools.cycle(
        batches(here, batch_size, shuffled(len(here), 0, 0))
    )

    def job() -> float:
        for batch in itertools.islice(every, steps):
            loss = train_step(model, optimizer, batch)
        return loss.item()

    return devices.finished(job, device)


def compare_models(
    steps: int = 20, repeats: int = 3, device: torch.device | None = None
) -> dict[str, Timing | float]:
    """Time some steps of each network, side by side."""
    device = device or devices.choose()
    part = load_data().train[: 60 * BATCH]
    jobs = {
        build.__name__: some_steps(build, part, steps, device)
        for build in (original, cnn, mlp)
    }
    return {**compare(jobs, repeats)}


def train_original(data: Data, device: torch.device) -> dict[str, Any]:
    """Train the original's network as the original did, timed apart.

    All 60,000 pictures, Adam with a constant rate; the test set once, at
    the end. (AdamW differs from Adam by a weight decay of 0.01.)
    """
    both = Part(
        torch.cat([data.train.images, data.validation.images]),
        torch.cat([data.train.labels, data.validation.labels]),
    )
    model = seeded(original, 0)
    history = train(
        model, Data(both, data.test[:0], data.test[:0]), epochs=EPOCHS,
        batch_size=BATCH, learning_rate=RATE, schedule=constant,
        device=device,
    )  # fmt: skip
    begun = time.perf_counter()
    score = evaluate(model, data.test)
    return {
        "model": "original",
        "device": history.device,
        "steps": len(history.steps),
        "training_seconds": history.seconds,
        "evaluation_seconds": time.perf_counter() - begun,
        "test_accuracy": score.accuracy,
    }


def record() -> list[dict[str, Any]]:
    """Train all three networks, whole, on the device that there is."""
    data, device = load_data(), devices.choose()
    found = [train_original(data, device)]
    for build, epochs in ((cnn, 4), (mlp, 4)):
        model = seeded(build, 0)
        history = train(model, data, epochs=epochs, device=device)
        found.append(
            {
                "model": build.__name__,
                "device": history.device,
                "steps": len(history.steps),
                "training_seconds": history.seconds,
                "rows": [asdict(row) for row in history.rows],
                "test_accuracy": evaluate(model, data.test).accuracy,
            }
        )
    return found
