"""What actors promise about their messages, and what they do not."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parallel_ai.many_machines.actors.quietly import ray

LIMIT = 120  # seconds: no wait in this chapter lasts longer


def ask_dask(
    actor: Any, method: str, *args: Any, seconds: float = LIMIT
) -> Any:
    """Send a message to an actor of Dask, and wait for the answer."""
    return getattr(actor, method)(*args).result(timeout=seconds)


def ask_ray(
    actor: Any, method: str, *args: Any, seconds: float = LIMIT
) -> Any:
    """Send a message to an actor of Ray, and wait for the answer."""
    return ray.get(getattr(actor, method).remote(*args), timeout=seconds)


def until(condition: Callable[[], bool], seconds: float = LIMIT) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not true within {seconds} s")
        time.sleep(0.02)


def is_back(actor: Any) -> bool:
    """Tell whether an actor of Ray answers; not while it is restarted."""
    try:
        ask_ray(actor, "order")
    except ray.exceptions.ActorUnavailableError:
        return False
    return True


class Tally:
    """A sum that many add to: reads it, adds, writes it, without a lock."""

    def __init__(self) -> None:
        self.total = 0
        self.arrived: list[int] = []

    def add(self, number: int, *luggage: Any) -> int:
        """Add a number; return the sum. The luggage only makes it heavier."""
        before = self.total
        self.arrived.append(number)
        self.total = before + number
        return self.total

    def order(self) -> list[int]:
        """Return the numbers in the order of their arrival."""
        return self.arrived

    def divide(self, number: int) -> float:
        """Divide the sum by a number, which may be zero."""
        return self.total / number

    def crash(self) -> None:
        """End this process at once, as running out of memory would."""
        os._exit(1)


class Interleaved(Tally):
    """The same, but it waits for something between reading and writing."""

    async def add(self, number: int, *luggage: Any) -> int:  # type: ignore[override]
        """Add a number; while this waits, other messages are let in."""
        before = self.total
        await asyncio.sleep(0.01)  # as if it asked a database
        self.total = before + number
        return self.total


class Saved(Tally):
    """The same, but it survives: what it knows is also in a file.

    Parameters
    ----------
    path : str
        On a disk that the next process can reach, too.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        if self.path.exists():
            self.total = int(self.path.read_text())

    def add(self, number: int, *luggage: Any) -> int:
        """Add a number; save the sum before anybody hears of it."""
        total = super().add(number)
        draft = self.path.with_suffix(".draft")
        draft.write_text(str(total))
        os.replace(draft, self.path)
        return total


class Friend:
    """An actor that asks another one before it answers."""

    def name(self) -> str:
        """Return a name."""
        return "a friend"

    def call(self, ask: Callable[..., Any], other: Any, me: Any) -> str:
        """Ask the other, who will ask me."""
        return ask(other, "call_back", ask, me)

    def call_back(self, ask: Callable[..., Any], caller: Any) -> str:
        """Ask who calls."""
        return ask(caller, "name")
