"""Models: what more workers may bring, as formulas with few parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import curve_fit

Number = TypeVar("Number", float, np.ndarray)


def speedup(serial: float, parallel: float) -> float:
    """How many times sooner: seconds of the *best* serial version by ours."""
    return serial / parallel


def efficiency(serial: float, parallel: float, workers: int) -> float:
    """Return speed-up per worker: 1 means that no worker was wasted."""
    return speedup(serial, parallel) / workers


def amdahl(workers: Number, serial: float) -> Number:
    """Predict the speed-up of a job of fixed size.

    Parameters
    ----------
    workers : float or array
        How many share the rest.
    serial : float
        Fraction of the one-worker time that cannot be shared.

    Notes
    -----
    Amdahl (1967), https://doi.org/10.1145/1465482.1465560
    """
    return 1 / (serial + (1 - serial) / workers)


def gustafson(workers: Number, serial: float) -> Number:
    """Predict the speed-up of a job that grows with the workers.

    Parameters
    ----------
    workers : float or array
        Each brings one more share of parallel work.
    serial : float
        Fraction of the one-worker time that cannot be shared; it stays
        the same number of seconds when the job grows.

    Notes
    -----
    Gustafson (1988), https://doi.org/10.1145/42411.42415. He takes the
    fraction on the parallel machine; we take it at one worker, as Amdahl.
    """
    return serial + (1 - serial) * workers


def usl(workers: Number, contention: float, coherency: float) -> Number:
    """Predict speed-up by the Universal Scalability Law.

    Parameters
    ----------
    workers : float or array
        Must be at least 1.
    contention : float
        Cost of waiting for what only one can have; alone it is Amdahl's law.
    coherency : float
        Cost of every worker having to agree with every other one.

    Notes
    -----
    Gunther (2007), *Guerrilla Capacity Planning*,
    https://doi.org/10.1007/978-3-540-31010-5
    """
    others = workers - 1
    return workers / (1 + contention * others + coherency * workers * others)


@dataclass(frozen=True)
class UslFit:
    """Parameters of `usl` that fit best, with their standard errors."""

    contention: float
    coherency: float
    contention_error: float
    coherency_error: float

    @property
    def peak(self) -> float:
        """Number of workers beyond which more of them make it slower."""
        if self.coherency == 0:
            return math.inf
        return math.sqrt((1 - self.contention) / self.coherency)


def fit_usl(workers: Sequence[float], speedups: Sequence[float]) -> UslFit:
    """Fit the Universal Scalability Law by least squares.

    Raises
    ------
    ValueError
        Fewer than three points beyond one worker: two parameters pass
        through any two points, so that nothing would be left to judge by.
    """
    x, y = np.asarray(workers, float), np.asarray(speedups, float)
    informative = len(set(x[x > 1]))
    if informative < 3:
        raise ValueError(
            f"{informative} points beyond one worker; need at least 3"
        )
    (contention, coherency), covariance = curve_fit(
        usl, x, y, p0=(0.1, 0.01), bounds=(0, (1, 1))
    )
    errors = np.sqrt(np.diag(covariance))
    return UslFit(*map(float, (contention, coherency, *errors)))


def break_even(overhead: float, workers: int) -> float:
    """Least serial time, in seconds, from which on sharing pays.

    Sharing costs `overhead` seconds once and divides the rest, so it pays
    when ``overhead + t / workers < t``.
    """
    if workers < 2:
        return math.inf
    return overhead * workers / (workers - 1)
