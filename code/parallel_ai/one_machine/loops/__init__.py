"""Parallel loops with joblib, results kept on disk, and what can go wrong.

The claim: a loop whose tasks do not need each other is one line away from
all CPUs, if a task takes longer than it takes to send it. What was computed
once need not be computed again, not even after ``kill -9``, if each result
is saved by whoever computed it, under a key that names all it depends on.
"""

from functools import partial

from parallel_ai.one_machine.loops.backends import (
    batch_sizes,
    compare_backends,
    kinds,
    pool_context,
    python_mean,
    scaled,
)
from parallel_ai.one_machine.loops.caching import (
    Trojan,
    cached,
    distances,
    edited,
    fingerprint,
    hit_or_recompute,
    keyed,
    replace_results,
    stored,
    unchanged,
)
from parallel_ai.one_machine.loops.delays import (
    delay_interval,
    dismiss,
    loop_parallel,
    loop_serial,
)
from parallel_ai.one_machine.loops.inputs import (
    Arrival,
    arrival,
    as_generator,
    in_rounds,
    nearest,
    ran_ahead,
    refilled,
    spread,
    spread_in_place,
    took,
)
from parallel_ai.one_machine.loops.overheads import (
    overhead,
    overhead_by_length,
    time_loop,
)
from parallel_ai.one_machine.loops.practice import makespan, remember, settle
from parallel_ai.one_machine.loops.surviving import (
    Task,
    die_with,
    keep,
    keep_going,
    killed_in_august,
    left_behind,
    named,
)

__all__ = [
    "Arrival",
    "Task",
    "Trojan",
    "arrival",
    "as_generator",
    "batch_sizes",
    "cached",
    "compare_backends",
    "delay_interval",
    "die_with",
    "dismiss",
    "distances",
    "edited",
    "fingerprint",
    "hit_or_recompute",
    "in_rounds",
    "keep",
    "keep_going",
    "keyed",
    "killed_in_august",
    "kinds",
    "left_behind",
    "loop_parallel",
    "loop_serial",
    "makespan",
    "named",
    "nearest",
    "overhead",
    "overhead_by_length",
    "pool_context",
    "python_mean",
    "ran_ahead",
    "refilled",
    "remember",
    "replace_results",
    "scaled",
    "settle",
    "spread",
    "spread_in_place",
    "stored",
    "time_loop",
    "took",
    "unchanged",
]

COMPARISONS = {
    "1,000 tasks of 1 µs": partial(overhead, 1e-6, 1000),
    "1,000 tasks of 100 µs": partial(overhead, 1e-4, 1000),
    "100 tasks of 10 ms": partial(overhead, 1e-2, 100, repeats=3),
    "a Memory hit on a 100 MB array": hit_or_recompute,
}
