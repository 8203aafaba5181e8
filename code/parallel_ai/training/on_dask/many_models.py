"""Many small models: a task each, or one after the other on all workers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.toolbox import ranks
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.on_dask.photographs import once

if TYPE_CHECKING:  # slow to import, and a rank needs neither
    import pandas as pd
    from distributed import Client

TOPIC = "many-models"


@dataclass(frozen=True)
class Setting:
    """Hyper-parameters of one model."""

    learning_rate: float
    batch_size: int
    seed: int = 0
    epochs: int = 2
    pictures: int = 1_000


@dataclass(frozen=True)
class Row:
    """What came of one model."""

    learning_rate: float
    batch_size: int
    seed: int
    loss: float
    accuracy: float


def fit(
    setting: Setting, report: Callable[[Row], object] | None = None
) -> Row:
    """Train a model, alone or as one of the ranks, which share each batch."""
    rank, size = dp.position()
    data = once(
        ("fashion", setting.pictures), lambda: dp.only_needed(setting.pictures)
    )
    model: nn.Module = vision.seeded(vision.mlp, setting.seed)
    if size > 1:
        model = DistributedDataParallel(model.to(ranks.device()))
    optimizer = torch.optim.SGD(
        model.parameters(), setting.learning_rate, momentum=0.9
    )
    part = data.train[: setting.pictures]
    device = next(model.parameters()).device
    for epoch in range(setting.epochs):
        order = vision.shuffled(len(part), setting.seed, epoch)
        for batch in vision.batches(part, setting.batch_size, order):
            mine = dp.share(batch, rank, size).to(device)
            optimizer.zero_grad()
            dp.part_of_loss(model, mine, len(batch), size).backward()
            optimizer.step()
        score = dp.evaluate_shared(model, data.validation)
        row = Row(
            setting.learning_rate, setting.batch_size, setting.seed,
            score.loss, score.accuracy,
        )  # fmt: skip
        if report:
            report(row)
    return row


def fit_task(setting: Setting) -> Row:
    """Train one model in a task, and tell the clients after each epoch."""
    from distributed import get_worker

    worker = get_worker()
    torch.set_num_threads(worker.state.nthreads)
    return fit(setting, lambda row: worker.log_event(TOPIC, asdict(row)))


def search(
    client: "Client",
    settings: Sequence[Setting],
    report: Callable[[dict[str, float]], object] | None = None,
) -> "pd.DataFrame":
    """Train a model for each setting, a task each, and gather one frame.

    Parameters
    ----------
    report : callable, optional
        Called in Dask's thread with each row told under way.
    """
    import pandas as pd

    if report:
        client.subscribe_topic(TOPIC, lambda event: report(event[1]))
    try:
        futures = client.map(fit_task, settings, pure=False)
        return pd.DataFrame(client.gather(futures))
    finally:
        if report:
            client.unsubscribe_topic(TOPIC)


def fit_each(settings: Sequence[Setting]) -> tuple[float, list[Row]]:
    """Train the models one after the other, each by all ranks together.

    Returns
    -------
    tuple
        Seconds, after a first model that warms up; and the rows.
    """
    if settings:
        fit(settings[0])
    begun = time.perf_counter()
    rows = [fit(setting) for setting in settings]
    return time.perf_counter() - begun, rows
