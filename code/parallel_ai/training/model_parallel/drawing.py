"""Timelines of pipelines: one lane a device, numbers of micro-batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parallel_ai.training.model_parallel.schedules import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_schedule(
    axes: "Axes", spans: Sequence[Span], title: str, until: float = 0.0
) -> None:
    """Draw who computed when; what is empty is the bubble.

    Parameters
    ----------
    until : float
        Right end of the axis; by default the last stop.
    """
    from parallel_ai.toolbox import figures

    devices = max(span.device for span in spans) + 1
    first = min(span.start for span in spans)
    end = max(until, max(span.stop for span in spans) - first)
    for span in spans:
        chunk = span.task.stage // devices
        wide = span.stop - span.start
        forwards = span.task.kind == "F"
        color = figures.BLUE if forwards else figures.GREEN
        axes.barh(
            span.device, wide, left=span.start - first, height=0.85,
            color=color, alpha=0.55 if chunk == 0 else 0.25,
            edgecolor=figures.INK, linewidth=0.6,
        )  # fmt: skip
        if wide > end / 60:
            axes.text(
                span.start - first + wide / 2, span.device,
                str(span.task.micro), ha="center", va="center", fontsize=10,
            )  # fmt: skip
    axes.set(xlim=(0, end), ylim=(devices - 0.5, -0.5), title=title)
    axes.set_yticks(range(devices), [f"{d}" for d in range(devices)])
    axes.grid(axis="y", visible=False)
