"""The chapter's verdict in a few numbers, for this machine and others."""

from dataclasses import asdict
from typing import Any

import numpy as np

from parallel_ai.one_machine.processes.costs import measure_costs
from parallel_ai.one_machine.processes.means import (
    mean_executor,
    mean_placed,
    mean_serial,
)
from parallel_ai.one_machine.processes.ranks import (
    ranks_executor,
    ranks_serial,
)
from parallel_ai.one_machine.processes.sharing import share
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.datasets import load
from parallel_ai.toolbox.stopwatch import compare

NUMBERS = 5_000_000
IMAGES = 10_000


def speedups(images: np.ndarray, workers: int) -> dict[str, float]:
    """How many times faster `workers` are than the best serial version.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8
        `IMAGES` of them are ranked, `NUMBERS` of their pixels averaged.

    Returns
    -------
    dict from task to speed-up
        Below 1 where processes make it slower. Starting them is included,
        filling the shared memory is not.
    """
    values = np.resize(images, NUMBERS) / 255
    some = images[:IMAGES]
    with share(values) as array:
        times = compare(
            {
                "mean": lambda: mean_serial(values),
                "mean, numbers sent": lambda: mean_executor(values, workers),
                "mean, numbers shared": lambda: mean_placed(array, workers),
                "ranks": lambda: ranks_serial(some),
                "ranks, images sent": lambda: ranks_executor(some, workers),
            },
            repeats=3,
        )
    return {
        label: times[label.split(",")[0]].median / time.median
        for label, time in times.items()
        if "," in label
    }


def record() -> dict[str, Any]:
    """Measure costs and speed-ups with as many workers as there are CPUs."""
    workers = machine.cpus()
    images = load("fashion-mnist")["train_images"]
    return {
        "workers": workers,
        "costs": asdict(measure_costs(workers)),
        "speedups": speedups(images, workers),
    }
