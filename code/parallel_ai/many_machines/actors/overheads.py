"""What a message to an actor costs, and what a task."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from distributed import Client

from parallel_ai.many_machines.actors.from_scratch import Actor
from parallel_ai.many_machines.actors.local_ray import ray_local
from parallel_ai.many_machines.actors.messages import (
    LIMIT,
    Tally,
    ask_dask,
    ask_ray,
)
from parallel_ai.many_machines.actors.quietly import ray
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.stopwatch import Timing, compare


def call_costs(
    client: Client, calls: int = 100, repeats: int = 3
) -> dict[str, Timing]:
    """Time calls of an actor's method, one after the other's answer.

    Returns
    -------
    dict of str to Timing
        Seconds for all `calls`, in this process first.
    """
    here = Tally()
    in_dask = client.submit(Tally, actor=True, pure=False).result(LIMIT)
    in_ray = ray.remote(Tally).remote()

    def directly() -> None:
        with mock.patch.object(client, "direct_to_workers", True):
            again(ask_dask, in_dask)

    def again(ask: Callable[..., int], *to: Any) -> None:
        for _ in range(calls):
            ask(*to, "add", 1)

    with Actor(Tally) as own:
        return compare(
            {
                "plain call": lambda: again(
                    lambda name, number: getattr(here, name)(number)
                ),
                "process with a pipe": lambda: again(
                    lambda *message: own.ask(*message).result(LIMIT)
                ),
                "Dask actor": lambda: again(ask_dask, in_dask),
                "Dask actor, directly": directly,
                "Ray actor": lambda: again(ask_ray, in_ray),
            },
            repeats,
        )


def nothing(number: int) -> int:
    """Return what comes: a task without work."""
    return number


def task_costs(
    client: Client, tasks: int = 200, repeats: int = 3
) -> dict[str, Timing]:
    """Time tasks without work, sent together or each after the other.

    Returns
    -------
    dict of str to Timing
        Seconds for all `tasks`, plain calls first.
    """
    numbers = range(tasks)
    task = ray.remote(nothing)
    return compare(
        {
            "plain calls": lambda: [nothing(i) for i in numbers],
            "Dask": lambda: client.gather(
                client.map(nothing, numbers, pure=False)
            ),
            "Ray": lambda: ray.get(
                [task.remote(i) for i in numbers], timeout=LIMIT
            ),
            "Dask, one by one": lambda: [
                client.submit(nothing, i, pure=False).result(LIMIT)
                for i in numbers
            ],
            "Ray, one by one": lambda: [
                ray.get(task.remote(i), timeout=LIMIT) for i in numbers
            ],
        },
        repeats,
    )


def _compare_calls() -> dict[str, Timing]:
    with cluster.local(2) as client, ray_local(2):
        return call_costs(client, 500)


def _compare_tasks() -> dict[str, Timing]:
    with cluster.local(2) as client, ray_local(2):
        return task_costs(client, 300)


COMPARISONS = {
    "an actor's call": _compare_calls,
    "a task in Dask and in Ray": _compare_tasks,
}
