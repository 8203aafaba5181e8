"""Checkpoints that are there as a whole or not at all."""

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message says why and what to do."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside its place, then move it there.

    Whoever is killed in between leaves the old checkpoint as it was. The
    data must be on the disk before the name points to them (`fsync`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}."
    )
    try:
        with open(descriptor, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Read a checkpoint, tensors and plain values only; None without one.

    Parameters
    ----------
    settings : dict
        Of the training that is to go on. It must be that of the checkpoint.

    Raises
    ------
    CheckpointError
        The file is damaged, holds code, or belongs to another training.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["settings"]
    except (
        RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError,
        pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path} is no checkpoint of ours, or damaged "
            f"({type(error).__name__}). Remove it to begin anew."
        ) from error
    if theirs != settings:
        names = theirs.keys() | settings.keys()
        changed = [n for n in names if theirs.get(n) != settings.get(n)]
        raise CheckpointError(
            f"{path} belongs to another training: {sorted(changed)} differ. "
            "Choose another file, or remove it to begin anew."
        )
    return state


def chance(device: torch.device) -> dict[str, torch.Tensor]:
    """Read the state of PyTorch's generators: the CPU's and the device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        module = torch.get_device_module(device)
        states["device"] = module.get_rng_state()
    return states


def restore_chance(
    states: dict[str, torch.Tensor], device: torch.device
) -> None:
    """Set PyTorch's generators to what `chance` has read."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and "device" in states:
        torch.get_device_module(device).set_rng_state(states["device"])
