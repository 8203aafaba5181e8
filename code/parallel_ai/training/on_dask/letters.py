"""A recurrent model of letters, and a CNN, timed on one rank and on two."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pydoc_data import topics

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.training import data_parallel as dp

LENGTH, HIDDEN, WIDTH, CODES = 24, 384, 64, 128


class Letters(nn.Module):
    """Guess the next letter: an embedding, an LSTM, a linear layer.

    Takes numbers of letters (n, length), returns logits (n, codes, length).
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CODES, WIDTH)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, CODES)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        """Guess after each letter."""
        states, _ = self.lstm(self.embedding(letters))
        logits: torch.Tensor = self.head(states)
        return logits.transpose(1, 2)


def python_text() -> torch.Tensor:
    """Return Python's own help, as numbers of ASCII letters."""
    whole = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    codes = np.frombuffer(whole.encode("ascii", "replace"), np.uint8)
    return torch.from_numpy(codes.astype(np.int64))


def lines_of(count: int, seed: int) -> vision.Part:
    """Cut so many pieces from the text, by the seed; targets are one on."""
    text = python_text()
    generator = torch.Generator().manual_seed(seed)
    last = len(text) - LENGTH - 1
    begins = torch.randint(0, last, (count, 1), generator=generator)
    pieces = text[begins + torch.arange(LENGTH + 1)]
    return vision.Part(pieces[:, :-1], pieces[:, 1:])


def some_pictures(count: int, seed: int) -> vision.Part:
    """Draw noise for the CNN: its speed does not depend on what it sees."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 28, 28, generator=generator)
    return vision.Part(images, torch.arange(count) % 10)


KINDS: dict[
    str, tuple[Callable[[], nn.Module], Callable[[int, int], vision.Part]]
] = {"letters": (Letters, lines_of), "cnn": (vision.cnn, some_pictures)}


@dataclass(frozen=True)
class StepTime:
    """A step of all ranks together, with gradients summed or not.

    Attributes
    ----------
    whole, silent : float
        Seconds, the median over rounds, of the slowest rank.
    summing : float
        Seconds of an all-reduce of the gradients with nothing beside it.
    """

    kind: str
    ranks: int
    batch: int
    whole: float
    silent: float
    summing: float


def time_kind(
    kind: str, batches: Sequence[int], steps: int = 3, rounds: int = 3
) -> list[StepTime]:
    """Time steps of one of `KINDS`, alone or as a rank of a group."""
    rank, size = dp.position()
    build, draw = KINDS[kind]
    model = vision.seeded(build, 0)
    summing = 0.0
    if size > 1:
        model = DistributedDataParallel(model)
        weight = sum(p.nbytes for p in model.parameters())
        summing = dp.reduce_seconds(weight, torch.device("cpu"))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    found = []
    for batch in batches:
        mine = dp.share(draw(batch, 0), rank, size)
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds + 1):
            for talk in (True, False) if size > 1 else (True,):
                seconds = _steps(model, optimizer, mine, steps, not talk)
                if number:  # the first round warms up
                    taken[talk].append(seconds)
        whole = float(np.median(taken[True]))
        silent = float(np.median(taken[False])) if size > 1 else whole
        found.append(StepTime(kind, size, batch, whole, silent, summing))
    return found


def time_kinds(
    batches: Mapping[str, Sequence[int]], steps: int = 3, rounds: int = 3
) -> dict[str, list[StepTime]]:
    """Time steps of several of `KINDS`, with the batches of each."""
    return {
        kind: time_kind(kind, sizes, steps, rounds)
        for kind, sizes in batches.items()
    }


def _steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    mine: vision.Part,
    steps: int,
    quiet: bool,
) -> float:
    if dist.is_initialized():
        dist.barrier()
    begun = time.perf_counter()
    with model.no_sync() if quiet else nullcontext():  # type: ignore[operator]
        for _ in range(steps):
            vision.train_step(model, optimizer, mine)
    spent = torch.tensor([time.perf_counter() - begun])
    if dist.is_initialized():
        dist.all_reduce(spent, dist.ReduceOp.MAX)
    return spent.item() / steps


def weights_of(kind: str) -> tuple[int, float]:
    """Bytes of gradients, and multiply-adds for one example's forward pass.

    Returns
    -------
    tuple
        What travels in a step, whatever the batch; what is computed.
    """
    model = vision.seeded(KINDS[kind][0], 0)
    total = sum(p.nbytes for p in model.parameters())
    if kind == "letters":
        gates = 4 * HIDDEN * (WIDTH + HIDDEN) + HIDDEN * CODES
        return total, float(LENGTH * gates)
    counted = 0.0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101
        places = output[0, 0].numel() if output.dim() == 4 else 1
        counted += weight.numel() * places

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        model.eval()(some_pictures(1, 0).images)
    return total, counted


def predicted_gain(alone: float, share: float, summing: float) -> float:
    """How many times as fast two ranks are than one, by its own times.

    Parameters
    ----------
    alone, share : float
        Seconds of one rank for the batch, and for half of it.
    summing : float
        Seconds that it takes to sum the gradients, none of them hidden.
    """
    return alone / (share + summing)


def next_letter_loss(
    steps: int, batch: int = 64, seed: int = 0
) -> list[float]:
    """Train the model of letters alone; return the loss of each step."""
    model = vision.seeded(Letters, seed)
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    losses = []
    for step in range(steps):
        part = lines_of(batch, seed * 1_000_003 + step)
        loss = F.cross_entropy(model(part.images), part.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
