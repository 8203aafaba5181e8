"""Train on photographs that each rank reads for itself, with checkpoints."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import imagenet, vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import ranks
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.on_dask.photographs import Split, shard
from parallel_ai.training.on_dask.telling import packed, tell, unpacked


@dataclass(frozen=True)
class Plan:
    """What a training on photographs is to do."""

    epochs: int = 10
    batch_size: int = 32  # of all ranks together
    learning_rate: float = 0.004
    seed: int = 0


def decode_shard(
    paths: Sequence[str], labels: Sequence[int], numbers: Sequence[int]
) -> Part:
    """Decode the photographs of one rank; nobody else decodes them."""
    chosen = [paths[number] for number in numbers]
    decoded = imagenet.decode_serial(
        chosen, imagenet.SMALL, on_error="raise", draft=True
    )
    return Part(
        imagenet.normalise(decoded.pixels).contiguous(),
        torch.tensor([labels[number] for number in numbers]),
    )


def train_photos(
    paths: Sequence[str],
    labels: Sequence[int],
    split: Split,
    plan: Plan,
    start: bytes | None = None,
    until: int | None = None,
) -> dict[str, Any]:
    """Train as one rank, tell each epoch's scores, and hand over its state.

    Parameters
    ----------
    labels : sequence of int
        From 0.
    start : bytes, optional
        A state that was handed over, to go on from.
    until : int, optional
        Stop after so many epochs, as if it had been killed.

    Returns
    -------
    dict
        The weights.

    Raises
    ------
    ValueError
        There are fewer photographs than a batch.
    """
    rank, size = dp.position()
    device = ranks.device()
    mine, asked = (
        decode_shard(paths, labels, shard(part, rank, size)).to(device)
        for part in (split.learn, split.ask)
    )
    classes = max(labels) + 1
    model = vision.seeded(lambda: imagenet.own_network(classes), plan.seed)
    optimizer = torch.optim.AdamW(model.to(device).parameters())
    begun = resume_from(start, plan, model, optimizer)
    wrapped = DistributedDataParallel(model)
    each = dp.share_of_batch(plan.batch_size, size)
    steps = len(split.learn) // size // each  # the same on all ranks
    if not steps:
        raise ValueError(f"{len(split.learn)} photographs make no batch")
    for epoch in range(begun, plan.epochs if until is None else until):
        order = vision.shuffled(len(mine), plan.seed * size + rank, epoch)
        loss = torch.zeros((), device=device)
        for step, batch in enumerate(
            islice(vision.batches(mine, each, order), steps), epoch * steps
        ):
            dp.own_chance(plan.seed, step)
            done = step / (plan.epochs * steps)
            rate = plan.learning_rate * vision.one_cycle(done)
            optimizer.param_groups[0]["lr"] = rate
            loss += vision.train_step(wrapped, optimizer, mirrored(batch))
        dp.broadcast_weights(model)  # running means are those of rank 0
        right, count = score_shards(model, asked)
        loss = dp.mean_over_ranks(loss) / steps
        if rank == 0:
            state = packed(
                {
                    "plan": asdict(plan), "epoch": epoch + 1,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
            )  # fmt: skip
            tell(
                state, epoch=epoch + 1, loss=loss.item(),
                accuracy=right / count, asked=count,
            )  # fmt: skip
    return {name: value.cpu() for name, value in model.state_dict().items()}


def mirrored(batch: Part) -> Part:
    """Turn some of the photographs round, by chance."""
    turned = torch.rand(len(batch), device=batch.images.device) < 0.5
    images = batch.images.clone()
    images[turned] = images[turned].flip(3)
    return Part(images, batch.labels)


def score_shards(model: nn.Module, mine: Part) -> tuple[int, int]:
    """Count right answers, and all, over the shards of all ranks."""
    answers = vision.predict(model, mine).argmax(1)
    right = (answers == mine.labels).sum()
    both = torch.stack([right, torch.tensor(len(mine)).to(right)])
    dist.all_reduce(both)
    found, count = both.tolist()
    return found, count


def resume_from(
    start: bytes | None,
    plan: Plan,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Take up a state; return how many epochs are done.

    Raises
    ------
    CheckpointError
        It is damaged, or another plan's.
    """
    if start is None:
        return 0
    try:
        state = unpacked(start)
    except Exception as error:  # of several kinds, by where it was cut
        raise vision.CheckpointError(f"a damaged state: {error}") from error
    if state["plan"] != asdict(plan):
        raise vision.CheckpointError(f"of another plan: {state['plan']}")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])
