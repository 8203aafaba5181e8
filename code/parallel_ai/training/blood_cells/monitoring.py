"""Curves while they grow: rank 0 writes events, anybody reads them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from parallel_ai.training import data_parallel as dp

Result = TypeVar("Result")


@dataclass(frozen=True)
class Point:
    """A number that a training has written.

    Attributes
    ----------
    tag : str
        Which curve.
    written, seen : float
        When, by the writer's clock and by the reader's (seconds of `time`).
    """

    tag: str
    step: int
    value: float
    written: float
    seen: float


class Monitor:
    """Write TensorBoard's events on rank 0, and nothing on the others.

    Parameters
    ----------
    folder : str
        Of this run; empty to write nothing.
    begun : int
        Steps done before, by a run that was killed: what it wrote about
        later steps is void.
    """

    def __init__(self, folder: str, begun: int = 0) -> None:
        self.writer: Any = None
        if folder and dp.position()[0] == 0:
            from torch.utils.tensorboard import SummaryWriter

            purge = begun + 1 if begun else None
            self.writer = SummaryWriter(folder, purge_step=purge, flush_secs=1)

    def write(self, step: int, **values: float) -> None:
        """Add a point to each curve; `a__b` is the curve a/b."""
        if self.writer:
            for name, value in values.items():
                tag = name.replace("__", "/")
                self.writer.add_scalar(tag, value, step)

    def __enter__(self) -> Self:
        """Write while the block runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave whole files behind, also after an error."""
        if self.writer:
            self.writer.close()


class Events:
    """Read a run's events, also while they are written.

    A record that is there in part only, for its writer is at work, is left
    for the next time.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.loaders: dict[Path, Any] = {}

    def new(self) -> list[Point]:
        """Return the points that were written since the last call."""
        from tensorboard.backend.event_processing import event_file_loader
        from tensorboard.util import tensor_util

        found = []
        for file in sorted(self.folder.glob("events.out.tfevents.*")):
            if file not in self.loaders:
                loader = event_file_loader.EventFileLoader(str(file))
                self.loaders[file] = loader
            for event in self.loaders[file].Load():
                for value in event.summary.value:
                    number = tensor_util.make_ndarray(value.tensor)
                    found.append(
                        Point(
                            value.tag, event.step, float(number),
                            event.wall_time, time.time(),
                        )
                    )  # fmt: skip
        return found


def follow(
    folder: str | Path, over: Callable[[], bool], interval: float = 0.2
) -> Iterator[list[Point]]:
    """Give new points as they appear, until it is over and all are read."""
    events = Events(folder)
    while True:
        last = over()  # first: what is written in between is read below
        points = events.new()
        if points:
            yield points
        if last:
            return
        time.sleep(interval)


def watch(
    job: Callable[[], Result],
    folder: str | Path,
    show: Callable[[list[Point]], object],
    interval: float = 1.0,
) -> tuple[Result, list[Point]]:
    """Run a training in a thread, and show its curves while it goes on.

    Parameters
    ----------
    job : callable
        Waits for the training, which happens in other processes.
    show : callable
        Called with all points so far, each time that there are new ones.
    interval : float
        Seconds from one look to the next.
    """
    points: list[Point] = []
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(job)
        for some in follow(folder, training.done, interval):
            points += some
            show(points)
        return training.result(), points


def curve(points: list[Point], tag: str) -> dict[int, float]:
    """Collect a curve by steps; what was written again counts."""
    return {p.step: p.value for p in points if p.tag == tag}
