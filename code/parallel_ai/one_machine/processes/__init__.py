"""Several processes: when they pay, what they cost, how they end cleanly.

The claim: processes divide *work* well and *data* badly. The mean of many
numbers only gets slower when the numbers are sent to other processes; the
rank of many images gets faster by nearly the number of cores.

The first program, five workers that report in::

    python -m parallel_ai.one_machine.processes
"""

from parallel_ai.one_machine.processes.costs import (
    Costs,
    measure_costs,
    nothing,
    send,
    start_and_stop,
    start_one,
)
from parallel_ai.one_machine.processes.means import (
    Part,
    keep,
    mean_executor,
    mean_inherited,
    mean_kept,
    mean_mapped,
    mean_placed,
    mean_pool,
    mean_serial,
    mean_shared,
    merge,
    summarise,
    summarise_kept,
)
from parallel_ai.one_machine.processes.pools import (
    count_up,
    five_workers,
    look_around,
    report_in,
)
from parallel_ai.one_machine.processes.practice import (
    group_means,
    histogram_executor,
    merge_moments,
)
from parallel_ai.one_machine.processes.ranks import (
    effective_rank,
    ranks_executor,
    ranks_serial,
)
from parallel_ai.one_machine.processes.recording import record, speedups
from parallel_ai.one_machine.processes.sharing import (
    MappedArray,
    SharedArray,
    allocate,
    attach,
    mapped,
    room,
    share,
)

__all__ = [
    "Costs",
    "MappedArray",
    "Part",
    "SharedArray",
    "allocate",
    "attach",
    "count_up",
    "effective_rank",
    "five_workers",
    "group_means",
    "histogram_executor",
    "keep",
    "look_around",
    "mapped",
    "mean_executor",
    "mean_inherited",
    "mean_kept",
    "mean_mapped",
    "mean_placed",
    "mean_pool",
    "mean_serial",
    "mean_shared",
    "measure_costs",
    "merge",
    "merge_moments",
    "nothing",
    "ranks_executor",
    "ranks_serial",
    "record",
    "report_in",
    "room",
    "send",
    "share",
    "speedups",
    "start_and_stop",
    "start_one",
    "summarise",
    "summarise_kept",
]

RECORDS = {"processes": record}
