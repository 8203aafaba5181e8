import io
import subprocess
import sys

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
