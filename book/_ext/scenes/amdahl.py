"""Three laws of scaling, and the reader's own points."""

from __future__ import annotations

import re

from drawn import Scene, log_axis, percent, three
from scenes.figure import Figure, Input, Unsuitable, dots, doubling, line

POINTS = "1 1\n2 1.9\n4 3.4\n8 5.2\n16 6.3"  # invented
MOST_POINTS = 200


def read_points(text: str) -> list[tuple[float, float]]:
    """Read a line each: workers, then speed-up."""
    points = []
    for number, row in enumerate(text.splitlines(), 1):
        words = [word for word in re.split(r"[\s,;]+", row) if word]
        if not words:
            continue
        try:
            workers, speedup = map(float, words)
        except ValueError:
            raise Unsuitable(
                f"Line {number} of the points: write workers and speed-up,"
                " such as 4 3.2."
            ) from None
        if not (1 <= workers <= 1e6 and 1e-3 <= speedup <= 1e6):
            raise Unsuitable(
                f"Line {number} of the points: workers are at least 1,"
                " a speed-up is more than 0."
            )
        points.append((workers, speedup))
    if len(points) > MOST_POINTS:
        raise Unsuitable(f"At most {MOST_POINTS} points can be drawn.")
    return points


def scene(serial: float, coherency: float, most: int, points: str) -> Scene:
    """Draw what the laws predict, and points with the law that fits them."""
    from parallel_ai.one_machine import measuring as m

    own = read_points(points)
    top = max([float(most), *(workers for workers, _ in own)])
    curve = doubling(most, 4)
    laws = {
        "a": [m.amdahl(n, serial) for n in curve],
        "b": [m.gustafson(n, serial) for n in curve],
        "c": [m.usl(n, serial, coherency) for n in curve],
    }
    marks = [
        line(look, list(zip(curve, ys, strict=True)))
        for look, ys in laws.items()
    ]
    shown = [y for ys in laws.values() for y in ys] + [y for _, y in own]
    fitted, words = fit(own, curve)
    if fitted:
        marks.append(line("d", fitted))
        shown += [y for _, y in fitted]
    marks.append(dots("d", own))
    last = [ys[-1] for ys in laws.values()]
    peak = max(1.0, m.UslFit(serial, coherency, 0, 0).peak)
    limit = f"never more than {three(1 / serial)}" if serial else "no limit"
    said = (
        f"{most} workers, {percent(serial)} serial. The same job is done"
        f" {three(last[0])} times sooner (Amdahl; {limit}). In the same time"
        f" {three(last[1])} times as much is done (Gustafson). With coherency"
        f" {three(coherency)} the job is done {three(last[2])} times sooner"
        f" (Universal Scalability Law; most with {three(peak)} workers)."
        f" {words}"
    )
    rows = [
        [three(n), three(m.amdahl(n, serial)), three(m.gustafson(n, serial)),
         three(m.usl(n, serial, coherency)),
         percent(m.amdahl(n, serial) / n)]
        for n in doubling(most)
    ]  # fmt: skip
    return {
        "alt": "Speed-up against workers, both axes logarithmic: three laws"
        " and the points given.",
        "said": said,
        "head": [
            "workers",
            "Amdahl",
            "Gustafson",
            "USL",
            "efficiency (Amdahl)",
        ],
        "rows": rows,
        "height": 340,
        "x": log_axis("workers", 1, top, 2),
        "y": log_axis("speed-up", min(shown), max(shown), 2),
        "legend": [
            ["a", "line", "Amdahl: the same job"],
            ["b", "line", "Gustafson: a growing job"],
            ["c", "line", "Universal Scalability Law"],
            ["d", "both", "your points, and the law that fits them"],
        ],
        "marks": marks,
    }


def fit(
    own: list[tuple[float, float]], curve: list[float]
) -> tuple[list[tuple[float, float]], str]:
    """Fit the Universal Scalability Law to the points, and say so."""
    from parallel_ai.one_machine import measuring as m

    if not own:
        return [], "No points are given."
    beyond = len({n for n, _ in own if n > 1})
    if beyond < 3:
        return [], (
            f"The points have {beyond} numbers of workers beyond one, and two"
            " parameters need at least 3: they are drawn, not fitted."
        )
    found = m.fit_usl(*zip(*own, strict=True))
    widest = max(n for n, _ in own)
    peak = max(1.0, found.peak)
    harm = (
        f"more than {three(peak)} workers would make it slower"
        if peak < 10 * widest
        else "no number of workers near those given makes it slower"
    )
    drawn = [(n, m.usl(n, found.contention, found.coherency)) for n in curve]
    said = [
        three(round(value * 1e6) / 1e6)
        for value in (found.contention, found.coherency)
    ]
    return drawn, (
        f"The points fit contention {said[0]} and coherency {said[1]}: {harm}."
    )


FIGURE = Figure(
    title="what more workers may bring",
    inputs=(
        Input("serial", "Serial share, or contention", 0.05, options=(
            0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15,
            0.2, 0.3, 0.4, 0.5, 0.7, 1.0), text=percent),
        Input("coherency", "Coherency", 0.0005, options=(
            0.0, 1e-05, 2e-05, 5e-05, 0.0001, 0.0002, 0.0005, 0.001, 0.002,
            0.005, 0.01, 0.02, 0.05)),
        Input("most", "Workers, up to", 64, options=tuple(
            2**k for k in range(1, 11))),
        Input("points", "Your points: workers and speed-up, a line each",
              POINTS, "text"),
        Input("mine", "Or what make record wrote: scaling_….json", "scaling", "record"),
    ),
    scene=scene,
    functions=tuple(
        f"one_machine.measuring.{name}"
        for name in ("amdahl", "gustafson", "usl", "UslFit", "fit_usl")
    ),
    code="""
from parallel_ai.one_machine.measuring import amdahl, gustafson, usl

workers, serial, coherency = {most}, {serial}, {coherency}
print("Amdahl    ", amdahl(workers, serial))
print("Gustafson ", gustafson(workers, serial))
print("USL       ", usl(workers, serial, coherency))
""",
)  # fmt: skip
