"""What other Pythons make of the same threads."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from parallel_ai.one_machine.threads.scaling import survey_all
from parallel_ai.toolbox import datasets, machine
from parallel_ai.toolbox.curves import Curves, along, curves, line

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


def drawn(data: list[dict[str, Any]], hardware: dict[str, Any]) -> Curves:
    """Draw speed-ups by the number of workers, of each Python and each way."""
    names = {
        ("threads", True): "threads, with a GIL",
        ("threads", False): "threads, without it",
        ("interpreters", True): "interpreters, a GIL each",
    }
    found = [
        (names[way, one["gil"]], by_workers, one["python"])
        for one in data
        for way, by_workers in gains(one).items()
        if by_workers and (way, one["gil"]) in names
    ]
    cpus = hardware["cpus"]
    most = max(2, *(max(by_workers) for _, by_workers, _ in found))
    ideal = [(k, k / -(-k // cpus)) for k in range(1, most + 1)]
    return curves(
        along("workers", log=False),
        along("speed-up", log=False),
        [
            line("at best, on so many CPUs", ideal, limit=True),
            *(line(name, by.items(), of) for name, by, of in found),
        ],
    )
