"""Flame graphs: many stacks in one picture."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from parallel_ai.one_machine.bottlenecks.sampling import Stack
from parallel_ai.toolbox import figures

OURS = re.compile(r"parallel_ai|program\.py|^(?:process|thread) ")


def simplify(stack: Stack) -> Stack:
    """Keep our own frames, and one for each visit to a library.

    ``read_csv (pandas/io/parsers/readers.py)`` and all that it calls inside
    of pandas becomes ``[pandas]``; an import, with all that it runs,
    ``[import]``.
    """
    frames: list[str] = []
    for frame in stack:
        if "<frozen importlib" in frame:
            return (*frames, "[import]")
        if OURS.search(frame):
            name = re.sub(r" \([^()]*\)$", "", frame)
        else:
            place = re.search(r"\(([^()]*)\)$", frame)
            name = re.split(r"[/\\.:]", place[1])[0] if place else frame
            name = f"[{name}]"  # what is not ours
        if not frames or frames[-1] != name:
            frames.append(name)
    return tuple(frames)


def below(stacks: Mapping[Stack, int], name: str) -> Counter[Stack]:
    """Keep the stacks that have a function, cut to what it called."""
    kept: Counter[Stack] = Counter()
    for stack, times in stacks.items():
        names = [frame.partition(" (")[0] for frame in stack]
        if name in names:
            kept[stack[names.index(name) :]] += times
    return kept


@dataclass
class Flame:
    """A function, reached in one way: how often seen, and what it called."""

    name: str
    samples: int = 0
    calls: dict[str, "Flame"] = field(default_factory=dict)


def grow(
    stacks: Mapping[Stack, int], change: Callable[[Stack], Stack] = simplify
) -> Flame:
    """Merge stacks that begin alike into a tree, whose root is ``all``."""
    root = Flame("all")
    for stack, times in stacks.items():
        root.samples += times
        flame = root
        for name in change(stack):
            flame = flame.calls.setdefault(name, Flame(name))
            flame.samples += times
    return root


def flame_graph(ax: Axes, root: Flame, least: float = 0.01) -> None:
    """Draw a tree of calls, the callers below.

    Parameters
    ----------
    least : float
        Frames with a smaller share of the samples are left out.

    Notes
    -----
    Width is the share of the samples; from left to right frames stand by
    their names, not by time. After Gregg (2016),
    https://doi.org/10.1145/2909476.
    """
    top = _draw(ax, root, 0, 0, root.samples, least)
    ax.set(xlim=(0, 1), ylim=(-0.55, top + 0.55), xlabel="share of samples")
    ax.grid(visible=False)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def _draw(
    ax: Axes, flame: Flame, left: float, level: int, total: int, least: float
) -> int:
    """Draw one frame and all above it; return the highest level reached."""
    width = flame.samples / total
    colour = figures.SKY if flame.name[0] == "[" else figures.AMBER
    ax.barh(
        level, width, 0.94, left, color=colour, edgecolor="white", linewidth=1
    )
    ax.annotate(
        _fit(flame.name, width * ax.bbox.width / ax.figure.dpi),
        (left + width / 2, level),
        ha="center",
        va="center",
        fontsize=10,
        color=figures.INK,
    )
    top = level
    for name in sorted(flame.calls):
        child = flame.calls[name]
        if child.samples >= least * total:
            top = max(top, _draw(ax, child, left, level + 1, total, least))
            left += child.samples / total
    return top


def _fit(name: str, inches: float) -> str:
    """Cut a name to the room that there is."""
    room = int(inches * 11)
    if len(name) <= room:
        return name
    return name[: room - 1] + "…" if room > 4 else ""
