"""Vectors and matrices: parallel without saying so.

The claim: one line of NumPy uses lanes of a register, and a matrix product
all cores, and neither says so. How fast a line can be is decided by the bytes
that it moves and the operations that it does with each: two roofs, both
measured in the chapter *Measuring*. The mean of many numbers reaches its
roof::

    python -c "from parallel_ai.one_machine import vectors as v;
               print(v.mean_comparison())"
"""

from parallel_ai.one_machine.vectors.lines import (
    bytes_per_number,
    counters,
    level_kernel,
    levels_serial,
    levels_threads,
    levels_timed,
    sum_every,
)
from parallel_ai.one_machine.vectors.means import (
    mean_comparison,
    mean_lanes,
    mean_nogil,
    mean_parallel,
    numba_threads,
    sum_kernel,
    sum_parallel,
)
from parallel_ai.one_machine.vectors.passes import (
    standardise,
    standardise_blocked,
    standardise_fused,
    standardise_in_place,
    standardise_parallel,
)
from parallel_ai.one_machine.vectors.practice import (
    lines_touched,
    nearest_within,
    pairwise_sum,
)
from parallel_ai.one_machine.vectors.products import (
    Work,
    libraries,
    product_blocked,
    product_naive,
    product_parallel,
    product_streamed,
    product_work,
)
from parallel_ai.one_machine.vectors.scientific import scipy_jobs
from parallel_ai.one_machine.vectors.scores import (
    arithmetic,
    scores_blas,
    scores_lanes,
    scores_parallel,
    scores_python,
    scores_scalar,
)
from parallel_ai.one_machine.vectors.traps import (
    holes,
    holes_fast,
    labels_counted,
    labels_raced,
    longest_silence,
    roots_locked,
    roots_nogil,
    roots_parallel,
    table_kernel,
)

__all__ = [
    "Work",
    "arithmetic",
    "bytes_per_number",
    "counters",
    "holes",
    "holes_fast",
    "labels_counted",
    "labels_raced",
    "level_kernel",
    "levels_serial",
    "levels_threads",
    "levels_timed",
    "libraries",
    "lines_touched",
    "longest_silence",
    "mean_comparison",
    "mean_lanes",
    "mean_nogil",
    "mean_parallel",
    "nearest_within",
    "numba_threads",
    "pairwise_sum",
    "product_blocked",
    "product_naive",
    "product_parallel",
    "product_streamed",
    "product_work",
    "roots_locked",
    "roots_nogil",
    "roots_parallel",
    "scipy_jobs",
    "scores_blas",
    "scores_lanes",
    "scores_parallel",
    "scores_python",
    "scores_scalar",
    "standardise",
    "standardise_blocked",
    "standardise_fused",
    "standardise_in_place",
    "standardise_parallel",
    "sum_every",
    "sum_kernel",
    "sum_parallel",
    "table_kernel",
]

COMPARISONS = {"mean of 100 million numbers": mean_comparison}
