"""What one kill does to the different things that lay on a worker."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from distributed import Client, Future

from parallel_ai.many_machines.failures.faults import SECONDS, kill
from parallel_ai.many_machines.failures.job import read_delays
from parallel_ai.toolbox.cluster import wait_until


class Count:
    """Count flights in one place: an actor, whose state is its own."""

    def __init__(self) -> None:
        self.flights = 0

    def add(self, number: int) -> int:
        """Add to the count, and tell it."""
        self.flights += number
        return self.flights


@contextlib.contextmanager
def copies_kept(client: Client) -> Iterator[None]:
    """Stop Dask's memory manager for the time of a block.

    Every two seconds it drops all copies but one of what lies in memory,
    also those that were asked for, unless a task that waits needs them.
    """
    running = client.amm.running()
    client.amm.stop()
    try:
        yield
    finally:
        if running:
            client.amm.start()


def copies(client: Client, thing: Future) -> int:
    """Count the workers that hold a thing."""
    return len(client.who_has([thing])[thing.key])


def copies_left(client: Client, worker: str) -> tuple[int, int]:
    """Count copies of scattered data before and after the manager looks."""
    with copies_kept(client):
        [thing] = client.scatter([np.ones(100)], workers=[worker], hash=False)
        wait_until(partial(_copied, client, thing), "it lies on two workers")
        before = copies(client, thing)
        client.amm.run_once()
        wait_until(lambda: copies(client, thing) < before, "one is dropped")
        return before, copies(client, thing)


def laid_out(client: Client, worker: str, path: str) -> dict[str, Any]:
    """Put four things onto one worker: a month's delays, and a state."""
    place = {"workers": [worker], "allow_other_workers": True, "pure": False}
    delays = read_delays(path)
    computed = client.submit(read_delays, path, **place)
    alone, copied = client.scatter(
        [delays, delays.copy()], workers=[worker], hash=False
    )
    wait_until(partial(_copied, client, copied), "a second worker has a copy")
    actor: Any = client.submit(Count, actor=True, **place).result(SECONDS)
    actor.add(len(delays)).result(SECONDS)
    computed.result(SECONDS)
    return {
        "computed by a task": computed,
        "scattered": alone,
        "scattered, two copies": copied,
        "state of an actor": actor,
    }


def _copied(client: Client, thing: Future) -> bool:
    """Ask for a second copy: a busy worker refuses it without a word."""
    client.replicate([thing], n=2)
    return copies(client, thing) > 1


def what_remains(thing: Any) -> str:
    """Try to get at one of the things, and say in a word how it went."""
    asked = thing if isinstance(thing, Future) else None
    try:
        (asked or thing.add(0)).result(timeout=SECONDS)
    except Exception as error:  # noqa: BLE001 - its name is the answer
        return f"lost: {type(error).__name__}"
    return "there"


def shuffled(size: int, seed: int | None) -> np.ndarray:
    """Numbers of rows in random order, by which a table is to be split."""
    return np.random.default_rng(seed).permutation(size)


def to_train(order: np.ndarray) -> np.ndarray:
    """First four fifths of an order."""
    return order[: len(order) * 4 // 5]


def to_test(order: np.ndarray) -> np.ndarray:
    """Last fifth of an order."""
    return order[len(order) * 4 // 5 :]


@dataclass
class Split:
    """A split into two, of which the second half is taken later."""

    order: Future
    train: np.ndarray

    @classmethod
    def begin(
        cls, client: Client, worker: str, size: int, seed: int | None
    ) -> "Split":
        """Shuffle on a worker, and fetch the rows to train on."""
        place = {"workers": [worker], "allow_other_workers": True}
        order = client.submit(shuffled, size, seed, pure=False, **place)
        train = client.submit(to_train, order, pure=False)
        return cls(order, train.result(SECONDS))

    def leaked(self, client: Client) -> int:
        """Rows to test on that are among those to train on."""
        test = client.submit(to_test, self.order, pure=False)
        return len(np.intersect1d(self.train, test.result(SECONDS)))


def after_one_kill(
    client: Client, path: str, size: int = 1000
) -> tuple[dict[str, str], dict[str, int]]:
    """Lay out things on one worker, kill it, and look what is there.

    Returns
    -------
    tuple of dict
        What remains of each thing; rows that leaked from the part to train
        on into the part to test on, without and with a seed.
    """
    worker = min(client.nthreads())
    with copies_kept(client):
        things = laid_out(client, worker, path)
        splits = {
            "no seed": Split.begin(client, worker, size, None),
            "a seed": Split.begin(client, worker, size, 7),
        }
        kill(client, worker)
    return (
        {name: what_remains(thing) for name, thing in things.items()},
        {name: split.leaked(client) for name, split in splits.items()},
    )
