"""A few pictures and a trained backbone, against the few pictures alone."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.imagenet.blocks import (
    Basic,
    ResNet,
)
from parallel_ai.accelerators.imagenet.classifying import normalise
from parallel_ai.accelerators.vision import (
    Data,
    Part,
    evaluate,
    evaluating,
    seeded,
    shuffled,
    train,
)
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.workers import LIMIT, bounds

KNOWN = (0, 1, 4, 5)  # kinds of cell that the backbone learns; others are new
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Kinds:
    """Cells of some kinds, to learn from and to ask, labels from 0."""

    names: list[str]
    learn: Part
    ask: Part


def cells_of(
    kinds: Sequence[int], most: int = 4_000, ask: str = "val"
) -> Kinds:
    """Load blood cells of some kinds, 28 × 28 pixels, normalised.

    Parameters
    ----------
    most : int
        So many pictures to learn from, and to ask, at most.
    ask : str
        Split to ask: `val` while something is chosen, then `test`, once.
    """
    raw = datasets.load("blood-cells")
    wanted = torch.tensor(sorted(kinds))

    def part(split: str) -> Part:
        labels = torch.as_tensor(raw[f"{split}_labels"]).long()
        here = torch.isin(labels, wanted).nonzero()[:most, 0]
        pixels = torch.as_tensor(raw[f"{split}_images"])[here]
        return Part(
            normalise(pixels).contiguous(),
            torch.searchsorted(wanted, labels[here]),
        )

    names = [raw["labels"][kind] for kind in sorted(kinds)]
    return Kinds(names, part("train"), part(ask))


def few_of(part: Part, each: int, seed: int) -> Part:
    """Draw so many pictures of each class, by the seed."""
    order = shuffled(len(part), seed, 0)
    labels = part.labels[order]
    chosen = [order[labels == label][:each] for label in labels.unique()]
    return part[torch.cat(chosen)]


def backbone(classes: int, width: int = 16) -> ResNet:
    """Build a small network that shrinks its pictures at once."""
    return ResNet(Basic, (1, 1, 1), classes, width)


def pretrain(kinds: Kinds, epochs: int = 3) -> ResNet:
    """Train a backbone on kinds of which there are many pictures."""
    model = cast(ResNet, seeded(lambda: backbone(len(kinds.names)), 0))
    some = Data(kinds.learn, kinds.ask, kinds.ask[:0])
    train(model, some, epochs=epochs, device=CPU)
    return model.eval()


def features(
    model: ResNet, images: torch.Tensor, batch: int = 256
) -> torch.Tensor:
    """Describe pictures by a backbone that is not to learn, once.

    In evaluation mode no picture depends on another one, so the pieces may
    be computed anywhere: the same numbers come out.

    Returns
    -------
    tensor, (n, channels)
        Where the model is.
    """
    place = next(model.parameters()).device
    with evaluating(model):
        found = [model.features(x.to(place)) for x in images.split(batch)]
    return torch.cat(found).clone()  # of inference mode: usable for training


def features_by(
    team: Executor, model: ResNet, images: torch.Tensor, workers: int
) -> torch.Tensor:
    """Compute the same features, each worker those of its own pictures."""
    model.eval()  # before the workers: the mode is one for all of them
    parts = [
        team.submit(features, model, images[a:b])
        for a, b in bounds(len(images), workers) or [(0, 0)]
    ]
    return torch.cat([part.result(timeout=LIMIT) for part in parts])


def fit_head(
    described: torch.Tensor, labels: torch.Tensor, classes: int,
    epochs: int = 100, seed: int = 0,
) -> nn.Sequential:  # fmt: skip
    """Train a linear layer on features: the whole set is one batch.

    Features are brought to mean 0 and deviation 1 by fixed numbers, which
    belong to the head and come from the pictures to learn from.
    """
    deviation, mean = torch.std_mean(described, 0, correction=0)
    scale = nn.BatchNorm1d(described.shape[1], affine=False)
    scale.running_mean, scale.running_var = mean, deviation**2
    layer = seeded(lambda: nn.Linear(described.shape[1], classes), seed)
    head = nn.Sequential(scale.eval(), layer)
    optimizer = torch.optim.AdamW(
        layer.parameters(), lr=0.01, weight_decay=0.1
    )
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(head(described), labels).backward()
        optimizer.step()
    return head


def fit_head_again_and_again(
    model: ResNet, few: Part, classes: int, epochs: int, seed: int = 0
) -> tuple[nn.Sequential, int]:
    """Train the same head, with the backbone passed in every epoch.

    Returns
    -------
    tuple
        The head, and how many pictures went through the backbone.
    """
    described = features(model, few.images)
    head = fit_head(described, few.labels, classes, 0, seed)
    optimizer = torch.optim.AdamW(
        head[1].parameters(), lr=0.01, weight_decay=0.1
    )
    passed = len(few)
    for _ in range(epochs):
        described = features(model, few.images)
        passed += len(few)
        optimizer.zero_grad()
        F.cross_entropy(head(described), few.labels).backward()
        optimizer.step()
    return head, passed


def accuracy_of_head(model: ResNet, head: nn.Module, ask: Part) -> float:
    """Score backbone and head on pictures that neither has learned from."""
    answers = head(features(model, ask.images)).argmax(1)
    return (answers == ask.labels.to(answers.device)).float().mean().item()


def from_scratch(
    few: Part, ask: Part, classes: int, epochs: int = 20, seed: int = 0
) -> float:
    """Train the same network on the few pictures alone; score it."""
    model = seeded(lambda: backbone(classes), seed)
    data = Data(few, ask[:0], ask[:0])
    train(model, data, epochs=epochs, batch_size=16, device=CPU, seed=seed)
    return evaluate(model, ask).accuracy


def compare_transfer(
    model: ResNet, kinds: Kinds, each: Sequence[int], seeds: int
) -> dict[int, list[tuple[float, float]]]:
    """Score head and scratch with the same few pictures, seed by seed.

    Returns
    -------
    dict
        By pictures of a class: pairs of accuracies, head and scratch.
    """
    classes = len(kinds.names)
    found: dict[int, list[tuple[float, float]]] = {}
    for count in each:
        found[count] = []
        for seed in range(seeds):
            few = few_of(kinds.learn, count, seed)
            described = features(model, few.images)
            head = fit_head(described, few.labels, classes, seed=seed)
            found[count].append(
                (
                    accuracy_of_head(model, head, kinds.ask),
                    from_scratch(few, kinds.ask, classes, seed=seed),
                )
            )
    return found
