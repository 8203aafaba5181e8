"""Scenes as SVG and as words: what ``kit.js`` does in the browser, at build time.

A scene says what is to be seen, in the units of its axes::

    alt, said          what the picture is, and what it shows, in words
    head, rows         the same numbers as a table
    height             of the picture, in pixels
    x, y               axes: label, from, to, log, ticks (value and text)
    legend             look, kind ("line" or "box") and words
    marks              kind, look, at, label

Across, everything is placed in per cent; down, in pixels. So one picture
fits every width, its letters keep their size, and nothing moves when the
script takes over. A look is a colour *and* a dash, a marker or a hatching.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from typing import Any

Scene = dict[str, Any]
Axis = dict[str, Any]
TOP, BOTTOM = 26, 46  # pixels, for the labels of the axes
MOST_TICKS = 7
MARKERS = {
    "a": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "b": "M-4-4h8v8h-8z",
    "c": "M0-5.5L5 4H-5z",
    "d": "M0-6L5 0L0 6L-5 0z",
    "e": "M-4-4L4 4M-4 4L4-4",
}
HATCHED = "bd"  # boxes of these looks
PREFIXES = [
    (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""),
    (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
]  # fmt: skip


def three(value: float) -> str:
    """Write a number with three digits, or all digits before the point."""
    if math.isinf(value):
        return "∞"
    if abs(value) >= 999.5:
        return f"{math.floor(value + 0.5):,}"
    if value == 0:
        return "0"
    exact = Decimal(value)  # ties away from zero, as JavaScript does
    unit = Decimal(1).scaleb(exact.adjusted() - 2)
    return f"{exact.quantize(unit, ROUND_HALF_UP).normalize():f}"


def percent(share: float) -> str:
    """Write a share."""
    return f"{three(100 * share)} %"


def si(value: float, unit: str) -> str:
    """Write a quantity with the prefix that suits it."""
    if math.isinf(value):
        return "∞"
    if unit == "s" and value >= 1:
        return f"{three(value)} s"
    for factor, prefix in PREFIXES:
        if value >= factor:
            return f"{three(value / factor)} {prefix}{unit}"
    return f"{three(value)} {unit}"


def many(count: float) -> str:
    """Write a large number in words."""
    for factor, word in (
        (1e12, "trillion"),
        (1e9, "billion"),
        (1e6, "million"),
    ):
        if count >= factor:
            return f"{three(count / factor)} {word}"
    return three(count)


def log_axis(
    label: str,
    low: float,
    high: float,
    base: int,
    text: Callable[[float], str] = three,
) -> Axis:
    """From a power of the base to another, with ticks at powers."""
    first = last = 0
    while base**first > low * (1 + 1e-9):
        first -= 1
    while base ** (first + 1) <= low * (1 + 1e-9):
        first += 1
    while base**last < high * (1 - 1e-9):
        last += 1
    while base ** (last - 1) >= high * (1 - 1e-9):
        last -= 1
    last = max(last, first + 1)
    step = math.ceil((last - first + 1) / MOST_TICKS)
    ticks = [float(base**n) for n in range(first, last + 1, step)]
    return {
        "label": label, "from": float(base**first), "to": float(base**last),
        "log": True, "ticks": [[tick, text(tick)] for tick in ticks],
    }  # fmt: skip


def axis(label: str, to: float, text: Callable[[float], str] = three) -> Axis:
    """From 0 on, with ticks at 1, 2 or 5 times a power of ten."""
    power = 0
    while 10.0 ** (power + 1) * 5 <= to:
        power += 1
    while 10.0**power * 5 > to:
        power -= 1
    unit = 10.0**power
    step = next(n * unit for n in (1, 2, 5, 10) if n * unit * 6 >= to)
    ticks = [n * step for n in range(int(to / step + 1e-9) + 1)]
    return {
        "label": label, "from": 0.0, "to": to, "log": False,
        "ticks": [[tick, text(tick)] for tick in ticks],
    }  # fmt: skip


def names(label: str, texts: list[str]) -> Axis:
    """Rows or columns with names, number n from n to n + 1."""
    return {
        "label": label, "from": 0.0, "to": float(len(texts)), "log": False,
        "ticks": [[n + 0.5, text] for n, text in enumerate(texts)],
    }  # fmt: skip


def share(axis: Axis, value: float) -> float:
    """Place of a value along an axis, 0 to 1."""
    low, high = axis["from"], axis["to"]
    if axis["log"]:
        low, high = math.log(low), math.log(high)
        value = math.log(max(value, axis["from"]))
    return (value - low) / (high - low)


class Frame:
    """Where a scene's values lie in its picture."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.height = scene, scene["height"]
        self.deep = self.height - TOP - BOTTOM

    def x(self, value: float) -> float:
        """Per cent from the left."""
        return 100 * share(self.scene["x"], value)

    def y(self, value: float) -> float:
        """Pixels from above; rows with names are counted from there."""
        part = share(self.scene["y"], value)
        down = self.scene["y"].get("down")
        return TOP + self.deep * (part if down else 1 - part)


