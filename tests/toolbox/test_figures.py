import io
import subprocess
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from matplotlib import pyplot as plt

from parallel_ai.toolbox import figures
from parallel_ai.toolbox.stopwatch import Timing


@pytest.fixture
def ax():
    figures.use_style()
    fig, ax = figures.new()
    yield ax
    plt.close(fig)


def svg(fig):
    buffer = io.BytesIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def test_measured_timings_have_their_median_and_quartiles(ax):
    figures.measured(
        ax, [1, 2], [Timing((1.0, 2.0, 4.0)), Timing((8.0,))], "here"
    )
    [bars] = ax.containers
    points, _, [segments] = bars.lines
    assert points.get_ydata().tolist() == [2, 8]
    spans = [s[:, 1].tolist() for s in segments.get_segments()]
    assert spans == [[1.5, 3.0], [8.0, 8.0]]
    assert ax.get_legend_handles_labels()[1] == ["here"]


def test_measured_numbers_have_no_bars(ax):
    figures.measured(ax, [1, 2, 3], iter([3.0, 2.0, 1.0]))
    [bars] = ax.containers
    assert not bars.has_yerr
    assert bars.lines[0].get_marker() == "o"


def test_lines_differ_by_more_than_their_colour(ax):
    ax.bar([1, 2], [1, 2])  # no line
    for _ in range(len(figures.MARKERS) + 1):
        figures.measured(ax, [1, 2], [3, 4])
    shapes = [c.lines[0].get_marker() for c in ax.containers[1:]]
    assert shapes == [*figures.MARKERS, figures.MARKERS[0]]
    figures.recorded(ax, [1, 2], [3, 4])
    assert ax.get_lines()[-1].get_marker() not in shapes


def test_model_is_dashed_and_record_hollow(ax):
    figures.model(ax, [1, 2], [1, 2], "law")
    figures.recorded(ax, [1, 2], [3, 4], "elsewhere")
    model, record = ax.get_lines()
    assert model.get_linestyle() == "--"
    assert record.get_markerfacecolor() == "none"
    assert ax.get_legend_handles_labels()[1] == ["law", "elsewhere"]


def test_style_can_be_overridden(ax):
    figures.model(ax, [1, 2], [1, 2], linestyle=":", color="red")
    assert ax.get_lines()[0].get_linestyle() == ":"
    assert ax.get_lines()[0].get_color() == "red"


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_limit_is_labelled_and_in_sight(ax, scale):
    ax.set_yscale(scale)
    figures.measured(ax, [1, 2], [1.0, 2.0])
    figures.limit(ax, 50.0, "roof")
    assert [t.get_text() for t in ax.texts] == ["roof"]
    low, high = ax.get_ylim()
    assert low < 50 < high


def test_figures_are_transparent_and_reproducible():
    files = []
    for _ in range(2):
        fig, ax = figures.new()
        figures.measured(ax, np.arange(3), [1.0, 2.0, 3.0], "x")
        files.append(svg(fig))
        plt.close(fig)
    assert files[0] == files[1]
    assert fig.get_facecolor()[3] == ax.get_facecolor()[3] == 0


def test_letters_are_large_enough_for_a_telephone():
    """A figure is about 350 pixels wide there; SVG has 96 of 72 points."""
    fig, _ = figures.new()
    plt.close(fig)
    points = figures.STYLE["font.size"]
    assert points * 350 / (fig.get_figwidth() * 72) >= 8.5


def span(worker, thread, name, action, start, stop):
    return SimpleNamespace(
        worker=worker,
        thread=thread,
        name=name,
        action=action,
        start=start,
        stop=stop,
    )


def test_lanes_draw_each_span_in_its_workers_lane(ax):
    spans = [
        span("b", 7, "load", "compute", 0, 2),
        span("a", 1, "load", "compute", 1, 2),
        span("a", 1, "sum", "transfer", 2, 2.5),
        span("a", 1, "sum", "compute", 2.5, 4),
    ]
    figures.lanes(ax, iter(spans))
    boxes = [(b.get_x(), b.get_width()) for b in ax.patches]
    assert boxes == [(0, 2), (1, 1), (2, 0.5), (2.5, 1.5)]
    middles = [b.get_y() + b.get_height() / 2 for b in ax.patches]
    assert middles == [1, 0, 0, 0]
    assert ax.get_legend_handles_labels()[1] == ["load", "transfer", "sum"]
    ticks = [text.get_text() for text in ax.get_yticklabels()]
    assert ticks == ["worker 0", "worker 1"]
    faces = [matplotlib.colors.to_hex(b.get_facecolor()) for b in ax.patches]
    assert faces[0] == faces[1] != faces[3]
    assert faces[2] == figures.ORANGE.lower()


def test_lanes_take_the_colors_they_are_given(ax):
    figures.lanes(ax, [span("a", 1, "x", "compute", 0, 1)], {"x": "#010203"})
    [box] = ax.patches
    assert matplotlib.colors.to_hex(box.get_facecolor()) == "#010203"


def test_no_spans_no_lanes(ax):
    figures.lanes(ax, [])
    assert not ax.patches


def test_new_has_the_size_asked_for():
    fig, _ = figures.new(5, 3)
    plt.close(fig)
    assert fig.get_size_inches().tolist() == [5, 3]


def test_a_kernel_gets_svg_by_importing_it():
    script = (
        "from IPython.core.interactiveshell import InteractiveShell as S;"
        "s = S.instance();"
        "import parallel_ai.toolbox.figures, IPython;"
        "f = s.display_formatter.formatters;"
        "from matplotlib.figure import Figure;"
        "print(Figure in f['image/svg+xml'], Figure in f['image/png'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split()[-2:] == ["True", "False"], done.stderr
