"""What a figure that answers is made of: its inputs and its scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drawn import Scene, three


class Unsuitable(ValueError):
    """Inputs from which no picture can be drawn; the message says why."""


@dataclass(frozen=True)
class Input:
    """Something that a reader may set.

    Attributes
    ----------
    name, label : str
        Argument of the scene, and words before the control.
    start : Any
        Value to begin with.
    kind : str
        "slider" or "step" along `options`, "choice" of one of them,
        "number" between `least` and `most`, "text", the text of a "file";
        "fixed" by the page, without a control; or "record", which has no
        value: a record of the topic `start` that fills other inputs.
    text : callable
        Writes an option of a slider.
    """

    name: str
    label: str
    start: Any
    kind: str = "slider"
    options: tuple[Any, ...] = ()
    least: float = 0.0
    most: float = 1e15
    text: Callable[[Any], str] = three

    def read(self, written: str) -> Any:
        """Take a value from a page's source."""
        if self.kind in ("file", "record"):
            raise Unsuitable(f"{self.name}: only a reader can choose a file")
        if self.kind == "fixed":
            return written
        if self.kind == "text":
            return written.replace("\\n", "\n")
        if self.kind == "choice":
            if written not in self.options:
                known = ", ".join(map(str, self.options))
                raise Unsuitable(
                    f"{self.name}: {written!r} is none of {known}"
                )
            return written
        try:
            number = float(written)
        except ValueError:
            raise Unsuitable(
                f"{self.name}: {written!r} is no number"
            ) from None
        if self.kind == "number":
            if not self.least <= number <= self.most:
                raise Unsuitable(
                    f"{self.name}: {written} is not between"
                    f" {self.least:g} and {self.most:g}"
                )
            return number
        if number not in self.options:
            known = ", ".join(f"{one:g}" for one in self.options)
            raise Unsuitable(f"{self.name}: {written} is none of {known}")
        return self.options[self.options.index(number)]


@dataclass(frozen=True)
class Figure:
    """A figure that answers.

    Attributes
    ----------
    title : str
    inputs : tuple of Input
    scene : callable
        From the inputs' values to the scene, by functions of the package.
    functions : tuple of str
        Those functions, as ``{listing}`` would name them.
    code : str
        What a notebook shows instead: a call, with the inputs' values.
    """

    title: str
    inputs: tuple[Input, ...]
    scene: Callable[..., Scene]
    functions: tuple[str, ...]
    code: str

    def values(self, given: dict[str, str]) -> dict[str, Any]:
        """Values to begin with, of which a page's source may give some."""
        known = {one.name: one for one in self.inputs}
        if unknown := given.keys() - known.keys():
            raise Unsuitable(
                f"no input {', '.join(sorted(unknown))}:"
                f" there are {', '.join(known)}"
            )
        valued = [one for one in self.inputs if one.kind != "record"]
        return {one.name: one.start for one in valued} | {
            name: known[name].read(text) for name, text in given.items()
        }


def line(look: str, at: list[tuple[float, float]]) -> dict[str, Any]:
    """Join points."""
    return {"kind": "line", "look": look, "at": [[x, y] for x, y in at]}


def dots(look: str, at: list[tuple[float, float]]) -> dict[str, Any]:
    """Mark points."""
    return {"kind": "dots", "look": look, "at": [[x, y] for x, y in at]}


def rule(look: str, at: float, label: str) -> dict[str, Any]:
    """Draw a line from top to bottom, with words on top."""
    return {"kind": "rule", "look": look, "at": at, "label": label}


def box(
    look: str, across: tuple[float, float], down: tuple[float, float],
    label: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Fill what lies between two places across and two down."""
    return {
        "kind": "box", "look": look, "at": [*across, *down], "label": label,
    }  # fmt: skip


def doubling(most: int, parts: int = 1) -> list[float]:
    """1, 2, 4 … `most`, and so many parts of each step."""
    steps = (most.bit_length() - 1) * parts
    return [2.0 ** (n / parts) for n in range(steps + 1)]
