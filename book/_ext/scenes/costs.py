"""When processes pay: what they charge, and from how many items on they win."""

from __future__ import annotations

import math

from drawn import Scene, log_axis, si, three
from scenes.figure import Figure, Input, line, rule

MILLI, MICRO, GIGA = 1e-3, 1e-6, 1e9


def scene(
    start: float,
    task: float,
    rate: float,
    item: float,
    size: int,
    workers: int,
) -> Scene:
    """Draw the time of one process and of several against the items."""
    from parallel_ai.one_machine import processes

    costs = processes.Costs(start * MILLI, task * MICRO, rate * GIGA)
    seconds = item * MICRO
    counts = [round(10 ** (n / 4)) for n in range(33)]
    alone = [n * seconds for n in counts]
    shared = [costs.seconds(n, seconds, size, workers) for n in counts]
    crossing = costs.crossing(seconds, size, workers)
    marks = [
        line("a", list(zip(counts, alone, strict=True))),
        line("b", list(zip(counts, shared, strict=True))),
    ]
    if 1 <= crossing <= counts[-1]:
        marks.append(
            rule("e", crossing, f"from {si(crossing, '').strip()} items")
        )
    if math.isinf(crossing):
        verdict = (
            f"{workers} workers never win: to send an item takes"
            f" {si(size / costs.rate, 's')}, and the others save only"
            f" {si(seconds * (1 - 1 / workers), 's')} on it."
        )
    else:
        most = seconds / (seconds / workers + size / costs.rate)
        verdict = (
            f"{workers} workers win from {three(crossing)} items on, and with"
            f" very many items they are {three(most)} times as fast."
        )
    rows = [
        [three(n), si(a, "s"), si(s, "s"), three(a / s)]
        for n, a, s in list(zip(counts, alone, shared, strict=True))[::4]
    ]
    return {
        "alt": "Time against items, both axes logarithmic: a straight line"
        " for one process, and one for several that begins with what starting"
        " them costs.",
        "said": f"Starting them takes {si(costs.start, 's')}. {verdict}",
        "head": ["items", "one process", f"{workers} workers", "speed-up"],
        "rows": rows,
        "height": 320,
        "x": log_axis("items", 1, counts[-1], 10, lambda n: si(n, "").strip()),
        "y": log_axis(
            "time", min(alone[0], shared[0]), max(alone[-1], shared[-1]), 10,
            lambda value: si(value, "s"),
        ),
        "legend": [
            ["a", "line", "one process"],
            ["b", "line", "several, with their costs"],
        ],
        "marks": marks,
    }  # fmt: skip


FIGURE = Figure(
    title="when do processes pay?",
    inputs=(
        Input("start", "Starting and ending them, ms", 200.0, "number",
              most=1e9),
        Input("task", "Each task, µs", 100.0, "number", most=1e9),
        Input("rate", "Pickling and sending, GB/s", 1.0, "number",
              least=1e-6, most=1e6),
        Input("item", "Work on an item, µs", 10.0, "number", least=1e-6,
              most=1e12),
        Input("size", "Bytes sent for an item", 800, options=(
            0, 8, 80, 800, 8000, 80_000, 800_000, 8_000_000),
            text=lambda n: si(n, "B")),
        Input("workers", "Workers", 4, options=(2, 3, 4, 6, 8, 12, 16, 32, 64)),
        Input("mine", "Or what make record wrote: processes_….json", "processes", "record"),
    ),
    scene=scene,
    functions=("one_machine.processes.Costs",),
    code="""
from parallel_ai.one_machine.processes import Costs

costs = Costs(start={start}e-3, task={task}e-6, rate={rate}e9)  # yours
print("items to win:", costs.crossing({item}e-6, {size}, {workers}))
""",
)  # fmt: skip
