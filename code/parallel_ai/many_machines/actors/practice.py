"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from parallel_ai.toolbox.exercises import exercise


def _check_staleness(candidate: Callable[[list[int]], list[int]]) -> None:
    cases = [
        ([], []),
        ([0, 0, 0], [0, 0, 0]),
        ([0, 1, 0, 1], [0, 1, 1, 1]),
        ([0, 1, 2, 0, 1, 2], [0, 1, 2, 2, 2, 2]),
        ([0, 0, 0, 1, 0], [0, 0, 0, 3, 1]),
        ([2, 2, 0], [0, 0, 2]),
    ]
    for pushes, expected in cases:
        given = list(pushes)
        got = candidate(given)
        assert list(got) == expected, (
            f"staleness({pushes}) returned {got}, expected {expected}"
        )
        assert given == pushes, "the list that was given has been changed"


@exercise(_check_staleness)
def staleness(pushes: list[int]) -> list[int]:
    """Compute how stale each gradient is that a server receives.

    All workers get the parameters before the first push. A worker that has
    pushed gets the new parameters at once, and computes its next gradient
    with them.

    Parameters
    ----------
    pushes : list of int
        Ranks of the workers, in the order in which their gradients arrive.

    Returns
    -------
    list of int
        For each push, how many other pushes the server has taken since it
        sent parameters to this worker.
    """
    seen: dict[int, int] = {}
    found = []
    for now, rank in enumerate(pushes):
        found.append(now - seen.get(rank, 0))
        seen[rank] = now + 1
    return found


class _Fake:
    """An actor of threads that notes how many messages it has open."""

    def __init__(self, others: threading.Semaphore, slow_for: int) -> None:
        self.open = self.most = 0
        self.others, self.slow_for = others, slow_for
        self.lock, self.threads = threading.Lock(), []  # type: ignore[var-annotated]

    def ask(self, method: str, item: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        thread = threading.Thread(target=self.answer, args=(future, item))
        self.threads.append(thread)
        thread.start()
        return future

    def answer(self, future: Future[Any], item: Any) -> None:
        in_time = True
        if item == "slow":  # until all the others are done
            for _ in range(self.slow_for):
                in_time = in_time and self.others.acquire(timeout=2)
        with self.lock:
            self.open -= 1
        future.set_result(f"{item} done" if in_time else "too late")
        if item != "slow":
            self.others.release()


def _check_pooled(
    candidate: Callable[[list[Any], str, Iterable[Any]], list[Any]],
) -> None:
    for items in ([], ["a"], ["slow", "a", "b", "c"], ["a", "slow", "b", "c"]):
        others = threading.Semaphore(0)
        actors = [_Fake(others, len(items) - 1) for _ in range(2)]
        try:
            got = candidate(list(actors), "work", iter(items))
        finally:
            for actor in actors:
                for thread in actor.threads:
                    thread.join()
        called = f"pooled(two actors, 'work', {items})"
        most = max(actor.most for actor in actors)
        assert most <= 1, f"{called}: an actor had {most} messages at a time"
        assert "too late" not in got, (
            f"{called}: a free actor got nothing while 'slow' was waiting"
        )
        expected = [f"{item} done" for item in items]
        assert list(got) == expected, f"{called} returned {got}"


@exercise(_check_pooled)
def pooled(actors: list[Any], method: str, items: Iterable[Any]) -> list[Any]:
    """Let a pool of actors work on items, each actor on one at a time.

    Whoever is free gets the next item, so that a long one holds nobody up.

    Parameters
    ----------
    actors : list
        At least one; ``actor.ask(method, item)`` returns a
        `concurrent.futures.Future`.
    items : iterable
        Any number of items.

    Returns
    -------
    list
        The answers, in the order of the items.
    """
    idle = list(actors)
    busy: dict[Future[Any], tuple[int, Any]] = {}
    answers: list[Any] = []
    for number, item in enumerate(items):
        if not idle:
            done, _ = wait(busy, return_when=FIRST_COMPLETED)
            for future in done:
                place, actor = busy.pop(future)
                answers[place] = future.result()
                idle.append(actor)
        answers.append(None)
        actor = idle.pop()
        busy[actor.ask(method, item)] = number, actor
    for future, (place, _) in busy.items():
        answers[place] = future.result()
    return answers


def _check_once(
    candidate: Callable[
        [Callable[[Any], Any]], Callable[[str, int, Any], Any]
    ],
) -> None:
    total = 0

    def add(number: int) -> int:
        nonlocal total
        if number < 0:
            raise ValueError("only what is positive")
        total += number
        return total

    handle = candidate(add)
    script = [
        (("a", 0, 5), 5, 5),
        (("a", 0, 5), 5, 5),
        (("b", 0, 1), 6, 6),
        (("a", 1, 2), 8, 8),
        (("b", 0, 1), 6, 8),
        (("a", 1, 2), 8, 8),
        (("a", 2, 2), 10, 10),
    ]
    done = []
    for message, answer, after in script:
        got = handle(*message)
        done.append(message)
        assert total == after, (
            f"after the messages {done} the sum is {total}, expected {after}"
        )
        assert got == answer, (
            f"the last of the messages {done} was answered by {got},"
            f" expected {answer}"
        )
    for _ in range(2):
        try:
            handle("a", 3, -1)
        except ValueError:
            continue
        raise AssertionError("the error of the function did not come out")
    assert handle("a", 3, 1) == 11, (
        "a message whose first try had failed was not done by the next"
    )


@exercise(_check_once)
def once(apply: Callable[[Any], Any]) -> Callable[[str, int, Any], Any]:
    """Make messages harmless that come twice.

    A caller that got no answer sends its message again; perhaps only the
    answer was lost.

    Parameters
    ----------
    apply : callable
        Changes the actor's state by what a message holds; returns the
        answer.

    Returns
    -------
    callable
        ``handle(sender, number, content)`` calls ``apply(content)``, but if
        the sender's message of this number has succeeded before, it only
        returns the same answer again. Each sender counts its messages from
        0, and sends the next one when it has the answer to the last: so keep
        one answer a sender, not all.
    """
    last: dict[str, tuple[int, Any]] = {}

    def handle(sender: str, number: int, content: Any) -> Any:
        known, answer = last.get(sender, (-1, None))
        if number != known:
            answer = apply(content)
            last[sender] = number, answer
        return answer

    return handle
