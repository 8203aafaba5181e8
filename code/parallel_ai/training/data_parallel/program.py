"""A training to take home: any number of processes, one result.

On the command line::

    torchrun --standalone --nproc_per_node=2 -m parallel_ai.training.data_parallel
    python -m parallel_ai.training.data_parallel

The batch size is that of all ranks together, so that the training does not
depend on how many there are. A training that was killed goes on from its
checkpoint, with as many ranks as before or with others.
"""

import argparse
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Data, Part
from parallel_ai.toolbox import datasets, ranks
from parallel_ai.training.data_parallel.joining import SECONDS, joined
from parallel_ai.training.data_parallel.samplers import evaluate_shared

MODELS = {"mlp": vision.mlp, "cnn": vision.cnn}


@dataclass(frozen=True)
class Options:
    """What a training is to do; all ranks have the same."""

    model: str = "mlp"
    epochs: int = 2
    batch_size: int = 128  # of all ranks together
    learning_rate: float = 0.05
    pictures: int = 6_000
    seed: int = 0
    save_every: int = 10
    checkpoint: str = ""
    kill_at: int = -1  # a drill: the last rank dies once, after this step

    def settings(self) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to go on."""
        mine = asdict(self)
        return {k: mine[k] for k in mine if k not in ("checkpoint", "kill_at")}


def share_of_batch(batch_size: int, size: int) -> int:
    """Divide the batch by the ranks, or say that it cannot be done.

    Raises
    ------
    ValueError
        The ranks' shares would differ.
    """
    if batch_size < size or batch_size % size:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by {size} "
            f"ranks: choose a multiple of {size}"
        )
    return batch_size // size


def steps_of_epoch(
    part: Part, options: Options, epoch: int, first: int
) -> Iterator[Part]:
    """Give this rank's share of each global batch, from a step on.

    Rank r of n has every n-th picture of the epoch's order. So the shares of
    step k together are the same pictures, whatever n is. A last batch that
    would be smaller is left out.
    """
    size = dist.get_world_size()
    sampler: DistributedSampler[int] = DistributedSampler(
        range(len(part)),  # type: ignore[arg-type]
        seed=options.seed, drop_last=True,
    )  # fmt: skip
    sampler.set_epoch(epoch)
    mine = torch.tensor(list(sampler), dtype=torch.int64)
    each = share_of_batch(options.batch_size, size)
    batches = vision.batches(part, each, mine, first)
    yield from islice(batches, len(part) // options.batch_size - first)


def train_shared(
    data: Data, options: Options, device: torch.device | None = None
) -> float:
    """Train as one rank of a group; return the validation accuracy.

    Without a device it is the one that `ranks.run` gave this rank.

    Raises
    ------
    ValueError
        The ranks do not divide the batch, or there is not one whole batch.
    CheckpointError
        The checkpoint is damaged or belongs to another training.
    """
    share_of_batch(options.batch_size, dist.get_world_size())
    device = device or ranks.device()
    path = Path(options.checkpoint) if options.checkpoint else None
    model = vision.seeded(MODELS[options.model], options.seed).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), options.learning_rate, momentum=0.9
    )
    begun = resume(path, options, model, optimizer)
    wrapped = DistributedDataParallel(model)
    part = data.train[: options.pictures].to(device)
    length = len(part) // options.batch_size
    if not length:
        raise ValueError(f"{len(part)} pictures are less than one batch")
    for epoch in range(begun // length, options.epochs):
        first = begun - epoch * length if epoch == begun // length else 0
        batches = steps_of_epoch(part, options, epoch, first)
        for step, batch in enumerate(batches, epoch * length + first + 1):
            own_chance(options.seed, step)
            loss = vision.train_step(wrapped, optimizer, batch)
            if path and step % options.save_every == 0:
                save_once(path, options, model, optimizer, step)
            drill(options, step)
        dist.all_reduce(loss)
        say(f"epoch {epoch + 1}: last loss {loss / dist.get_world_size():.4f}")
    if path:
        last = options.epochs * length
        save_once(path, options, model, optimizer, last)
    score = evaluate_shared(model, data.validation)
    say(f"{dist.get_world_size()} ranks, accuracy {score.accuracy:.4f}")
    return score.accuracy


def resume(
    path: Path | None,
    options: Options,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Go on from a checkpoint that rank 0 can read; return the steps done.

    It travels to the others: their machine may have no such file.

    Raises
    ------
    CheckpointError
        On all ranks, if rank 0 cannot use it.
    """
    found: list[Any] = [None, None]
    if path and dist.get_rank() == 0:
        try:
            found[0] = vision.load(path, options.settings())
        except vision.CheckpointError as error:
            found[1] = str(error)  # all ranks are to end, not only this one
    dist.broadcast_object_list(found)
    if found[1]:
        raise vision.CheckpointError(found[1])
    if found[0] is None:
        return 0
    model.load_state_dict(found[0]["model"])
    optimizer.load_state_dict(found[0]["optimizer"])
    say(f"going on after step {found[0]['step']}")
    return int(found[0]["step"])


