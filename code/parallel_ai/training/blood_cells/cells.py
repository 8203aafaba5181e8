"""Pictures of blood cells as bytes, and the network that reads them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.imagenet import Basic, ResNet
from parallel_ai.accelerators.vision import Data, Part, seeded
from parallel_ai.toolbox import datasets
from parallel_ai.training import data_parallel as dp

CLASSES = 8


@dataclass(frozen=True)
class Cells:
    """The set as its makers split it.

    Attributes
    ----------
    names : list of str
        Of the classes.
    data : Data
        Images are bytes, (n, 3, 28, 28).
    official : bool
        False where a rebuilt set stands in for BloodMNIST's own file.
    """

    names: list[str]
    data: Data
    official: bool


def load_cells(most: int | None = None) -> Cells:
    """Load the three splits, of each at most so many pictures.

    They stay bytes, a quarter of what floats would weigh in every rank.
    """
    raw = datasets.load("blood-cells")

    def part(split: str) -> Part:
        images = raw[f"{split}_images"][:most].transpose(0, 3, 1, 2)
        labels = raw[f"{split}_labels"][:most]
        return Part(
            torch.from_numpy(np.ascontiguousarray(images)),
            torch.as_tensor(labels).long(),
        )

    data = Data(part("train"), part("val"), part("test"))
    official = datasets.note("blood-cells") is None
    return Cells(raw["labels"], data, official)


class FromBytes(nn.Module):
    """Bytes to numbers from -1 to 1, on the device; MedMNIST's scale.

    Parameters
    ----------
    shrink : int
        Average so many pixels in each direction; 1 keeps all.
    layout : torch.memory_format
        Of the result: by default a pixel's channels lie together.
    """

    def __init__(
        self,
        shrink: int = 1,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.shrink, self.layout = shrink, layout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scale them, and lay them out for the layers that follow."""
        floats = images.float().div(127.5).sub(1)
        if self.shrink > 1:
            floats = F.avg_pool2d(floats, self.shrink)
        return floats.contiguous(memory_format=self.layout)


def network(
    width: int = 64, shrink: int = 1, sync_norm: bool = False
) -> nn.Sequential:
    """Build ResNet-18 for small pictures: 3 × 3 first, and no pooling.

    With the width of 64 it is the network of MedMNIST's table.

    Parameters
    ----------
    sync_norm : bool
        Normalise over the batch of all ranks; slower.
    """
    norm = dp.SharedNorm if sync_norm else nn.BatchNorm2d
    body = ResNet(Basic, (2, 2, 2, 2), CLASSES, width, small=True, norm=norm)
    # oneDNN of PyTorch 2.15, on a CPU with AVX2 and no more, writes beyond its
    # memory: 1 × 1 with a stride, channels last, fewer than eight of them.
    whole = width % 8 == 0
    layout = torch.channels_last if whole else torch.contiguous_format
    layers = nn.Sequential(FromBytes(shrink, layout), body)
    return layers.to(memory_format=layout)


def built(
    width: int, shrink: int, sync_norm: bool, seed: int, device: torch.device
) -> nn.Module:
    """Build the network by a seed; on a GPU with PyTorch's shared norm."""
    on_gpu = device.type == "cuda"
    own_norm = sync_norm and not on_gpu
    model = seeded(partial(network, width, shrink, own_norm), seed)
    if sync_norm and on_gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model.to(device)


def turned(images: torch.Tensor) -> torch.Tensor:
    """Turn and mirror each picture at random: a cell has no upper side.

    Each of the eight ways is equally likely. PyTorch's generator decides, so
    seed it differently on each rank, see `dp.own_chance`.
    """
    bits = torch.randint(0, 2, (3, len(images), 1, 1, 1)).bool()
    across, down, corner = bits.to(images.device)
    images = torch.where(across, images.flip(3), images)
    images = torch.where(down, images.flip(2), images)
    return torch.where(corner, images.transpose(2, 3), images)
