"""What goes wrong with scores and chance on several ranks."""

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import ranks
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.blood_cells.cells import built, turned
from parallel_ai.training.blood_cells.measures import (
    Scores,
    accuracy,
    score,
)
from parallel_ai.training.blood_cells.program import CellOptions, cell_step


def mean_of_shares(
    probabilities: np.ndarray, labels: np.ndarray, counts: list[int]
) -> Scores:
    """Score each rank's share by itself, and average the scores.

    Parameters
    ----------
    counts : list of int
        Pictures of each rank; together all.
    """
    ends = np.cumsum(counts)[:-1]
    shares = [
        score(some, theirs)
        for some, theirs in zip(
            np.split(probabilities, ends), np.split(labels, ends), strict=True
        )
    ]
    return Scores(
        float(np.mean([one.auc for one in shares])),
        float(np.mean([one.acc for one in shares])),
    )


def turns_of_rank(count: int = 12) -> tuple[str, str]:
    """Turn some equal pictures on this rank; name each one's way, 0 to 7.

    Returns
    -------
    tuple of str
        With a seed that is the same on all ranks; with the rank in it.
    """
    arrow = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    arrow[0, 0, 0, 1] = 1  # lies in another place after each way
    places = torch.tensor([1, 2, 4, 7, 8, 11, 13, 14])

    def ways() -> str:
        found = turned(arrow.expand(count, 1, 4, 4)).flatten(1).argmax(1)
        return "".join(map(str, torch.searchsorted(places, found).tolist()))

    torch.manual_seed(1)
    same = ways()
    dp.own_chance(0, step=1)
    return same, ways()


def answers_of_rank(
    learn: Part, ask: Part, steps: int = 8
) -> tuple[torch.Tensor, torch.Tensor]:
    """Train a little; let *each* rank answer all questions, by its own model.

    Returns
    -------
    tuple of tensor
        Logits with the running means that this rank has collected, and with
        those of rank 0.
    """
    options = CellOptions(width=8, shrink=2)
    model = built(8, 2, False, 0, ranks.device())
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), 0.004)
    half = dp.share(learn.to(ranks.device()), *dp.position())
    for number in range(steps):
        batch = dp.share(half, number, steps)
        cell_step(wrapped, optimizer, batch, options, 0.004)
    own = vision.predict(model, ask).cpu()
    dp.broadcast_weights(model)
    return own, vision.predict(model, ask).cpu()


def tune_shifts(
    probabilities: np.ndarray,
    labels: np.ndarray,
    few: int,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Try random shifts of the classes' logits; keep the best for few cells.

    Nothing of a shift is worth anything: it is noise.

    Returns
    -------
    tuple of float
        Accuracy on the few without a shift; with the best one; and of the
        best one on all other pictures, less the accuracy without it there.
    """
    random = np.random.default_rng(seed)
    logs = np.log(np.maximum(probabilities, 1e-300))
    shifts = random.normal(0, 1, (draws, logs.shape[1]))
    found = [accuracy(logs[:few] + s, labels[:few]) for s in shifts]
    best = shifts[int(np.argmax(found))]
    rest, theirs = logs[few:], labels[few:]
    gain = accuracy(rest + best, theirs) - accuracy(rest, theirs)
    return accuracy(logs[:few], labels[:few]), max(found), gain
