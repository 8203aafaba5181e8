"""Fashion-MNIST as tensors, in three parts that do not mix."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.workers import LIMIT, start_context


@dataclass(frozen=True)
class Part:
    """Pictures with their labels.

    Attributes
    ----------
    images : tensor of float32, (n, 1, 28, 28)
        Normalised: about mean 0 and standard deviation 1.
    labels : tensor of int64, (n,)
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.labels)

    def __getitem__(self, which: slice | torch.Tensor) -> "Part":
        """Take some of the pictures."""
        return Part(self.images[which], self.labels[which])

    def to(self, device: torch.device) -> "Part":
        """Copy to a device; nothing is copied where all is there already."""
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """What to learn from, what to choose by, and what to report."""

    train: Part
    validation: Part
    test: Part


def load_data(validation: int = 6_000, seed: int = 0) -> Data:
    """Load Fashion-MNIST and split a validation part off its training set.

    Parameters
    ----------
    validation : int
        Pictures held back from the 60,000, drawn at random by the seed.

    Returns
    -------
    Data
        Normalised by mean and deviation of the pictures to train with.
    """
    raw = datasets.load("fashion-mnist")
    order = torch.randperm(
        len(raw["train_labels"]), generator=torch.Generator().manual_seed(seed)
    )
    # Mixed while they are bytes: a quarter of the memory of floats.
    mixed = order.numpy()
    whole = as_part(raw["train_images"][mixed], raw["train_labels"][mixed])
    deviation, mean = torch.std_mean(whole.images[validation:])
    whole.images.sub_(mean).div_(deviation)
    test = as_part(raw["test_images"], raw["test_labels"])
    test.images.sub_(mean).div_(deviation)
    return Data(whole[validation:], whole[:validation], test)


def as_part(images: np.ndarray, labels: np.ndarray) -> Part:
    """Turn arrays of bytes into a part, pixels from 0 to 1."""
    pixels = torch.as_tensor(images).unsqueeze(1).float().div_(255)
    return Part(pixels, torch.as_tensor(labels).long())


def shuffled(count: int, seed: int, epoch: int) -> torch.Tensor:
    """Order the pictures for an epoch; seed and epoch decide, nothing else.

    So an epoch that was begun can be finished by another process.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)


def batches(
    part: Part, batch_size: int, order: torch.Tensor, first: int = 0
) -> Iterator[Part]:
    """Gather batch after batch of a part that lies in memory as a whole.

    Parameters
    ----------
    order : tensor of int64, (n,)
        Numbers of the pictures, on any device.
    first : int
        Batches to leave out at the start. The last one may be smaller.
    """
    order = order.to(part.labels.device)
    for start in range(first * batch_size, len(order), batch_size):
        yield part[order[start : start + batch_size]]


class Clothes(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The pictures one by one, as a `DataLoader` wants them."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.part)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give one picture and its label."""
        return self.part.images[item], self.part.labels[item]


def loader_batches(
    part: Part,
    batch_size: int,
    order: torch.Tensor,
    workers: int = 0,
    method: str | None = None,
) -> Iterator[Part]:
    """Give the same batches as `batches`, through a `DataLoader`.

    Parameters
    ----------
    workers : int
        Processes that gather pictures; 0 for none but this one.
    method : str, optional
        How they start: `fork`, `spawn`, `forkserver`.
    """
    loader = DataLoader(
        Clothes(part),
        batch_size=batch_size,
        sampler=order.tolist(),
        num_workers=workers,
        multiprocessing_context=(
            start_context(method) if workers and method else None
        ),
        timeout=LIMIT if workers else 0,
    )
    for images, labels in loader:
        yield Part(images, labels)
