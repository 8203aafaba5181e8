"""Ranks as threads of one process: exact, counted, and never stuck for long."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from parallel_ai.training.collectives.transports import Transport

SECONDS = 30.0


class Deadlock(RuntimeError):
    """All ranks wait, and none can go on; the message says for whom."""


class Message(NamedTuple):
    """A message of `Memory`, as its trace keeps it."""

    number: int  # of this sender's messages
    source: int
    to: int
    start: int  # in the sender's vector
    values: torch.Tensor


class Memory(Transport):
    """Between threads: queues in memory, one for each pair of ranks.

    Who receives says from whom. So the result does not depend on which
    thread runs first, and a state in which nobody can go on is found at
    once, without a clock.
    """

    def __init__(self, rank: int, net: "Network") -> None:
        super().__init__(rank, net.size)
        self.net = net

    def send(self, values: torch.Tensor, to: int) -> None:
        """Send; a message over the eager limit waits for its receiver."""
        super().send(values, to)
        if values.nbytes > self.net.eager:
            queue = self.net.queues[self.rank, to]
            self.net.wait(
                self.rank, lambda: not queue, f"{to} to receive from it"
            )

    def _move(
        self,
        values: torch.Tensor,
        to: int,
        into: torch.Tensor,
        source: int,
    ) -> None:
        if len(values):
            message = Message(
                self.messages, self.rank, to, int(values.storage_offset()),
                values.clone(),
            )  # fmt: skip
            self.net.post(message)
        if len(into):
            into.copy_(self.net.take(source, self.rank))


@dataclass
class Network:
    """The queues between some ranks, and who waits for whom.

    Parameters
    ----------
    size : int
        Ranks.
    eager : float
        Bytes up to which a message is put down and left behind. The sender
        of a longer one waits until it is received. MPI has such a limit.
    """

    size: int
    eager: float = float("inf")

    def __post_init__(self) -> None:
        """Open the queues, all empty."""
        pairs = [(a, b) for a in range(self.size) for b in range(self.size)]
        self.queues: dict[tuple[int, int], deque[Message]] = {
            pair: deque() for pair in pairs
        }
        self.trace: list[Message] = []
        self.waiting: dict[int, tuple[Callable[[], bool], str]] = {}
        self.running, self.stuck = self.size, ""
        self.changed = threading.Condition()

    def post(self, message: Message) -> None:
        """Put a message where its receiver looks."""
        with self.changed:
            self.trace.append(message)
            self.queues[message.source, message.to].append(message)
            self.changed.notify_all()

    def take(self, source: int, to: int) -> torch.Tensor:
        """Wait for the next message of a pair; take it away."""
        queue = self.queues[source, to]
        self.wait(to, lambda: bool(queue), f"a message of {source}")
        with self.changed:
            self.changed.notify_all()
            return queue.popleft().values

    def wait(self, rank: int, ready: Callable[[], bool], what: str) -> None:
        """Wait until something holds; find out if it never will.

        Raises
        ------
        Deadlock
            Nobody can go on; with who waits for what.
        """
        with self.changed:
            self.waiting[rank] = ready, what
            self._look()
            done = self.changed.wait_for(
                lambda: self.stuck or ready(), SECONDS
            )
            if self.stuck or not done:
                raise Deadlock(
                    self.stuck or f"rank {rank} still waits for {what}"
                )
            del self.waiting[rank]

    def leave(self) -> None:
        """Count a rank that has ended."""
        with self.changed:
            self.running -= 1
            self._look()

    def _look(self) -> None:
        """Tell all if each rank that still runs waits in vain."""
        held = [what for what in self.waiting.values() if not what[0]()]
        if not self.stuck and 0 < len(held) == self.running:
            self.stuck = "; ".join(
                f"rank {rank} waits for {what}"
                for rank, (_, what) in sorted(self.waiting.items())
            )
            self.changed.notify_all()


def run_local(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    eager: float = float("inf"),
) -> tuple[list[Any], list[Memory], Network]:
    """Call `function(transport, input)` in one thread a rank.

    Returns
    -------
    tuple
        What each rank returned; their transports, with the counts; and the
        network, with its trace.

    Raises
    ------
    Deadlock
        No rank could go on.
    Exception
        Whatever a rank raised, the first one.
    """
    net = Network(len(inputs), eager)
    ends = [Memory(rank, net) for rank in range(net.size)]
    results: list[Any] = [None] * net.size
    errors: list[BaseException] = []

    def be(rank: int) -> None:
        try:
            results[rank] = function(ends[rank], inputs[rank])
        except BaseException as error:  # noqa: BLE001, raised below
            errors.append(error)
        finally:
            net.leave()

    team = [
        threading.Thread(target=be, args=(r,), daemon=True)
        for r in range(net.size)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join(SECONDS)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in team):
        raise Deadlock(f"a rank still computes after {SECONDS:.0f} s")
    return results, ends, net
