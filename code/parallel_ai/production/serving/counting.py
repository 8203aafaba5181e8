"""Metrics that stay right with several processes, in Prometheus' format."""

from collections.abc import Iterator, Sequence
from typing import Any

STATUSES = (200, 400, 404, 405, 408, 413, 415, 422, 500, 503, 504)
BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0
)  # fmt: skip
OTHER = "none"  # never a name that a client has made up
FAMILIES = {
    "serving_requests_total": ("counter", "Requests, by their status."),
    "serving_pictures_total": ("counter", "Pictures given to a model."),
    "serving_batches_total": ("counter", "Calls of a model."),
    "serving_waiting": ("gauge", "Pictures that wait for a model."),
    "serving_seconds": ("histogram", "From the head to the answer, of 200s."),
}


def names_of(models: Sequence[str]) -> list[str]:
    """List all samples that there can be, so that each has its place."""
    known = [*models, OTHER]
    return [
        *(
            f'serving_requests_total{{model="{m}",status="{s}"}}'
            for m in known
            for s in STATUSES
        ),
        *(f'serving_pictures_total{{model="{m}"}}' for m in models),
        *(f'serving_batches_total{{model="{m}"}}' for m in models),
        *map(waiting_for, models),
        *(
            f'serving_seconds_bucket{{model="{m}",le="{bound}"}}'
            for m in models
            for bound in (*BOUNDS, "+Inf")
        ),
        *(f'serving_seconds_sum{{model="{m}"}}' for m in models),
    ]


def waiting_for(model: str) -> str:
    """Name the gauge of a model's queue."""
    return f'serving_waiting{{model="{model}"}}'


class Metrics:
    """A table in shared memory: a row for each worker, summed when read.

    A row has one writer, so no lock is needed, and no addition is lost. It
    outlives its worker, and the next one in this place goes on with it: a
    counter never falls.

    Parameters
    ----------
    cells : array of double
        Shared, ``workers * len(names_of(models))`` long.
    row : int
        This worker's.
    """

    def __init__(self, models: Sequence[str], cells: Any, row: int) -> None:
        self.names = names_of(models)
        self.place = {name: i for i, name in enumerate(self.names)}
        self.cells, self.start = cells, row * len(self.names)
        for name in models:  # what waited for a dead worker waits no more
            self.cells[self.start + self.place[waiting_for(name)]] = 0.0

    def add(self, name: str, value: float = 1.0) -> None:
        """Add to a sample of this worker."""
        self.cells[self.start + self.place[name]] += value

    def waiting(self, model: str, pictures: int) -> None:
        """Count what comes into a queue, or, below zero, leaves it."""
        self.add(waiting_for(model), pictures)

    def answered(self, model: str, status: int, seconds: float) -> None:
        """Count an answer, and how long it took if it was a good one."""
        self.add(
            f'serving_requests_total{{model="{model}",status="{status}"}}'
        )
        if status == 200 and model != OTHER:
            bound = next((b for b in BOUNDS if seconds <= b), "+Inf")
            self.add(f'serving_seconds_bucket{{model="{model}",le="{bound}"}}')
            self.add(f'serving_seconds_sum{{model="{model}"}}', seconds)

    def batch(self, model: str, pictures: int) -> None:
        """Count a call of a model."""
        self.add(f'serving_batches_total{{model="{model}"}}')
        self.add(f'serving_pictures_total{{model="{model}"}}', pictures)

    def total(self, name: str) -> float:
        """Sum a sample over all workers."""
        step = len(self.names)
        return sum(self.cells[self.place[name] :: step])

    def text(self) -> str:
        """Write all samples as Prometheus reads them."""
        lines: list[str] = []
        for family, (kind, told) in FAMILIES.items():
            lines += [f"# HELP {family} {told}", f"# TYPE {family} {kind}"]
            wanted = [n for n in self.names if n.startswith(family)]
            lines += self.cumulated(wanted) if kind == "histogram" else [
                f"{name} {self.total(name)}" for name in wanted
            ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def cumulated(self, names: list[str]) -> Iterator[str]:
        """Write a histogram: each bucket counts what is below its bound."""
        below = 0.0
        for name in names:
            value = self.total(name)
            if "_bucket{" not in name:
                yield f"{name} {value}"
                continue
            below += value
            yield f"{name} {below}"
            if 'le="+Inf"' in name:
                model = name.partition('model="')[2].partition('"')[0]
                yield f'serving_seconds_count{{model="{model}"}} {below}'
                below = 0.0
