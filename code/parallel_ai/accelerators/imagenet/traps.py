"""Mistakes of real programs that classify many photographs."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators.imagenet.blocks import ResNet
from parallel_ai.accelerators.imagenet.classifying import (
    logits_of,
    normalise,
    probabilities,
)
from parallel_ai.toolbox.workers import bounds


def first_ones(logits: torch.Tensor) -> torch.Tensor:
    """Give every picture the first one's probabilities: a row is missing.

    The loop goes over pictures, the index does not.
    """
    return torch.stack([torch.softmax(logits, 1)[0] for _ in logits])


def without_normalising(model: nn.Module, pixels: np.ndarray) -> torch.Tensor:
    """Pass pixels from 0 to 1 as they are."""
    images = torch.as_tensor(pixels).permute(0, 3, 1, 2).float().div(255)
    model.eval()
    with torch.inference_mode():
        return model(images)


def in_training_mode(
    model: nn.Module, pixels: np.ndarray, batch: int
) -> torch.Tensor:
    """Forget `eval`; the model is put back as it was."""
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    with torch.no_grad():
        found = [
            model(normalise(some))
            for some in torch.as_tensor(pixels).split(batch)
        ]
    model.load_state_dict(before)
    model.eval()
    return torch.cat(found)


def all_of_them(
    model: nn.Module, pixels: np.ndarray, workers: int
) -> list[torch.Tensor]:
    """Let each worker pass the whole set, and keep its own part of it."""
    return [
        probabilities(logits_of(model, pixels))[a:b]
        for worker in range(workers)
        for a, b in [bounds(len(pixels), workers)[worker]]
    ]


def its_own(
    model: nn.Module, pixels: np.ndarray, workers: int
) -> list[torch.Tensor]:
    """Let each worker pass its own part of the set."""
    return [
        probabilities(logits_of(model, pixels[a:b]))
        for a, b in bounds(len(pixels), workers)
    ]


def read_model(build: Callable[[], ResNet], file: Path) -> ResNet:
    """Read a network's weights; takes as long as many pictures do."""
    model = build()
    state = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    return model.eval()


kept_model = cache(read_model)  # one for each process, read in its first task


def answer_task(
    build: Callable[[], ResNet], file: Path, pixels: np.ndarray, keep: bool
) -> torch.Tensor:
    """Do a worker's task: with its model, or with one that it reads anew."""
    model = (kept_model if keep else read_model)(build, file)
    return logits_of(model, pixels).cpu()
