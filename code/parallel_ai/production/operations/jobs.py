"""The batch job as a program, killed on purpose, and one that appends."""

import argparse
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parallel_ai.production.operations.scoring import (
    Audit,
    Scorer,
    audit,
    matrix_of,
    score_on_dask,
    score_serial,
)
from parallel_ai.toolbox import cluster


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a folder of Parquet; call it again after any accident."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.production.operations",
        description="Score a table of pictures with a model.",
    )
    parser.add_argument("table", type=Path, help="folder of part-*.parquet")
    parser.add_argument("output", type=Path, help="folder of the scores")
    parser.add_argument("model", type=Path, help="file of Serving's model")
    parser.add_argument(
        "--workers", type=int, default=0, help="of Dask; 0: this process"
    )
    told = parser.parse_args(arguments)
    parts = sorted(told.table.glob("part-*.parquet"))
    if not parts:
        parser.error(f"no part-*.parquet in {told.table}")
    try:
        scorer = Scorer.of(told.model)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if told.workers:
        with cluster.local(told.workers) as client:
            for name in score_on_dask(parts, told.output, scorer, client):
                print(name, flush=True)
    else:
        for name in score_serial(parts, told.output, scorer):
            print(name, flush=True)
    return 0


def command(table: Path, output: Path, model: Path) -> list[str]:
    """Write the command of the job."""
    job = "parallel_ai.production.operations"
    return [sys.executable, "-m", job, str(table), str(output), str(model)]


@dataclass(frozen=True)
class Resumed:
    """A job that was killed and started again.

    Attributes
    ----------
    before, after : int
        Partitions that the first one had done, and that the second one did.
    audit : Audit
        Of all outputs in the end.
    """

    before: int
    after: int
    audit: Audit


def killed_and_resumed(
    table: Path, output: Path, model: Path, after: int = 2
) -> Resumed:
    """Kill the job with -9 once it has said so many names; do the rest."""
    run = command(table, output, model)
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as job:  # noqa: S603 - our own command
        assert job.stdout is not None  # noqa: S101 - for mypy
        for _ in range(after):
            job.stdout.readline()
        os.kill(job.pid, signal.SIGKILL)
    parts = sorted(table.glob("part-*.parquet"))
    again = list(score_serial(parts, output, Scorer.of(model)))
    found = audit(parts, sorted(output.glob("*.parquet")))
    return Resumed(len(parts) - len(again), len(again), found)


def append_scores(parts: Sequence[Path], folder: Path, scorer: Scorer) -> None:
    """Do it wrongly: each task adds a file of its own to the folder.

    So do writers whose mode is "append". After a restart nobody can tell
    which rows are there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        table = pq.read_table(part)
        labels = scorer(matrix_of(table)).argmax(axis=1)
        scored = pa.table({"id": table["id"], "label": labels})
        pq.write_table(scored, folder / f"{uuid.uuid4().hex}.parquet")


def appended(
    parts: Sequence[Path], folder: Path, scorer: Scorer, after: int = 2
) -> Audit:
    """Stop the appending job after some partitions, and start it again."""
    append_scores(parts[:after], folder, scorer)
    append_scores(parts, folder, scorer)
    return audit(parts, sorted(folder.glob("*.parquet")))
