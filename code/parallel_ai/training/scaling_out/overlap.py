"""A step of data-parallel training, played event by event."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from parallel_ai.training.data_parallel import fill_buckets

MIB = 1 << 20


@dataclass(frozen=True)
class Layer:
    """What a layer takes: seconds forwards and backwards, gradient bytes."""

    forward: float
    backward: float
    bytes: float


@dataclass(frozen=True)
class Work:
    """What one rank computes in a step.

    Attributes
    ----------
    layers : tuple of Layer
        In the order of the forward pass.
    update : float
        Seconds of the optimizer's step, and of all else that waits for it.
    """

    layers: tuple[Layer, ...]
    update: float = 0.0

    @property
    def compute(self) -> float:
        """Seconds of a step in which nobody is waited for."""
        passes = sum(one.forward + one.backward for one in self.layers)
        return passes + self.update

    @property
    def bytes(self) -> float:
        """Of the whole gradient."""
        return sum(one.bytes for one in self.layers)

    def share(self, part: float) -> "Work":
        """Take a part of the batch: the passes shrink, the update does not."""
        less = [
            replace(x, forward=part * x.forward, backward=part * x.backward)
            for x in self.layers
        ]
        return replace(self, layers=tuple(less))


@dataclass(frozen=True)
class Span:
    """A lane ("compute" or "link") does something from start to stop."""

    lane: str
    name: str
    start: float
    stop: float


@dataclass(frozen=True)
class Timeline:
    """A step that was played."""

    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        """From the first operation to the last."""
        return max((span.stop for span in self.spans), default=0.0)

    def busy(self, lane: str) -> float:
        """Seconds in which a lane has something to do."""
        mine = (span for span in self.spans if span.lane == lane)
        return sum(span.stop - span.start for span in mine)


class Wire:
    """Carries one bucket at a time; those that come meanwhile wait."""

    def __init__(self, reduce: Callable[[float], float]) -> None:
        self.reduce = reduce
        self.waiting: deque[float] = deque()
        self.until: float | None = None
        self.spans: list[Span] = []

    def start(self, clock: float) -> None:
        """Take the next bucket, if the wire is free and one waits."""
        if self.until is None and self.waiting:
            count = self.waiting.popleft()
            self.until = clock + self.reduce(count)
            name = f"bucket {len(self.spans)}"
            self.spans.append(Span("link", name, clock, self.until))


def operations(
    work: Work, bucket: float, passes: int, narrow: float
) -> Iterator[tuple[str, float, float]]:
    """List what a rank does until the update: name, seconds, bytes to send.

    A bucket can leave with the last gradient that it waits for.
    """
    forward = sum(one.forward for one in work.layers)
    backward = sum(one.backward for one in work.layers)
    for _ in range(passes - 1):  # `no_sync`: these gradients stay
        yield "forward", forward, 0.0
        yield "backward", backward, 0.0
    yield "forward", forward, 0.0
    sizes = [round(narrow * one.bytes) for one in work.layers]
    for members in fill_buckets(sizes, round(bucket)) if sizes else []:
        full = [layer for layer in members if sizes[layer]]
        for layer in members:
            last = bool(full) and layer == full[-1]
            count = sum(sizes[member] for member in full) if last else 0.0
            yield "backward", work.layers[layer].backward, count


def simulate(
    work: Work,
    reduce: Callable[[float], float],
    bucket: float = 25 * MIB,
    overlap: bool = True,
    passes: int = 1,
    narrow: float = 1.0,
    stolen: float = 0.0,
) -> Timeline:
    """Play one step of a rank whose partners do the same at the same time.

    Parameters
    ----------
    reduce : callable
        Seconds of an all-reduce of so many bytes.
    bucket : float
        Bytes at which a bucket takes no further gradient.
    overlap : bool
        Send while the backward pass goes on, or all after it.
    passes : int
        Micro-batches before an update; only the last one sends.
    narrow : float
        Bytes that travel for each byte of gradient: 0.5 for bfloat16.
    stolen : float
        Share of its speed, 0 to 1, that computing loses while a bucket
        travels: cores, memory bandwidth.

    Returns
    -------
    Timeline

    Raises
    ------
    ValueError
        A number is outside of what is said above.
    """
    if passes < 1 or not 0 <= stolen <= 1 or bucket <= 0 or narrow <= 0:
        raise ValueError(
            f"passes {passes}, stolen {stolen}, bucket {bucket}, narrow "
            f"{narrow}: need at least 1, between 0 and 1, more than 0 twice"
        )
    clock, wire, spans = 0.0, Wire(reduce), []
    for name, seconds, count in operations(work, bucket, passes, narrow):
        begun, clock = clock, advance(clock, seconds, wire, overlap, stolen)
        spans.append(Span("compute", name, begun, clock))
        if count:
            wire.waiting.append(count)
    while wire.waiting or wire.until is not None:
        wire.start(clock)
        if wire.until is not None:
            clock, wire.until = max(clock, wire.until), None
    spans.append(Span("compute", "update", clock, clock + work.update))
    return Timeline((*spans, *wire.spans))


def advance(
    clock: float, left: float, wire: Wire, overlap: bool, stolen: float
) -> float:
    """Compute for so many seconds, event by event; return the clock then."""
    while True:
        if overlap:
            wire.start(clock)
        if wire.until is None:
            return clock + left
        pace = 1 - stolen
        if left <= (wire.until - clock) * pace:
            return clock + (left / pace if left else 0.0)
        left -= (wire.until - clock) * pace
        clock, wire.until = wire.until, None
