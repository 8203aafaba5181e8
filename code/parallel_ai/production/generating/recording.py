"""Tokens a second on the device that there is, for pages and records."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from parallel_ai.accelerators.devices import (
    Peaks,
    fastest,
    memory_rate,
    product_rate,
    share_of_sheet,
)
from parallel_ai.production.generating.costs import pass_work
from parallel_ai.production.generating.decoder import Decoder, random_model
from parallel_ai.production.generating.decoding import (
    with_cache,
    without_cache,
)
from parallel_ai.production.generating.loads import requests_of
from parallel_ai.production.generating.sampling import GREEDY
from parallel_ai.production.generating.scheduling import (
    one_by_one,
    serve_model,
)
from parallel_ai.production.generating.shapes import Config
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import Timing, compare

# Weights that no cache of a usual CPU holds; and some for a GPU.
WIDE = Config(width=512, depth=8, heads=8, context=1024)
HUGE = Config(width=4096, depth=16, heads=32, shared=4, context=2048)
ROWS = (1, 2, 4, 8, 16, 32)
PROMPTS = (1, 4, 16, 64, 256)
BEFORE = 128  # tokens that a row has when its decoding is timed


def roofs(
    device: torch.device, kind: str = "float32", size: int | None = None
) -> Peaks:
    """Measure what passes are held against: products and memory.

    Parameters
    ----------
    size : int, optional
        Bytes that are read: as many as the weights have, so that the same
        caches help. By default more than any cache holds.
    """
    sizes = (512, 1024) if device.type == "cpu" else (4096, 8192)
    rates = {kind: max(product_rate(kind, n, device) for n in sizes)}
    count = None if size is None else size // 4
    return Peaks(devices.name(device), rates, memory_rate(device, count))


@torch.inference_mode()
def token_seconds(
    model: Decoder, count: int, cached: bool, repeats: int = 3
) -> list[float]:
    """Time each token of an answer, as the answer grows.

    Returns
    -------
    list of float
        Seconds of each of `count` tokens; the best of some answers.
    """
    device = model.head.weight.device
    best = [float("inf")] * count
    for _ in range(repeats):
        cache = model.cache(room=count) if cached else None
        text = torch.ones(1, count, dtype=torch.int64, device=device)
        for i in range(count):
            begun = time.perf_counter()
            model(text[:, i if cached else 0 : i + 1], cache)
            devices.finish(device)
            best[i] = min(best[i], time.perf_counter() - begun)
    return best


@torch.inference_mode()
def decode_seconds(
    model: Decoder, rows: int, before: int = BEFORE, repeats: int = 5
) -> float:
    """Time a step of decoding for so many rows; the best of some."""
    device = model.head.weight.device
    cache = model.cache(rows, before + 1)
    new = torch.ones(rows, 1, dtype=torch.int64, device=device)

    def step() -> torch.Tensor:
        cache.lengths[:] = before
        return model(new, cache)

    return fastest(step, device, repeats)


@torch.inference_mode()
def prefill_seconds(model: Decoder, tokens: int, repeats: int = 3) -> float:
    """Time a prompt of so many tokens; the best of some."""
    device = model.head.weight.device
    cache = model.cache(1, tokens)
    new = torch.ones(1, tokens, dtype=torch.int64, device=device)

    def step() -> torch.Tensor:
        cache.lengths[:] = 0
        return model(new, cache)

    return fastest(step, device, repeats)


def higher(one: Peaks, other: Peaks) -> Peaks:
    """Take the higher roofs: a disturbed measurement is too low."""
    rates = {kind: max(r, other.rates[kind]) for kind, r in one.rates.items()}
    return Peaks(one.name, rates, max(one.memory, other.memory))


def on_the_roofline(
    model: Decoder,
    rows: Sequence[int] = ROWS,
    prompts: Sequence[int] = PROMPTS,
    before: int = BEFORE,
) -> tuple[Peaks, list[dict[str, Any]]]:
    """Time prefill and decode between two measurements of the roofs.

    Returns
    -------
    tuple of Peaks and list of dict
        ``pass`` (prefill or decode), ``size`` (tokens, or rows),
        ``seconds``, ``rate`` in tokens a second, ``intensity``,
        ``operations`` a second, ``share`` of what the roofs allow.
    """
    config, size = model.config, model.head.weight.element_size()
    first = _roofs(model)
    passes = {
        ("prefill", n): (
            prefill_seconds(model, n),
            pass_work(config, 1, n, 0, size),
        )
        for n in prompts
    } | {
        ("decode", n): (
            decode_seconds(model, n, before),
            pass_work(config, n, 1, before, size),
        )
        for n in rows
    }
    peaks = higher(first, _roofs(model))
    return peaks, [
        {
            "pass": name,
            "size": n,
            "seconds": seconds,
            "rate": n / seconds,
            "intensity": work.intensity,
            "operations": work.operations / seconds,
            "share": work.seconds(peaks, _kind(model)) / seconds,
        }
        for (name, n), (seconds, work) in passes.items()
    ]


def _wide() -> Decoder:
    device = devices.choose()
    gpu = device.type == "cuda"
    dtype = torch.bfloat16 if gpu else torch.float32
    return random_model(HUGE if gpu else WIDE, device, dtype)


def compare_cache(
    count: int = 64, repeats: int = 3, model: Decoder | None = None
) -> dict[str, Timing | float]:
    """Generate the same tokens without a cache and with one."""
    model = model or _wide()
    device = model.head.weight.device
    jobs = {
        name: devices.finished(
            partial(way, model, [1] * 8, count, stop=None), device
        )
        for name, way in (
            ("without a cache", without_cache),
            ("with a cache", with_cache),
        )
    }
    peaks = _roofs(model)
    size = model.head.weight.element_size()
    least = sum(
        pass_work(model.config, 1, 1, 8 + i, size).seconds(peaks, _kind(model))
        for i in range(count)
    )
    return {**compare(jobs, repeats), "limit: weights and cache read": least}


def compare_batching(
    count: int = 24,
    most: int = 32,
    slots: int = 8,
    repeats: int = 3,
    model: Decoder | None = None,
) -> dict[str, Timing | float]:
    """Answer the same requests one by one, in static batches, continuously."""
    model = model or _wide()
    requests = [
        replace(request, how=GREEDY)
        for request in requests_of(count, most=most)
    ]
    jobs = {
        "one by one": partial(one_by_one, model, requests),
        "static batches": partial(
            serve_model, model, requests, slots, continuous=False
        ),
        "continuous batches": partial(serve_model, model, requests, slots),
    }
    return {**compare(jobs, repeats)}


def _roofs(model: Decoder) -> Peaks:
    """Roofs for the model's numbers, and for as many bytes as it has."""
    weight = model.head.weight
    size = model.config.matrices * weight.element_size()
    return roofs(weight.device, _kind(model), size)


