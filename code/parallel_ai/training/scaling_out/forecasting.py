"""Measure one rank's step and its link; forecast what DDP then takes."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.collectives import Link
from parallel_ai.training.scaling_out.overlap import (
    MIB,
    Layer,
    Work,
    simulate,
)

MODELS = {"perceptron": vision.mlp, "CNN": vision.cnn}
CAPS = (MIB // 8, 25 * MIB)  # bytes of a bucket


@dataclass(frozen=True)
class Forecast:
    """One setting: what was forecast, and what DDP took, round by round."""

    model: str
    each: int  # pictures of a rank
    cap: float  # bytes of a bucket
    measured: tuple[float, ...]
    alone: tuple[float, ...]  # without talking
    forecast: tuple[float, ...]
    summed: tuple[float, ...]  # forecast without overlap

    @property
    def error(self) -> float:
        """Relative error, of the least times: others' work only adds."""
        return min(self.forecast) / min(self.measured) - 1


def watch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Part
) -> Work:
    """Take one step and note when each gradient appears.

    On a GPU each note waits for the device, so a step takes a little longer.
    """
    device = batch.images.device
    notes: list[tuple[float, int]] = []

    def note(parameter: torch.Tensor) -> None:
        devices.finish(device)
        notes.append((time.perf_counter(), parameter.nbytes))

    hooks = [
        p.register_post_accumulate_grad_hook(note) for p in model.parameters()
    ]
    try:
        devices.finish(device)
        times = [time.perf_counter()]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch.images), batch.labels)
        devices.finish(device)
        times.append(time.perf_counter())
        loss.backward()
        optimizer.step()
        devices.finish(device)
        end = time.perf_counter()
    finally:
        for hook in hooks:
            hook.remove()
    moments = [times[1], *(moment for moment, _ in notes)]
    forward = (times[1] - times[0]) / len(notes)
    layers = [
        Layer(forward, float(gap), count)
        for gap, (_, count) in zip(np.diff(moments), notes, strict=True)
    ]
    return Work(tuple(reversed(layers)), end - moments[-1])


def link_and_cores(device: torch.device) -> tuple[Link, float]:
    """Be one rank: fit all-reduces, and count the cores that they use.

    Returns
    -------
    tuple
        Latency and seconds a byte *of an all-reduce*; CPU seconds that it
        takes for each second, at most 1.
    """
    begun, used = time.perf_counter(), time.process_time()
    sums = [
        (n, min(dp.reduce_seconds(n, device, 3) for _ in range(5)))
        for n in dp.LENGTHS
    ]
    cores = (time.process_time() - used) / (time.perf_counter() - begun)
    return Link(*dp.fit_alpha_beta(sums)), min(1.0, cores)


def forecast_in_group(
    part: Part, name: str, each: int, steps: int, rounds: int
) -> list[Forecast]:
    """Be one rank: watch, forecast, and take real steps, by turns."""
    device = ranks.device()
    batch = part[:each].to(device)
    model = vision.seeded(MODELS[name], 0).to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    wrapped = {
        cap: DistributedDataParallel(
            model, bucket_cap_mb=cap / MIB, forward_sync_buffers=False
        )
        for cap in CAPS
    }
    link, cores = link_and_cores(device)
    stolen = cores if device.type == "cpu" else 0.0
    rows: dict[float, list[list[float]]] = {cap: [] for cap in CAPS}
    for turn in range(rounds + 1):
        for cap, ddp in wrapped.items():
            found = one_round(ddp, optimizer, batch, steps, link, cap, stolen)
            if turn:  # the first warms up
                rows[cap].append(found)
    return [
        Forecast(name, each, cap, *map(tuple, zip(*found, strict=True)))
        for cap, found in rows.items()
    ]


def one_round(
    ddp: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Part,
    steps: int,
    link: Link,
    cap: float,
    stolen: float,
) -> list[float]:
    """Time steps with DDP and without talking; watch; forecast."""
    device = batch.images.device
    taken = []
    for quiet in (False, True):
        begun = dp.together(device)
        with ddp.no_sync() if quiet else nullcontext():  # type: ignore[operator]
            for _ in range(steps):
                vision.train_step(ddp, optimizer, batch)
        taken.append(dp.slowest(begun, device) / steps)
    with ddp.no_sync():  # type: ignore[operator]
        seen = [watch(ddp, optimizer, batch) for _ in range(steps)]
    work = typical(seen)
    play = partial(simulate, work, link.message, cap)
    guesses = torch.tensor(
        [play(stolen=stolen).seconds, play(overlap=False).seconds],
        device=device,
    )
    dist.all_reduce(guesses, dist.ReduceOp.MAX)  # the slower rank decides
    return [*taken, *guesses.tolist()]


def typical(seen: list[Work]) -> Work:
    """Take the median of each layer's times."""
    forward = np.median([[x.forward for x in w.layers] for w in seen], 0)
    backward = np.median([[x.backward for x in w.layers] for w in seen], 0)
    counts = [one.bytes for one in seen[0].layers]
    update = float(np.median([one.update for one in seen]))
    rows = zip(forward, backward, counts, strict=True)
    return Work(
        tuple(Layer(float(f), float(b), n) for f, b, n in rows), update
    )


def measure_forecasts(
    settings: tuple[tuple[str, int], ...], steps: int = 5, rounds: int = 7
) -> list[Forecast]:
    """Compare forecast and DDP with two ranks, by model and share."""
    most = max(each for _, each in settings)
    part = dp.only_needed(most).train[:most]
    return ranks.run(
        forecasts_in_group, 2, part, settings, steps, rounds, threads=1
    )[0]


def forecasts_in_group(
    part: Part, settings: tuple[tuple[str, int], ...], steps: int, rounds: int
) -> list[Forecast]:
    """Be one rank: all settings, one after the other."""
    found = []
    for name, each in settings:
        found += forecast_in_group(part, name, each, steps, rounds)
    return found


def compare_forecast() -> dict[str, Timing]:
    """Compare DDP's measured step with the forecasts of the same rounds."""
    row = measure_forecasts((("CNN", 32),), steps=8, rounds=9)[0]
    return {
        "measured, 2 ranks": Timing(row.measured),
        "forecast": Timing(row.forecast),
        "forecast without overlap": Timing(row.summed),
        "without talking": Timing(row.alone),
    }


def watch_resnet(
    device: torch.device, batch: int, steps: int = 10, pixels: int = 224
) -> Work:
    """Watch a ResNet-50 on one device, on noise; bfloat16 on a GPU."""
    import torchvision  # here: the ranks need none

    model = torchvision.models.resnet50().to(device)
    images = torch.randn(batch, 3, pixels, pixels, device=device)
    part = Part(images, torch.zeros(batch, dtype=torch.long, device=device))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    half = device.type == "cuda"
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        seen = [watch(model, optimizer, part) for _ in range(steps + 3)]
    return typical(seen[3:])


def record() -> dict[str, Any]:
    """Measure what a prediction needs from one device: a step of ResNet-50."""
    device = devices.choose()
    batch = 256 if device.type == "cuda" else 8
    work = watch_resnet(device, batch)
    return {"device": devices.name(device), "batch": batch, **asdict(work)}


def from_record(data: dict[str, Any]) -> tuple[str, int, Work]:
    """Read device, batch and work back from a record."""
    layers = tuple(Layer(**one) for one in data["layers"])
    return data["device"], data["batch"], Work(layers, data["update"])
