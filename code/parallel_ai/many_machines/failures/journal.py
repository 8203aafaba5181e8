"""A journal that outlives the workers: who began what, and who ended it."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def write_line(file: str | Path, text: str) -> None:
    """Append one line to a file into which other processes write, too.

    On a local disk the system puts each write to a file opened for
    appending behind all earlier ones, so lines never mix. Once written, a
    line stays, even if this process is killed in the next moment.
    """
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


def noted(
    journal: str | Path, name: str, function: Callable[..., Any], *args: Any
) -> Any:
    """Call a function, and leave a line before and one after it."""
    write_line(journal, f"begin {name}")
    result = function(*args)
    write_line(journal, f"end {name}")
    return result


@dataclass(frozen=True)
class Tally:
    """What a journal says about the tasks of a job.

    Attributes
    ----------
    tasks : int
        Different tasks that were ended at least once.
    begun : int
        Times that somebody began a task.
    again : int
        Tasks ended once more, though they had been ended before.
    cut_short : int
        Tasks begun and never ended by whoever began them.
    by_kind : dict of str to int
        Of those ended again: how many of each kind, by the first word.
    """

    tasks: int
    begun: int
    again: int
    cut_short: int
    by_kind: dict[str, int]


def tally(journal: str | Path) -> Tally:
    """Count what a journal holds; an absent one holds nothing."""
    path = Path(journal)
    lines = path.read_text("utf8").splitlines() if path.exists() else []
    begun = Counter(x[6:] for x in lines if x.startswith("begin "))
    ended = Counter(x[4:] for x in lines if x.startswith("end "))
    kinds: Counter[str] = Counter()
    for name, times in ended.items():
        kinds[name.partition("-")[0]] += times - 1
    return Tally(
        tasks=len(ended),
        begun=begun.total(),
        again=kinds.total(),
        cut_short=begun.total() - ended.total(),
        by_kind={kind: times for kind, times in kinds.items() if times},
    )
