"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from parallel_ai.one_machine.async_io.asking import in_loop
from parallel_ai.toolbox.exercises import exercise

SECONDS = 10  # a check of a coroutine that hangs ends after that

Ask = Callable[[Any], Awaitable[Any]]
Asking = Callable[[Any], Coroutine[Any, Any, Any]]


def _run(main: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    """Run a check in a loop of its own, and say what hangs if it does."""

    async def limited() -> None:
        late = None
        try:
            async with asyncio.timeout(SECONDS) as late:
                await main()
        except TimeoutError:
            if late is not None and late.expired():
                raise AssertionError(f"{what} never returned") from None
            raise

    in_loop(limited)


def _check_in_flight(
    candidate: Callable[[list[tuple[float, float]]], tuple[int, float]],
) -> None:
    cases: list[tuple[list[tuple[float, float]], tuple[int, float]]] = [
        ([], (0, 0.0)),
        ([(2.0, 3.0)], (1, 1.0)),
        ([(0.0, 1.0), (1.0, 2.0)], (1, 1.0)),
        ([(0.0, 4.0), (1.0, 2.0)], (2, 1.25)),
        ([(5.0, 6.0), (0.0, 1.0)], (1, 1 / 3)),
        ([(0.0, 2.0), (0.0, 2.0), (1.0, 3.0)], (3, 2.0)),
    ]
    for calls, (most, mean) in cases:
        got = tuple(candidate(list(calls)))
        assert len(got) == 2
        assert got[0] == most, (
            f"in_flight({calls}): most is {got[0]}, expected {most}"
        )
        assert abs(got[1] - mean) < 1e-9, (
            f"in_flight({calls}): mean is {got[1]}, expected {mean}"
        )


@exercise(_check_in_flight)
def in_flight(calls: list[tuple[float, float]]) -> tuple[int, float]:
    """Tell how many calls were in flight: at most, and in the mean.

    Parameters
    ----------
    calls : list of (start, end)
        In seconds and in any order. A call that ends at the moment at which
        another starts is no longer in flight then.

    Returns
    -------
    (int, float)
        The greatest number in flight at any moment, and the mean over the
        time from the first start to the last end: ``(0, 0.0)`` without
        calls. The mean needs no loop over moments: Little's law gives it.
    """
    if not calls:
        return 0, 0.0
    steps = [(start, 1) for start, _ in calls]
    steps += [(end, -1) for _, end in calls]
    here = most = 0
    for _, step in sorted(steps):  # at the same moment, ends come first
        here += step
        most = max(most, here)
    span = max(end for _, end in calls) - min(start for start, _ in calls)
    rate = len(calls) / span
    latency = sum(end - start for start, end in calls) / len(calls)
    return most, rate * latency


def _check_once(candidate: Callable[[Ask], Asking]) -> None:
    asked: list[int] = []

    async def ask(item: int) -> int:
        asked.append(item)
        await asyncio.sleep(0.01)
        if asked.count(item) == 1 and item == 13:
            raise ValueError(item)
        return item * item

    async def main() -> None:
        cached = candidate(ask)
        got = await asyncio.gather(*[cached(3) for _ in range(5)], cached(4))
        assert got == [9] * 5 + [16], f"got {got} for 3, 3, 3, 3, 3, 4"
        assert sorted(asked) == [3, 4], (
            f"five coroutines asked for 3 at the same time, one for 4; "
            f"the service was asked for {asked}"
        )
        assert await cached(3) == 9
        assert len(asked) == 2, "an answer that had come was asked for again"
        errors = await asyncio.gather(
            cached(13), cached(13), return_exceptions=True
        )
        assert all(isinstance(error, ValueError) for error in errors), (
            f"the call for 13 raised ValueError, those who waited got {errors}"
        )
        again = await asyncio.gather(cached(13), return_exceptions=True)
        assert again == [169], (
            f"the first call for 13 raised, the next one got {again[0]!r} "
            "instead of asking again"
        )
        asked.clear()
        hasty = asyncio.create_task(cached(5))
        patient = asyncio.create_task(cached(5))
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.wait([hasty, patient])
        last = "cancelled too" if patient.cancelled() else patient.result()
        assert last == 25, (
            f"two asked for 5, the first was cancelled; the second got: {last}"
        )
        assert asked == [5], f"the service was asked for {asked}, not once"

    _run(main, "once(ask)(…)")


@exercise(_check_once)
def once(function: Ask) -> Asking:
    """Remember answers, and ask once even if many want the same at once.

    A dictionary of *answers* is not enough: while the first call waits,
    others come, find nothing, and ask again.

    Parameters
    ----------
    function : coroutine function
        Takes one hashable item.

    Returns
    -------
    coroutine function
        It calls `function` at most once for each item and gives everybody
        its answer. A call that raised is not remembered: those who waited
        for it get the exception, the next one asks again. If one of those
        who wait is cancelled, the others still get their answer.
    """
    tasks: dict[Any, asyncio.Future[Any]] = {}

    async def ask(item: Any) -> Any:
        if item not in tasks:
            task = asyncio.ensure_future(function(item))
            tasks[item] = task

            def forget(done: asyncio.Future[Any]) -> None:
                if done.cancelled() or done.exception():
                    del tasks[item]

            task.add_done_callback(forget)
        return await asyncio.shield(tasks[item])

    return ask


class _Replicas:
    """A service whose calls behave as told, and notes their ends."""

    def __init__(self, *manners: str) -> None:
        self.manners, self.events = list(manners), list[str]()

    async def __call__(self, item: int) -> int:
        number = len(self.manners)
        manner = self.manners.pop(0) if self.manners else "answers"
        self.events.append("asked")
        try:
            if manner == "hangs":
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            if manner == "fails":
                raise ValueError(item)
            return 10 * item + number
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # tidying up takes a moment
            self.events.append("cancelled")
            raise


def _check_hedged(candidate: Callable[[Ask, float], Asking]) -> None:
    async def main() -> None:
        quick = _Replicas("answers")
        got = await candidate(quick, 5)(7)
        assert quick.events == ["asked"], (
            f"the first call answered at once, but: {quick.events}"
        )
        assert got == 71, f"got {got} instead of the first call's answer"
        slow = _Replicas("hangs", "answers")
        got = await candidate(slow, 0.01)(7)
        assert got == 71, f"got {got} instead of the second call's answer"
        assert slow.events == ["asked", "asked", "cancelled"], (
            "the first call hung, the second answered; when hedged(…) "
            f"returned, this had happened: {slow.events}"
        )
        bad = _Replicas("fails")
        try:
            await candidate(bad, 5)(7)
        except ValueError:
            pass
        else:
            raise AssertionError("the first call raised, hedged(…) did not")
        both = _Replicas("hangs", "hangs")
        try:
            async with asyncio.timeout(0.1):
                await candidate(both, 0.01)(7)
        except TimeoutError:
            pass
        assert both.events.count("cancelled") == 2, (
            "two calls hung and the caller gave up; afterwards this had "
            f"happened: {both.events}"
        )

    _run(main, "hedged(ask, after)(…)")


@exercise(_check_hedged)
def hedged(function: Ask, after: float) -> Asking:
    """Ask a second time if the first answer is late; take the first to come.

    A service with many replicas has a few slow ones. A *hedged* request
    goes out once more when the first is slower than usual, and costs little
    if `after` is, say, the time that 95 of 100 calls need.

    Parameters
    ----------
    function : coroutine function
        Takes one item; it does no harm to call it twice.
    after : float
        Seconds until the second call.

    Returns
    -------
    coroutine function
        It returns the first answer (or raises the first exception). When it
        returns, raises or is cancelled, no call of its own is under way:
        those that lost have been cancelled and have ended.
    """

    async def ask(item: Any) -> Any:
        tasks = {asyncio.ensure_future(function(item))}
        try:
            done, _ = await asyncio.wait(tasks, timeout=after)
            if not done:
                tasks.add(asyncio.ensure_future(function(item)))
                done, _ = await asyncio.wait(
                    tasks, return_when=asyncio.FIRST_COMPLETED
                )
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return ask
