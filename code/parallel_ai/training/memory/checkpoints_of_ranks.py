"""A checkpoint that many ranks write, each its share, and any number reads."""

import pickle
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_state_dict,
    set_state_dict,
)

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.memory.sharding import divide, whole_weights

STEP = 25  # pictures


class CheckpointError(ValueError):
    """A checkpoint is not whole; the message says what is missing."""


def save_shares(
    model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path
) -> None:
    """Write a checkpoint together: each rank what it holds."""
    weights, states = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "states": states}, checkpoint_id=folder)


def load_shares(
    model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path
) -> None:
    """Read a checkpoint into a model, divided in whatever way it is.

    Raises
    ------
    CheckpointError
        A file is missing or shorter than it was; nothing was changed.
    """
    check_shares(folder)
    weights, states = get_state_dict(model, optimizer)
    both = {"model": weights, "states": states}
    dcp.load(both, checkpoint_id=folder)
    set_state_dict(
        model, optimizer, model_state_dict=weights, optim_state_dict=states
    )


def check_shares(folder: Path) -> None:
    """Compare the files with what the index says about them.

    The index is written last, so where there is none, the writers were
    interrupted. It is a pickle: read only checkpoints that you trust.

    Raises
    ------
    CheckpointError
    """
    index = folder / ".metadata"
    if not index.exists():
        raise CheckpointError(
            f"{folder} has no index: its writers did not finish. Take the "
            "checkpoint before it"
        )
    try:
        known = dcp.FileSystemReader(folder).read_metadata()
    except (EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{index} is cut or damaged: {error}") from error
    needed: dict[str, int] = {}
    for piece in known.storage_data.values():
        end = piece.offset + piece.length
        name = piece.relative_path
        needed[name] = max(end, needed.get(name, 0))
    for name, size in needed.items():
        file = folder / name
        there = file.stat().st_size if file.exists() else 0
        if there < size:
            raise CheckpointError(
                f"{file} has {there:,} of {size:,} bytes: it was cut. Take "
                "the checkpoint before it"
            )


def train_and_save(
    part: Part, folder: str, save: bool = True
) -> list[torch.Tensor]:
    """Train some steps, with FSDP if there is a group, and save or load.

    Parameters
    ----------
    save : bool
        Begin anew, take the first half of the steps and save; otherwise
        load, and take the second half.

    Returns
    -------
    list of Tensor
        The weights, whole.
    """
    rank, size = dp.position()
    model = divide("fsdp", vision.seeded(vision.mlp, 0).double())
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=1e-3)
    if not save:
        load_shares(model, optimizer, Path(folder))
    middle = len(part) // 2
    double = Part(part.images.double(), part.labels)
    half = double[:middle] if save else double[middle:]
    for batch in vision.batches(half, STEP, torch.arange(len(half))):
        mine = dp.share(batch, rank, size)
        dp.part_of_loss(model, mine, len(batch), size).backward()
        optimizer.step()
        optimizer.zero_grad()
    if save:
        save_shares(model, optimizer, Path(folder))
    return whole_weights(model)
