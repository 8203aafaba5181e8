"""Comparisons, each side by side in one run, as ratios with their spread.

A chapter that compares ways to do one thing ends with::

    COMPARISONS = {"mean of 100 million numbers": function}

where the function takes nothing and returns, in order, the reference and
what it is compared with: a `Timing` for each way, and seconds as a plain
number for a limit of the machine. Then::

    python -m parallel_ai.toolbox.benches            # all, or: make bench
    python -m parallel_ai.toolbox.benches mean       # those with that word

prints a table for each and, with ``--folder``, puts it into the record of
this machine that is there. Two records are compared by::

    python -m parallel_ai.toolbox.benches --compare OLD.json NEW.json
"""

import argparse
import importlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.stopwatch import Timing, readable

Way = Timing | float
Ways = dict[str, Way]


def ratio(reference: Way, other: Way) -> tuple[float, float, float]:
    """How many times as fast `other` is as the reference, with its spread.

    Parameters
    ----------
    reference, other : Timing or float
        Measured, or seconds that a limit allows.

    Returns
    -------
    tuple of float
        Ratio of the medians; the least and the greatest ratio that the
        quartiles allow.
    """
    low, middle, high = _seconds(reference)
    least, median, most = _seconds(other)
    return middle / median, low / most, high / least


def _seconds(way: Way) -> tuple[float, float, float]:
    """First quartile, median and third quartile."""
    if isinstance(way, Timing):
        return way.low, way.median, way.high
    return way, way, way


def table(ways: Mapping[str, Way]) -> str:
    """Write a comparison for the terminal; its first way is the reference."""
    reference = next(iter(ways.values()))
    width = max(map(len, ways))
    lines = []
    for name, way in ways.items():
        times, least, most = map(written, ratio(reference, way))
        seconds = f"{readable(_seconds(way)[1]):>8}"
        spread = f" ({least}–{most})" if way is not reference else ""
        lines.append(f"  {name:{width}}  {seconds}  {times:>7} ×{spread}")
    return "\n".join(lines)


def written(times: float) -> str:
    """Write a ratio with as many digits as tell it from another."""
    if times >= 100:
        return f"{times:,.0f}"
    return f"{times:.2f}" if times >= 0.095 else f"{times:.2g}"


def as_json(ways: Mapping[str, Way], module: str) -> dict[str, Any]:
    """Return a comparison fit for JSON: its module, and each way of it.

    A way has a name, the seconds of each run, and whether it is a limit.
    """
    return {
        "module": module,
        "ways": [
            {
                "name": name,
                "seconds": list(way.seconds)
                if isinstance(way, Timing)
                else [float(way)],
                "limit": not isinstance(way, Timing),
            }
            for name, way in ways.items()
        ],
    }


def from_json(results: Mapping[str, Any]) -> dict[str, Ways]:
    """Read what `as_json` wrote, for each title of a record.

    Raises
    ------
    RecordError
        The record's data are not those of comparisons.
    """
    try:
        found = {
            title: {way["name"]: _read(way) for way in comparison["ways"]}
            for title, comparison in results.items()
        }
        if not all(found.values()):
            raise ValueError("a comparison has no ways")
        return found
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as e:
        raise records.RecordError(
            f"not the comparisons of make bench: {type(e).__name__}: {e}"
        ) from e


def _read(way: Mapping[str, Any]) -> Way:
    """Take one way; all else divides by its seconds."""
    seconds = tuple(map(float, way["seconds"]))
    if not seconds or not all(0 < one < math.inf for one in seconds):
        raise ValueError("seconds are positive numbers")
    return seconds[0] if way["limit"] else Timing(seconds)


@dataclass(frozen=True)
class Ratio:
    """One way of a comparison against the comparison's first.

    Attributes
    ----------
    title, name : str
        Of the comparison and of the way.
    times, least, most : float
        How many times as fast as the first way, as `ratio` gives it.
    limit : bool
        Computed from what the machine allows, not measured.
    """

    title: str
    name: str
    times: float
    least: float
    most: float
    limit: bool

    @property
    def lost(self) -> bool:
        """Slower than the first way, beyond the spread of both."""
        return not self.limit and self.most < 1


def ratios(results: Mapping[str, Ways]) -> Iterator[Ratio]:
    """Every way but the first of every comparison."""
    for title, ways in results.items():
        reference, *others = ways.items()
        for name, way in others:
            limit = not isinstance(way, Timing)
            yield Ratio(title, name, *ratio(reference[1], way), limit)


