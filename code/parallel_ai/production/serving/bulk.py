"""How long one waits where calls are shared: a queue emptied in batches."""

import math
from dataclasses import dataclass

import numpy as np

MOST_ROUNDS = 1000  # far more than zeros ever need
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class CallCost:
    """What a call of a model costs: α + βn seconds for n items.

    Attributes
    ----------
    fixed, each : float
        α and β, mean seconds.
    """

    fixed: float
    each: float

    def seconds(self, items: int) -> float:
        """Return the mean seconds of a call."""
        return self.fixed + self.each * items

    def capacity(self, most: int, servers: int = 1) -> float:
        """Items a second, if all calls are full: n / (α + βn) a server."""
        return servers * most / self.seconds(most)


@dataclass(frozen=True)
class Batched:
    """A queue that is emptied in batches, in the mean.

    Attributes
    ----------
    stay : float
        Seconds from an arrival to its answer.
    items : float
        Items of a batch.
    """

    stay: float
    items: float


def batch_queue(rate: float, cost: CallCost, cv2: float, most: int) -> Batched:
    """Foretell one server that takes all who wait, up to a limit.

    A free server takes whoever comes at once and alone. Who comes during a
    call waits for the next one.

    Parameters
    ----------
    rate : float
        λ, arrivals a second, at random (Poisson); above 0.
    cost : CallCost
    cv2 : float
        Squared coefficient of variation of a call's time, whatever its size:
        0 for constant times, else they have a gamma distribution.
    most : int
        Items of a batch, at most.

    Returns
    -------
    Batched
        With an infinite stay where more arrives than full batches can do.

    Notes
    -----
    Exact, but for rounding. How many are left behind when a call ends is a
    Markov chain (Inoue 2021). Watched only while fewer than `most` are left
    it has `most` states; the mean of all follows from two derivatives, at 1,
    of the chain's generating function (Bailey 1954). For `most` = 1 that is
    Pollaczek and Khinchine's formula. O(most² · arrivals in a call).
    """
    full = cost.seconds(most)
    spare = most - rate * full
    if spare <= 0:
        return Batched(math.inf, float(most))
    left = np.arange(most)
    taken = np.maximum(left, 1)
    seconds = cost.fixed + cost.each * taken
    square, full_square = ((1 + cv2) * t**2 for t in (seconds, full))
    below = _first_below(rate * full, cv2, most)
    balance = (_arrivals(rate * seconds, cv2, len(below)) @ below).T
    balance -= np.eye(most)
    balance[0] = most - left + rate * (seconds - full)  # shares add up to 1
    share = np.linalg.solve(balance, spare * np.eye(most)[0])
    beyond = 1 - share.sum()
    slope = share @ (
        rate**2 * (square - full_square)
        + 2 * rate * (most * seconds - left * full)
        + most * (most - 1) - left * (left - 1)
    ) + rate**2 * full_square - most * (most - 1)  # fmt: skip
    left_beyond = slope / (2 * spare) - share @ left
    cycle = share[0] / rate + share @ seconds + beyond * full
    inside = (
        share @ (taken * seconds + rate * square / 2)
        + left_beyond * full + beyond * rate * full_square / 2
    )  # fmt: skip
    return Batched(float(inside / cycle / rate), float(rate * cycle))


def _arrivals(mean: np.ndarray, cv2: float, states: int) -> np.ndarray:
    """Tabulate how probable 0, 1, … arrivals during calls are.

    Poisson's probabilities for constant times, negative binomial ones for
    times that are gamma distributed.

    Returns
    -------
    array of float, (calls, states)
    """
    mean, n = mean[:, None], np.arange(1, states)
    none = np.exp(-mean) if cv2 == 0 else (1 + cv2 * mean) ** (-1 / cv2)
    ratio = mean * (1 + cv2 * (n - 1)) / (n * (1 + cv2 * mean))
    return np.hstack([none, none * np.cumprod(ratio, 1)])


def _first_below(mean: float, cv2: float, most: int) -> np.ndarray:
    """Tabulate where the chain first comes below `most`, from each state.

    Parameters
    ----------
    mean : float
        Arrivals during a full call.

    Returns
    -------
    array of float, (states, most)
        States that are not reached but with a probability of rounding's size
        are left out.

    Notes
    -----
    As polynomials: z^state modulo the one whose zeros are those of z^most
    less the generating function of the arrivals, within the unit circle.
    """
    reach = mean + 12 * math.sqrt(mean) + 30 * cv2 * mean + 40
    below = np.eye(most + int(reach), most)
    back = -np.poly(_zeros(mean, cv2, most)).real[:0:-1]
    for state in range(most, len(below)):
        below[state, 1:] = below[state - 1, :-1]
        below[state] += below[state - 1, -1] * back
    return below


def _zeros(mean: float, cv2: float, most: int) -> np.ndarray:
    """Find the zeros within the unit circle, and that at 1.

    A root of the generating function is one of the same kind; so each zero
    is a fixed point, to which one comes from 0: the map's slope is at most
    mean / most, which is less than 1. Neighbours are kept apart, so that no
    product of some of them becomes large.
    """
    apart = np.argsort(np.arange(most) * GOLDEN % 1)
    around = np.exp(2j * np.pi * apart / most)
    z = np.zeros(most, complex)
    for _ in range(MOST_ROUNDS):
        before = z
        if cv2 == 0:
            z = around * np.exp(mean * (z - 1) / most)
        else:
            z = around * (1 + cv2 * mean * (1 - z)) ** (-1 / (cv2 * most))
        z[around == 1] = 1
        if np.abs(z - before).max() < 1e-14:
            break
    return z
