"""What a cluster costs, and how many workers to ask for: a formula."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A computation, in hours of one worker.

    Attributes
    ----------
    fixed : float
        What more workers do not shorten: the cluster's start, reading one
        file, the serial part.
    shared : float
        What they share.
    """

    fixed: float
    shared: float

    def hours(self, workers: int) -> float:
        """Hours on so many workers, by Amdahl's law."""
        return self.fixed + self.shared / workers


@dataclass(frozen=True)
class Rates:
    """Money an hour; fill in your own, in any currency.

    Attributes
    ----------
    worker : float
        Price of one worker.
    rest : float
        Price of what runs beside the workers: the scheduler, your notebook.
    waiting : float
        What an hour less of waiting is worth to whoever waits. Zero for a
        job that runs over night.
    """

    worker: float
    rest: float = 0.0
    waiting: float = 0.0


def bill(job: Job, rates: Rates, workers: int) -> float:
    """Return what the provider will charge."""
    return job.hours(workers) * (workers * rates.worker + rates.rest)


def cost(job: Job, rates: Rates, workers: int) -> float:
    """Return the bill, and what the waiting costs besides."""
    return bill(job, rates, workers) + job.hours(workers) * rates.waiting


def cheapest(job: Job, rates: Rates) -> float:
    """How many workers cost least, as a real number.

    Notes
    -----
    With A hours fixed, B shared, p for a worker and c for everything else
    that costs by the hour, n workers cost (A + B/n)(np + c) =
    Ap n + Bc/n + Ac + Bp. The sum of a rising and a falling term is least
    where both are equal: at n = sqrt(Bc / Ap).
    """
    if job.fixed == 0 or rates.worker == 0:
        return math.inf
    by_the_hour = rates.rest + rates.waiting
    best = math.sqrt(job.shared * by_the_hour / (job.fixed * rates.worker))
    return max(1.0, best)


def forgotten(rates: Rates, workers: int, hours: float) -> float:
    """Return the price of a cluster that nobody shut down."""
    return hours * (workers * rates.worker + rates.rest)
