"""What other Pythons make of the same threads."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from parallel_ai.one_machine.threads.scaling import survey_all
from parallel_ai.toolbox import datasets, machine

PIXELS = 10_000_000


def record() -> list[dict[str, Any]]:
    """Survey every Python found, on the first pixels of Fashion-MNIST.

    Returns
    -------
    list of dict
        What `survey` returns, for each interpreter.
    """
    images = datasets.load("fashion-mnist")["train_images"]
    pixels = images.reshape(-1)[:PIXELS].tobytes()
    return survey_all(pixels, max(4, machine.cpus()))


def gains(survey: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Speed-ups over one thread, by way and by the number of workers.

    Parameters
    ----------
    survey : mapping
        What `survey` returns; medians of its repeats are compared.
    """
    alone = median(survey["threads"]["1"])
    return {
        way: {int(k): alone / median(each) for k, each in survey[way].items()}
        for way in ("threads", "interpreters")
    }
