"""The previous chapter's training, by `run_ddp` and by torchrun."""

import json
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.on_dask.running import run_ddp
from parallel_ai.training.on_dask.telling import tell

if TYPE_CHECKING:
    from distributed import Client

MODULE = "parallel_ai.training.on_dask"
RANKS = 2
LIMIT = 300.0  # seconds for torchrun


def train_fashion(options: dp.Options) -> dict[str, float]:
    """Train as one rank; say when what began, by the clock on the wall."""
    entered = time.time()
    data = dp.only_needed(options.pictures)
    ready = time.time()
    accuracy = dp.train_shared(data, options, ranks.device())
    return {
        "entered": entered, "ready": ready, "done": time.time(),
        "accuracy": accuracy,
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    """Do the same as a rank that torchrun has started."""
    options = dp.Options(**json.loads(arguments[0]))
    with dp.joined():
        times: dict[str, Any] = train_fashion(options)
        tell(**times)


def by_torchrun(options: dp.Options) -> dict[str, float]:
    """Train under torchrun, on loopback; return the times of rank 0.

    Raises
    ------
    RuntimeError
        It failed; the message is torchrun's.
    """
    begun = time.time()
    with tempfile.TemporaryDirectory(prefix="torchrun-") as folder:
        words = dp.torchrun_command(RANKS, Path(folder, "store"))[:-1]
        given = json.dumps(options.__dict__)
        quiet = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        with dp.started_command([*words, MODULE, given], **quiet) as process:
            output, errors = process.communicate(timeout=LIMIT)
    if process.returncode:
        raise RuntimeError(errors)
    said = [line for line in output.splitlines() if line.startswith("{")]
    return _spent(json.loads(said[-1]), begun, options)


def by_dask(client: "Client", options: dp.Options) -> dict[str, float]:
    """Train on workers of a cluster; return the times of rank 0."""
    begun = time.time()
    found = run_ddp(client, train_fashion, options, workers=RANKS)
    return _spent(found[0], begun, options)


def _spent(
    told: dict[str, float], begun: float, options: dp.Options
) -> dict[str, float]:
    seconds = told["done"] - told["ready"]
    return {
        "start": told["entered"] - begun,
        "training": seconds,
        "rate": options.epochs * options.pictures / seconds,
        "end": time.time() - told["done"],
        "accuracy": told["accuracy"],
    }


@cache
def by_turns(repeats: int = 3) -> dict[str, list[dict[str, float]]]:
    """Train under torchrun and by `run_ddp`, by turns.

    Returns
    -------
    dict
        The times of each run, in seconds; the first by `run_ddp`, which
        imports PyTorch on each worker, is apart.
    """
    from parallel_ai.toolbox import cluster  # a rank needs no Dask

    options = dp.Options(pictures=5120)
    found: dict[str, list[dict[str, float]]] = {"torchrun": [], "run_ddp": []}
    with cluster.local(RANKS) as client:
        first = [by_dask(client, options)]
        for _ in range(repeats):
            found["torchrun"].append(by_torchrun(options))
            found["run_ddp"].append(by_dask(client, options))
    return {**found, "run_ddp, first on its workers": first}


def compare_starts() -> dict[str, Any]:
    """Compare what passes until the function begins."""
    return {
        name: Timing(tuple(run["start"] for run in runs))
        for name, runs in by_turns().items()
    }


def compare_trainings() -> dict[str, Any]:
    """Compare the training and evaluation of the same runs."""
    return {
        name: Timing(tuple(run["training"] for run in runs))
        for name, runs in by_turns().items()
        if len(runs) > 1
    }
