"""How long does an answer take? Eager, compiled, and in ONNX Runtime."""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators.looking_inside.counting import as_used
from parallel_ai.accelerators.looking_inside.exporting import session, to_onnx
from parallel_ai.accelerators.vision import cnn, seeded
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.curves import Curves, along, curves, line
from parallel_ai.toolbox.stopwatch import Timing, compare, measure

BATCHES = (1, 256)
SIDE = 1_024  # of the matrices that find the processor's best rate
Ways = dict[str, Callable[[], Any]]


def eager_and_runtime(
    model: nn.Module, images: torch.Tensor, path: Path, threads: int
) -> Ways:
    """Prepare one model for one batch: PyTorch's way and ONNX Runtime's.

    Both get the same number of threads; each result is a new array.
    """
    loaded, batch = session(path, threads), images.numpy()

    def eager() -> torch.Tensor:
        with torch.inference_mode():
            return model(images)

    return {
        "eager": eager,
        "ONNX Runtime": lambda: loaded.run(None, {"images": batch}),
    }


def compiled(
    model: nn.Module, images: torch.Tensor
) -> tuple[Callable[[], Any], float]:
    """Compile a model for one size of batch.

    Returns
    -------
    callable, float
        A call that is ready, and the seconds that the first one took.
    """
    faster = torch.compile(model, dynamic=False)
    place = images.device

    def call() -> torch.Tensor:
        with torch.inference_mode():
            result = faster(images)
        devices.finish(place)
        return result

    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    return call, time.perf_counter() - begun


def time_batch(
    size: int, path: Path, repeats: int = 5, threads: int = 1,
    with_compiler: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Time one size of batch in this process, all ways side by side.

    Parameters
    ----------
    path : path
        The ONNX file of such a network.
    threads : int
        For every way the same. With one, nobody waits for a thread that
        another program holds up.

    Returns
    -------
    dict
        `batch`, `first` (seconds of the compiled model's first call),
        `problem` (why there is none), and `seconds` by way.
    """
    model, images = seeded(cnn, 0).eval(), torch.randn(size, 1, 28, 28)
    row: dict[str, Any] = {"batch": size, "first": None, "problem": ""}
    with devices.threads(threads):
        ways = eager_and_runtime(model, images, path, threads)
        if with_compiler:
            try:
                ways["compiled"], row["first"] = compiled(model, images)
            except Exception as error:  # noqa: BLE001 - no C++ compiler, say
                row["problem"] = f"{type(error).__name__}: {error}"[:200]
        timings = compare(ways, repeats=repeats)
    row["seconds"] = {way: list(t.seconds) for way, t in timings.items()}
    return row


def time_elsewhere(
    path: Path, batches: tuple[int, ...] = BATCHES, seconds: float = 280
) -> list[dict[str, Any]]:
    """Time all ways in a process of its own: compiling takes memory.

    Nothing that another process has compiled is used again.

    Raises
    ------
    RuntimeError
        The process failed; with the end of what it said.
    """
    module = "parallel_ai.accelerators.looking_inside"
    command = [sys.executable, "-m", module, "time", str(path)]
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "TORCHINDUCTOR_CACHE_DIR": folder,
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        done = subprocess.run(  # noqa: S603 - our own module
            [*command, *map(str, batches)], env=os.environ | own,
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def best_rate(side: int = SIDE, threads: int = 1) -> float:
    """Measure multiply-adds a second in a large product of matrices."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    one, two = torch.randn(side, side), torch.randn(side, side)
    seconds = min(measure(torch.mm, one, two, repeats=15).seconds)
    torch.set_num_threads(before)
    return side**3 / seconds


def compare_inference(size: int = 1) -> dict[str, Timing | float]:
    """Compare the ways for one size of batch, for `make bench`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cnn.onnx")
        to_onnx(seeded(cnn, 0), torch.randn(2, 1, 28, 28), path)
        [row] = time_elsewhere(path, (size,))
    return {
        way: Timing(tuple(seconds)) for way, seconds in row["seconds"].items()
    }


def on_device(
    size: int, device: torch.device, repeats: int = 7,
    with_compiler: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Time eager and compiled calls on any device, its work waited for."""
    model = seeded(cnn, 0).to(device)
    images = torch.randn(size, 1, 28, 28, device=device)
    first = None
    with as_used(model):
        ways: Ways = {"eager": devices.finished(lambda: model(images), device)}
        if with_compiler:
            ways["compiled"], first = compiled(model, images)
        timings = compare(ways, repeats=repeats)
    return {
        "batch": size,
        "device": devices.name(device),
        "first": first,
        "seconds": {way: list(t.seconds) for way, t in timings.items()},
    }


def record() -> list[dict[str, Any]]:
    """Time all batches on the device that there is, for a record."""
    device = devices.choose()
    return [on_device(size, device) for size in (1, 16, 256, 4_096)]


def drawn(data: list[dict[str, Any]], hardware: dict[str, Any]) -> Curves:
    """Draw the time of a picture by the size of its batch."""
    ways = dict.fromkeys(way for row in data for way in row["seconds"])
    return curves(
        along("pictures in a batch"),
        along("seconds a picture", "s"),
        [
            line(
                way,
                [
                    (row["batch"], float(np.median(seconds)) / row["batch"])
                    for row in data
                    if (seconds := row["seconds"].get(way))
                ],
            )
            for way in ways
        ],
    )
