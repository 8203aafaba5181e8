"""Bigger than memory: hospital admissions that no memory here can hold.

The claim: what fits in no memory can still be asked, if the question can be
answered piece by piece and the pieces' answers be added. Then memory depends
on the piece, not on the whole, and time grows with the data and no faster.
What must be held at once can be held on disk, at the disk's speed.
"""

from parallel_ai.many_machines.bigger_than_memory.compressed import (
    MonthError,
    pack,
    unpack,
)
from parallel_ai.many_machines.bigger_than_memory.contenders import (
    ask_by_month,
    ask_dask,
    ask_duckdb,
    ask_for_columns,
    ask_held,
    ask_pandas,
    ask_polars,
    contend,
)
from parallel_ai.many_machines.bigger_than_memory.diagnoses import (
    Judgement,
    candidates,
    cross_validate,
    divide,
    features,
    importances,
    judge,
    mixed,
    on_cluster,
    resample,
    several,
)
from parallel_ai.many_machines.bigger_than_memory.drawing import (
    choices,
    days_before,
    draw,
    draw_dbc,
    known,
    profile,
)
from parallel_ai.many_machines.bigger_than_memory.fences import (
    Outcome,
    groups,
    limit_addresses,
    run_within,
)
from parallel_ai.many_machines.bigger_than_memory.layouts import (
    Field,
    chapter,
    fields,
    harmonise,
    layout,
    schema,
)
from parallel_ai.many_machines.bigger_than_memory.months import (
    Month,
    convert,
    fetch,
    ftp,
    load_dask,
    load_serial,
    months,
    official,
    place,
)
from parallel_ai.many_machines.bigger_than_memory.practice import (
    disk_reads,
    finish,
    mean_of_pieces,
)
from parallel_ai.many_machines.bigger_than_memory.questions import (
    add,
    median_stay,
    rates,
    stays,
    sums,
)
from parallel_ai.many_machines.bigger_than_memory.scales import (
    Point,
    beyond_memory,
    bytes_a_row,
    draw_months,
    first,
    grow,
    growing,
    in_memory,
    rows_for,
)

__all__ = [
    "Field",
    "Judgement",
    "Month",
    "MonthError",
    "Outcome",
    "Point",
    "add",
    "ask_by_month",
    "ask_dask",
    "ask_duckdb",
    "ask_for_columns",
    "ask_held",
    "ask_pandas",
    "ask_polars",
    "beyond_memory",
    "bytes_a_row",
    "candidates",
    "chapter",
    "choices",
    "contend",
    "convert",
    "cross_validate",
    "days_before",
    "disk_reads",
    "divide",
    "draw",
    "draw_dbc",
    "draw_months",
    "features",
    "fetch",
    "fields",
    "finish",
    "first",
    "ftp",
    "groups",
    "grow",
    "growing",
    "harmonise",
    "importances",
    "in_memory",
    "judge",
    "known",
    "layout",
    "limit_addresses",
    "load_dask",
    "load_serial",
    "mean_of_pieces",
    "median_stay",
    "mixed",
    "months",
    "official",
    "on_cluster",
    "pack",
    "place",
    "profile",
    "rates",
    "resample",
    "rows_for",
    "run_within",
    "schema",
    "several",
    "stays",
    "sums",
    "unpack",
]