def save_once(
    path: Path,
    options: Options,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Save on rank 0 alone; all ranks have the same weights."""
    if dist.get_rank() == 0:
        state = {
            "settings": options.settings(), "step": step,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }  # fmt: skip
        vision.save(path, state)


def own_chance(seed: int, step: int) -> None:
    """Seed dropout by step and rank: other masks on other ranks.

    Nothing of it needs to be saved: a step that is taken again draws the
    same.
    """
    torch.manual_seed((seed * 1_000_003 + step) * 4_099 + dist.get_rank())


def say(text: str) -> None:
    """Print on rank 0 alone."""
    if dist.get_rank() == 0:
        print(text, flush=True)


def drill(options: Options, step: int) -> None:
    """Kill the last rank after a step, in torchrun's first attempt only."""
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    last = dist.get_rank() == dist.get_world_size() - 1
    if step == options.kill_at and first and last:
        os.kill(os.getpid(), signal.SIGKILL)


def only_needed(pictures: int) -> Data:
    """Load pictures to train with, and the validation part; free the rest.

    The pixels stay bytes until it is known who needs them: as floats all of
    Fashion-MNIST takes four times the memory, in every rank.
    """
    raw = datasets.load("fashion-mnist")
    held = 6_000  # split and normalise as `vision.load_data` does
    order = torch.randperm(
        len(raw["train_labels"]), generator=torch.Generator().manual_seed(0)
    ).numpy()
    shades = np.zeros(256, dtype=np.int64)
    for some in np.array_split(order[held:], 60):  # `bincount` widens them
        pixels = raw["train_images"][some].ravel()
        shades += np.bincount(pixels, minlength=256)
    values = np.arange(256) / 255
    mean = float(np.average(values, weights=shades))
    variance = float(np.average((values - mean) ** 2, weights=shades))
    parts = []
    for chosen in (order[held:][:pictures], order[:held], order[:0]):
        part = vision.as_part(
            raw["train_images"][chosen], raw["train_labels"][chosen]
        )
        part.images.sub_(mean).div_(variance**0.5)
        parts.append(part)
    return Data(*parts)


def add_flags(parser: argparse.ArgumentParser, options: Any) -> None:
    """Give a program a flag for each field of a dataclass like `Options`."""
    for name, value in asdict(options).items():
        how: dict[str, Any] = {"type": type(value)}
        if isinstance(value, bool):
            how = {"action": argparse.BooleanOptionalAction}
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, default=value, **how)


def main(arguments: list[str] | None = None) -> None:
    """Read the options, join, train."""
    parser = argparse.ArgumentParser(
        prog="parallel_ai.training.data_parallel",
        description="Train on Fashion-MNIST, on one process or on many.",
    )
    add_flags(parser, Options())
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = vars(parser.parse_args(arguments))
    seconds = given.pop("seconds")
    options = Options(**given)
    data = only_needed(options.pictures)  # or each rank would keep them all
    with joined(seconds) as device:
        train_shared(data, options, device)
