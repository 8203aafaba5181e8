"""What a job consists of, found out by running a little of it."""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from parallel_ai.one_machine.measuring import wall_and_cpu
from parallel_ai.one_machine.threads import at_once
from parallel_ai.toolbox.stopwatch import measure

BUSY = 0.9  # of the time: who computes that much is disturbed, not waiting


@dataclass(frozen=True)
class Work:
    """A job: the same function for many items, and what one item takes.

    Attributes
    ----------
    items : int
        How many.
    waits : float
        Seconds in which an item needs no CPU.
    locked : float
        Seconds of CPU time in which it holds the interpreter's lock.
    free : float
        Seconds of CPU time in which it does not.
    sent : float
        Bytes of an item and of its result, pickled.
    reads : float
        Bytes that come from memory.
    """

    items: int
    waits: float = 0.0
    locked: float = 0.0
    free: float = 0.0
    sent: float = 0.0
    reads: float = 0.0

    @property
    def alone(self) -> float:
        """Seconds of one item that nothing disturbs."""
        return self.waits + self.locked + self.free


def lock_share(job: Callable[[], object], repeats: int = 5) -> float:
    """Share of a computation in which it holds the interpreter's lock.

    Two threads that never need the lock take as long as one, two that
    always need it twice as long. On a single CPU the answer is always 1,
    which does no harm: there, threads do not help a computation anyway.

    Returns
    -------
    float
        From 0 (two threads run side by side) to 1 (they take turns).
    """
    one = measure(at_once, job, 1, repeats=repeats).median
    two = measure(at_once, job, 2, repeats=repeats).median
    return min(1.0, max(0.0, two / one - 1))


def examine(
    function: Callable[[Any], object],
    items: Sequence[Any],
    reads: float = 0.0,
    some: int = 4,
) -> Work:
    """Find out what a job consists of, from a few of its items.

    Parameters
    ----------
    function : callable
        Called once before it is examined, to leave compiling and caches
        out of the picture.
    items : sequence
        At least one.
    reads : float
        Bytes that an item reads from memory; nobody can see that from
        outside.
    some : int
        How many items are tried.

    Raises
    ------
    ValueError
        There are no items.
    """
    if not items:
        raise ValueError("a job without items takes no time in any way")
    few = items[: max(1, some)]
    result = function(few[0])
    wall, cpu = wall_and_cpu(lambda: [function(item) for item in few])
    busy = min(wall, cpu) / len(few)
    share = lock_share(partial(function, few[0])) if busy > wall / 20 else 1.0
    waiting = wall - cpu if cpu < BUSY * wall else 0.0
    return Work(
        items=len(items),
        waits=waiting / len(few),
        locked=share * busy,
        free=(1 - share) * busy,
        sent=len(pickle.dumps(few[0])) + len(pickle.dumps(result)),
        reads=reads,
    )
