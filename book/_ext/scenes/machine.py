"""The reader's machine beside the recorded ones: the lines of a record.

Which lines a topic has is said by its chapter's package (`CURVES`), and each
record brings its own: nothing is computed here. So one figure serves every
topic, and on a page its ``:inputs:`` say which.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from drawn import Axis, Scene, axis, log_axis, si, three
from scenes.figure import Figure, Input, Unsuitable, dots, line

LOOKS, LIMIT = "abcd", "e"


def machine_of(record: Any) -> dict[str, Any]:
    """Take from a record what is drawn."""
    from parallel_ai.toolbox import curves

    cpu, cpus = (record.hardware[name] for name in ("cpu", "cpus"))
    known = isinstance(cpu, str) and isinstance(cpus, int) and cpus is not True
    if not (known and curves.drawable(record.curves)):
        raise Unsuitable(
            "This record has no lines that can be drawn. Measure again, by"
            " this version of the book."
        )
    return {"label": record.label[:60], **record.curves}


def read_record(text: str, topic: str) -> dict[str, Any]:
    """Read the reader's record, and say what is wrong with it."""
    from parallel_ai.toolbox import records

    try:
        raw = json.loads(text)
    except ValueError:
        raise Unsuitable(
            "This file is not JSON. Choose one that `make record` has written,"
            f" such as {topic}_….json."
        ) from None
    try:
        record = records.check(raw)
    except records.RecordError as error:
        raise Unsuitable(f"This is no record of this book: {error}.") from None
    if record.topic != topic:
        raise Unsuitable(
            f"This is a record of “{record.topic[:40]}”; this figure draws"
            f" “{topic}”: choose {topic}_….json."
        )
    return machine_of(record)


def words_of(one: Axis) -> Callable[[float], str]:
    """How the numbers of an axis are written."""
    return partial(si, unit=one["unit"]) if one["unit"] else three


def reach(machine: dict[str, Any]) -> str:
    """Say how far each kind of line goes, down and up."""
    words = words_of(machine["y"])
    spans: dict[str, list[float]] = {}
    for one in machine["lines"]:
        if not one["limit"]:
            spans.setdefault(one["name"], []).extend(y for _, y in one["at"])
    parts = [
        f"{name}, {words(min(found))} to {words(max(found))}"
        for name, found in spans.items()
    ]
    return f"{machine['label']}: {'; '.join(parts)}."


def axis_of(one: Axis, values: list[float], room: float) -> Axis:
    """Lay an axis for these values."""
    words = words_of(one)
    if one["log"]:
        return log_axis(one["label"], min(values), max(values), 10, words)
    return axis(one["label"], room * max([1e-9, *values]), words)


def scene(record: str, topic: str) -> Scene:
    """Draw the lines of each machine; the reader's with markers."""
    from parallel_ai.toolbox import records

    found = records.read(topic)  # an older version's have no lines
    ours = [machine_of(one) for one in found if one.curves is not None]
    if not ours:
        raise Unsuitable(f"no record of {topic!r}: make record")
    yours = read_record(record, topic) if record else None
    first = ours[0]
    if yours and (yours["x"], yours["y"]) != (first["x"], first["y"]):
        raise Unsuitable("This record measures something else along its axes.")
    machines = [*ours, *([yours] if yours else [])]
    lines = [
        (machine, one) for machine in machines for one in machine["lines"]
    ]
    names = list(
        dict.fromkeys(one["name"] for _, one in lines if not one["limit"])
    )
    across, up = words_of(first["x"]), words_of(first["y"])
    marks, rows = [], []
    for machine, one in lines:
        look = (
            LIMIT if one["limit"]
            else LOOKS[names.index(one["name"]) % len(LOOKS)]
        )  # fmt: skip
        marks.append(line(look, one["at"]))
        if machine is yours:
            marks.append(dots(look, one["at"]))
        rows.append([
            "yours" if machine is yours else machine["label"],
            f"{one['name']} ({one['of']})" if one["of"] else one["name"],
            "; ".join(f"{across(x)}: {up(y)}" for x, y in one["at"]),
        ])  # fmt: skip
    said = " ".join(f"Recorded: {reach(one)}" for one in ours)
    said += (
        f" Yours: {reach(yours)}"
        if yours
        else " Your machine's record has not been chosen."
    )
    x_label, y_label = first["x"]["label"], first["y"]["label"]
    points = [point for _, one in lines for point in one["at"]]
    limits = dict.fromkeys(one["name"] for _, one in lines if one["limit"])
    return {
        "alt": f"{y_label} against {x_label}, a line for each way: recorded"
        " machines, and yours with markers.",
        "said": said,
        "head": ["machine", "line", f"{y_label} by {x_label}"],
        "rows": rows,
        "height": 320,
        "x": axis_of(first["x"], [x for x, _ in points], 1.0),
        "y": axis_of(first["y"], [y for _, y in points], 1.1),
        "legend": [
            *(
                [look, "both", name]
                for look, name in zip(LOOKS, names, strict=False)
            ),
            *([LIMIT, "line", name] for name in limits),
        ],
        "marks": marks,
        "data": {"topic": topic, "machines": ours},
    }


FIGURE = Figure(
    title="your machine beside the recorded one",
    inputs=(
        Input("record", "Your record, a .json file", "", "file"),
        Input("topic", "", "threads", "fixed"),
    ),
    scene=scene,
    functions=("toolbox.curves.drawable",),
    code="""
from parallel_ai.toolbox import records

# Measure this machine, and write a file to be dropped onto the book's page:
# records.main([{topic}, "--folder", "."])
for record in records.read({topic}):
    for line in record.curves["lines"]:
        print(record.label, line["name"], line["of"], line["at"])
""",
)
