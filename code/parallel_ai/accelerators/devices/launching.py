"""Work that is only begun: launches, waits, and clocks read too early."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from parallel_ai.toolbox import device as devices


@dataclass(frozen=True)
class Span:
    """Something that went on for a while; seconds of `perf_counter`."""

    worker: str
    name: str
    start: float
    stop: float
    thread: str = ""
    action: str = "compute"


class Stream:
    """A queue of work and one worker: how a GPU takes launches, in small.

    `launch` returns at once. The worker does all in order. An error is kept,
    what was launched behind it is left undone, and `synchronize` raises it.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "stream")
        self._last: Future[None] | None = None
        self._error: BaseException | None = None
        self.spans: list[Span] = []
        self.waits = 0

    def launch(
        self, work: Callable[..., object], *args: Any, name: str = "work"
    ) -> None:
        """Put work into the queue, and don't wait."""
        self._last = self._worker.submit(self._run, work, args, name)

    def _run(
        self, work: Callable[..., object], args: tuple[Any, ...], name: str
    ) -> None:
        if self._error is not None:
            return
        start = time.perf_counter()
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001 - raised by synchronize
            self._error = error
        stop = time.perf_counter()
        self.spans.append(Span("stream", name, start, stop))

    def synchronize(self) -> None:
        """Wait until all that was launched is done; raise what failed."""
        self.waits += 1
        if self._last is not None:
            self._last.result()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the worker, after its work."""
        self._worker.shutdown(wait=True)


def two_clocks(
    launch: Callable[[], object], finish: Callable[[], object]
) -> tuple[float, float]:
    """Time some work twice: until its launch returns, and until it is done.

    Returns
    -------
    tuple of float
        The wrong time and the right one, in seconds.
    """
    begun = time.perf_counter()
    launch()
    launched = time.perf_counter()
    finish()
    return launched - begun, time.perf_counter() - begun


def run_steps(
    stream: Stream,
    steps: int,
    prepare: Callable[[int], Any],
    compute: Callable[[Any], object],
    *,
    wait_each: bool,
) -> list[Span]:
    """Prepare data on the host and launch work for it, step by step.

    Parameters
    ----------
    wait_each : bool
        Wait for the stream in each step, as `loss.item()` does.

    Returns
    -------
    list of Span
        What the host did; what the stream did is in `stream.spans`.
    """
    host: list[Span] = []

    def note(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        host.append(Span("host", name, start, time.perf_counter()))
        return result

    for step in range(steps):
        batch = note("prepare", partial(prepare, step))
        stream.launch(compute, batch, name="compute")
        if wait_each:
            note("wait", stream.synchronize)
    note("wait", stream.synchronize)
    return host


def device_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time work on a device's own clock, after what is queued already.

    On an accelerator two events travel through the queue with the work, so
    that launches of the host are not timed, and nothing waits in between.
    """
    if device.type == "cpu":
        return two_clocks(work, lambda: None)[1]
    start, stop = (
        torch.Event(device=device, enable_timing=True) for _ in range(2)
    )
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1e3


def launch_seconds(device: torch.device, count: int = 300) -> float:
    """Seconds for each of many operations that have nearly nothing to do."""
    tiny = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(count):
            tiny.add_(1)

    runs = [
        two_clocks(many, lambda: devices.finish(device))[1] for _ in range(7)
    ]
    return min(runs) / count


WAITING = {
    "_local_scalar_dense": "item",  # also float(x), bool(x), if x > 0:
    "nonzero": "nonzero",  # its result's shape depends on the numbers
    "masked_select": "masked_select",
    "_unique2": "unique",
    "equal": "equal",
}


class Waits(TorchDispatchMode):
    """Counts the operations that make the host wait for a device.

    They are counted on a CPU too, where they cost nothing: so a test finds
    them without a GPU. `x.tolist()` and NumPy bypass the count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """See each operation before it runs."""
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put_") and any(
            x is not None and x.dtype == torch.bool for x in args[1]
        )
        if masked:
            self.found["index by a mask"] += 1
        elif name in WAITING:
            self.found[WAITING[name]] += 1
        result = func(*args, **(kwargs or {}))
        if name == "_to_copy" and _came_back(args[0], result):
            self.found["copy to the CPU"] += 1
        return result


def _came_back(source: torch.Tensor, result: torch.Tensor) -> bool:
    return source.device.type != "cpu" and result.device.type == "cpu"


def mean_by_item(losses: list[torch.Tensor]) -> float:
    """Add up on the host: one wait for each loss."""
    return sum(loss.item() for loss in losses) / len(losses)


def mean_at_once(losses: list[torch.Tensor]) -> float:
    """Add up on the device, and fetch one number."""
    return torch.stack(losses).mean().item()
