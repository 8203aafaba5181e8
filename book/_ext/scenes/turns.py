"""Who holds the GIL when, and what waiting for it costs."""

from __future__ import annotations

from typing import Any

from drawn import Scene, axis, names, three
from scenes.figure import Figure, Input, box

MILLI = 1e-3
QUESTIONS = 5
SHORT = 0.2  # milliseconds of computing before and after each question
LOCKS = ("With the GIL", "Without the GIL")
STATES = {"runs": "a", "wants": "b", "waits": "c"}


def scene(
    lock: str,
    busy: int,
    work: float,
    asking: int,
    answer: float,
    interval: float,
    cpus: int,
) -> Scene:
    """Draw a lane for each thread: runs, wants to run, waits."""
    from parallel_ai.one_machine import threads

    slots = 1 if lock == LOCKS[0] else cpus
    asks = [SHORT, *[answer, SHORT] * QUESTIONS]
    jobs = [[work]] * busy + [asks] * asking
    turns = threads.take_turns(
        [[part * MILLI for part in job] for job in jobs],
        interval * MILLI,
        slots,
    )
    labels = [f"C{n + 1}" for n in range(busy)]
    labels += [f"A{n + 1}" for n in range(asking)]
    marks: list[dict[str, Any]] = []
    spent = [dict.fromkeys(STATES, 0.0) for _ in jobs]
    ends = [0.0] * len(jobs)
    for thread, state, start, stop in turns:
        thin = 0.12 if state == "runs" else 0.3
        marks.append(
            box(STATES[state], (start / MILLI, stop / MILLI),
                (thread + thin, thread + 1 - thin))
        )  # fmt: skip
        spent[thread][state] += (stop - start) / MILLI
        ends[thread] = max(ends[thread], stop / MILLI)
    end = max([0.0, *ends])
    alone = sum(map(sum, jobs))
    said = (
        f"{lock}. Threads that compute: {busy}, that ask: {asking}. They take"
        f" {three(end)} ms, one after the other {three(alone)} ms."
    )
    if asking:
        wanted = sum(spent[n]["wants"] for n in range(busy, len(jobs)))
        said += (
            f" For each of its {QUESTIONS} answers of {three(answer)} ms a"
            " thread that asks stands in the queue for"
            f" {three(wanted / asking / QUESTIONS)} ms."
        )
    rows = [
        [label, *(f"{three(spent[n][state])} ms" for state in STATES),
         f"{three(ends[n])} ms"]
        for n, label in enumerate(labels)
    ]  # fmt: skip
    return {
        "alt": f"A timeline of {len(jobs)} lanes, one a thread: C computes,"
        " A asks. Tall boxes where it runs, lower hatched ones where it wants"
        " to run and may not, lower plain ones where it waits for an answer.",
        "said": said,
        "head": ["thread", *STATES, "ends"],
        "rows": rows,
        "height": 320,
        "x": axis("milliseconds", end or 1.0),
        "y": {**names("thread", labels or [""]), "down": True, "bare": True},
        "legend": [
            ["a", "box", "runs"],
            ["b", "box", "wants to run"],
            ["c", "box", "waits for an answer"],
        ],
        "marks": marks,
    }


FIGURE = Figure(
    title="threads take turns",
    inputs=(
        Input("lock", "Python", LOCKS[0], "choice", LOCKS),
        Input("busy", "Threads that compute", 2, options=(0, 1, 2, 3, 4)),
        Input("work", "Computing of each, ms", 40.0, options=(
            10.0, 20.0, 40.0, 80.0, 160.0)),
        Input("asking", "Threads that ask", 0, options=(0, 1, 2, 3, 4)),
        Input("answer", "An answer takes, ms", 2.0, options=(
            0.5, 1.0, 2.0, 5.0, 10.0, 20.0)),
        Input("interval", "Switch interval, ms", 5.0, options=(
            0.5, 1.0, 2.0, 5.0, 10.0, 20.0)),
        Input("cpus", "CPUs", 4, options=(1, 2, 3, 4, 8)),
    ),
    scene=scene,
    functions=("one_machine.threads.Turn", "one_machine.threads.take_turns"),
    code="""
from parallel_ai.one_machine.threads import take_turns

computing, asking = [{work}e-3], [0.2e-3, *[{answer}e-3, 0.2e-3] * 5]
for turn in take_turns([computing] * {busy} + [asking], {interval}e-3, slots=1):
    print(turn)
""",
)  # fmt: skip
