"""From stored bytes to batches: picture by picture, or all at once."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox.workers import LIMIT, start_context

SHIFT = 2  # pixels, at most, in each direction


class PicturesOneByOne(Dataset[tuple[torch.Tensor, int]]):
    """Bytes of pictures, each made a PIL image, shifted, made a tensor.

    The class stands in a module: `spawn` must find it in a new process.

    Parameters
    ----------
    images : array of uint8, (n, h, w)
    labels : array of integers, (n,)
    seed : int
        With a picture's number it decides its shift, in any process.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, seed: int = 0
    ) -> None:
        self.images, self.labels = images, labels
        self.shifts = shifts(len(images), seed)

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.labels)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int]:
        """Give one picture, (1, h, w) of float32 from 0 to 1."""
        down, right = self.shifts[item].tolist()
        picture = Image.fromarray(self.images[item])
        moved = picture.transform(
            picture.size,
            Image.Transform.AFFINE,
            (1, 0, -right, 0, 1, -down),
        )
        pixels = torch.from_numpy(np.array(moved)).unsqueeze(0)
        return pixels.float().div_(255), int(self.labels[item])


def shifts(count: int, seed: int) -> torch.Tensor:
    """Draw for each picture how far it moves down and to the right."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-SHIFT, SHIFT + 1, (count, 2), generator=generator)


def shifted(images: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Shift a whole batch at once, black coming in, on any device.

    Parameters
    ----------
    images : tensor, (n, 1, h, w)
    by : tensor of integers, (n, 2)
        Down and right, at most `SHIFT` each.
    """
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, [SHIFT] * 4)[:, 0]
    # A view of every window that there is; one of each picture is copied.
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)
    down, right = SHIFT - by.to(images.device).T
    which = torch.arange(len(images), device=images.device)
    return windows[which, down, right].unsqueeze(1)


def all_at_once(
    images: torch.Tensor,
    labels: torch.Tensor,
    batch_size: int,
    seed: int = 0,
) -> Iterator[Part]:
    """Give the same batches as `one_by_one`, computed batch by batch.

    Parameters
    ----------
    images : tensor of uint8, (n, h, w)
        On the device where the batches are wanted.
    """
    by = shifts(len(images), seed)
    for start in range(0, len(images), batch_size):
        some = slice(start, start + batch_size)
        moved = shifted(images[some].unsqueeze(1), by[some])  # still bytes
        yield Part(moved.float().div_(255), labels[some].long())


def one_by_one(
    pictures: Dataset[tuple[torch.Tensor, int]],
    batch_size: int,
    device: torch.device,
    workers: int = 0,
    method: str | None = None,
    prefetch: int = 2,
) -> Iterator[Part]:
    """Give batches through a `DataLoader`, as a GPU wants them.

    Pinned memory lets the copy to a GPU run beside the CPU's work
    (`non_blocking`); to a CPU there is no copy, so nothing is pinned.

    Parameters
    ----------
    workers : int
        Processes that make pictures; 0 for none but this one.
    method : str, optional
        How they start: `fork`, `spawn`, `forkserver`.
    prefetch : int
        Batches that each worker makes ahead.
    """
    pinned = device.type == "cuda"
    loader = DataLoader(
        pictures,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=pinned,
        prefetch_factor=prefetch if workers else None,
        multiprocessing_context=(
            start_context(method) if workers and method else None
        ),
        timeout=LIMIT if workers else 0,
    )
    for images, labels in loader:
        yield Part(
            images.to(device, non_blocking=pinned),
            labels.to(device, non_blocking=pinned),
        )


def count(batches: Callable[[], Iterator[Part]]) -> Callable[[], int]:
    """Make a job that goes through all batches and counts pictures."""
    return lambda: sum(len(batch) for batch in batches())


class Unpicklable(PicturesOneByOne):
    """The same, with a lambda: a new process cannot be sent one."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(images, labels)
        self.transform = lambda pixels: pixels
