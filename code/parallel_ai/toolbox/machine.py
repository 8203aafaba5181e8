"""What this process may use of the machine that it runs on.

``os.cpu_count()`` counts the machine's CPUs, not those that a container, a
batch system or ``taskset`` left to this process. The chapter *Measuring*
shows the difference.
"""

import math
import os
import platform
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil

SYSTEM = Path("/")  # tests put a made-up machine here


def cpus() -> int:
    """Logical CPUs that this process may really keep busy, at least 1.

    The least of: the CPUs that the machine has, those that the process may
    run on (its affinity), and the CPU time that its control groups grant,
    rounded up. `os.process_cpu_count` (Python 3.13) knows the first two.
    """
    return max(1, math.ceil(min(affinity(), quota())))


def affinity() -> int:
    """CPUs on which the operating system may run this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    if hasattr(psutil.Process, "cpu_affinity"):  # Windows
        return len(psutil.Process().cpu_affinity() or ())
    return os.cpu_count() or 1  # macOS has no affinity


def quota() -> float:
    """CPUs' worth of time that control groups grant, or infinity.

    Linux charges a group's CPU time against a quota for each period, and
    stops the group until the next period once it is used up. Every group on
    the way to the root counts.

    Notes
    -----
    https://docs.kernel.org/admin-guide/cgroup-v2.html (``cpu.max``) and
    https://docs.kernel.org/scheduler/sched-bwc.html (version 1).
    """
    granted = math.inf
    for group in _groups("cpu"):
        match _words(group / "cpu.max"):
            case [limit, period] if limit != "max":
                granted = min(granted, int(limit) / int(period))
        limits = _words(group / "cpu.cfs_quota_us")
        periods = _words(group / "cpu.cfs_period_us")
        if limits and periods and int(limits[0]) > 0:
            granted = min(granted, int(limits[0]) / int(periods[0]))
    return granted


def cores() -> int:
    """Physical cores of the machine, of which each may run several threads.

    Never more than the CPUs of the machine; their number if unknown.
    """
    logical = os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or logical, logical)


def memory() -> int:
    """Bytes that this process can take now without swapping.

    The least of: free memory (with what the system can drop at once), what
    the control groups' limits leave, and ``$PARALLEL_AI_MEMORY`` ("2GB"),
    with which anyone sees the book as a smaller machine would run it.
    """
    free = [psutil.virtual_memory().available, _memory_wanted()]
    free += [limit - used for limit, used in _memory_limits()]
    return max(0, int(min(free)))


def memory_limit() -> int:
    """Bytes that this process could take if nobody else took any."""
    total = [psutil.virtual_memory().total, _memory_wanted()]
    total += [limit for limit, _ in _memory_limits()]
    return int(min(total))


def _memory_wanted() -> float:
    text = os.environ.get("PARALLEL_AI_MEMORY", "").strip()
    if not text:
        return math.inf
    units = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.lower())
    if not found:
        raise ValueError(
            f"PARALLEL_AI_MEMORY={text!r}: write a size such as 2GB or 512MiB"
        )
    number, unit, binary = found.groups()
    size = units[unit] if not binary else 1024 ** "kmgt".index(unit or "k")
    return float(number) * (size * 1024 if binary and unit else size)


def _memory_limits() -> Iterator[tuple[int, int]]:
    """Limit of each control group that has one, and what of it is taken."""
    for group in _groups("memory"):
        limit = _words(group / "memory.max") or _words(
            group / "memory.limit_in_bytes"
        )
        used = _words(group / "memory.current") or _words(
            group / "memory.usage_in_bytes"
        )
        if limit and used and limit[0] != "max":
            # Pages of files do not count: they go when memory is short.
            # Version 1 tells them twice, the group with all below it last.
            cached = re.findall(
                r"^(?:total_)?inactive_file (\d+)",
                _read(group / "memory.stat"),
                re.MULTILINE,
            )
            yield int(limit[0]), int(used[0]) - int((cached or [0])[-1])


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of all those around it."""
    mount = SYSTEM / "sys/fs/cgroup"
    for line in _read(SYSTEM / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2, alone or beside version 1
            roots = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            roots = [mount / controllers, mount / controller]
        else:
            continue
        below = Path(path.lstrip("/"))
        if ".." in below.parts:  # a group outside this container
            below = Path()
        for root in roots:
            yield from (root / part for part in [below, *below.parents])


def caches() -> dict[int, int]:
    """Bytes of the data cache of each level that one core can reach.

    Empty where the system does not tell.
    """
    sizes: dict[int, int] = {}
    folder = SYSTEM / "sys/devices/system/cpu/cpu0/cache"
    for index in sorted(folder.glob("index*")):
        size = re.fullmatch(r"(\d+)([KMG]?)", _read(index / "size").strip())
        kind = _read(index / "type").strip()
        if size and kind in ("Data", "Unified"):
            level = int(_read(index / "level"))
            sizes[level] = int(size[1]) * 1024 ** " KMG".index(size[2] or " ")
    if not sizes and not sys.platform.startswith("linux"):
        names = ("l1_data_cache_size", "l2_cache_size", "l3_cache_size")
        found = {
            level: _cpu_info().get(name)
            for level, name in enumerate(names, start=1)
        }
        sizes = {k: v for k, v in found.items() if isinstance(v, int)}
    return sizes


@cache
def cpu() -> str:
    """Name of the processor, as its maker writes it."""
    for name in ("model name", "Model"):  # the second: a Raspberry Pi
        found = re.search(
            rf"^{name}\s*:\s*(.+)$",
            _read(SYSTEM / "proc/cpuinfo"),
            re.MULTILINE,
        )
        if found:
            return " ".join(found[1].split())
    return str(_cpu_info().get("brand_raw") or platform.machine())


@cache
def _cpu_info() -> dict[str, object]:
    import cpuinfo  # asks the processor itself, and takes a second

    return dict(cpuinfo.get_cpu_info())


def describe() -> dict[str, str | int]:
    """Describe this machine in a few words and numbers, fit for JSON.

    Returns
    -------
    dict
        cpu (name), cpus (usable, see `cpus`), cores (physical), memory
        (bytes, see `memory_limit`), system, python.
    """
    return {
        "cpu": cpu(),
        "cpus": cpus(),
        "cores": cores(),
        "memory": memory_limit(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _words(file: Path) -> list[str]:
    return _read(file).split()


def _read(file: Path) -> str:
    """Return the text of a file of the system, empty if there is none."""
    try:
        return file.read_text("utf8", "replace")
    except OSError:
        return ""
