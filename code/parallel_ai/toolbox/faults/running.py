"""All kinds of faults, one after the other, in one table and one record."""

import argparse
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.faults import (
    Count,
    Inject,
    building,
    counted,
    disks,
    fuzzing,
    reading,
    table,
    working,
)
from parallel_ai.toolbox.stopwatch import readable

Kinds = Mapping[str, tuple[Inject, int]]
KINDS: Kinds = {
    **building.KINDS,
    **disks.KINDS,
    **reading.KINDS,
    **working.KINDS,
    **fuzzing.KINDS,
}


def run(kinds: Kinds, seed: int = 0) -> list[Count]:
    """Inject all faults of the kinds; say what came of each kind."""
    found = []
    for kind, (inject, times) in kinds.items():
        one = counted(kind, inject, times, seed)
        said = one.skipped or f"{one.injected}, lost {len(one.lost)}"
        print(f"{kind}: {said} ({readable(one.seconds)})", flush=True)
        for text in one.lost:
            print(f"LOST  {text}", flush=True)
        found.append(one)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Inject the faults whose kinds hold one of the words, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.faults",
        description="Inject faults, and count what is lost by them.",
    )
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, help="write a record of the counts there"
    )
    wanted = parser.parse_args(arguments)
    chosen = {
        kind: how
        for kind, how in KINDS.items()
        if not wanted.words or any(word in kind for word in wanted.words)
    }
    if not chosen:
        parser.error(f"nothing fits; there are: {', '.join(KINDS)}")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As after `make faults &`: what we start would be deaf to it, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"On {machine.cpu()}, {machine.cpus()} CPUs, seed {wanted.seed}")
    found = run(chosen, wanted.seed)
    print(f"\n{table(found)}")
    if wanted.folder:
        data = {"seed": wanted.seed, "counts": [asdict(one) for one in found]}
        words = " ".join(
            ["python -m parallel_ai.toolbox.faults", *wanted.words]
        )
        print(records.write("faults", data, words, wanted.folder))
    return 1 if any(one.lost for one in found) else 0
