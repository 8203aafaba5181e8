"""One long task that saves its state now and then, and goes on from it."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from parallel_ai.many_machines.failures.journal import write_line
from parallel_ai.many_machines.failures.outputs import die_once, save_whole


def long_task(
    delays: np.ndarray,
    steps: int,
    every: int,
    folder: Path,
    deaths: Collection[int] = (),
) -> np.ndarray:
    """Draw medians, one a step, saving all of them after so many steps.

    Parameters
    ----------
    every : int
        Steps between two savings.
    folder : path
        Of this task alone: its state, and a journal of what it did.
    deaths : collection of int
        Steps before which the worker is killed, each once.

    Returns
    -------
    array of shape (steps,)
        The same, however often the task was killed and began again.
    """
    state = folder / "medians"
    done = list(np.frombuffer(state.read_bytes())) if state.exists() else []
    for step in range(len(done), steps):
        if step in deaths:
            die_once(folder / f"died-{step}")
        rng = np.random.default_rng([2013, step])
        drawn = delays[rng.integers(0, len(delays), len(delays))]
        done.append(float(np.median(drawn)))
        write_line(folder / "journal", "step")
        if (step + 1) % every == 0:
            save_whole(state, np.array(done).tobytes())
            write_line(folder / "journal", "save")
    return np.array(done)


def steps_predicted(steps: int, every: int, deaths: Collection[int]) -> int:
    """Count the steps of such a task: its own, and those done again."""
    return steps + sum(step % every for step in deaths)
