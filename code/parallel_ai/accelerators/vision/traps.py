"""A loop with the usual mistakes, one switch each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.vision.data import Part, shuffled
from parallel_ai.accelerators.vision.models import mlp
from parallel_ai.accelerators.vision.scoring import evaluate
from parallel_ai.accelerators.vision.training import seeded


def careless(
    model: nn.Module,
    part: Part,
    *,
    epochs: int = 1,
    batch_size: int = 100,
    learning_rate: float = 0.05,
    shuffle: bool = True,
    zero_grad: bool = True,
) -> nn.Module:
    """Train by plain gradient descent, on the CPU, with mistakes allowed."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    model.train()
    for epoch in range(epochs):
        order = shuffled(len(part), 0, epoch)
        if not shuffle:
            order = part.labels.argsort(stable=True)  # as many folders are
        for which in order.split(batch_size):
            if zero_grad:
                optimizer.zero_grad()
            some = part[which]
            F.cross_entropy(model(some.images), some.labels).backward()
            optimizer.step()
    return model


def accuracy_in_training_mode(
    model: nn.Module, part: Part, batch_size: int
) -> float:
    """Forget `eval`: dropout stays on, each batch is its own norm.

    The model is put back as it was: the running means would have moved.
    """
    before = {k: v.clone() for k, v in model.state_dict().items()}
    mode, place = model.training, next(model.parameters()).device
    model.train()
    with torch.no_grad():
        right = sum(
            int((model(x.to(place)).argmax(1) == y.to(place)).sum())
            for x, y in zip(
                part.images.split(batch_size),
                part.labels.split(batch_size),
                strict=True,
            )
        )
    model.load_state_dict(before)
    model.train(mode)
    return right / len(part)


def best_of(
    seeds: int, learn: Part, chosen_by: Part, fresh: Part
) -> tuple[float, float]:
    """Choose the best of many models by some pictures; ask others, too.

    Returns
    -------
    tuple of float
        The winner's accuracy on the pictures that chose it, and on fresh
        ones.
    """
    models = [
        careless(seeded(mlp, seed), learn, epochs=3) for seed in range(seeds)
    ]
    scores = [evaluate(model, chosen_by).accuracy for model in models]
    winner = models[scores.index(max(scores))]
    return max(scores), evaluate(winner, fresh).accuracy


def cut_in_half(
    path: Path, state: Any, write: Callable[[Path, Any], None]
) -> None:
    """Write a file over a good one, and lose the power half-way."""
    write(path, state)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
