"""The ring all-reduce, one step after the other."""

from __future__ import annotations

from drawn import Scene, names, si, three
from scenes.figure import Figure, Input, box

MEGA, MICRO, GIGA = 1e6, 1e-6, 1e9


def scene(
    ranks: int, step: int, size: float, latency: float, bandwidth: float
) -> Scene:
    """Draw what each rank has before a step, and what it sends in it."""
    from parallel_ai.training import collectives as c

    states, steps = c.ring_states(ranks)
    last = len(steps)
    step = min(step, last)
    state = [values.tolist() for values in states[step]]
    marks = []
    for rank, values in enumerate(state):
        for place, value in enumerate(values):
            whose = whose_numbers(value, ranks)
            look = (
                "c" if len(whose) == ranks else "a" if len(whose) == 1 else "b"
            )
            marks.append(
                box(look, (place + 0.06, place + 0.94),
                    (rank + 0.12, rank + 0.78), whose)
            )  # fmt: skip
    sent = []
    if step < last:
        for message in steps[step]:
            sent.append((message.source, message.to, message.start))
            middle = message.start + 0.5
            below = message.to == message.source + 1
            start = message.source + 0.78
            stop = message.to + 0.12 if below else ranks - 0.02
            marks.append(arrow([middle, start, middle, stop]))
            if not below:
                marks.append(
                    arrow(
                        [middle, message.to - 0.12, middle, message.to + 0.12]
                    )
                )
    link = c.Link(latency * MICRO, 1 / (bandwidth * GIGA))
    count = size * MEGA
    times = [
        time(ranks, count, link)
        for time in (c.ring_time, c.tree_time, c.star_time)
    ]
    done = sum(
        len(whose_numbers(value, ranks)) == ranks
        for values in state
        for value in values
    )
    if step == last:
        now = f"After {last} steps every rank has every total."
    else:
        adds = (
            "adds it to its own"
            if step < ranks - 1
            else "puts it in place of its own"
        )
        now = (
            f"Step {step + 1} of {last}: each rank sends one piece to the next"
            f" rank, the last one to the first; who receives it {adds}."
        )
    said = (
        f"{now} {done} of {ranks * ranks} pieces are totals; each rank has"
        f" sent {three(step / ranks)} of its vector. All {last} steps with"
        f" {si(count, 'B')}: {si(times[0], 's')} in the ring,"
        f" {si(times[1], 's')} in a tree, {si(times[2], 's')} in a star."
    )
    to_whom = {source: (to, piece) for source, to, piece in sent}
    rows = []
    for rank, values in enumerate(state):
        held = [whose_numbers(value, ranks) for value in values]
        to, piece = to_whom.get(rank, (None, None))
        rows.append([
            f"rank {rank}", *held,
            "nothing" if to is None else f"piece {piece} to rank {to}",
        ])  # fmt: skip
    down = names("", [f"rank {rank}" for rank in range(ranks)])
    across = names("pieces of the vector", [str(p) for p in range(ranks)])
    return {
        "alt": f"{ranks} rows, one a rank, of {ranks} pieces. The digits in a"
        " piece say whose numbers are in it. Arrows lead from a piece that is"
        " sent to the row below.",
        "said": said,
        "head": ["rank", *(f"piece {p}" for p in range(ranks)), "sends next"],
        "rows": rows,
        "height": 360,
        "x": {**across, "bare": True},
        "y": {**down, "down": True, "bare": True},
        "legend": [
            ["a", "box", "one rank's numbers"],
            ["b", "box", "a sum of some"],
            ["c", "box", "the total"],
        ],
        "marks": marks,
        "limits": {"step": last},
    }  # fmt: skip


def whose_numbers(value: int, ranks: int) -> str:
    """Digits of the ranks whose bits are set."""
    return "".join(str(r) for r in range(ranks) if value >> r & 1)


def arrow(at: list[float]) -> dict:
    """Lead from one place to another."""
    return {"kind": "arrow", "look": "e", "at": at}


FIGURE = Figure(
    title="the ring, step by step",
    inputs=(
        Input("ranks", "Ranks", 4, options=(2, 3, 4, 5, 6)),
        Input("step", "Steps done", 2, "step", tuple(range(11)),
              text=str),
        Input("size", "Vector, MB", 100.0, "number", least=1e-6, most=1e9),
        Input("latency", "Start of a message, µs", 50.0, "number", most=1e9),
        Input("bandwidth", "Link, GB/s", 10.0, "number", least=1e-6, most=1e6),
    ),
    scene=scene,
    functions=tuple(
        f"training.collectives.{name}"
        for name in ("ring_states", "ring_time", "tree_time", "star_time")
    ),
    code="""
from parallel_ai.training.collectives import Link, ring_states, ring_time

states, steps = ring_states({ranks})  # a number's bits: whose numbers are in it
for state in states:
    print([values.tolist() for values in state])
link = Link({latency}e-6, 1 / {bandwidth}e9)
print("seconds", ring_time({ranks}, {size}e6, link))
""",
)  # fmt: skip
