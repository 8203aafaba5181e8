"""Measure how long Python functions take, and say how sure we are.

The rules: warm up first, repeat, report the median and the quartiles, name
the clock, keep the result alive so that nothing is optimised away. The
chapter *Measuring* gives the reason for each of them.

>>> from parallel_ai.toolbox.stopwatch import measure
>>> measure(sorted, range(1000)).loops > 1
True
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any

SHORT = 1e-3  # seconds: a shorter call is looped
LONG_ENOUGH = 1e-2  # seconds: what such a loop should last at least


@dataclass(frozen=True, repr=False)
class Timing:
    """Repeated measurements of one function.

    Attributes
    ----------
    seconds : tuple of float
        Seconds per call, one for each repeat, in the order measured.
    clock : str
        Name of the clock that was read.
    loops : int
        Calls per repeat; more than 1 only for functions under 1 ms.
    result : Any
        What the last call returned.
    """

    seconds: tuple[float, ...]
    clock: str = "perf_counter"
    loops: int = 1
    result: Any = field(default=None, compare=False)

    @property
    def median(self) -> float:
        """Seconds that half of the repeats did not exceed."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """First quartile, in seconds."""
        return self._quartiles()[0]

    @property
    def high(self) -> float:
        """Third quartile, in seconds."""
        return self._quartiles()[2]

    def _quartiles(self) -> list[float]:
        if len(self.seconds) == 1:
            return [self.seconds[0]] * 3
        return statistics.quantiles(self.seconds, n=4, method="inclusive")

    def __repr__(self) -> str:
        """Write median, quartiles and number of runs for people."""
        scale, unit = _unit(self.median, _SECONDS)
        spread = "–".join(_three(x / scale) for x in (self.low, self.high))
        runs = len(self.seconds)
        return (
            f"{_three(self.median / scale)} {unit} "
            f"({spread}, {runs} run{'s' * (runs > 1)})"
        )


def measure(
    function: Callable[..., Any],
    *args: Any,
    repeats: int = 7,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    **kwargs: Any,
) -> Timing:
    """Time ``function(*args, **kwargs)``.

    Parameters
    ----------
    function : callable
        What to time. Work that it leaves to others (a GPU, a lazy
        generator) is not included: let it wait for its results.
    repeats : int
        Number of measurements, at least 1.
    warmup : int
        Untimed calls before the first measurement, at least 0. Without
        any, the first call is timed cold, and none is looped.
    clock : callable
        Returns seconds: `time.perf_counter` for wall time,
        `time.process_time` for the CPU time of all threads.

    Returns
    -------
    Timing
        Seconds per call. A function under 1 ms is called in a loop of at
        least 10 ms, as `timeit` does, and the time is divided.
    """
    call = partial(function, *args, **kwargs) if args or kwargs else function
    return compare({"": call}, repeats, warmup, clock)[""]


def compare(
    functions: Mapping[str, Callable[[], Any]],
    repeats: int = 7,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time several functions against each other.

    The measurements are interleaved, one round after the other, every
    second round backwards, so that a machine that slows down (heat, a
    neighbour, a clock that falls) does so for all of them alike.

    Parameters
    ----------
    functions : mapping of str to callable
        Functions without arguments, by the label of each.
    repeats, warmup, clock
        As in `measure`.

    Returns
    -------
    dict of str to Timing
        In the order given.

    Raises
    ------
    ValueError
        There are no repeats, or less than no warm-up.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(
            f"need repeats >= 1 and warmup >= 0, got {repeats} and {warmup}"
        )
    for function in functions.values():
        for _ in range(warmup):
            function()
    loops: dict[str, int] = {}
    seconds: dict[str, list[float]] = {label: [] for label in functions}
    results = dict.fromkeys(functions)
    for label in _interleaved(list(functions), repeats):
        results[label] = None  # frees the last result before the clock runs
        if label not in loops and warmup:
            loops[label], taken, results[label] = _calibrate(
                functions[label], clock
            )
        else:
            loops.setdefault(label, 1)  # a cold call cannot be repeated
            taken, results[label] = _run(functions[label], loops[label], clock)
        seconds[label].append(taken / loops[label])
    name = getattr(clock, "__name__", repr(clock))
    return {
        label: Timing(
            tuple(seconds[label]), name, loops[label], results[label]
        )
        for label in functions
    }


def _interleaved(labels: list[str], rounds: int) -> Iterator[str]:
    for number in range(rounds):
        yield from labels if number % 2 == 0 else reversed(labels)


def _run(
    function: Callable[[], Any], loops: int, clock: Callable[[], float]
) -> tuple[float, Any]:
    result = None
    start = clock()
    for _ in repeat(None, loops):
        result = function()
    return clock() - start, result


def _calibrate(
    function: Callable[[], Any], clock: Callable[[], float]
) -> tuple[int, float, Any]:
    """Run a function 1, 2, 5, 10, 20, 50, … times, until that is long enough.

    The wall clock decides, whatever clock the caller wants: a function that
    sleeps uses no CPU time and would be looped for ever.
    """
    loops, enough = 1, SHORT
    while True:
        start = time.perf_counter()
        taken, result = _run(function, loops, clock)
        if time.perf_counter() - start >= enough:
            return loops, taken, result
        loops = loops * 5 // 2 if str(loops)[0] == "2" else loops * 2
        enough = LONG_ENOUGH


_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_BINARY = (
    (2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"),
    (2.0**10, "KiB"), (1.0, "B"),
)  # fmt: skip


def _unit(
    value: float, units: tuple[tuple[float, str], ...]
) -> tuple[float, str]:
    """Find the largest unit of which `value`, as printed, is at least one."""
    for scale, name in units:
        if abs(value) >= 0.9995 * scale:
            return scale, name
    return units[-1]


def _three(number: float) -> str:
    """Three significant digits, or all digits before the point."""
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f}"


def readable(seconds: float) -> str:
    """Write a time for people.

    >>> readable(0.0123)
    '12.3 ms'
    >>> readable(4.7e-8)
    '47.0 ns'
    >>> readable(125)
    '2 min 5 s'
    """
    if seconds == 0:
        return "0 s"
    if abs(seconds) >= 99.95:
        minutes, rest = divmod(round(abs(seconds)), 60)
        return f"{'-' * (seconds < 0)}{minutes} min {rest} s"
    scale, unit = _unit(seconds, _SECONDS)
    return f"{_three(seconds / scale)} {unit}"


def readable_bytes(count: float, binary: bool = False) -> str:
    """Write a number of bytes for people.

    Powers of 1000 (MB) by default, of 1024 (MiB) if `binary`, which is how
    caches and pages are built.

    >>> readable_bytes(800_000_000)
    '800 MB'
    >>> readable_bytes(32768, binary=True)
    '32 KiB'
    """
    scale, unit = _unit(count, _BINARY if binary else _BYTES)
    number = _three(count / scale)
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}"


def count_to(number: int) -> int:
    """Count, one by one, in pure Python, holding the GIL.

    A task that waited for a clock instead would seem to run in parallel
    even where it takes turns: the clock goes on for those that wait.
    """
    count = 0
    for _ in repeat(None, number):
        count += 1
    return count


def count_lasting(seconds: float) -> int:
    """How far `count_to` counts in so many seconds, undisturbed."""
    far = 100_000
    return max(1, round(seconds * far / min(measure(count_to, far).seconds)))
