"""Finding the bottleneck: from a guess to evidence to a cure.

The claim: most programs are slow in one place, it is rarely the place that
one guesses, and a cure there brings more than all CPUs of a machine. Once
it is cured, the place is another one, and what parallelism can bring has
changed with it. A program that hangs is found by the same tools.
"""

from parallel_ai.one_machine.bottlenecks.comparing import (
    cures,
    months,
    profiler_costs,
    stage_seconds,
    unpack,
    watch,
)
from parallel_ai.one_machine.bottlenecks.cured import (
    STAGES,
    aggregate_grouped,
    features_by_column,
    features_by_date,
    is_weekend,
    merge_sums,
    read_once,
    report_processes,
    report_serial,
    report_threads,
    sums_of,
)
from parallel_ai.one_machine.bottlenecks.flames import (
    Flame,
    below,
    flame_graph,
    grow,
    simplify,
)
from parallel_ai.one_machine.bottlenecks.hangs import (
    Place,
    ask_traceback,
    deadlocked,
    running,
    stuck,
    where,
)
from parallel_ai.one_machine.bottlenecks.jobs import (
    alternate,
    both_ways,
    hash_on,
    minutes,
    sort_and_walk,
    sort_at_once,
    source,
    sum_called,
    sum_inline,
    three_threads,
    tick,
    tock,
    wait_for,
    walk,
)
from parallel_ai.one_machine.bottlenecks.practice import (
    circle,
    own_and_total,
    samples_needed,
)
from parallel_ai.one_machine.bottlenecks.sampling import (
    Samples,
    sample,
    share,
    stack_of,
)
from parallel_ai.one_machine.bottlenecks.spying import (
    NotAllowed,
    Spied,
    dump,
    spy,
    unfold,
    why_not,
)
from parallel_ai.one_machine.bottlenecks.tracing import (
    Call,
    Line,
    Memory,
    call_profile,
    kept_by_line,
    line_profile,
    memory_of,
)
from parallel_ai.one_machine.bottlenecks.written import (
    aggregate_by_filter,
    features_by_row,
    on_weekend,
    part_of_day,
    read_growing,
    report,
)

__all__ = [
    "STAGES",
    "Call",
    "Flame",
    "Line",
    "Memory",
    "NotAllowed",
    "Place",
    "Samples",
    "Spied",
    "aggregate_by_filter",
    "aggregate_grouped",
    "alternate",
    "ask_traceback",
    "below",
    "both_ways",
    "call_profile",
    "circle",
    "cures",
    "deadlocked",
    "dump",
    "features_by_column",
    "features_by_date",
    "features_by_row",
    "flame_graph",
    "grow",
    "hash_on",
    "is_weekend",
    "kept_by_line",
    "line_profile",
    "memory_of",
    "merge_sums",
    "minutes",
    "months",
    "on_weekend",
    "own_and_total",
    "part_of_day",
    "profiler_costs",
    "read_growing",
    "read_once",
    "report",
    "report_processes",
    "report_serial",
    "report_threads",
    "running",
    "sample",
    "samples_needed",
    "share",
    "simplify",
    "sort_and_walk",
    "sort_at_once",
    "source",
    "spy",
    "stack_of",
    "stage_seconds",
    "stuck",
    "sum_called",
    "sum_inline",
    "sums_of",
    "three_threads",
    "tick",
    "tock",
    "unfold",
    "unpack",
    "wait_for",
    "walk",
    "watch",
    "where",
    "why_not",
]

COMPARISONS = {
    "a report on flights, cure by cure": cures,
    "small calls under each profiler": profiler_costs,
}
