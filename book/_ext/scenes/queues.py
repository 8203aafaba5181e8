"""Requests that wait: one by one, with one queue or several, and in batches."""

from __future__ import annotations

import math

from drawn import Scene, log_axis, percent, si, three
from scenes.figure import Figure, Input, dots, line, rule

MILLI = 1e-3
ROWS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)  # of what batches can
APART = 0.25  # of the picture's width, so that two labels find room


def climb(low: float, full: float) -> list[float]:
    """Rates up to nearly all that can be answered, dense near the end."""
    start = [low * (full / 2 / low) ** (n / 8) for n in range(8)]
    return start + [full * (1 - 0.5 * 0.02 ** (n / 11)) for n in range(12)]


def told(seconds: float) -> str:
    """Write a mean time."""
    return "endless" if math.isinf(seconds) else si(seconds, "s")


def scene(
    rate: float,
    fixed: float,
    each: float,
    cv: float,
    workers: int,
    most: int,
    measured: float,
) -> Scene:
    """Draw the mean times against the rate."""
    from parallel_ai.production import serving as s

    cost, cv2 = s.CallCost(fixed * MILLI, each * MILLI), cv * cv
    alone = cost.seconds(1)
    full, batches_full = (cost.capacity(n, workers) for n in (1, most))

    def shared(rate: float) -> float:
        return alone + s.mgc_wait(rate, alone, cv2, workers)

    def apart(rate: float) -> float:
        return alone + s.mg1_wait(rate / workers, alone, cv2)

    def batched(rate: float) -> s.Batched:
        return s.batch_queue(rate / workers, cost, cv2, most)

    x = log_axis(
        "requests a second", min(full / 10, rate), max(batches_full, rate), 10,
        lambda value: si(value, "").strip(),
    )  # fmt: skip
    ways = {
        "a": (shared, full),
        "b": (apart, full),
        "c": (lambda rate: batched(rate).stay, batches_full),
    }
    marks, shown = [], []
    for look, (stay, end) in ways.items():
        points = [(r, stay(r)) for r in climb(x["from"], end)]
        here = [(rate, y) for y in [stay(rate)] if math.isfinite(y)]
        marks += [line(look, points), dots(look, here)]
        shown += [y for _, y in points + here]
    if measured:
        marks.append(dots("d", [(rate, measured * MILLI)]))
        shown.append(measured * MILLI)
    if most > 1:
        gap = math.log(batches_full / full) / math.log(x["to"] / x["from"])
        marks.append(rule("e", full, "full" if gap > APART else ""))
    marks.append(rule("e", batches_full, "full"))
    now = batched(rate)
    said = (
        f"At most {three(full)} requests/s can be answered one by one, and"
        f" {three(batches_full)} in batches of {most}. At {three(rate)} one by"
        f" one the mean time is {told(shared(rate))} with one queue for all"
        f" workers and {told(apart(rate))} with a queue for each. In batches it"
        f" is {told(now.stay)}, and a batch holds {three(now.items)}."
    )
    if measured:
        said += f" You measured {si(measured * MILLI, 's')}"
        said += (
            "."
            if math.isinf(now.stay)
            else f", {three(measured * MILLI / now.stay)} times the last of these."
        )
    rows = []
    for part in ROWS:
        r = part * batches_full
        there = batched(r)
        rows.append([
            three(r), percent(s.utilisation(r, alone, workers)),
            told(shared(r)), told(apart(r)), told(there.stay),
            three(there.items),
        ])  # fmt: skip
    return {
        "alt": "Mean time against requests a second, both axes logarithmic:"
        " each curve is flat at first and turns up where its workers are full;"
        " that of batches does so last.",
        "said": said,
        "head": ["requests/s", "ρ one by one", "one queue", "a queue each",
                 "in batches", "a batch holds"],
        "rows": rows,
        "height": 340,
        "x": x,
        "y": log_axis(
            "mean time", min(shown), max(shown), 10,
            lambda value: si(value, "s"),
        ),
        "legend": [
            ["a", "both", "one by one, one queue for all workers"],
            ["b", "both", "one by one, a queue for each worker"],
            ["c", "both", "in batches, a queue for each worker"],
            ["d", "dots", "what you measured"],
        ],
        "marks": marks,
    }  # fmt: skip


FIGURE = Figure(
    title="how long will they wait?",
    inputs=(
        Input("rate", "Requests a second", 1000.0, "number", least=1e-3,
              most=1e9),
        Input("fixed", "A call: α, ms", 1.0, "number", most=1e9),
        Input("each", "and for each request β, ms", 0.25, "number",
              least=1e-6, most=1e9),
        Input("cv", "Variation of a call's time, C", 0.5, options=(
            0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)),
        Input("workers", "Workers", 2, options=(
            1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
        Input("most", "Largest batch", 32, options=tuple(
            2**k for k in range(6))),
        Input("measured", "Measured mean time, ms (0: not)", 0.0,
              "number", most=1e9),
    ),
    scene=scene,
    functions=tuple(
        f"production.serving.{name}"
        for name in (
            "utilisation", "erlang_c", "mmc_wait", "mg1_wait", "mgc_wait",
            "CallCost", "Batched", "batch_queue",
        )
    ),
    code="""
from parallel_ai.production.serving import CallCost, batch_queue, mg1_wait, mgc_wait

cost = CallCost(fixed={fixed}e-3, each={each}e-3)  # yours
rate, workers, cv2, alone = {rate}, {workers}, {cv} ** 2, cost.seconds(1)
batched = batch_queue(rate / workers, cost, cv2, {most})
print("at most, one by one  ", cost.capacity(1, workers), "requests/s")
print("at most, in batches  ", cost.capacity({most}, workers), "requests/s")
print("one queue for all    ", alone + mgc_wait(rate, alone, cv2, workers), "s")
print("a queue for each     ", alone + mg1_wait(rate / workers, alone, cv2), "s")
print("in batches           ", batched.stay, "s, items:", batched.items)
""",
)  # fmt: skip
