"""Memory of a step: what the backward pass keeps, and two ways to keep less."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from parallel_ai.accelerators.vision import Part


def saved_bytes(model: nn.Module, forward: Callable[[], Any]) -> int:
    """Count what a forward pass keeps for the backward pass, exactly.

    Every tensor that autograd saves passes the hook. Tensors that share
    their memory count once, and the model's own not at all: they are there
    anyway.

    Returns
    -------
    int
        Bytes.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()  # alive, so that no address is used twice
    own = [*model.parameters(), *model.buffers()]
    for tensor in own:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    del result
    return sum(storage.nbytes() for storage in kept.values())


class Checkpointed(nn.Module):
    """A model in pieces that keep their inputs and compute the rest again.

    Parameters
    ----------
    model : Sequential
        Its parameters are used, not copied.
    pieces : list of int
        Layers of each piece.
    """

    def __init__(self, model: nn.Sequential, pieces: list[int]) -> None:
        super().__init__()
        if sum(pieces) != len(model) or min(pieces, default=0) < 1:
            raise ValueError(f"pieces {pieces} of {len(model)} layers")
        layers = iter(model)
        self.pieces = nn.ModuleList(
            nn.Sequential(*(next(layers) for _ in range(count)))
            for count in pieces
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute piece by piece; the last one is kept as it is."""
        *first, last = self.pieces
        for piece in first:
            x = checkpoint(piece, x, use_reentrant=False)
        return last(x)


def accumulated_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Part,
    pieces: int,
) -> torch.Tensor:
    """Take one step for a batch that is computed piece by piece.

    Each piece's loss is weighted by its pictures, so that the sum of the
    gradients is the mean over the batch, also when pieces differ in size.
    Batch normalisation sees pieces, not the batch.

    Raises
    ------
    ValueError
        There is no piece, or a piece has no picture.
    """
    if not 1 <= pieces <= len(batch):
        raise ValueError(f"{pieces} pieces of {len(batch)} pictures")
    optimizer.zero_grad()
    total = torch.zeros((), device=batch.labels.device)
    for images, labels in zip(
        batch.images.tensor_split(pieces),
        batch.labels.tensor_split(pieces),
        strict=True,
    ):
        share = len(labels) / len(batch)
        loss = F.cross_entropy(model(images), labels) * share
        loss.backward()
        total += loss.detach()
    optimizer.step()
    return total
