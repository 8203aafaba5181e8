"""What a device can reach at most: by its data sheet, and measured."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import measure

TERA, GIGA = 1e12, 1e9
PATIENCE = 0.1  # seconds, for one product of a format


@dataclass(frozen=True)
class Peaks:
    """The limits of a device.

    Attributes
    ----------
    name : str
        Of the device.
    rates : mapping of str to float
        Operations a second of dense matrix products, by number format.
    memory : float
        Bytes a second between the device and its own memory.
    link : float or None
        Bytes a second, each way, between it and the CPU's memory; None for
        the CPU itself.
    source : str
        Where the numbers come from.
    """

    name: str
    rates: Mapping[str, float]
    memory: float
    link: float | None = None
    source: str = "measured"

    def ridge(self, kind: str = "float32") -> float:
        """Operations a byte from which on arithmetic decides."""
        return self.rates[kind] / self.memory

    def attainable(
        self, intensity: float | np.ndarray, kind: str = "float32"
    ) -> np.ndarray:
        """Operations a second that the two roofs leave (the roofline)."""
        slanted = self.memory * np.asarray(intensity, float)
        return np.minimum(self.rates[kind], slanted)


# Dense products. Where a data sheet prints the rate "with sparsity", it is
# halved. A link's bytes are those of one direction.
DATA_SHEETS = {
    peaks.name: peaks
    for peaks in (
        Peaks(
            "NVIDIA T4",
            {"float32": 8.1 * TERA, "float16": 65 * TERA},
            320 * GIGA, 16 * GIGA, "nvidiat4",
        ),
        Peaks(
            "NVIDIA A100 SXM 80 GB",
            {
                "float64": 19.5 * TERA, "float32": 19.5 * TERA,
                "tf32": 156 * TERA, "bfloat16": 312 * TERA,
                "float16": 312 * TERA,
            },
            2039 * GIGA, 32 * GIGA, "nvidiaa100",
        ),
        Peaks(
            "NVIDIA H200 SXM",
            {
                "float64": 67 * TERA, "float32": 67 * TERA,
                "tf32": 494 * TERA, "bfloat16": 989 * TERA,
                "float16": 989 * TERA, "float8": 1979 * TERA,
            },
            4800 * GIGA, 64 * GIGA, "nvidiah200",
        ),
        Peaks(
            "AMD MI300X",
            {
                "float64": 163.4 * TERA, "float32": 163.4 * TERA,
                "tf32": 653.7 * TERA, "bfloat16": 1307.4 * TERA,
                "float16": 1307.4 * TERA, "float8": 2614.9 * TERA,
            },
            5300 * GIGA, 64 * GIGA, "amdmi300x",
        ),
    )
}  # fmt: skip


@contextmanager
def precision(kind: str) -> Iterator[torch.dtype]:
    """Give the type in which a format is stored, and allow TF32 if asked.

    TF32 is no type of PyTorch: its numbers are stored as float32, and a
    GPU's matrix units round them when they read them.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    try:
        yield torch.float32 if kind == "tf32" else getattr(torch, kind)
    finally:
        torch.set_float32_matmul_precision(before)


def fastest(
    job: Callable[[], object], device: torch.device, repeats: int = 5
) -> float:
    """Seconds of a job that waits for its device; the best of some runs.

    A limit wants the least time, not the usual one: whatever disturbs a run
    makes it longer.
    """
    timing = measure(devices.finished(job, device), repeats=repeats)
    return min(timing.seconds)


def product_rate(
    kind: str, size: int, device: torch.device, repeats: int = 5
) -> float:
    """Operations a second of a product of square matrices."""
    with precision(kind) as dtype:
        a, b = (torch.randn(size, size, device=device) for _ in range(2))
        a, b = a.to(dtype), b.to(dtype)
        return 2 * size**3 / fastest(lambda: a @ b, device, repeats)


def stream_size(device: torch.device) -> int:
    """Numbers of float32 of which no cache holds two lists."""
    if device.type != "cpu":
        return 1 << 28
    wanted = max(machine.caches().values(), default=1 << 26)
    return min(max(wanted, 1 << 27), 3 << 27, machine.memory() // 8) // 4


def memory_rate(
    device: torch.device, count: int | None = None, repeats: int = 5
) -> float:
    """Bytes a second to and from memory: the best of a copy and of a sum.

    Parameters
    ----------
    count : int, optional
        Numbers of float32 that are read. Few of them lie in a cache, and
        then it is the cache's rate. By default so many that none does.
    """
    source = torch.ones(count or stream_size(device), device=device)
    target = torch.empty_like(source)
    copy = fastest(lambda: target.copy_(source), device, repeats)
    read = fastest(source.sum, device, repeats)
    return max(2 * source.nbytes / copy, source.nbytes / read)


def link_rate(device: torch.device, size: int = 1 << 26) -> float | None:
    """Bytes a second from the CPU's pinned memory to the device."""
    if device.type == "cpu":
        return None
    source = torch.ones(size // 4).pin_memory()
    return size / fastest(lambda: source.to(device), device)


def measured_peaks(
    device: torch.device,
    kinds: tuple[str, ...] = ("float32", "float64", "bfloat16", "float16"),
    sizes: tuple[int, ...] = (128, 512, 1024),
) -> Peaks:
    """Measure a device's roofs with PyTorch's own operations.

    The flat roof of a format is the best product of all sizes: what a
    library reaches, which is a little less than what the device could. On a
    CPU one thread is tried, too: on a busy machine it may beat all of them,
    of which one has no CPU and is waited for. A format without a unit, which
    is imitated a number at a time, is as slow at any size: of it no product
    is tried that would take longer than a tenth of a second.
    """
    everyone = torch.get_num_threads()
    rates, memory = dict.fromkeys(kinds, 0.0), 0.0
    for count in {1, everyone} if device.type == "cpu" else {everyone}:
        with devices.threads(count):
            memory = max(memory, memory_rate(device))
            for kind in kinds:
                for size in sizes:
                    best = rates[kind]
                    if not best or 2 * size**3 / best < PATIENCE:
                        found = product_rate(kind, size, device)
                        rates[kind] = max(best, found)
    return Peaks(devices.name(device), rates, memory, link_rate(device))


def share_of_sheet(name: str, rates: Mapping[str, float]) -> dict[str, float]:
    """Divide measured rates by those of the data sheet of a device.

    Parameters
    ----------
    name : str
        As PyTorch tells it, `NVIDIA H200`; a data sheet's name begins so.

    Returns
    -------
    dict of str to float
        Fraction of the peak by format; empty without a data sheet.
    """
    for known, sheet in DATA_SHEETS.items():
        if known.startswith(name):
            both = rates.keys() & sheet.rates.keys()
            return {kind: rates[kind] / sheet.rates[kind] for kind in both}
    return {}
