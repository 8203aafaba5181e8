"""One look for all figures: measured, modelled, limit, recorded.

Importing this module sets Matplotlib's style: SVG on a transparent ground,
dark ink (the book's dark mode inverts it), the palette of Okabe and Ito,
which colour-blind readers can tell apart (https://jfly.uni-koeln.de/color/),
and letters that remain readable on a telephone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from parallel_ai.toolbox.stopwatch import Timing

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW, BLACK = "#56B4E9", "#E69F00", "#F0E442", "#000000"
INK, FAINT = "#222222", "#8a8a8a"
MARKERS = "oD^vPX*"  # of measured lines, in their order; a record has squares
MANY = 500  # marks: more are drawn as one picture inside the SVG

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PINK, SKY, AMBER]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.size": 13,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "parallel-ai",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def use_style() -> None:
    """Set the style, and SVG where figures appear in a notebook."""
    plt.style.use(STYLE)
    try:
        from IPython.core.getipython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        # No date inside, so that the same figure is the same file.
        set_matplotlib_formats("svg", metadata={"Date": None})


def new(width: float = 7, height: float = 4) -> tuple[Figure, Axes]:
    """Make an empty figure with one pair of axes; inches."""
    return plt.subplots(figsize=(width, height))


def measured(
    ax: Axes,
    x: Sequence[Any],
    y: Iterable[Timing] | Iterable[float],
    label: str | None = None,
    **style: Any,
) -> None:
    """Draw what this machine measured: filled points, joined.

    Each line of a pair of axes has points of another shape, so that colour
    is not all that tells them apart.

    Parameters
    ----------
    x : sequence
        Where.
    y : iterable of Timing or of float
        How much. Of a Timing the median in seconds is drawn, with a bar
        from the first to the third quartile.
    **style
        For `Axes.errorbar`, such as ``color`` or ``linestyle="none"``.
    """
    values = list(y)
    middle: Any = [v.median if isinstance(v, Timing) else v for v in values]
    bars: Any = None
    if any(isinstance(v, Timing) for v in values):
        low = [v.low if isinstance(v, Timing) else v for v in values]
        high = [v.high if isinstance(v, Timing) else v for v in values]
        bars = np.abs(np.array([low, high]) - np.array(middle))
    before = sum(isinstance(c, ErrorbarContainer) for c in ax.containers)
    marker = MARKERS[before % len(MARKERS)]
    ax.errorbar(
        x,
        middle,
        yerr=bars,
        label=label,
        **{"marker": marker, "linewidth": 1.5, "capsize": 3, **style},
    )


def model(
    ax: Axes,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    label: str | None = None,
    **style: Any,
) -> None:
    """Draw what a model predicts: a dashed line."""
    ax.plot(x, y, label=label, **{"linestyle": "--", "color": INK, **style})


def limit(ax: Axes, value: float, label: str, **style: Any) -> None:
    """Draw what this machine cannot pass: a labelled horizontal line."""
    look = {"color": ORANGE, "linewidth": 2, **style}
    ax.axhline(value, **look)
    ax.annotate(
        label,
        (0.01, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        color=look["color"],
        fontsize=12,
        va="bottom",
    )
    ax.update_datalim([(ax.dataLim.x0, value)], updatex=False)
    ax.autoscale_view()


def recorded(
    ax: Axes,
    x: Sequence[Any],
    y: Iterable[float],
    label: str | None = None,
    **style: Any,
) -> None:
    """Draw what another machine measured: hollow points."""
    look = {"marker": "s", "linewidth": 1, "linestyle": ":", **style}
    ax.plot(x, list(y), label=label, markerfacecolor="none", **look)


def lanes(
    ax: Axes, spans: Iterable[Any], colors: Mapping[str, str] | None = None
) -> None:
    """Draw who did what when: one lane a thread of a worker, time to the right.

    Parameters
    ----------
    spans : iterable of parallel_ai.toolbox.cluster.Span
        Or anything with its ``worker``, ``thread``, ``name``, ``action``,
        ``start`` and ``stop``.
    colors : mapping of str to str
        Color of each task's name. Without it, names take the palette's
        colors in their order. What is not computing is drawn in `ORANGE`
        (fetching from another worker) or `AMBER` (disk), half as high.
    """
    spans = list(spans)
    rows = sorted({(span.worker, span.thread) for span in spans})
    if colors is None:
        palette = (BLUE, GREEN, PINK, SKY, INK)
        names = dict.fromkeys(span.name for span in spans)
        colors = {
            name: palette[i % len(palette)] for i, name in enumerate(names)
        }
    others = {"transfer": ORANGE, "disk-read": AMBER, "disk-write": AMBER}
    labelled = set()
    for span in spans:
        computing = span.action == "compute"
        what = span.name if computing else span.action
        ax.barh(
            rows.index((span.worker, span.thread)),
            span.stop - span.start,
            left=span.start,
            height=0.8 if computing else 0.4,
            color=colors.get(what, FAINT)
            if computing
            else others.get(what, FAINT),
            edgecolor="white",
            linewidth=0.5,
            label=None if what in labelled else what,
            rasterized=len(spans) > MANY,
        )
        labelled.add(what)
    workers = list(dict.fromkeys(worker for worker, _ in rows))
    ax.set_yticks(
        range(len(rows)), [f"worker {workers.index(w)}" for w, _ in rows]
    )
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="seconds")


use_style()
