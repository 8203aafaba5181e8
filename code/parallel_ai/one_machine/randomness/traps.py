"""The same numbers twice: where that comes from, and what it costs."""

import random
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from parallel_ai.one_machine.randomness.estimates import (
    Z,
    late_journeys,
    share_interval,
)
from parallel_ai.one_machine.randomness.seeding import stream
from parallel_ai.one_machine.randomness.teams import in_workers
from parallel_ai.toolbox.workers import SAFE

RNG = np.random.default_rng(2013)  # as one sees it at the top of a module


def first_numbers(worker: int) -> dict[str, float]:
    """Draw a first number from each source, as this worker would."""
    return {
        "random.random()": random.random(),  # noqa: S311
        "np.random.random()": np.random.random(),
        "RNG at the module's top": RNG.random(),
        "default_rng(0)": np.random.default_rng(0).random(),
        "default_rng()": np.random.default_rng().random(),
        "stream(0, worker)": stream(0, worker).random(),
    }


def different(workers: int, method: str = SAFE) -> dict[str, int]:
    """Count how many different first numbers so many workers draw.

    Returns
    -------
    dict of str to int
        For each source; 1 if all workers drew the same.
    """
    first_numbers(0)  # the parent has drawn before, as most have
    drawn = in_workers(first_numbers, [(i,) for i in range(workers)], method)
    return {name: len({one[name] for one in drawn}) for name in drawn[0]}


def repeated(seeds: Iterable[Any]) -> int:
    """Count the streams that somebody else of the list uses too."""
    sequences = [np.random.SeedSequence(seed) for seed in seeds]
    states = [tuple(s.generate_state(4)) for s in sequences]
    return len(states) - len(set(states))


def journeys_by(
    rngs: Sequence[np.random.Generator], delays: np.ndarray, journeys: int
) -> tuple[float, float]:
    """Interval for the share of late journeys, from all workers' draws.

    Parameters
    ----------
    rngs : sequence of Generator
        Each worker's own.
    journeys : int
        In all; each worker simulates as many as the others.
    """
    each = journeys // len(rngs)
    hits = sum(late_journeys(delays, each, rng) for rng in rngs)
    return share_interval(hits, each * len(rngs))


def same_seed(experiment: int, workers: int) -> list[np.random.Generator]:
    """Give every worker the seed of the experiment, which is the mistake."""
    return [np.random.default_rng(experiment) for _ in range(workers)]


def own_stream(experiment: int, workers: int) -> list[np.random.Generator]:
    """Give every worker a stream of the experiment's seed."""
    return [stream(experiment, worker) for worker in range(workers)]


def covered(intervals: Sequence[tuple[float, float]], truth: float) -> float:
    """Share of the intervals that hold the truth."""
    held = [low <= truth <= high for low, high in intervals]
    return sum(held) / len(held)


def coverage_model(workers: int) -> float:
    """Share of 95 % intervals that hold the truth, if all draw the same.

    n draws of which only n / workers are different have an error √workers
    times as large as the interval believes.
    """
    return 2 * NormalDist().cdf(Z / workers**0.5) - 1
