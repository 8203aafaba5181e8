"""The training to take home, on any number of processes and GPUs.

torchrun --standalone --nproc_per_node=2 -m parallel_ai.training.blood_cells
python -m parallel_ai.training.blood_cells --help
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Data, Part
from parallel_ai.toolbox import ranks
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.blood_cells.cells import (
    built,
    load_cells,
    turned,
)
from parallel_ai.training.blood_cells.measures import Scores, score, softmax
from parallel_ai.training.blood_cells.monitoring import Monitor
from parallel_ai.training.blood_cells.sharing import predict_shared
from parallel_ai.training.data_parallel.joining import SECONDS

EVERY = 5  # steps from one point of a curve to the next


@dataclass(frozen=True)
class CellOptions(dp.Options):
    """What a training is to do; all ranks have the same."""

    model: str = "resnet18"
    epochs: int = 30
    batch_size: int = 128  # of all ranks together
    learning_rate: float = 0.004
    pictures: int = 11_959
    save_every: int = 100
    width: int = 64
    shrink: int = 1
    turn: bool = True
    sync_norm: bool = False
    bf16: bool = False  # on a GPU
    events: str = ""  # folder for TensorBoard

    def settings(self) -> dict[str, Any]:
        """Return what must be equal for a checkpoint to go on."""
        mine = super().settings()
        del mine["events"]
        return mine


def cell_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Part,
    options: CellOptions,
    rate: float,
) -> torch.Tensor:
    """Take one step; return this rank's loss, still on its device."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    images = turned(batch.images) if options.turn else batch.images
    kind = batch.labels.device.type
    optimizer.zero_grad()
    with torch.autocast(kind, torch.bfloat16, enabled=options.bf16):
        loss = F.cross_entropy(model(images), batch.labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_cells(data: Data, options: CellOptions) -> nn.Module:
    """Train as one rank of a group, on its device; return the model.

    Nothing looks at ``data.test``, and nothing is chosen: the learning rate
    ends at zero, and the last weights are the result.

    Raises
    ------
    ValueError
        The ranks do not divide the batch, or there is not one whole batch.
    CheckpointError
        The checkpoint is damaged or belongs to another training.
    """
    dp.share_of_batch(options.batch_size, dist.get_world_size())
    path = Path(options.checkpoint) if options.checkpoint else None
    device = ranks.device()
    model = built(
        options.width, options.shrink, options.sync_norm, options.seed, device
    )
    optimizer = torch.optim.AdamW(model.parameters(), options.learning_rate)
    begun = dp.resume(path, options, model, optimizer)
    wrapped = DistributedDataParallel(model)
    part = data.train[: options.pictures].to(device)
    validation = data.validation.to(device)
    length, step = len(part) // options.batch_size, begun
    if not length:
        raise ValueError(f"{len(part)} pictures are less than one batch")
    with Monitor(options.events, begun) as monitor:
        for epoch in range(begun // length, options.epochs):
            first = max(0, begun - epoch * length)
            clock = time.perf_counter()
            batches = dp.steps_of_epoch(part, options, epoch, first)
            for step, batch in enumerate(batches, epoch * length + first + 1):
                dp.own_chance(options.seed, step)
                done = (step - 1) / (options.epochs * length)
                rate = options.learning_rate * vision.one_cycle(done)
                loss = cell_step(wrapped, optimizer, batch, options, rate)
                if step % EVERY == 0:
                    mean = dp.mean_over_ranks(loss).item()
                    monitor.write(step, train__loss=mean, train__rate=rate)
                if path and step % options.save_every == 0:
                    dp.save_once(path, options, model, optimizer, step)
                dp.drill(options, step)
            seconds = time.perf_counter() - clock
            close_epoch(model, validation, monitor, step, epoch, seconds)
    if path:
        dp.save_once(path, options, model, optimizer, step)
    return model


def close_epoch(
    model: nn.Module,
    validation: Part,
    monitor: Monitor,
    step: int,
    epoch: int,
    seconds: float,
) -> None:
    """Score on validation pictures, shared by the ranks; write and print.

    First all ranks take the running statistics of rank 0: each has collected
    those of its own shares.
    """
    dp.broadcast_weights(model)
    found = scores_shared(model, validation)
    monitor.write(
        step, validation__auc=found.auc, validation__acc=found.acc,
        epoch__seconds=seconds,
    )  # fmt: skip
    dp.say(
        f"epoch {epoch + 1}: {seconds:.1f} s, validation "
        f"AUC {found.auc:.4f}, ACC {found.acc:.4f}"
    )


def scores_shared(model: nn.Module, part: Part) -> Scores:
    """Score a model by the work of all ranks; each gets the scores."""
    logits = predict_shared(model, part).float()
    return score(softmax(logits), part.labels.cpu().numpy())


def main(arguments: list[str] | None = None) -> None:
    """Read the options, join, train; the test set only if asked for."""
    parser = argparse.ArgumentParser(
        prog="parallel_ai.training.blood_cells",
        description="Train ResNet-18 on blood cells, by one process or many.",
    )
    dp.add_flags(parser, CellOptions())
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument(
        "--test", action="store_true", help="score the test set, at the end"
    )
    given = vars(parser.parse_args(arguments))
    seconds, test = given.pop("seconds"), given.pop("test")
    data = load_cells().data
    with dp.joined(seconds):
        model = train_cells(data, CellOptions(**given))
        if test:
            found = scores_shared(model, data.test)
            dp.say(f"test: AUC {found.auc:.4f}, ACC {found.acc:.4f}")
