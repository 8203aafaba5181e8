"""The reader's machine beside the recorded ones: threads with and without GIL."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from drawn import Scene, axis, three
from scenes.figure import Figure, Input, Unsuitable, dots, line

TOPIC = "threads"
LOOKS = {
    ("threads", True): "a", ("threads", False): "b", ("interpreters", True): "c",
}  # fmt: skip
WORDS = {
    "a": "with a GIL threads", "b": "without it threads", "c": "interpreters"
}  # fmt: skip
MOST_SURVEYS = 50


def positive(value: Any) -> bool:
    """Say whether this is a number of seconds."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf


def seconds_fit(table: Any) -> bool:
    """Say whether these are repeats' seconds by the number of workers."""
    return isinstance(table, dict) and all(
        re.fullmatch(r"[1-9]\d{0,3}", key)
        and isinstance(each, list)
        and each
        and all(map(positive, each))
        for key, each in table.items()
    )


def survey_fits(one: Any) -> bool:
    """Say whether this is what `survey` returns."""
    return (
        isinstance(one, dict)
        and isinstance(one.get("python"), str)
        and isinstance(one.get("gil"), bool)
        and seconds_fit(one.get("threads"))
        and seconds_fit(one.get("interpreters"))
        and "1" in one["threads"]
    )


def summarise(record: Any) -> dict[str, Any]:
    """Take from a record what is drawn."""
    from parallel_ai.one_machine import threads

    cpus = record.hardware["cpus"]
    fits = (
        isinstance(record.data, list) and 0 < len(record.data) <= MOST_SURVEYS
    )
    if not (fits and all(map(survey_fits, record.data))) or not (
        isinstance(cpus, int) and not isinstance(cpus, bool) and cpus > 0
    ):
        raise Unsuitable(
            f"This record's data is not what “{TOPIC}” records. Was it changed?"
        )
    lines = []
    for one in record.data:
        for way, by_workers in threads.gains(one).items():
            if by_workers and (way, one["gil"]) in LOOKS:
                lines.append({
                    "python": one["python"], "way": way, "gil": one["gil"],
                    "gains": [[k, g] for k, g in sorted(by_workers.items())],
                })  # fmt: skip
    return {"label": record.label[:60], "cpus": cpus, "lines": lines}


def read_record(text: str) -> dict[str, Any]:
    """Read the reader's record, and say what is wrong with it."""
    from parallel_ai.toolbox import records

    try:
        raw = json.loads(text)
    except ValueError:
        raise Unsuitable(
            "This file is not JSON. Choose one that `make record` has written,"
            f" such as {TOPIC}_….json."
        ) from None
    try:
        record = records.check(raw)
    except records.RecordError as error:
        raise Unsuitable(f"This is no record of this book: {error}.") from None
    if record.topic != TOPIC:
        raise Unsuitable(
            f"This is a record of “{record.topic[:40]}”; this figure draws"
            f" “{TOPIC}”: choose {TOPIC}_….json."
        )
    return summarise(record)


def best_of(machine: dict[str, Any]) -> str:
    """Say what each way reached at most."""
    parts = []
    for look, words in WORDS.items():
        found = [
            gain
            for one in machine["lines"]
            if LOOKS[one["way"], one["gil"]] == look
            for _, gain in one["gains"]
        ]
        if found:
            parts.append(f"{words} reach {three(max(found))}")
    return f"{machine['label']}: {', '.join(parts)} times one thread."


def scene(record: str) -> Scene:
    """Draw speed-ups against workers, of each machine and each Python."""
    from parallel_ai.toolbox import records

    ours = [summarise(one) for one in records.read(TOPIC)]
    yours = read_record(record) if record else None
    machines = [*ours, *([yours] if yours else [])]
    marks, rows, shown, most = [], [], [1.0], 2
    for machine in machines:
        for one in machine["lines"]:
            look = LOOKS[one["way"], one["gil"]]
            at = [(k, gain) for k, gain in one["gains"]]
            marks.append(line(look, at))
            if machine is yours:
                marks.append(dots(look, at))
            shown += [gain for _, gain in at]
            most = max(most, at[-1][0])
            rows.append([
                "yours" if machine is yours else machine["label"],
                f"{one['python']} {'with' if one['gil'] else 'without'} GIL",
                one["way"],
                "; ".join(f"{k}: {three(gain)}" for k, gain in at),
            ])  # fmt: skip
    cpus = machines[-1]["cpus"] if machines else 1
    ideal = [(float(k), k / -(-k // cpus)) for k in range(1, most + 1)]
    shown += [gain for _, gain in ideal]
    said = " ".join(f"Recorded: {best_of(one)}" for one in ours)
    said += (
        f" Yours: {best_of(yours)}"
        if yours
        else " Your machine's record has not been chosen."
    )
    return {
        "alt": "Speed-up against workers, a line for each Python and each way:"
        " recorded machines, and yours with markers.",
        "said": said.strip(),
        "head": ["machine", "Python", "way", "speed-up by workers"],
        "rows": rows,
        "height": 320,
        "x": axis("workers", float(most)),
        "y": axis("speed-up", 1.1 * max(shown)),
        "legend": [
            ["a", "both", "threads, with a GIL"],
            ["b", "both", "threads, without it"],
            ["c", "both", "interpreters, a GIL each"],
            ["e", "line", "at best, on so many CPUs"],
        ],
        "marks": [line("e", ideal), *marks],
        "data": ours,
    }


FIGURE = Figure(
    title="your machine beside the recorded one",
    inputs=(Input("record", "Your record, threads_….json", "", "file"),),
    scene=scene,
    functions=("one_machine.threads.gains",),
    code="""
from parallel_ai.one_machine.threads import gains
from parallel_ai.toolbox import records

for record in records.read("threads"):  # yours, too, after `make record`
    for one in record.data:
        print(record.label, one["python"], gains(one)["threads"])
""",
)
