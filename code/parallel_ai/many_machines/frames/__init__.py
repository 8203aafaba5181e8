"""Arrays and frames in partitions: Dask Array and Dask DataFrame.

The claim: a question to many files is a plan over their partitions. What the
plan can prove to be superfluous is not read, what merges is not moved, and
the rest runs wherever there is a CPU. On one machine, for tables that fit
its memory, other libraries answer the same questions sooner.
"""

from functools import partial

from parallel_ai.many_machines.frames.asking import (
    as_parquet,
    column_sizes,
    compare_formats,
    csv_frame,
    csv_or_parquet,
    mean_serial,
    parquet_frame,
    row_groups,
    size_of,
    sorted_file,
    unpacked,
)
from parallel_ai.many_machines.frames.backends import (
    delay_by_carrier,
    gpu_frames,
)
from parallel_ai.many_machines.frames.chunking import (
    array_from,
    block_of,
    blurred,
    blurred_alone,
    blurred_together,
    chunk_costs,
    gram,
    mean_image,
    mosaic,
    saved,
)
from parallel_ai.many_machines.frames.counting import (
    CountedFile,
    CountedFiles,
    Reads,
    counting,
)
from parallel_ai.many_machines.frames.engines import (
    QUESTIONS,
    Data,
    address_dask,
    address_duckdb,
    address_pandas,
    address_polars,
    addresses,
    ask_all,
    busy_dask,
    busy_duckdb,
    busy_pandas,
    busy_polars,
    compare_libraries,
    mean_dask,
    mean_duckdb,
    mean_pandas,
    mean_polars,
    replicated,
    transponder,
)
from parallel_ai.many_machines.frames.failing import (
    in_a_loop,
    made_up,
    made_up_columns,
    persisted,
    quiet,
    serials,
    together,
)
from parallel_ai.many_machines.frames.merging import (
    Moments,
    column_of,
    mean_of_means,
    merged,
    merges,
    moments_of,
    moments_serial,
    moments_tree,
)
from parallel_ai.many_machines.frames.moving import (
    Traffic,
    dated,
    planes_of,
    traffic,
)
from parallel_ai.many_machines.frames.planning import (
    Scan,
    bytes_for,
    plan,
    scans,
)
from parallel_ai.many_machines.frames.practice import (
    prune,
    quantile_of,
    shuffle,
)

__all__ = [
    "QUESTIONS",
    "CountedFile",
    "CountedFiles",
    "Data",
    "Moments",
    "Reads",
    "Scan",
    "Traffic",
    "address_dask",
    "address_duckdb",
    "address_pandas",
    "address_polars",
    "addresses",
    "array_from",
    "as_parquet",
    "ask_all",
    "block_of",
    "blurred",
    "blurred_alone",
    "blurred_together",
    "busy_dask",
    "busy_duckdb",
    "busy_pandas",
    "busy_polars",
    "bytes_for",
    "chunk_costs",
    "column_of",
    "column_sizes",
    "compare_formats",
    "compare_libraries",
    "counting",
    "csv_frame",
    "csv_or_parquet",
    "dated",
    "delay_by_carrier",
    "gpu_frames",
    "gram",
    "in_a_loop",
    "made_up",
    "made_up_columns",
    "mean_dask",
    "mean_duckdb",
    "mean_image",
    "mean_of_means",
    "mean_pandas",
    "mean_polars",
    "mean_serial",
    "merged",
    "merges",
    "moments_of",
    "moments_serial",
    "moments_tree",
    "mosaic",
    "parquet_frame",
    "persisted",
    "plan",
    "planes_of",
    "prune",
    "quantile_of",
    "quiet",
    "replicated",
    "row_groups",
    "saved",
    "scans",
    "serials",
    "shuffle",
    "size_of",
    "sorted_file",
    "together",
    "traffic",
    "transponder",
    "unpacked",
]

COMPARISONS = {
    "CSV against Parquet": compare_formats,
    "flights: the mean of a column": partial(compare_libraries, "mean"),
    "flights: join and group": partial(compare_libraries, "join, group"),
    "flights: a Python function": partial(
        compare_libraries, "Python function", copies=2
    ),
}
