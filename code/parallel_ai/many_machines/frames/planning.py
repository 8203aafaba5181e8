"""What will be done, before it is done: Dask's plan, made readable."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from dask.dataframe.dask_expr.io import ReadParquet

from parallel_ai.many_machines.frames.counting import Reads

WIDTH = 76
# What says nothing about the plan: where the files are, how they are opened.
NOISE = re.compile(
    r" (path|filesystem|kwargs|storage_options|_dataset_info_cache|engine)="
    r"(\[[^\]]*\]|\{[^}]*\}|<[^>]*>|'[^']*'|\S+)"
)


def plan(frame: Any) -> str:
    """Write a frame's tree of operations, the last one first.

    The same as ``frame.pprint()``, without file names, and folded.
    """
    text = io.StringIO()
    with redirect_stdout(text):
        frame.pprint()
    lines = []
    for line in text.getvalue().splitlines():
        line = NOISE.sub("", line).rstrip()
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=indent) or [""]
    return "\n".join(lines)


@dataclass(frozen=True)
class Scan:
    """What one reading of Parquet files is told, after all planning.

    Attributes
    ----------
    columns : tuple of str
        That are read.
    filters : object
        Conditions that the reader itself applies; None for all rows.
    partitions : int
        How many of them.
    """

    columns: tuple[str, ...]
    filters: Any
    partitions: int


def scans(frame: Any) -> list[Scan]:
    """Every reading of Parquet files in the simplified plan of a frame."""
    best = frame.simplify().expr
    return [
        Scan(tuple(scan.columns), scan.operand("filters"), scan.npartitions)
        for scan in best.find_operations(ReadParquet)
    ]


def bytes_for(
    question: Callable[[Any], Any], frame: Any, reads: Reads
) -> tuple[Any, int]:
    """Ask a frame something, and count what the workers read for it.

    Parameters
    ----------
    question : callable
        Takes the frame, returns something lazy.
    frame : dask.dataframe.DataFrame
        Opened with `reads`.

    Returns
    -------
    tuple
        The answer, and the bytes.
    """
    reads.reset()
    answer = question(frame).compute()
    return answer, reads.by_workers
