"""What each figure shows, computed by tested functions of the package.

A module for each figure, as there is a script for each in
``book/_static/explore``. The package is imported when a figure is drawn,
because some chapters bring PyTorch with them.
"""

from scenes import (
    amdahl,
    cache,
    costs,
    machine,
    memory,
    pipeline,
    queues,
    ring,
    roofline,
    tasks,
    turns,
)
from scenes.figure import Figure, Input, Unsuitable

FIGURES = {
    "amdahl": amdahl.FIGURE,
    "roofline": roofline.FIGURE,
    "ring": ring.FIGURE,
    "pipeline": pipeline.FIGURE,
    "memory": memory.FIGURE,
    "costs": costs.FIGURE,
    "turns": turns.FIGURE,
    "tasks": tasks.FIGURE,
    "machine": machine.FIGURE,
    "cache": cache.FIGURE,
    "queues": queues.FIGURE,
}

__all__ = ["FIGURES", "Figure", "Input", "Unsuitable"]
