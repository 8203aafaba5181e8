"""Lines of a record: what may be drawn, and that recorded files have theirs."""

import importlib
import math

import pytest

from parallel_ai.toolbox import records
from parallel_ai.toolbox.curves import along, curves, drawable, line

TOPICS = records.declared("CURVES")
# Here, because some of them set variables of the environment.
CHAPTERS = {t: importlib.import_module(m) for t, m in TOPICS.items()}


def some():
    return curves(
        along("workers", log=False),
        along("seconds", "s"),
        [line("ours", [(2, 0.5), (1, 1)], of="3.13"), line("most", [(1, 2)])],
    )


def test_points_are_sorted_floats():
    assert some()["lines"][0]["at"] == [[1.0, 1.0], [2.0, 0.5]]
    assert drawable(some())


@pytest.mark.parametrize(
    "point", [(1, 0), (1, -1), (1, math.inf), (1, math.nan), (-1, 1)]
)
def test_what_an_axis_cannot_show_is_refused(point):
    """Seconds are drawn on a logarithmic axis here, workers are not."""
    with pytest.raises(ValueError, match="cannot be drawn"):
        curves(some()["x"], some()["y"], [line("bad", [point])])
    curves(some()["x"], some()["y"], [line("good", [(0, 1)])])


def test_what_was_never_reached_is_no_line():
    lines = [line("none", []), *some()["lines"]]
    assert curves(some()["x"], some()["y"], lines) == some()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda raw: raw.update(more=1),
        lambda raw: raw.pop("x"),
        lambda raw: raw.update(lines=[]),
        lambda raw: raw.update(lines=25 * raw["lines"][:1]),
        lambda raw: raw["x"].update(log=0),
        lambda raw: raw["y"].update(unit=None),
        lambda raw: raw["lines"][0].update(name=61 * "x"),
        lambda raw: raw["lines"][0].update(limit=None),
        lambda raw: raw["lines"][0].update(at=[]),
        lambda raw: raw["lines"][0].update(at=201 * [[1, 1]]),
        lambda raw: raw["lines"][0].update(at=[[1, 1, 1]]),
        lambda raw: raw["lines"][0].update(at=[[1, True]]),
        lambda raw: raw["lines"][0].update(at=[[1, "1"]]),
        lambda raw: raw["lines"].append(7),
    ],
)
def test_other_shapes_are_refused(break_it):
    raw = some()
    break_it(raw)
    assert not drawable(raw)
    assert not any(map(drawable, [None, [], 7, "text"]))


@pytest.mark.parametrize("topic", TOPICS)
def test_recorded_lines_are_those_of_the_recorded_data(topic):
    found = records.read(topic)
    assert found, f"make record: {topic} has a figure and no record"
    drawing = CHAPTERS[topic].CURVES[topic]
    for record in found:
        assert record.curves == drawing(record.data, record.hardware)
        assert drawable(record.curves)


def test_a_topic_with_lines_is_a_topic():
    assert TOPICS.items() <= records.topics().items()