def _kind(model: Decoder) -> str:
    return str(model.head.weight.dtype).removeprefix("torch.")


def record(
    config: Config | None = None,
    rows: Sequence[int] | None = None,
    prompts: Sequence[int] | None = None,
    count: int = 64,
) -> dict[str, Any]:
    """Measure prefill, decode, cache and batches on the device here.

    Parameters
    ----------
    config : Config, optional
        By default `HUGE` in bfloat16 on a GPU, `WIDE` in float32 elsewhere.
    """
    device = devices.choose()
    gpu = device.type == "cuda"
    config = config or (HUGE if gpu else WIDE)
    dtype = torch.bfloat16 if gpu else torch.float32
    model = random_model(config, device, dtype)
    peaks, points = on_the_roofline(
        model,
        rows or ((*ROWS, 64, 128, 256) if gpu else ROWS),
        prompts or ((*PROMPTS, 512, 1024) if gpu else PROMPTS),
        min(BEFORE, config.context - 1),
    )
    ways = {
        "cache": compare_cache(count, 1, model),
        "batching": compare_batching(24, count, 8, 1, model),
    }
    return {
        "device": peaks.name,
        "config": asdict(config),
        "kind": _kind(model),
        "peaks": asdict(peaks),
        "share of the data sheet": share_of_sheet(peaks.name, peaks.rates),
        "points": points,
        "ways": {
            title: {
                name: way.median if isinstance(way, Timing) else way
                for name, way in found.items()
            }
            for title, found in ways.items()
        },
    }
