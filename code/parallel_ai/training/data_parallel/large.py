"""Large batches: fewer steps, so each must go further."""

import math

import torch
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Data


def scaled_rate(base: float, batch_size: int, base_size: int) -> float:
    """Scale the learning rate with the batch (Goyal et al., 2017)."""
    return base * batch_size / base_size


def warmed(done: float, warm: float, start: float) -> float:
    """Factor of the rate: from `start` to 1, in the first part of a training.

    Parameters
    ----------
    done : float
        Part of the training that is over, from 0 to 1.
    warm : float
        Where the rate is to have risen; 0 for no warm-up.
    start : float
        Where it begins: small batch's rate over the large one's.
    """
    return 1.0 if done >= warm else start + (1 - start) * done / warm


def train_large(
    data: Data,
    batch_size: int,
    rate: float,
    epochs: int,
    warm: float = 0.0,
    start: float = 1.0,
    seed: int = 0,
) -> tuple[float, list[float]]:
    """Train an MLP by plain momentum; return accuracy and losses.

    One process does it: the batch of several ranks is *this* batch.
    """
    model = vision.seeded(vision.mlp, seed)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    steps = epochs * math.ceil(len(data.train) / batch_size)
    losses: list[float] = []
    for epoch in range(epochs):
        order = vision.shuffled(len(data.train), seed, epoch)
        for batch in vision.batches(data.train, batch_size, order):
            for group in optimizer.param_groups:
                done = len(losses) / steps
                group["lr"] = rate * warmed(done, warm, start)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(batch.images), batch.labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return vision.evaluate(model, data.validation).accuracy, losses
