"""Who computes what in which order, and how long that takes: a simulator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Task(NamedTuple):
    """A forward ("F") or backward ("B") pass of one micro-batch."""

    kind: str
    stage: int  # of the model, in its order
    micro: int


Orders = list[list[Task]]  # of each device


@dataclass(frozen=True)
class Span:
    """When a device did what; seconds."""

    device: int
    task: Task
    start: float
    stop: float


def gpipe(devices: int, micros: int) -> Orders:
    """All forward passes, then all backward passes."""
    return [
        [Task("F", stage, m) for m in range(micros)]
        + [Task("B", stage, m) for m in range(micros)]
        for stage in range(devices)
    ]


def one_f_one_b(devices: int, micros: int) -> Orders:
    """Begin backward passes as soon as there are any, then take turns."""
    return [
        _turns(
            [Task("F", stage, m) for m in range(micros)],
            [Task("B", stage, m) for m in range(micros)],
            devices - stage - 1,
        )
        for stage in range(devices)
    ]


def interleaved(devices: int, micros: int, chunks: int) -> Orders:
    """1F1B in which each device has several stages, far apart.

    Device d has the stages d, d + devices, … Micro-batches go through in
    groups of as many as there are devices.

    Raises
    ------
    ValueError
        The micro-batches are no multiple of the devices.
    """
    if micros % devices:
        raise ValueError(
            f"{micros} micro-batches are no multiple of {devices} devices"
        )
    steps = [
        (chunk, first + m)
        for first in range(0, micros, devices)
        for chunk in range(chunks)
        for m in range(devices)
    ]
    orders = []
    for d in range(devices):
        forward = [Task("F", c * devices + d, m) for c, m in steps]
        backward = [
            Task("B", (chunks - 1 - c) * devices + d, m) for c, m in steps
        ]
        ahead = 2 * (devices - d - 1) + (chunks - 1) * devices
        orders.append(_turns(forward, backward, ahead))
    return orders


def _turns(
    forward: list[Task], backward: list[Task], ahead: int
) -> list[Task]:
    """Do so many forward passes ahead, then one of each in turn."""
    ahead = min(ahead, len(forward))
    pairs = zip(forward[ahead:], backward, strict=False)
    middle = [task for pair in pairs for task in pair]
    return forward[:ahead] + middle + backward[len(forward) - ahead :]


def simulate(
    orders: Orders,
    forward: Sequence[float],
    backward: Sequence[float],
    link: float = 0.0,
) -> list[Span]:
    """Let each device do its tasks in order, each when its input is there.

    Parameters
    ----------
    orders : list of list of Task
    forward, backward : sequence of float
        Seconds of a micro-batch in each stage.
    link : float
        Seconds from one stage to the next.

    Returns
    -------
    list of Span
        By start.

    Raises
    ------
    ValueError
        No device can go on; the message says who waits for what.
    """
    stages, seconds = len(forward), {"F": forward, "B": backward}
    ready: dict[Task, float] = {}  # when its result was there
    free, place = [0.0] * len(orders), [0] * len(orders)
    spans: list[Span] = []
    while any(n < len(order) for n, order in zip(place, orders, strict=True)):
        before = len(spans)
        for device, order in enumerate(orders):
            while place[device] < len(order):
                task = order[place[device]]
                needs = _needs(task, stages)
                if any(one not in ready for one in needs):
                    break
                come = [
                    ready[n] + link * (n.stage != task.stage) for n in needs
                ]
                start = max([free[device], *come])
                stop = start + seconds[task.kind][task.stage]
                spans.append(Span(device, task, start, stop))
                ready[task] = free[device] = stop
                place[device] += 1
        if len(spans) == before:
            raise ValueError(f"nobody can go on: {_waiting(orders, place)}")
    return sorted(spans, key=lambda span: (span.start, span.device))


def _needs(task: Task, stages: int) -> list[Task]:
    """Return the tasks whose results a task takes."""
    kind, stage, micro = task
    if kind == "F":
        return [Task("F", stage - 1, micro)] if stage else []
    own = [Task("F", stage, micro)]
    return own if stage == stages - 1 else [*own, Task("B", stage + 1, micro)]


def _waiting(orders: Orders, place: list[int]) -> str:
    return "; ".join(
        f"device {device} waits to do {order[n].kind} of micro-batch "
        f"{order[n].micro} in stage {order[n].stage}"
        for device, (order, n) in enumerate(zip(orders, place, strict=True))
        if n < len(order)
    )


def bubble(spans: Sequence[Span]) -> float:
    """Share of all devices' time, from first start to last stop, idle."""
    length = max(s.stop for s in spans) - min(s.start for s in spans)
    busy = sum(span.stop - span.start for span in spans)
    return 1 - busy / (length * len({span.device for span in spans}))


def bubble_formula(devices: int, micros: int, chunks: int = 1) -> float:
    """Idle share of equal stages: $(p-1)/(vm+p-1)$."""
    return (devices - 1) / (chunks * micros + devices - 1)


def held(order: Sequence[Task]) -> int:
    """Most forward passes whose activations a device keeps at a time."""
    now = most = 0
    for task in order:
        now += 1 if task.kind == "F" else -1
        most = max(most, now)
    return most
