"""The reader's machine as two roofs, and a product of matrices under them."""

from __future__ import annotations

from drawn import Scene, log_axis, si, three
from scenes.figure import Figure, Input, dots, line, rule

ROWS, INNER = 30_000, 784
GIGA = 1e9
SIZES = {"float32": 4, "float64": 8}


def scene(
    operations: float,
    bandwidth: float,
    columns: int,
    numbers: str,
    reached: float,
) -> Scene:
    """Draw the roofs and what lies under them."""
    from parallel_ai.one_machine import vectors as v
    from parallel_ai.toolbox.roofs import attainable

    size = SIZES[numbers]
    peak, rate = operations * GIGA, bandwidth * GIGA

    def most(intensity: float) -> float:
        return float(attainable(intensity, peak, rate))

    work = v.product_work(ROWS, INNER, columns, size)
    mean = v.Work(1.0, float(size))
    ridge = peak / rate
    here = work.intensity
    low = min(0.1, mean.intensity, ridge / 2, here / 2)
    high = max(1000.0, here * 2, ridge * 2)
    x = log_axis("operations for each byte", low, high, 10)
    corners = [x["from"], ridge, x["to"]]
    marks = [
        line("e", [(i, most(i)) for i in corners]),
        rule("e", ridge, f"ridge {three(ridge)}"),
        dots("a", [(here, most(here))]),
        dots("c", [(mean.intensity, most(mean.intensity))]),
    ]
    lows = [most(x["from"])]
    highs = [peak]
    if reached:
        marks.append(dots("d", [(here, reached * GIGA)]))
        lows.append(reached * GIGA)
        highs.append(reached * GIGA)
    bound = "memory" if here < ridge else "arithmetic"
    said = (
        f"This machine's ridge lies at {three(ridge)} operations a byte."
        f" A product with {columns} columns of {numbers} does {three(here)}:"
        f" {bound} decides, and at most {si(most(here), 'FLOP/s')} can be"
        f" reached. A mean does {three(mean.intensity)} and reaches at most"
        f" {si(most(mean.intensity), 'FLOP/s')}."
    )
    if reached:
        part = reached * GIGA / most(here)
        said += f" You reached {three(100 * part)} % of the roof"
        said += (
            ": more than there is, so a roof or a count is wrong."
            if part > 1.05
            else "."
        )
    rows = []
    for k in (1, 4, 16, 64, 256, 1024):
        i = v.product_work(ROWS, INNER, k, size).intensity
        rows.append([
            f"product, columns: {k}", three(i), si(most(i), "FLOP/s"),
            "memory" if i < ridge else "arithmetic",
        ])  # fmt: skip
    return {
        "alt": "Operations a second against operations for each byte, both"
        " axes logarithmic: a slanted roof that becomes flat at the ridge,"
        " and points on it.",
        "said": said,
        "head": ["job", "operations a byte", "at most", "what decides"],
        "rows": rows,
        "height": 320,
        "x": x,
        "y": log_axis(
            "operations a second", min(lows), 1.5 * max(highs), 10,
            lambda value: si(value, ""),
        ),
        "legend": [
            ["e", "line", "the roofs"],
            ["a", "dots", "the product, at best"],
            ["c", "dots", "a mean, at best"],
            ["d", "dots", "what you reached"],
        ],
        "marks": marks,
    }  # fmt: skip


FIGURE = Figure(
    title="your machine's roofs",
    inputs=(
        Input("operations", "Arithmetic, GFLOP/s", 100.0, "number",
              least=0.001, most=1e9),
        Input("bandwidth", "Memory, GB/s", 20.0, "number",
              least=0.001, most=1e9),
        Input("columns", "Columns of the product", 16, options=tuple(
            2**k for k in range(11))),
        Input("numbers", "Numbers", "float32", "choice", tuple(SIZES)),
        Input("reached", "Measured of the product, GFLOP/s (0: not)",
              0.0, "number", most=1e9),
        Input("mine", "Or what make record wrote: roofs_….json", "roofs", "record"),
    ),
    scene=scene,
    functions=(
        "one_machine.vectors.Work",
        "one_machine.vectors.product_work",
        "toolbox.roofs.attainable",
    ),
    code="""
from parallel_ai.one_machine.vectors import product_work
from parallel_ai.toolbox.roofs import attainable

operations, bandwidth = {operations}e9, {bandwidth}e9  # yours
work = product_work(30_000, 784, {columns})
print("operations a byte   ", work.intensity)
print("operations a second ", attainable(work.intensity, operations, bandwidth))
""",
)  # fmt: skip
