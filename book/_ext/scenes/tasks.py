"""The chapter's graph, worked through on some workers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from drawn import Scene, axis, names, three
from scenes.figure import Figure, Input, box, line

SECONDS = {
    "read": 2.0, "summarise": 1.0, "merge": 1.0, "hits": 1.0, "total": 1.0
}  # fmt: skip
LETTERS = {
    "read": "r", "describe": "d", "summarise": "s", "merge": "m", "fit": "f",
    "hits": "h", "total": "t",
}  # fmt: skip


def name_of(key: Any) -> str:
    """Name of a task's kind."""
    return key[0] if isinstance(key, tuple) else key


def layout(
    graph: Any, level: dict[Hashable, int]
) -> dict[Hashable, tuple[int, float]]:
    """Place each task: its level, and the mean row of what it needs."""
    from parallel_ai.many_machines import tasks

    places: dict[Hashable, tuple[int, float]] = {}
    row = 0
    for key in graph:
        before = [places[other][1] for other in tasks.needs(graph, key)]
        if before and name_of(key) != "hits":
            places[key] = (level[key], sum(before) / len(before))
        elif before:  # a hit lies in the row of the photographs it needs
            places[key] = (level[key], before[0])
        else:
            places[key] = (level[key], float(row))
            row += 1
    return places


def scene(
    kinds: int, workers: int, describe: float, fit: float, step: int
) -> Scene:
    """Draw the graph, and below it who does what when."""
    from parallel_ai.many_machines import tasks

    graph = tasks.photos_graph({str(n): [] for n in range(kinds)})
    costs = {**SECONDS, "describe": describe, "fit": fit}
    seconds = {key: costs[name_of(key)] for key in graph}
    plan = tasks.schedule(graph, "total", seconds, workers)
    last = len(plan)
    step = min(step, last)
    begun = plan[:step]
    now = begun[-1].start if step < last and begun else 0.0
    if step == last:
        now = max(one.stop for one in plan)
    done = {one.key for one in begun if one.stop <= now}
    under_way = {one.key for one in begun} - done
    ready = [
        key
        for key in graph
        if key not in done | under_way
        and all(other in done for other in tasks.needs(graph, key))
    ]
    end = max(one.stop for one in plan)
    level = tasks.levels(graph, "total")
    places = layout(graph, level)
    wide = end / (max(level.values()) + 1)
    marks = []
    for key in graph:
        x, y = places[key]
        for other in tasks.needs(graph, key):
            left, row = places[other]
            marks.append(
                line("e", [((left + 0.85) * wide, row + 0.5),
                           ((x + 0.15) * wide, y + 0.5)])
            )  # fmt: skip
    for key in graph:
        x, y = places[key]
        look = (
            "c" if key in done
            else "b" if key in under_way
            else "a" if key in ready
            else "e"
        )  # fmt: skip
        marks.append(
            box(look, ((x + 0.15) * wide, (x + 0.85) * wide),
                (y + 0.15, y + 0.85), LETTERS[name_of(key)])
        )  # fmt: skip
    top = kinds + 0.4
    for one in begun:
        look = "c" if one.key in done else "b"
        marks.append(
            box(look, (one.start, one.stop),
                (top + one.worker + 0.1, top + one.worker + 0.9),
                LETTERS[name_of(one.key)])
        )  # fmt: skip
    work = tasks.work(seconds)
    span = tasks.span(graph, "total", seconds)
    least, most = tasks.brackets(work, span, workers)
    said = (
        f"{step} of {last} tasks have begun; after {three(now)} seconds"
        f" {len(done)} are done, {len(under_way)} run and {len(ready)} more"
        f" are ready. Workers: {workers}; all takes {three(end)} seconds. The"
        f" work is {three(work)}, the longest chain {three(span)}: between"
        f" {three(least)} and {three(most)} seconds for whoever is never"
        " idle without need."
    )
    rows = [
        [name_of(one.key), str(one.worker), three(one.start), three(one.stop)]
        for one in plan
    ]
    across = axis("seconds", end)
    down = names("", [f"worker {n}" for n in range(workers)])
    down["ticks"] = [[at + top, text] for at, text in down["ticks"]]
    down["to"] += top
    return {
        "alt": "Above, the graph of tasks from left to right: r read,"
        " d describe, s summarise, m merge, f fit, h hits, t total. Below, a"
        " lane for each worker with the tasks that it has begun.",
        "said": said,
        "head": ["task", "worker", "begins", "ends"],
        "rows": rows,
        "height": 440,
        "x": {**across, "bare": True},
        "y": {**down, "down": True, "bare": True},
        "legend": [
            ["e", "box", "waits for others"],
            ["a", "box", "ready"],
            ["b", "box", "runs"],
            ["c", "box", "done"],
        ],
        "marks": marks,
        "limits": {"step": last},
    }


FIGURE = Figure(
    title="a graph on some workers",
    inputs=(
        Input("kinds", "Kinds of photographs", 4, options=(1, 2, 3, 4, 5, 6)),
        Input("workers", "Workers", 2, options=(1, 2, 3, 4)),
        Input("describe", "Describing, seconds", 4.0, options=(
            1.0, 2.0, 4.0, 8.0, 16.0)),
        Input("fit", "Fitting, seconds", 2.0, options=(
            1.0, 2.0, 4.0, 8.0, 16.0)),
        Input("step", "Tasks begun", 9, "step", tuple(range(32)), text=str),
    ),
    scene=scene,
    functions=tuple(
        f"many_machines.tasks.{name}"
        for name in ("photos_graph", "needs", "in_order", "levels", "work",
                     "span", "brackets", "Placed", "schedule")
    ),
    code="""
from parallel_ai.many_machines import tasks

graph = tasks.photos_graph({{str(n): [] for n in range({kinds})}})
seconds = {{"describe": {describe}, "fit": {fit}, "read": 2.0}}
named = {{key: key[0] if isinstance(key, tuple) else key for key in graph}}
lasting = {{key: seconds.get(name, 1.0) for key, name in named.items()}}
for placed in tasks.schedule(graph, "total", lasting, {workers}):
    print(placed)
""",
)  # fmt: skip
