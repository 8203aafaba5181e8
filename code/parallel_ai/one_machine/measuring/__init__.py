"""Measuring: what this machine can do, and how near to it a program comes.

The claim: whether parallelism pays can be known before it is programmed,
from a few numbers of the machine and of the job. Measure them here::

    python -m parallel_ai.toolbox.records roofs scaling
"""

from parallel_ai.one_machine.measuring.clocks import (
    add_up_in_vain,
    clock_step,
    wall_and_cpu,
)
from parallel_ai.one_machine.measuring.counting import (
    cpu_counts,
    cpu_counts_on,
)
from parallel_ai.one_machine.measuring.garments import (
    closest_kernel,
    closest_threads,
    nearest_broadcast,
    nearest_product,
    nearest_threads,
    prepare,
    scaling,
    worker_counts,
)
from parallel_ai.one_machine.measuring.latency import (
    chase_kernel,
    latencies,
    load_latency,
    ring,
)
from parallel_ai.one_machine.measuring.models import (
    UslFit,
    amdahl,
    break_even,
    efficiency,
    fit_usl,
    gustafson,
    speedup,
    usl,
)
from parallel_ai.one_machine.measuring.practice import (
    cpus_granted,
    karp_flatt,
    least_seconds,
)
from parallel_ai.one_machine.measuring.recording import (
    roofs,
)

__all__ = [
    "UslFit",
    "add_up_in_vain",
    "amdahl",
    "break_even",
    "chase_kernel",
    "clock_step",
    "closest_kernel",
    "closest_threads",
    "cpu_counts",
    "cpu_counts_on",
    "cpus_granted",
    "efficiency",
    "fit_usl",
    "gustafson",
    "karp_flatt",
    "latencies",
    "least_seconds",
    "load_latency",
    "nearest_broadcast",
    "nearest_product",
    "nearest_threads",
    "prepare",
    "ring",
    "roofs",
    "scaling",
    "speedup",
    "usl",
    "wall_and_cpu",
    "worker_counts",
]

RECORDS = {"roofs": roofs, "scaling": scaling}
