"""Offloading: what the backward pass needs much later goes elsewhere."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.training.memory.measuring import Tracker, storages
from parallel_ai.training.memory.recomputing import deep

LEAST = 1 << 16  # bytes: smaller tensors are not worth a file


@dataclass(frozen=True)
class OnDisk:
    """A tensor that lies in a file."""

    file: Path
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def put(cls, tensor: torch.Tensor, file: Path) -> "OnDisk":
        """Write a tensor's numbers, and nothing else."""
        flat = tensor.detach().cpu().contiguous().view(-1)
        flat.view(torch.uint8).numpy().tofile(file)
        return cls(file, tensor.shape, tensor.dtype, tensor.device)

    def get(self) -> torch.Tensor:
        """Map the file: its pages are read when they are used."""
        flat = torch.from_file(
            str(self.file), shared=False, size=self.shape.numel(),
            dtype=self.dtype,
        )  # fmt: skip
        return flat.view(self.shape).to(self.device)


@contextmanager
def saved_on_disk(
    folder: Path, stay: Iterable[torch.Tensor] = (), least: int = LEAST
) -> Iterator[None]:
    """Keep in files what autograd saves, until the folder goes.

    Parameters
    ----------
    stay : iterable of Tensor
        Those that are in memory anyway: the parameters.
    """
    numbers, known = itertools.count(), storages(stay).keys()

    def pack(tensor: torch.Tensor) -> torch.Tensor | OnDisk:
        if tensor.nbytes < least or storages([tensor]).keys() <= known:
            return tensor
        return OnDisk.put(tensor, folder / f"{next(numbers)}.bin")

    def unpack(kept: torch.Tensor | OnDisk) -> torch.Tensor:
        return kept.get() if isinstance(kept, OnDisk) else kept

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield


def try_disk(
    batch: Part, depth: int, repeats: int = 3
) -> tuple[dict[str, int], dict[str, Timing], float]:
    """Compare a pass in memory with one whose activations go to files.

    Returns
    -------
    tuple
        By way, bytes of tensors at the worst moment; by way, seconds; and
        the largest difference of any gradient.
    """
    model = vision.seeded(lambda: deep(0, depth), 0)
    weights = [*model.parameters()]

    def in_memory() -> None:
        model.zero_grad()
        F.cross_entropy(model(batch.images), batch.labels).backward()

    def on_disk() -> None:
        model.zero_grad()
        with TemporaryDirectory() as name:
            with saved_on_disk(Path(name), weights):
                loss = F.cross_entropy(model(batch.images), batch.labels)
            loss.backward()

    ways = {"in memory": in_memory, "on disk": on_disk}
    peaks, grads = {}, []
    for name, job in ways.items():
        model.zero_grad()
        tracker = Tracker(weights)
        with tracker:
            job()
        peaks[name] = tracker.peak
        grads.append([p.grad for p in weights])
    apart = [(a - b).abs().max().item() for a, b in zip(*grads, strict=True)]
    return peaks, compare(ways, repeats), max(apart)
