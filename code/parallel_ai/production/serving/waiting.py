"""Why one waits: laws of queues, and a queue that is played."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def utilisation(rate: float, service: float, servers: int = 1) -> float:
    """Part of the time for which the servers are busy: ρ = λ·E[S] / c."""
    return rate * service / servers


def erlang_c(rate: float, service: float, servers: int) -> float:
    """Probability that an arrival finds all servers busy, in M/M/c.

    Parameters
    ----------
    rate : float
        λ, arrivals a second, at random (Poisson).
    service : float
        E[S], mean seconds of work for each.
    servers : int
        c, at least 1.

    Returns
    -------
    float
        1 where more arrives than can be done.

    Notes
    -----
    By Erlang's B, whose recursion over servers never overflows, unlike the
    textbook's powers and factorials.
    """
    offered = rate * service
    if offered >= servers:
        return 1.0
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    busy = offered / servers
    return blocked / (1 - busy + busy * blocked)


def mmc_wait(rate: float, service: float, servers: int) -> float:
    """Mean seconds in the queue of M/M/c; infinite from ρ = 1 on."""
    if rate * service >= servers:
        return math.inf
    spare = servers / service - rate
    return erlang_c(rate, service, servers) / spare


def mg1_wait(rate: float, service: float, cv2: float) -> float:
    """Mean seconds in the queue of M/G/1: Pollaczek and Khinchine.

    Parameters
    ----------
    cv2 : float
        Squared coefficient of variation of the service time, Var[S]/E[S]²:
        0 for constant, 1 for exponential service.
    """
    busy = rate * service
    if busy >= 1:
        return math.inf
    return busy * service * (1 + cv2) / (2 * (1 - busy))


def mgc_wait(rate: float, service: float, cv2: float, servers: int) -> float:
    """Mean seconds in the queue of M/G/c, roughly: Lee and Longton.

    M/M/c's wait, scaled by what variation does to a single server; Allen and
    Cunneen's formula for Poisson arrivals. Exact for c = 1 and for cv2 = 1.
    """
    return mmc_wait(rate, service, servers) * (1 + cv2) / 2


def play(
    arrivals: np.ndarray, services: np.ndarray, servers: int
) -> np.ndarray:
    """Play a queue: first come, first served, by any free server.

    Parameters
    ----------
    arrivals : array of float, (n,)
        Times, ascending.
    services : array of float, (n,)
        Seconds of work for each.

    Returns
    -------
    array of float, (n,)
        Seconds that each waited before its work began. O(n log c).
    """
    free = [0.0] * servers  # a heap: when each server is free again
    waited = np.empty(len(arrivals))
    for i, (now, work) in enumerate(zip(arrivals, services, strict=True)):
        begun = max(now, free[0])
        waited[i] = begun - now
        heapq.heapreplace(free, begun + work)
    return waited


def poisson_times(rate: float, count: int, seed: int = 0) -> np.ndarray:
    """Draw times of arrivals that know nothing of each other; seconds."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return np.cumsum(gaps)


@dataclass(frozen=True)
class Little:
    """Three averages of one journal, each counted by itself.

    Attributes
    ----------
    inside : float
        L, mean number of requests in the system, over time.
    rate : float
        λ, requests a second.
    stay : float
        W, mean seconds that a request stays.
    """

    inside: float
    rate: float
    stay: float


def little(begun: np.ndarray, ended: np.ndarray) -> Little:
    """Count L, λ and W from a journal of beginnings and ends.

    L is taken from the staircase of how many are inside at each moment, not
    from the stays, so that L = λW is found and not put in. The journal
    begins and ends empty, hence the law holds exactly.
    """
    times = np.concatenate([begun, ended])
    steps = np.repeat([1, -1], [len(begun), len(ended)])
    order = np.lexsort((-steps, times))  # who comes at the time another goes
    times, height = times[order], np.cumsum(steps[order])
    span = times[-1] - times[0]
    return Little(
        inside=float((height[:-1] * np.diff(times)).sum() / span),
        rate=float(len(begun) / span),
        stay=float((ended - begun).mean()),
    )


@dataclass(frozen=True)
class Apart:
    """Where the mean time beyond that of a request alone was spent.

    Attributes
    ----------
    late : float
        Seconds between due and sent: not the service's, the generator's.
    cold : float
        Seconds that those who met nobody took more than one of a row of
        requests, each of which comes at once after the last answer.
    queued : float
        Seconds that those who met somebody took more: the queue.
    """

    late: float
    cold: float
    queued: float

    @property
    def beyond(self) -> float:
        """Seconds of all of it."""
        return self.late + self.cold + self.queued


def taken_apart(
    due: np.ndarray, sent: np.ndarray, ended: np.ndarray, alone: float
) -> Apart:
    """Divide the mean time of an open load among its causes.

    Parameters
    ----------
    due, sent, ended : array of float, (n,)
        Seconds, of each request.
    alone : float
        Mean seconds of a request when there is no other.

    Returns
    -------
    Apart
        Its parts add up to the mean of ``ended - due``, less `alone`.
    """
    order = np.argsort(sent, kind="stable")
    sent, ended = sent[order], ended[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(ended)[:-1]])
    more, nobody = ended - sent - alone, before <= sent
    return Apart(
        late=float((sent - due[order]).mean()),
        cold=float(more[nobody].sum() / len(more)),
        queued=float(more[~nobody].sum() / len(more)),
    )


def slow_share(share: float, parts: int) -> float:
    """Probability that at least one of so many independent parts is slow."""
    return 1 - (1 - share) ** parts


def fan_out(
    seconds: np.ndarray, parts: Sequence[int], limit: float, seed: int = 0
) -> list[float]:
    """Draw answers that need several parts, and count those beyond a limit.

    An answer that is put together from several requests is as late as the
    last of them.

    Parameters
    ----------
    seconds : array of float, (n,)
        Measured latencies of single requests.
    parts : sequence of int
        Requests that make one answer.
    limit : float
        Seconds.

    Returns
    -------
    list of float
        Share of answers beyond the limit, for each number of parts.
    """
    draw = np.random.default_rng(seed)
    return [
        float((draw.choice(seconds, (2_000, n)).max(1) > limit).mean())
        for n in parts
    ]


def in_a_row(
    seconds: np.ndarray, parts: Sequence[int], limit: float
) -> list[float]:
    """Count answers beyond a limit, each of requests that came together.

    As `fan_out`, with neighbours in time for parts: requests that met the
    same queue.
    """
    late = np.concatenate([[0], np.cumsum(seconds > limit)])
    return [
        float((late[n:] - late[:-n] > 0).mean())
        for n in parts
        if n <= len(seconds)
    ]