def draw(scene: Scene, name: str) -> str:
    """Write a scene as SVG."""
    frame = Frame(scene)
    parts = [
        _axes(frame),
        *(_mark(frame, one, name) for one in scene["marks"]),
    ]
    return (
        f'<svg class="explore-svg" width="100%" height="{scene["height"]}"'
        f' role="img" aria-label="{escape(scene["alt"])}"'
        f' aria-describedby="explore-{name}-said">'
        f'<defs><pattern id="{name}-hatch" width="6" height="6"'
        ' patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path class="hatch" d="M0 0V6"/></pattern>'
        f'<marker id="{name}-tip" viewBox="0 0 8 8" refX="7" refY="4"'
        ' markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse"'
        ' orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker>'
        f"</defs><g>{''.join(parts)}</g></svg>"
    )


def _axes(frame: Frame) -> str:
    scene, bottom = frame.scene, frame.height - BOTTOM
    parts = []
    for value, text in scene["x"]["ticks"]:
        at = f"{frame.x(value):.3f}%"
        if not scene["x"].get("bare"):
            parts.append(_line("grid", at, TOP, at, bottom))
        parts.append(_text("tick", at, bottom + 17, text, "middle"))
    for value, text in scene["y"]["ticks"]:
        down = frame.y(value)
        if not scene["y"].get("bare"):
            parts.append(_line("grid", "0%", down, "100%", down))
        parts.append(_text("tick", "-8", down + 4, text, "end"))
    parts.append(_line("edge", "0%", bottom, "100%", bottom))
    label = scene["x"]["label"]
    parts.append(_text("name", "50%", frame.height - 8, label, "middle"))
    parts.append(_text("name", "-8", 12, scene["y"]["label"], "start"))
    return "".join(parts)


def _line(look: str, x1: str, y1: float, x2: str, y2: float) -> str:
    return (
        f'<line class="{look}" x1="{x1}" y1="{y1:.2f}"'
        f' x2="{x2}" y2="{y2:.2f}"/>'
    )


def _text(look: str, x: str, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="{look}" x="{x}" y="{y:.2f}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )


def _mark(frame: Frame, mark: dict[str, Any], name: str) -> str:
    kind, look, at = mark["kind"], mark["look"], mark["at"]
    if kind == "line":
        points = " ".join(f"{frame.x(x):.3f},{frame.y(y):.2f}" for x, y in at)
        return (
            f'<svg viewBox="0 0 100 {frame.height}" width="100%"'
            f' height="{frame.height}" preserveAspectRatio="none">'
            f'<polyline class="line {look}" points="{points}"/></svg>'
        )
    if kind == "dots":
        return "".join(
            f'<svg class="dot" x="{frame.x(x):.3f}%" y="{frame.y(y):.2f}">'
            f'<path class="{look}" d="{MARKERS[look]}"/></svg>'
            for x, y in at
        )
    if kind == "rule":
        left = f"{frame.x(at):.3f}%"
        anchor = "end" if frame.x(at) > 55 else "start"
        line = _line(f"rule {look}", left, TOP, left, frame.height - BOTTOM)
        return line + _text("said", left, TOP - 4, mark["label"], anchor)
    if kind == "arrow":
        x1, y1, x2, y2 = at
        return _line(
            f'arrow {look}" marker-end="url(#{name}-tip)',
            f"{frame.x(x1):.3f}%", frame.y(y1),
            f"{frame.x(x2):.3f}%", frame.y(y2),
        )  # fmt: skip
    return _box(frame, mark, name)


def _box(frame: Frame, mark: dict[str, Any], name: str) -> str:
    x1, x2, y1, y2 = mark["at"]
    left, right = frame.x(x1), frame.x(x2)
    top, low = sorted((frame.y(y1), frame.y(y2)))
    place = (
        f'x="{left:.3f}%" y="{top:.2f}" width="{right - left:.3f}%"'
        f' height="{low - top:.2f}"'
    )
    drawn = f'<rect class="box {mark["look"]}" {place}/>'
    if mark["look"] in HATCHED:
        drawn += f'<rect fill="url(#{name}-hatch)" {place}/>'
    if right - left >= 0.4 + 2.2 * len(mark["label"]) and mark["label"]:
        middle = f"{(left + right) / 2:.3f}%"
        down = (top + low) / 2 + 4
        drawn += _text("in", middle, down, mark["label"], "middle")
    return drawn


def legend(scene: Scene) -> str:
    """Write what each look means; it is the same for all inputs."""
    items = []
    for look, kind, words in scene["legend"]:
        if kind == "box":
            shown = f'<rect class="box {look}" x="5" y="1" width="18" height="12"/>'
            if look in HATCHED:
                shown += '<path class="hatch" d="M9 13L19 1M15 13L23 4"/>'
        else:
            shown = f'<path class="line {look}" d="M0 7H28"/>' * (
                kind != "dots"
            )
            if kind != "line":
                shown += f'<path class="{look}" transform="translate(14 7)" d="{MARKERS[look]}"/>'
        items.append(
            f'<li><svg width="28" height="14" aria-hidden="true">{shown}</svg>'
            f"<span>{escape(words)}</span></li>"
        )
    return f'<ul class="explore-legend">{"".join(items)}</ul>'
