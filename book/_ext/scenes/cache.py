"""Keys and values beside the weights: how many sequences fit, how fast."""

from __future__ import annotations

from dataclasses import replace

from drawn import Scene, log_axis, si, three
from scenes.figure import Figure, Input, Unsuitable, dots, doubling, line, rule

GIGA, TERA = 1e9, 1e12
MOST = 2**20  # sequences that are drawn
ROWS = (1, 4, 16, 64, 256, 1024)
# Bits of a weight, numbers that share a scale, bytes of a number in the cache.
NUMBERS = {
    "16 bits": (16, 0, 2),
    "weights in 8 bits": (8, 128, 2),
    "weights in 4 bits": (4, 128, 2),
    "all in 8 bits": (8, 128, 1),
    "32 bits": (32, 0, 4),
}


def scene(
    depth: int,
    heads: int,
    shared: int,
    each: int,
    tokens: int,
    rows: int,
    parameters: float,
    numbers: str,
    memory: float,
    bandwidth: float,
    arithmetic: float,
) -> Scene:
    """Draw the tokens a second that the roofs allow to so many sequences."""
    from parallel_ai.accelerators.devices import Peaks
    from parallel_ai.production import generating as g

    if heads % shared:
        raise Unsuitable(
            f"{heads} heads of queries cannot be shared out by {shared}:"
            " choose a number that divides them, such as 1."
        )
    config = g.Config(heads * each, depth, heads, shared, tokens, 1)
    bits, group, cached = NUMBERS[numbers]
    weight = g.quantised_bytes(bits, group)
    count = parameters * GIGA
    weights, room = count * weight, memory * GIGA
    peaks = Peaks("yours", {"float32": arithmetic * TERA}, bandwidth * GIGA)

    def work(config: g.Config, n: float) -> g.Work:
        return g.pass_work(config, n, 1, tokens - 1, weight, cached, count)

    def rate(work: g.Work, n: float) -> float:
        return n / work.seconds(peaks)

    def fitting(config: g.Config) -> int:
        left = int(room - weights)
        return int(g.rows_that_fit(
            left, depth, config.pairs, each, tokens, cached
        ))  # fmt: skip

    def decides(work: g.Work) -> str:
        if work.intensity > peaks.ridge():
            return "arithmetic"
        return "the weights" if work.weights >= work.cached else "the cache"

    apart = replace(config, shared=1)
    fit, fit_apart = fitting(config), fitting(apart)
    top = max(64, rows, min(2 * fit, MOST))
    x = log_axis("sequences side by side", 1, top, 2)
    curve = doubling(int(x["to"]), 2)
    lines = {
        "a": [rate(work(config, n), n) for n in curve],
        "b": [rate(work(apart, n), n) for n in curve],
        "c": [rate(replace(work(config, n), cached=0.0), n) for n in curve],
    }
    now = work(config, rows)
    marks = [
        line(look, list(zip(curve, ys, strict=True)))
        for look, ys in lines.items()
    ]
    marks.append(dots("a", [(rows, rate(now, rows))]))
    if 1 <= fit <= x["to"]:
        marks.append(rule("e", fit, f"{three(fit)} fit"))
    shown = [y for ys in lines.values() for y in ys]
    token = g.cache_bytes(config, 1, cached)
    said = (
        f"A token takes {si(token, 'B')} of cache, a sequence of"
        f" {three(tokens)} takes {si(token * tokens, 'B')}. The weights take"
        f" {si(weights, 'B')} of {si(room, 'B')}"
    )
    said += (
        ": they do not fit."
        if weights > room
        else f", and beside them fit {three(fit)} sequences; if each head of"
        f" queries had keys of its own, {three(fit_apart)}."
    )
    said += (
        f" A step with {three(rows)} takes at least"
        f" {si(now.seconds(peaks), 's')}, because of {decides(now)}: at most"
        f" {three(rate(now, rows))} tokens/s together,"
        f" {three(rate(now, rows) / rows)} for each."
    )
    table = []
    for n in ROWS:
        one = work(config, n)
        table.append([
            three(n), si(one.cached, "B"), "yes" if n <= fit else "no",
            si(one.seconds(peaks), "s"), three(rate(one, n)),
            three(rate(one, n) / n), decides(one),
        ])  # fmt: skip
    return {
        "alt": "Tokens a second against sequences that are decoded side by"
        " side, both axes logarithmic: three curves that rise together and"
        " become flat where the cache, or arithmetic, decides; a line marks"
        " how many sequences fit.",
        "said": said,
        "head": ["sequences", "cache", "fits", "a step", "tokens/s together",
                 "for each", "what decides"],
        "rows": table,
        "height": 340,
        "x": x,
        "y": log_axis(
            "tokens a second", min(shown), max(shown), 10,
            lambda value: si(value, "").strip(),
        ),
        "legend": [
            ["a", "both", "at most, and with your batch"],
            ["b", "line", "each head of queries with keys of its own"],
            ["c", "line", "if no cache had to be read"],
        ],
        "marks": marks,
    }  # fmt: skip


FIGURE = Figure(
    title="how many sequences fit, and how fast are they?",
    inputs=(
        Input("depth", "Blocks", 32, options=(
            1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 60, 64, 80, 96,
            128)),
        Input("heads", "Heads of queries", 32, options=(
            1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)),
        Input("shared", "of which share one head of keys", 4, options=(
            1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 64, 128)),
        Input("each", "Width of a head", 128, options=(
            16, 32, 64, 80, 96, 112, 128, 160, 192, 256)),
        Input("tokens", "Tokens of a sequence", 8192, options=tuple(
            2**k for k in range(7, 21))),
        Input("rows", "Sequences side by side", 16, options=tuple(
            2**k for k in range(11))),
        Input("parameters", "Weights, billions", 8.0, "number", least=1e-3,
              most=1e6),
        Input("numbers", "Numbers", "16 bits", "choice", tuple(NUMBERS)),
        # An A100 by its data sheet, as in accelerators/devices/peaks.py.
        Input("memory", "Memory of the device, GB", 80.0, "number",
              least=1e-3, most=1e6),
        Input("bandwidth", "Its bandwidth, GB/s", 2039.0, "number",
              least=1e-3, most=1e9),
        Input("arithmetic", "Its arithmetic, TFLOP/s", 312.0, "number",
              least=1e-6, most=1e9),
    ),
    scene=scene,
    functions=(
        "accelerators.devices.Peaks",
        *(
            f"production.generating.{name}"
            for name in (
                "Config", "cache_bytes", "Work", "pass_work",
                "quantised_bytes", "rows_that_fit",
            )
        ),
    ),
    code="""
from parallel_ai.accelerators.devices import Peaks
from parallel_ai.production import generating as g

config = g.Config({heads} * {each}, {depth}, {heads}, {shared}, {tokens}, 1)
yours = Peaks("yours", {{"bfloat16": {arithmetic}e12}}, {bandwidth}e9)
left = int({memory}e9 - 2 * {parameters}e9)
fit = g.rows_that_fit(left, {depth}, config.pairs, {each}, {tokens}, 2)
most = g.decode_rate(
    config, {rows}, {tokens} - 1, yours, "bfloat16", 2, 2, {parameters}e9
)
print("bytes a token     ", g.cache_bytes(config, 1, 2))
print("sequences that fit", fit)
print("tokens/s at most  ", most, "with {rows} sequences")
""",
)  # fmt: skip
