"""Comparisons, each side by side in one run, as ratios with their spread.

A chapter that compares ways to do one thing ends with::

    COMPARISONS = {"mean of 100 million numbers": function}

where the function takes nothing and returns, in order, the reference and
what it is compared with: a `Timing` for each way, and seconds as a plain
number for a limit of the machine. Then

    python -m parallel_ai.toolbox.benches            # all, or: make bench
    python -m parallel_ai.toolbox.benches mean       # those with that word

prints a table for each and, with ``--folder``, writes a record of them.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.stopwatch import Timing, readable

Way = Timing | float


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
        times, least, most = ratio(reference, way)
        seconds = f"{readable(_seconds(way)[1]):>8}"
        spread = f" ({least:.2f}–{most:.2f})" if way is not reference else ""
        lines.append(f"  {name:{width}}  {seconds}  {times:7.2f} ×{spread}")
    return "\n".join(lines)


def as_json(ways: Mapping[str, Way]) -> list[dict[str, Any]]:
    """Return a comparison fit for JSON: name, seconds of each run, limit."""
    return [
        {
            "name": name,
            "seconds": list(way.seconds)
            if isinstance(way, Timing)
            else [float(way)],
            "limit": not isinstance(way, Timing),
        }
        for name, way in ways.items()
    ]


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
    wanted = parser.parse_args(arguments)
    titles = [
        title
        for title in known
        if not wanted.words or any(word in title for word in wanted.words)
    ]
    if not titles:
        parser.error(f"nothing fits; there are: {', '.join(known)}")
    print(f"On {machine.cpu()}, {machine.cpus()} CPUs; × times as fast")
    results, failed = {}, 0
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
        results[title] = as_json(ways)
    if wanted.folder and results:
        command = "python -m parallel_ai.toolbox.benches " + " ".join(
            wanted.words
        )
        print(records.write("bench", results, command.strip(), wanted.folder))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
