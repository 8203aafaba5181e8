"""What other Pythons make of the same threads."""

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
