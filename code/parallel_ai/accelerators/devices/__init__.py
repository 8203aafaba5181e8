"""CPU or GPU: how the two are built, and which of them a task wants.

The claim: a launch costs some microseconds, memory and arithmetic have a
rate each, and from these numbers follows from which size on a device wins,
with the data there and with the data here. What a machine can do::

    python -m parallel_ai.toolbox.records devices
"""

from parallel_ai.accelerators.devices.formats import (
    FORMATS,
    Format,
    expected_error,
    gradients,
    lost,
    product_error,
    rounded,
    running_sum,
    stops_counting,
    to_scale,
)
from parallel_ai.accelerators.devices.kernels import (
    PASSES,
    KernelError,
    check_kernels,
    fused_jobs,
    need_triton,
)
from parallel_ai.accelerators.devices.launching import (
    Span,
    Stream,
    Waits,
    device_seconds,
    launch_seconds,
    mean_at_once,
    mean_by_item,
    run_steps,
    two_clocks,
)
from parallel_ai.accelerators.devices.peaks import (
    DATA_SHEETS,
    Peaks,
    fastest,
    link_rate,
    measured_peaks,
    memory_rate,
    precision,
    product_rate,
    share_of_sheet,
    stream_size,
)
from parallel_ai.accelerators.devices.practice import (
    break_even,
    pipeline_seconds,
    to_bfloat16,
)
from parallel_ai.accelerators.devices.recording import (
    BATCHES,
    PRODUCTS,
    VECTORS,
    WIDTHS,
    answer_in_batches,
    compare_batches,
    compare_formats,
    drawn,
    record,
)
from parallel_ai.accelerators.devices.serving import (
    Served,
    arrivals,
    batch_seconds,
    dense,
    least_batch_seconds,
    serve,
)
from parallel_ai.accelerators.devices.sweeps import (
    LAUNCH,
    PRODUCT,
    SUM,
    Operation,
    crossing,
    job,
    predict,
    sweep,
)

__all__ = [
    "BATCHES",
    "DATA_SHEETS",
    "FORMATS",
    "LAUNCH",
    "PASSES",
    "PRODUCT",
    "PRODUCTS",
    "SUM",
    "VECTORS",
    "WIDTHS",
    "Format",
    "KernelError",
    "Operation",
    "Peaks",
    "Served",
    "Span",
    "Stream",
    "Waits",
    "answer_in_batches",
    "arrivals",
    "batch_seconds",
    "break_even",
    "check_kernels",
    "compare_batches",
    "compare_formats",
    "crossing",
    "dense",
    "device_seconds",
    "expected_error",
    "fastest",
    "fused_jobs",
    "gradients",
    "job",
    "launch_seconds",
    "least_batch_seconds",
    "link_rate",
    "lost",
    "mean_at_once",
    "mean_by_item",
    "measured_peaks",
    "memory_rate",
    "need_triton",
    "pipeline_seconds",
    "precision",
    "predict",
    "product_error",
    "product_rate",
    "record",
    "rounded",
    "run_steps",
    "running_sum",
    "serve",
    "share_of_sheet",
    "stops_counting",
    "stream_size",
    "sweep",
    "to_bfloat16",
    "to_scale",
    "two_clocks",
]

COMPARISONS = {
    "answers for 64 pictures": compare_batches,
    "product of matrices by format": compare_formats,
}
RECORDS = {"devices": record}
CURVES = {"devices": drawn}