def share_of_limit(ways: Ways) -> float | None:
    """Tell how near the fastest way comes to the nearest limit.

    Returns
    -------
    float or None
        Seconds at the slowest limit over seconds of the fastest way; above
        1 where caches or chance beat the model of the machine. None where a
        comparison names no limit.
    """
    limits = [way for way in ways.values() if not isinstance(way, Timing)]
    measured = [w.median for w in ways.values() if isinstance(w, Timing)]
    return max(limits) / min(measured) if limits and measured else None


def changed(
    old: Mapping[str, Ways], new: Mapping[str, Ways]
) -> list[tuple[Ratio, Ratio]]:
    """Pair the ratios whose spreads have nothing in common.

    Ratios and not seconds are compared, so that a busier machine, which
    slows all ways alike, is no change.
    """
    before = {(r.title, r.name): r for r in ratios(old)}
    pairs = [(before.get((r.title, r.name)), r) for r in ratios(new)]
    return [
        (was, now)
        for was, now in pairs
        if was and (now.least > was.most or now.most < was.least)
    ]


def report(old: records.Record, new: records.Record) -> str:
    """Say for the terminal what changed between two records."""
    before, after = from_json(old.data), from_json(new.data)
    lines = []
    if old.label != new.label:
        lines.append(
            f"Two machines, {old.label} and {new.label}: a change may be"
            " theirs."
        )
    found = changed(before, after)
    for was, now in found:
        word = "faster" if now.times > was.times else "SLOWER"
        lines.append(
            f"{word}  {now.title}: {now.name}\n"
            f"        {_written(was)} before, {_written(now)} now"
        )
    for title in sorted(before.keys() - after.keys()):
        lines.append(f"gone    {title}")
    for title in sorted(after.keys() - before.keys()):
        lines.append(f"new     {title}")
    common = {(r.title, r.name) for r in ratios(before)}
    common &= {(r.title, r.name) for r in ratios(after)}
    lines.append(
        f"{len(found)} of {len(common)} ratios changed beyond their spread,"
        f" from {old.commit or 'an unknown commit'} ({old.date})"
        f" to {new.commit or 'an unknown commit'} ({new.date})"
    )
    return "\n".join(lines)


def _written(ratio: Ratio) -> str:
    least, most = written(ratio.least), written(ratio.most)
    return f"{written(ratio.times)} × ({least}–{most})"


def kept(folder: Path, known: Iterable[str]) -> dict[str, Any]:
    """Find what this machine has measured before, if it still exists.

    Each comparison tells its own date and commit; one that does not has
    those of the record, which are about to change.

    Raises
    ------
    RecordError
        A record in the folder cannot be read.
    """
    here = dict(machine.describe())
    for record in records.read("bench", folder):
        if record.hardware == here:
            whence = {"date": record.date, "commit": record.commit}
            return {
                t: whence | record.data[t] for t in known if t in record.data
            }
    return {}


def main(arguments: list[str] | None = None) -> int:
    """Run the comparisons whose titles hold one of the words, or all."""
    known = records.declared("COMPARISONS")
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.benches",
        description="Compare, side by side, what the book compares.",
    )
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument(
        "--folder", type=Path, help="write a record of the results there"
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("OLD", "NEW"),
        help="say what changed between two such records, and measure nothing",
    )
    wanted = parser.parse_args(arguments)
    if wanted.compare:
        try:
            old, new = map(records.parse, wanted.compare)
            print(report(old, new))
        except records.RecordError as error:
            parser.error(str(error))
        return 0
    titles = [
        title
        for title in known
        if not wanted.words or any(word in title for word in wanted.words)
    ]
    if not titles:
        parser.error(f"nothing fits; there are: {', '.join(known)}")
    print(f"On {machine.cpu()}, {machine.cpus()} CPUs; × times as fast")
    command = "python -m parallel_ai.toolbox.benches " + " ".join(wanted.words)
    try:
        results = kept(wanted.folder, known) if wanted.folder else {}
    except records.RecordError as error:
        parser.error(f"{error}: mend it or move it away")
    failed, path = 0, None
    origin = records.origin()
    for title in titles:
        begun = time.perf_counter()
        try:
            module = importlib.import_module(known[title])
            ways = module.COMPARISONS[title]()
        except Exception as error:  # noqa: BLE001 - go on with the others
            failed += 1
            print(f"\n{title}: {type(error).__name__}: {error}", flush=True)
            continue
        taken = readable(time.perf_counter() - begun)
        print(f"\n{title} ({taken})\n{table(ways)}", flush=True)
        results[title] = as_json(ways, known[title]) | origin
        if wanted.folder:  # each time, so that an interrupted run is kept
            path = records.write(
                "bench", results, command.strip(), wanted.folder
            )
    if path:
        print(path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
