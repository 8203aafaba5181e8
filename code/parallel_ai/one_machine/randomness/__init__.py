"""Reproducible in parallel: the same result, whoever computes it.

The claim: a result depends on the number of workers only if the program
lets it. Give each *task* a stream of the seed, never each worker, and the
random numbers are the same for any number of workers; add in a fixed tree
of fixed blocks, and so are the sums, bit for bit. Workers with the same
numbers, on the other hand, make a 95 % interval that holds the truth far
less often, and nothing in it looks wrong.

Three modules are imported only by name, so that a worker starts without
what they need: `sums` (Numba), `forests` (scikit-learn), `loaders` (PyTorch).
"""

from parallel_ai.one_machine.randomness.counters import at, jumped, philox
from parallel_ai.one_machine.randomness.elsewhere import (
    MACHINES,
    digest,
    results,
    results_on,
)
from parallel_ai.one_machine.randomness.estimates import (
    interval,
    late_exactly,
    late_journeys,
    resample,
    share_interval,
    trimmed_mean,
)
from parallel_ai.one_machine.randomness.practice import (
    bootstrap,
    held_out,
    sum_any_order,
)
from parallel_ai.one_machine.randomness.seeding import (
    Hasher,
    flipped,
    mix,
    seed_words,
    stream,
)
from parallel_ai.one_machine.randomness.teams import (
    draw_by_worker,
    draw_kept,
    draw_processes,
    draw_serial,
    draw_shared,
    draw_threads,
    in_workers,
    keep_task,
)
from parallel_ai.one_machine.randomness.traps import (
    coverage_model,
    covered,
    different,
    first_numbers,
    journeys_by,
    own_stream,
    repeated,
    same_seed,
)

__all__ = [
    "MACHINES",
    "Hasher",
    "at",
    "bootstrap",
    "coverage_model",
    "covered",
    "different",
    "digest",
    "draw_by_worker",
    "draw_kept",
    "draw_processes",
    "draw_serial",
    "draw_shared",
    "draw_threads",
    "first_numbers",
    "flipped",
    "held_out",
    "in_workers",
    "interval",
    "journeys_by",
    "jumped",
    "keep_task",
    "late_exactly",
    "late_journeys",
    "mix",
    "own_stream",
    "philox",
    "repeated",
    "resample",
    "results",
    "results_on",
    "same_seed",
    "seed_words",
    "share_interval",
    "stream",
    "sum_any_order",
    "trimmed_mean",
]
