"""From pixels to names: normalise, pass in batches, soften, take five."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators.vision import evaluating
from parallel_ai.toolbox import device as devices

# Of ImageNet's training pictures, red, green, blue, from 0 to 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CPU = torch.device("cpu")


def normalise(
    pixels: np.ndarray | torch.Tensor, device: torch.device = CPU
) -> torch.Tensor:
    """Turn bytes into what the models were trained with, on their device.

    Bytes travel, a quarter of what floats would weigh.

    Parameters
    ----------
    pixels : array or tensor of uint8, (n, side, side, 3)

    Returns
    -------
    tensor of float32, (n, 3, side, side)
        In memory the channels of a pixel remain together ("channels last").
    """
    bytes_there = torch.as_tensor(pixels).to(device, non_blocking=True)
    mean, deviation = (
        torch.tensor(numbers, device=device).view(3, 1, 1)
        for numbers in (MEAN, DEVIATION)
    )
    floats = bytes_there.permute(0, 3, 1, 2).float().div_(255)
    return floats.sub_(mean).div_(deviation)


def logits_of(
    model: nn.Module,
    pixels: np.ndarray | torch.Tensor,
    batch: int = 32,
) -> torch.Tensor:
    """Pass pictures through a model, batch after batch.

    Nothing waits for the device in between.

    Returns
    -------
    tensor, (n, classes)
        Where the model is.

    Raises
    ------
    OutOfMemoryError
        Of `toolbox.device`: the message says what to reduce.
    """
    device = next(model.parameters()).device
    whole = torch.as_tensor(pixels)
    if device.type == "cuda":
        whole = whole.pin_memory()  # so that the copy need not be waited for
    with (
        evaluating(model),
        devices.room_for(
            f"a batch of {batch:,} pictures", "a smaller batch needs less"
        ),
    ):
        return torch.cat(
            [model(normalise(some, device)) for some in whole.split(batch)]
        )


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Soften each picture's logits: positive, and one row adds up to 1."""
    return logits.softmax(dim=1)


def top(
    chances: torch.Tensor, names: Sequence[str], count: int = 5
) -> list[list[tuple[str, float]]]:
    """Name the likeliest classes of each picture, likeliest first."""
    values, classes = chances.topk(min(count, chances.shape[1]), dim=1)
    return [
        [(names[c], v) for c, v in zip(row, best, strict=True)]
        for row, best in zip(classes.tolist(), values.tolist(), strict=True)
    ]


def top_accuracy(
    chances: torch.Tensor, right: Sequence[Sequence[int]], count: int = 5
) -> float:
    """Share of the pictures with a right class among the likeliest.

    Parameters
    ----------
    right : sequence of sequences of int
        For each picture the classes that count as right.
    """
    best = chances.topk(min(count, chances.shape[1]), dim=1).indices.tolist()
    hits = [
        bool(set(row) & set(ok)) for row, ok in zip(best, right, strict=True)
    ]
    return sum(hits) / len(hits) if hits else float("nan")
