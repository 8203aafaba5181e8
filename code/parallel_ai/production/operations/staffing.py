"""How many replicas, when to start them, and what a million answers cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from parallel_ai.production.serving import (
    Design,
    Settings,
    capacity,
    cost_of_a_million,
    erlang_c,
    knee,
    running,
    under_load,
)

SHARES = (0.3, 0.6, 0.8, 0.95, 1.15)  # of what a replica does at most


def service_curve(
    model: Path,
    name: str = "linear",
    shares: Sequence[float] = SHARES,
    seconds: float = 0.5,
) -> dict[str, Any]:
    """Measure one replica: p99 by rate, with *Serving*'s open loop.

    Returns
    -------
    dict
        ``most``, answers a second at saturation; ``loads``, as `under_load`
        sums them up.
    """
    settings = Settings([(name, model)], Design(seconds=30))
    with running(settings) as service:
        capacity(service.port, name, 0.2)  # warm
        most = capacity(service.port, name, seconds)
        loads = [
            under_load(service.port, share * most, seconds, name)[0]
            for share in shares
        ]
    return {"most": most, "loads": loads}


def replicas_for(demand: float, each: float, headroom: float = 0.0) -> int:
    """Divide a demand among replicas, and leave a part of each free.

    Parameters
    ----------
    demand, each : float
        Requests a second: that come, and that one replica answers in time.
    headroom : float
        From 0 to below 1: for bursts, and for a replica that is just ending.
    """
    usable = each * (1 - headroom)
    return max(1, math.ceil(demand / usable - 1e-9))


def staff(rate: float, service: float, waits: float) -> int:
    """Find the least number of servers at which few arrivals have to wait.

    Parameters
    ----------
    rate : float
        Arrivals a second.
    service : float
        Mean seconds of work for each.
    waits : float
        Probability, from 0 to 1, that one finds all servers busy: by Erlang.
    """
    servers = math.floor(rate * service) + 1
    while erlang_c(rate, service, servers) > waits:
        servers += 1
    return servers


def root_rule(waits: float) -> float:
    """Find β of the rule *R + β√R servers for a load of R*.

    Notes
    -----
    Halfin and Whitt (1981): with n = R + β√R servers, and R large, the
    probability of a wait tends to 1 / (1 + βΦ(β)/φ(β)).
    """
    normal = NormalDist()
    low, high = 0.0, 10.0
    for _ in range(60):
        beta = (low + high) / 2
        wait = 1 / (1 + beta * normal.cdf(beta) / normal.pdf(beta))
        low, high = (beta, high) if wait > waits else (low, beta)
    return high


def staff_by_root(load: float, beta: float) -> int:
    """Apply the rule; load is what keeps so many servers busy in the mean."""
    return math.ceil(load + beta * math.sqrt(load))


def day_of_demand(
    most: float, minutes: int = 1440, seed: int = 0
) -> np.ndarray:
    """Make up a day: a night, two humps, noise, and one sudden rush.

    Returns
    -------
    array of float, (minutes,)
        Requests a second in each minute; at most about `most`.
    """
    hour = np.arange(minutes) / minutes * 24
    humps = np.exp(-(((hour - 11) / 2.5) ** 2)) + 0.8 * np.exp(
        -(((hour - 19.5) / 2) ** 2)
    )
    noise = np.random.default_rng(seed).normal(1, 0.03, minutes)
    rush = 0.45 * ((hour >= 15) & (hour < 15.5))
    return most * np.maximum(0.02, (0.08 + 0.8 * humps + rush) * noise)


Rule = Callable[[int, np.ndarray, int], int]


@dataclass(frozen=True)
class Day:
    """What a rule made of a day.

    Attributes
    ----------
    replicas : array of int, (minutes,)
        That were ready in each minute.
    served, backlog : array of float, (minutes,)
        Requests answered in each minute, and waiting at its end.
    paid : float
        Replica-hours, from the order to the end.
    """

    replicas: np.ndarray
    served: np.ndarray
    backlog: np.ndarray
    paid: float

    @property
    def late(self) -> float:
        """Share of the minutes at whose end somebody waited."""
        return float((self.backlog > 1e-6).sum() / max(1, len(self.backlog)))


def play_day(
    demand: np.ndarray,
    each: float,
    rule: Rule,
    lag: int,
    least: int = 1,
    most: int = 1_000,
) -> Day:
    """Play a day, minute by minute.

    Parameters
    ----------
    demand : array of float, (minutes,)
        Requests a second.
    each : float
        Requests a second that a replica answers.
    rule : callable
        Told the minute, the demand of all minutes before it, and the number
        of replicas that are ready or ordered; returns the number wanted.
    lag : int
        Minutes from an order until the replica is ready. Ending one is
        immediate; those that are not ready yet go first.
    """
    ready, ordered = least, [0] * lag  # the last of `ordered` is the newest
    waiting, paid = 0.0, 0.0
    replicas, served, backlog = [], [], []
    for minute, rate in enumerate(demand):
        if lag:
            ready += ordered.pop(0)
            ordered.append(0)
        have = ready + sum(ordered)
        wanted = min(most, max(least, rule(minute, demand[:minute], have)))
        if wanted > have and lag:
            ordered[-1] += wanted - have
        elif wanted > have:
            ready = wanted
        for _ in range(have - wanted):
            place = next((i for i in range(lag)[::-1] if ordered[i]), None)
            if place is None:
                ready -= 1
            else:
                ordered[place] -= 1
        come = waiting + rate * 60
        done = min(come, ready * each * 60)
        waiting = come - done
        paid += (ready + sum(ordered)) / 60
        replicas.append(ready)
        served.append(done)
        backlog.append(waiting)
    return Day(np.array(replicas), np.array(served), np.array(backlog), paid)


def reactive(each: float, target: float = 0.7, patience: int = 5) -> Rule:
    """Look at the last minute, and shrink only after some quiet ones.

    As Kubernetes' horizontal autoscaler: so many that each has the target's
    share to do; of what the last minutes asked for, the most.

    Parameters
    ----------
    target : float
        Utilisation that is aimed at.
    patience : int
        Minutes without which nothing is taken away.
    """

    def rule(minute: int, past: np.ndarray, have: int) -> int:
        if not minute:
            return have
        return replicas_for(float(past[-patience:].max()), each, 1 - target)

    return rule


def predictive(
    each: float, yesterday: np.ndarray, ahead: int, target: float = 0.7
) -> Rule:
    """Look at yesterday, as far ahead as a start takes, and at the last minute.

    Parameters
    ----------
    yesterday : array of float, (minutes,)
        Its demand.
    ahead : int
        Minutes: the lag, and some more.
    """
    react = reactive(each, target)

    def rule(minute: int, past: np.ndarray, have: int) -> int:
        coming = yesterday[minute : minute + ahead + 1]
        expected = float(coming.max()) if len(coming) else 0.0
        return max(
            replicas_for(expected, each, 1 - target),
            react(minute, past, have),
        )

    return rule


def price_of_a_million(rate: float, busy: float, price: float) -> float:
    """Price of a million answers, of a machine that is not always busy.

    Parameters
    ----------
    rate : float
        Answers a second when it is busy.
    busy : float
        Share of the time paid for in which it is; a batch job has 1.
    price : float
        Of an hour of the machine, in any currency.
    """
    return cost_of_a_million(rate * busy, price)


def in_time(curve: dict[str, Any], limit: float) -> float:
    """Take from a curve what one replica answers in time, a second."""
    return knee(curve["loads"], limit)
