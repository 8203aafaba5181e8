"""Two estimates by chance from real delays, and how sure each is."""

import math

import numpy as np

Z = 1.959963984540054  # a standard normal is within ±Z with 95 %


def trimmed_mean(values: np.ndarray, share: float = 0.05) -> float:
    """Mean of what is left without the lowest and the highest values.

    Parameters
    ----------
    values : array of shape (n,), n at least 1
    share : float
        Part of the values to leave out at each end, below 0.5.

    Raises
    ------
    ValueError
        There are no values.
    """
    count = len(values)
    if count == 0:
        raise ValueError("the mean of no values is not defined")
    out = int(share * count)
    ordered = np.partition(values, (out, count - out - 1))
    return float(ordered[out : count - out].mean())


def resample(
    values: np.ndarray, times: int, rng: np.random.Generator
) -> np.ndarray:
    """Bootstrap: trimmed means of samples drawn from the sample itself.

    Parameters
    ----------
    values : array of shape (n,)
    times : int
        How many samples of n values to draw, with replacement.
    rng : Generator
        Where all the chance comes from.

    Returns
    -------
    array of shape (times,), float64

    Notes
    -----
    Efron, "Bootstrap methods: another look at the jackknife" (1979).
    """
    count = len(values)
    draws = (values[rng.integers(0, count, count)] for _ in range(times))
    return np.array([trimmed_mean(drawn) for drawn in draws], np.float64)


def interval(means: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Bounds that hold the middle `level` of the bootstrap means."""
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def late_journeys(
    delays: np.ndarray,
    journeys: int,
    rng: np.random.Generator,
    flights: int = 10,
    minutes: int = 120,
) -> int:
    """Count the journeys on which more than so many minutes are lost.

    Parameters
    ----------
    delays : array of shape (n,), int
        Of single flights, in minutes; a journey draws some at random.
    journeys : int
        How many to simulate.
    rng : Generator
    flights : int
        Flights in a journey.
    minutes : int
        What all delays of a journey together must exceed.
    """
    drawn = delays[rng.integers(0, len(delays), (journeys, flights))]
    return int((drawn.sum(axis=1) > minutes).sum())


def late_exactly(
    delays: np.ndarray, flights: int = 10, minutes: int = 120
) -> float:
    """Compute the probability that `late_journeys` estimates.

    The distribution of a sum of independent whole numbers is the
    convolution of their distributions.
    """
    lowest = int(delays.min())
    one = np.bincount(delays.astype(np.int64) - lowest) / len(delays)
    total = one
    for _ in range(flights - 1):
        total = np.convolve(total, one)
    first = max(0, minutes + 1 - flights * lowest)
    return float(total[first:].sum())


def share_interval(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval for a probability, from independent trials.

    The normal approximation, share ± 1.96 standard errors.
    """
    share = hits / trials
    margin = Z * math.sqrt(share * (1 - share) / trials)
    return share - margin, share + margin
