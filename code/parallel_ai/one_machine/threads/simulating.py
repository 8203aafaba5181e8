"""Taking turns as a rule: who would run when, worked out and not measured."""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

JUST = 1e-12  # seconds: what rounding leaves of a piece of work is none


class Turn(NamedTuple):
    """What a thread does for a while; seconds."""

    thread: int
    state: str  # "runs", "wants" to run, or "waits" for something else
    start: float
    stop: float


def take_turns(
    jobs: Sequence[Sequence[float]], interval: float = 0.005, slots: int = 1
) -> list[Turn]:
    """Work out who runs when, if only so many threads can at a time.

    Parameters
    ----------
    jobs : sequence of sequence of float
        For each thread, seconds of computing, of waiting, of computing, …
    interval : float
        A thread that wants to run lets another one run that long.
    slots : int
        1 with the GIL, however many CPUs there are; without it, the CPUs.

    Returns
    -------
    list of Turn
        By start, then by thread.

    Notes
    -----
    Whoever wants to run stands in one queue. In CPython the operating
    system chooses, so that real turns are less regular.
    """
    left = [deque(job) for job in jobs]
    queue = deque((thread, 0.0) for thread in range(len(jobs)) if left[thread])
    running: dict[int, float] = {}  # since when
    waiting: dict[int, float] = {}
    found: list[Turn] = []
    now = 0.0
    while queue or running or waiting:
        while queue and len(running) < slots:
            thread, since = queue.popleft()
            if now > since:
                found.append(Turn(thread, "wants", since, now))
            running[thread] = now
        ends = [(at + left[one][0], one) for one, at in running.items()]
        wakes = [(at + left[one][0], one) for one, at in waiting.items()]
        first = min(running, key=lambda one: (running[one], one), default=-1)
        patience = math.inf
        if queue and running:
            patience = max(running[first], queue[0][1]) + interval
        now = min([at for at, _ in ends + wakes])
        if patience < now - JUST:
            now = patience
            start = running.pop(first)
            left[first][0] -= now - start
            found.append(Turn(first, "runs", start, now))
            queue.append((first, now))
            continue
        _, thread = min(ends + wakes)
        states = (running, "runs") if thread in running else (waiting, "waits")
        found.append(Turn(thread, states[1], states[0].pop(thread), now))
        left[thread].popleft()
        if left[thread] and states[1] == "runs":
            waiting[thread] = now
        elif left[thread]:
            queue.append((thread, now))
    return sorted(found, key=lambda turn: (turn.start, turn.thread))
