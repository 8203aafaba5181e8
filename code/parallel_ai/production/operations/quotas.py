"""How many threads: what a container grants, what libraries take instead."""

import contextlib
import inspect
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds: no program here lasts longer
PERIOD = 0.1  # seconds: what Linux and all orchestrators take for a quota
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "PYTHON_CPU_COUNT",
)


def threads_for(quota: float, processes: int) -> int:
    """Say how many threads each process of a service may have, at least 1.

    Parameters
    ----------
    quota : float
        CPUs' worth of time that the container is granted; fractions count.
    processes : int
        That work at the same time.

    Returns
    -------
    int
        Rounded down: a thread too many is paid by all with standstills.

    Raises
    ------
    ValueError
        There is no quota, or no process.
    """
    if quota <= 0 or processes < 1:
        raise ValueError(f"no quota of {quota} for {processes} processes")
    return max(1, int(quota / processes))


def environment_for(threads: int) -> dict[str, str]:
    """Write the variables that libraries read, once, when they are loaded."""
    return dict.fromkeys(VARIABLES, str(threads))


def cpu_sets(cpus: Sequence[int], processes: int) -> list[list[int]]:
    """Give each process CPUs of its own, as evenly as can be.

    Parameters
    ----------
    cpus : sequence of int
        That this process may use: `os.sched_getaffinity(0)`.

    Returns
    -------
    list of list of int
        Disjoint, and together all of them; with more processes than CPUs
        they share.

    Raises
    ------
    ValueError
        There are no CPUs, or no process.
    """
    if not cpus or processes < 1:
        raise ValueError(f"no CPUs of {list(cpus)} for {processes} processes")
    ordered = sorted(cpus)
    if processes > len(ordered):
        return [[ordered[i % len(ordered)]] for i in range(processes)]
    step, rest = divmod(len(ordered), processes)
    sets, first = [], 0
    for number in range(processes):
        last = first + step + (number < rest)
        sets.append(ordered[first:last])
        first = last
    return sets


def defaults() -> None:
    """Be a program that nobody has told anything; print what it takes."""
    import json
    import os

    import joblib
    import torch
    from sklearn.linear_model import LogisticRegression  # loads OpenMP
    from threadpoolctl import threadpool_info

    from parallel_ai.toolbox import machine

    assert LogisticRegression  # noqa: S101 - imported for its libraries
    found = {"os.cpu_count()": os.cpu_count()}
    if hasattr(os, "sched_getaffinity"):
        found["sched_getaffinity"] = len(os.sched_getaffinity(0))
    if hasattr(os, "process_cpu_count"):
        found["os.process_cpu_count()"] = os.process_cpu_count()
    found |= {"torch": torch.get_num_threads()}
    for pool in threadpool_info():
        found[pool["internal_api"]] = pool["num_threads"]
    found["joblib"] = joblib.cpu_count()
    found["this book"] = machine.cpus()
    print(json.dumps(found))


@contextmanager
def control_group(quota: float) -> Iterator[Path | None]:
    """Make a control group with a quota; None where that is not allowed.

    Containers are this: a group of processes and a few numbers in files. To
    make one takes root, or a system that has delegated a part of the tree.
    """
    folder = _new_group()
    try:
        yield folder if folder and _granted(folder, quota) else None
    finally:
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _new_group(mount: Path = Path("/sys/fs/cgroup")) -> Path | None:
    """Make a group below the root, of version 2 or 1."""
    name = f"parallel-ai-{uuid.uuid4().hex[:8]}"
    for root in (mount, mount / "cpu"):
        if (root / "cgroup.procs").exists():
            try:
                (root / name).mkdir()
            except OSError:
                continue
            return root / name
    return None


def _granted(folder: Path, quota: float) -> bool:
    """Write a quota into a group."""
    period = round(1e6 * PERIOD)
    texts = {
        "cpu.max": f"{round(quota * period)} {period}",
        "cpu.cfs_quota_us": f"{round(quota * period)}",
    }
    for name, text in texts.items():
        if (folder / name).exists():
            try:
                (folder / name).write_text(text)
            except OSError:
                return False
            return True
    return False


def on_one_cpu() -> None:
    """Confine this process to its first CPU, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def inside(
    group: Path | None,
    program: str,
    enter: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Run a program in a group, or on one CPU; its last line, as JSON.

    Parameters
    ----------
    enter : bool
        Confine it before it imports anything: what libraries ask when they
        are loaded, they ask in there. Otherwise it does so itself.
    """
    first = (
        f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
        if group
        else f"import os\n{inspect.getsource(on_one_cpu)}on_one_cpu()\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", first * enter + program],
        check=True,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=clean | dict(variables or {}),
    )
    return json.loads(done.stdout.splitlines()[-1])


def taken_by_default(quota: float = 1.0) -> tuple[dict[str, int], str]:
    """Ask libraries under a quota how many threads they will take.

    Returns
    -------
    tuple
        The numbers, and how they were confined.
    """
    program = f"{inspect.getsource(defaults)}\ndefaults()"
    with control_group(quota) as group:
        how = f"a control group of {quota:g} CPU" if group else "one CPU"
        return inside(group, program), how


def busy(group: str, counts: Sequence[int], requests: int) -> None:
    """Be a service that gets more and more threads; print what came of it.

    A request is a loop of OpenMP, of some milliseconds. Imports come first,
    and the confinement then. It is sent to a new Python as text.
    """
    import json
    import os
    import time
    from pathlib import Path

    import numpy as np
    from sklearn.metrics.pairwise import pairwise_distances_argmin
    from threadpoolctl import threadpool_limits

    def counted() -> dict[str, int]:
        if not group:
            return {}
        lines = Path(group, "cpu.stat").read_text("utf8").splitlines()
        return {name: int(n) for name, n in map(str.split, lines)}

    draw = np.random.default_rng(0).random((1_500, 100))
    found = []
    for threads in counts:
        with threadpool_limits(threads):
            pairwise_distances_argmin(draw, draw)
            if group:
                Path(group, "cgroup.procs").write_text("0", encoding="utf8")
            elif hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            before = counted()
            times: list[float] = []
            due = time.perf_counter() + 1
            while len(times) < requests and time.perf_counter() < due:
                begun = time.perf_counter()
                pairwise_distances_argmin(draw, draw)
                times.append(time.perf_counter() - begun)
            after = counted()
        gone = {name: after[name] - before[name] for name in after}
        found.append({"times": times, "stalls": gone})
    print(json.dumps(found))


def throttled(
    threads: Sequence[int] = (1, 2, 4),
    quota: float = 1.0,
    requests: int = 30,
) -> dict[str, Any]:
    """Give a service more threads than its quota has CPUs.

    Returns
    -------
    dict
        ``how`` it was confined; ``times``: seconds of each request, by
        number of threads; ``stalls``: share of periods in which it was
        stopped, where a control group counts them.
    """
    with control_group(quota) as group:
        place = str(group or "")
        program = (
            f"from collections.abc import Sequence\n{inspect.getsource(busy)}\n"
            f"busy({place!r}, {list(threads)}, {requests})"
        )
        rows = inside(None, program, enter=False)
    found: dict[str, Any] = {
        "how": f"a control group of {quota:g} CPU" if group else "one CPU",
        "times": {
            n: row["times"] for n, row in zip(threads, rows, strict=True)
        },
        "stalls": {},
    }
    for n, row in zip(threads, rows, strict=True):
        if row["stalls"]:
            periods = max(1, row["stalls"]["nr_periods"])
            found["stalls"][n] = row["stalls"]["nr_throttled"] / periods
    return found
