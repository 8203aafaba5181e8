"""Faults of what is read: records and data files with another byte."""

import gzip
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from parallel_ai.toolbox import datasets, records
from parallel_ai.toolbox.faults import (
    Inject,
    Outcome,
    UnavailableError,
    asked,
    harmed,
)

SAMPLE = {"seconds": [0.25, 1.5e-3], "workers": 2, "words": ["naïve", "ours"]}


def record(times: int, seed: int, how: str = "flipped") -> Iterator[Outcome]:
    """Damage a record: it is refused by name, or nothing of it is changed."""
    chance = random.Random(seed)  # noqa: S311
    with TemporaryDirectory() as folder:
        path = records.write("faults", SAMPLE, "make faults", Path(folder))
        whole, good = path.read_bytes(), records.parse(path)
        for number in range(times):
            path.write_bytes(harmed(whole, how, chance))
            yield asked(
                f"record {how}, number {number}",
                partial(records.parse, path),
                lambda found: found == good,
                records.RecordError,
                path.name,
            )


def data(times: int, seed: int, how: str = "flipped") -> Iterator[Outcome]:
    """Damage one file of a dataset: it is refused, and named.

    In a folder of links to the real files, which stay as they are.

    Raises
    ------
    UnavailableError
        No dataset is on this machine.
    """
    chance = random.Random(seed)  # noqa: S311
    home = _home()
    known = _known(home)
    if not known:
        raise UnavailableError("no dataset is on this machine")
    with TemporaryDirectory() as name, _linked(home, Path(name)) as folder:
        for _ in range(times):
            dataset = chance.choice(sorted(known))
            origin = chance.choice(known[dataset])
            path = folder / origin.relative_to(home)
            whole = path.read_bytes()
            path.unlink()
            path.write_bytes(harmed(whole, how, chance))
            yield asked(
                f"{path.name} of {dataset} {how}",
                partial(datasets.paths, dataset),
                partial(_same, path, whole),
                datasets.DatasetError,
                path.parent.name,  # images are verified by the folder
            )
            path.unlink()
            path.symlink_to(origin)


def _home() -> Path:
    """Folder of the data files of this machine."""
    return Path(os.environ.get(datasets.OFFLINE) or datasets.cache())


def _known(home: Path) -> dict[str, list[Path]]:
    """Files of each dataset that is here, without asking a network."""
    found = {}
    with patch.dict(os.environ, {datasets.OFFLINE: str(home)}):
        for name in datasets.table():
            try:
                found[name] = list(datasets.paths(name).values())
            except datasets.DatasetError:
                continue
    return found


@contextmanager
def _linked(home: Path, folder: Path) -> Iterator[Path]:
    """Let a folder of links to all files be the one that is read."""
    for path in (p for p in home.rglob("*") if p.is_file()):
        link = folder / path.relative_to(home)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    with patch.dict(os.environ, {datasets.OFFLINE: str(folder)}):
        yield folder


def _same(path: Path, whole: bytes, _: object) -> bool:
    """Whether what is packed in a file is the same, whatever its head says."""
    if path.suffix != ".gz":
        return path.read_bytes() == whole
    return gzip.decompress(path.read_bytes()) == gzip.decompress(whole)


KINDS: dict[str, tuple[Inject, int]] = {
    "one bit of a record flipped": (record, 200),
    "record cut off": (partial(record, how="cut"), 50),
    "one bit of a data file flipped": (data, 40),
    "data file cut off": (partial(data, how="cut"), 20),
}
