"""Lines that a record shows, so that any machine's can be drawn beside another's.

A chapter that has a record with numbers along an axis ends with::

    CURVES = {"topic": function}

where the function takes the record's data and hardware and returns what
`curves` makes. `parallel_ai.toolbox.records` keeps that in the record, and the
figure `machine` on the chapter's page draws it: of the recorded machines, and
of the record that a reader drops onto it.
"""

import math
from collections.abc import Iterable
from typing import Any

MOST_LINES, MOST_POINTS, MOST_LETTERS = 24, 200, 60
Curves = dict[str, Any]


def along(label: str, unit: str = "", log: bool = True) -> dict[str, Any]:
    """Describe an axis: its label, the unit of its numbers, its scale."""
    return {"label": label, "unit": unit, "log": log}


def line(
    name: str,
    at: Iterable[tuple[float, float]],
    of: str = "",
    limit: bool = False,
) -> dict[str, Any]:
    """Describe a line.

    Parameters
    ----------
    name : str
        Lines of one name look alike, on all machines.
    at : iterable of (x, y)
        Its points; sorted here.
    of : str
        What tells it from others of that name.
    limit : bool
        What the machine allows, not what was measured.
    """
    points = sorted([float(x), float(y)] for x, y in at)
    return {"name": name, "of": of, "limit": limit, "at": points}


def curves(
    x: dict[str, Any], y: dict[str, Any], lines: Iterable[dict[str, Any]]
) -> Curves:
    """Put axes and lines together; lines without a point are left out.

    Raises
    ------
    ValueError
        They cannot be drawn: see `drawable`.
    """
    made = {"x": x, "y": y, "lines": [one for one in lines if one["at"]]}
    if not drawable(made):
        raise ValueError(f"these lines cannot be drawn: {made}")
    return made


def drawable(raw: Any) -> bool:
    """Say whether this is what `curves` returns, and not too much of it."""
    return (
        isinstance(raw, dict)
        and raw.keys() == {"x", "y", "lines"}
        and _axis_fits(raw["x"])
        and _axis_fits(raw["y"])
        and isinstance(raw["lines"], list)
        and 0 < len(raw["lines"]) <= MOST_LINES
        and all(_line_fits(one, raw) for one in raw["lines"])
    )


def _axis_fits(axis: Any) -> bool:
    return (
        isinstance(axis, dict)
        and axis.keys() == {"label", "unit", "log"}
        and _short(axis["label"])
        and _short(axis["unit"])
        and isinstance(axis["log"], bool)
    )


def _line_fits(one: Any, raw: Curves) -> bool:
    return (
        isinstance(one, dict)
        and one.keys() == {"name", "of", "limit", "at"}
        and _short(one["name"])
        and _short(one["of"])
        and isinstance(one["limit"], bool)
        and isinstance(one["at"], list)
        and 0 < len(one["at"]) <= MOST_POINTS
        and all(
            isinstance(point, list)
            and len(point) == 2
            and _fits(point[0], raw["x"])
            and _fits(point[1], raw["y"])
            for point in one["at"]
        )
    )


def _short(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MOST_LETTERS


def _fits(value: Any, axis: dict[str, Any]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < math.inf:
        return False
    return value > 0 or not axis["log"]
