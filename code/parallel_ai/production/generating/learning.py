"""Training for some seconds, and what the model knows afterwards."""

import time
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from parallel_ai.production.generating.decoder import Decoder, random_model
from parallel_ai.production.generating.shapes import Config
from parallel_ai.production.generating.texts import corpus

SMALL = Config()


@dataclass(frozen=True)
class Learnt:
    """A trained model.

    Attributes
    ----------
    losses : list of float
        Of each step, nats a character, on the batch that it saw.
    held : float
        Of the held-out documents.
    seconds : float
        Of the training.
    """

    model: Decoder
    losses: list[float]
    held: float
    seconds: float


def windows(
    data: torch.Tensor, length: int, count: int, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut pieces at random, the same for the same step; tokens and targets."""
    generator = torch.Generator().manual_seed(step)
    first = torch.randint(len(data) - length, (count, 1), generator=generator)
    pieces = data[first + torch.arange(length + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def loss_of(
    model: Decoder, tokens: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy, nats a token."""
    return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


@torch.inference_mode()
def held_out_loss(
    model: Decoder, data: torch.Tensor, length: int = 128
) -> float:
    """Mean cross-entropy of a stream in pieces, none seen twice."""
    length = min(length, model.config.context)
    whole = (len(data) - 1) // length * length
    tokens = data[:whole].view(-1, length)
    targets = data[1 : whole + 1].view(-1, length)
    parts = zip(tokens.split(64), targets.split(64), strict=True)
    sums = [loss_of(model, *part).item() * part[0].numel() for part in parts]
    return sum(sums) / whole


def learn(
    config: Config = SMALL,
    steps: int = 400,
    batch: int = 4,
    length: int = 128,
    rate: float = 4e-3,
) -> Learnt:
    """Train a model on the corpus, the same for the same arguments.

    The learning rate rises and falls in one cycle, and AdamW takes the
    steps.
    """
    data, held = corpus()
    model = random_model(config).train().requires_grad_()
    optimizer = torch.optim.AdamW(
        model.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.15
    )
    begun, losses = time.perf_counter(), []
    for step in range(steps):
        loss = loss_of(model, *windows(data, length, batch, step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - begun
    model.eval().requires_grad_(False)
    return Learnt(model, losses, held_out_loss(model, held), seconds)
