"""Photographs on storage, classified by all workers, answers as Parquet."""

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators import imagenet
from parallel_ai.accelerators.vision import seeded
from parallel_ai.toolbox import device as devices

if TYPE_CHECKING:  # slow to import, and a rank needs neither
    import pandas as pd
    from distributed import Client

_LOCK = threading.Lock()
_KEPT: dict[Hashable, Any] = {}


@dataclass(frozen=True)
class Split:
    """Numbers of the pictures to learn from, and of those to ask."""

    learn: tuple[int, ...]
    ask: tuple[int, ...]


def split_once(kinds: Sequence[str], held: int, seed: int) -> Split:
    """Hold so many pictures of each kind back, by the seed, in one place.

    Called by the program that starts everything, and passed to all ranks:
    who splits on each worker needs the same seed and the same order there.
    """
    order = np.random.default_rng(seed).permutation(len(kinds))
    seen: dict[str, int] = {}
    learn: list[int] = []
    ask: list[int] = []
    for number in order.tolist():
        kind = kinds[number]
        seen[kind] = seen.get(kind, 0) + 1
        (ask if seen[kind] <= held else learn).append(number)
    return Split(tuple(learn), tuple(ask))


def shard(numbers: Sequence[int], rank: int, size: int) -> list[int]:
    """Every size-th number: each is in one shard, and none is twice."""
    return list(numbers[rank::size])


def once(key: Hashable, make: Callable[[], Any]) -> Any:
    """Make something once in a process, whichever thread asks first.

    `functools.cache` would let two threads make it twice.
    """
    with _LOCK:
        if key not in _KEPT:
            _KEPT[key] = make()
        return _KEPT[key]


def save_model(model: nn.Module, names: Sequence[str], file: Path) -> None:
    """Save a network of `imagenet.own_network`, and what its classes are."""
    state = {"model": model.state_dict(), "names": list(names)}
    torch.save(state, file)


def read_model(file: Path) -> tuple[nn.Module, list[str]]:
    """Read the network, to this process's device."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    names = state["names"]
    model = seeded(lambda: imagenet.own_network(len(names)), 0)
    model.load_state_dict(state["model"])
    return model.eval().to(devices.choose()), names


@dataclass(frozen=True)
class Done:
    """What a task did: rows written, models read, and by which process."""

    part: int
    rows: int
    loads: int
    process: int


def classify_part(
    part: int, paths: Sequence[str], file: Path, out: Path, count: int = 5
) -> Done:
    """Classify some photographs and write the answers, whole or not at all.

    A part whose file is there is not done again. A photograph that cannot
    be read has a row, too: its reason stands in place of an answer.
    """
    import pandas as pd

    target = out / f"part-{part:05}.parquet"
    if target.exists():
        return Done(part, 0, 0, os.getpid())
    loads = []

    def read() -> tuple[nn.Module, list[str]]:
        loads.append(file)
        return read_model(file)

    model, names = once((str(file), file.stat().st_mtime_ns), read)
    decoded = imagenet.decode_serial(paths, imagenet.SMALL, draft=True)
    frame = pd.DataFrame({"path": list(paths)})
    frame["error"] = None
    for fault in decoded.faults:
        frame.loc[frame.path == fault.path, "error"] = fault.reason
    if decoded.kept:
        logits = imagenet.logits_of(model, decoded.pixels)
        chances = imagenet.probabilities(logits).cpu()
        best = imagenet.top(chances, names, count)
        for place in range(min(count, len(names))):
            found = [row[place] for row in best]
            name, chance = f"class_{place + 1}", f"confidence_{place + 1}"
            frame.loc[decoded.kept, name] = [one for one, _ in found]
            frame.loc[decoded.kept, chance] = [value for _, value in found]
    draft = target.with_suffix(f".{os.getpid()}.draft")
    frame.to_parquet(draft, index=False)
    draft.replace(target)
    return Done(part, len(frame), len(loads), os.getpid())


def classify_all(
    client: "Client",
    paths: Sequence[str],
    file: Path,
    out: Path,
    each: int = 32,
) -> list[Done]:
    """Classify photographs on all workers, a task for so many of them.

    Parameters
    ----------
    paths : sequence of str
        Sorted, and the same in each run: a part is known by its number.
    file, out : path
        Of the model, and of the folder to write to; all workers see both.
        Another model wants another folder, since parts that are there stay.
    """
    parts = imagenet.pieces(paths, each)
    futures = client.map(
        classify_part, range(len(parts)), parts, file=file, out=out, pure=False
    )
    done: list[Done] = client.gather(futures)
    return done


def read_answers(out: Path) -> "pd.DataFrame":
    """Read all parts as one frame; drafts are none."""
    import pandas as pd

    files = sorted(out.glob("part-*.parquet"))
    return pd.concat(map(pd.read_parquet, files), ignore_index=True)
