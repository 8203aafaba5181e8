"""How good is a model? Loss, accuracy, and who is taken for whom."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.vision.data import Part
from parallel_ai.accelerators.vision.models import CLASSES

BATCH = 1_000


@dataclass(frozen=True)
class Score:
    """Mean loss and share of right answers; NaN for no pictures."""

    loss: float
    accuracy: float


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout and batch statistics off, and back as they were."""
    before = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(before)


def predict(model: nn.Module, part: Part, batch: int = BATCH) -> torch.Tensor:
    """Compute the logits of all pictures of a part.

    Returns
    -------
    tensor, (n, classes)
        Where the model is.
    """
    place = next(model.parameters()).device
    with evaluating(model):
        return torch.cat(
            [model(some.to(place)) for some in part.images.split(batch)]
        )


def evaluate(model: nn.Module, part: Part) -> Score:
    """Score a model; waits for its device."""
    if len(part) == 0:
        return Score(math.nan, math.nan)
    logits = predict(model, part)
    labels = part.labels.to(logits.device)
    right = (logits.argmax(1) == labels).float().mean()
    return Score(F.cross_entropy(logits, labels).item(), right.item())


def confusion(
    model: nn.Module, part: Part, classes: int = CLASSES
) -> torch.Tensor:
    """Count for each true class (row) what the model answered (column).

    Returns
    -------
    tensor of int64, (classes, classes)
        On the CPU.
    """
    if len(part) == 0:
        return torch.zeros(classes, classes, dtype=torch.int64)
    answers = predict(model, part).argmax(1).cpu()
    pairs = part.labels.cpu() * classes + answers
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)
