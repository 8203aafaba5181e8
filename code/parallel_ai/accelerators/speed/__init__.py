"""Making it fast: each gain of a training loop measured on its own.

The claim: a loop becomes several times as fast by changes of which most are
small, some do nothing here, and some make it slower; so each is measured,
kept or dropped, and the accuracy is looked at in the end. The record, on an
accelerator with the time to a mean test accuracy of 0.93::

    python -m parallel_ai.toolbox.records speed
"""

from parallel_ai.accelerators.speed.compiling import (
    CompilerError,
    Compiling,
    measure_compiled,
    time_both,
)
from parallel_ai.accelerators.speed.graphs import (
    GraphedStep,
)
from parallel_ai.accelerators.speed.ladder import (
    Rung,
    climb,
    compare_loops,
    least,
    ordinary,
    paces,
    rungs_for,
    scaled,
)
from parallel_ai.accelerators.speed.limits import (
    features,
    flops,
    peaks,
)
from parallel_ai.accelerators.speed.loading import (
    PicturesOneByOne,
    Unpicklable,
    all_at_once,
    count,
    one_by_one,
    shifted,
    shifts,
)
from parallel_ai.accelerators.speed.loops import (
    Loop,
    Outcome,
    Settings,
    epoch_of,
    learn,
    share_weights,
)
from parallel_ai.accelerators.speed.practice import (
    mean_loss,
    overall,
    pays_after,
)
from parallel_ai.accelerators.speed.quick import (
    ByteDropout,
    InMemoryOrder,
    quick_cnn,
    quicken,
)
from parallel_ai.accelerators.speed.recording import (
    GOAL,
    Residual,
    fastest_to,
    record,
    runs,
    train_varied,
    varied,
    wide_cnn,
)
from parallel_ai.accelerators.speed.saving import (
    Checkpointed,
    accumulated_step,
    saved_bytes,
)
from parallel_ai.accelerators.speed.tracing import (
    PHASES,
    Span,
    at_most,
    costly,
    marked_step,
    serial_share,
    shares,
    trace,
)
from parallel_ai.accelerators.speed.traps import (
    asking,
    loss_in,
    step_seconds,
)

__all__ = [
    "GOAL",
    "PHASES",
    "ByteDropout",
    "Checkpointed",
    "CompilerError",
    "Compiling",
    "GraphedStep",
    "InMemoryOrder",
    "Loop",
    "Outcome",
    "PicturesOneByOne",
    "Residual",
    "Rung",
    "Settings",
    "Span",
    "Unpicklable",
    "accumulated_step",
    "all_at_once",
    "asking",
    "at_most",
    "climb",
    "compare_loops",
    "costly",
    "count",
    "epoch_of",
    "fastest_to",
    "features",
    "flops",
    "learn",
    "least",
    "loss_in",
    "marked_step",
    "mean_loss",
    "measure_compiled",
    "one_by_one",
    "ordinary",
    "overall",
    "paces",
    "pays_after",
    "peaks",
    "quick_cnn",
    "quicken",
    "record",
    "rungs_for",
    "runs",
    "saved_bytes",
    "scaled",
    "serial_share",
    "share_weights",
    "shares",
    "shifted",
    "shifts",
    "step_seconds",
    "time_both",
    "trace",
    "train_varied",
    "varied",
    "wide_cnn",
]

COMPARISONS = {"training loop, best ordinary against ours": compare_loops}
RECORDS = {"speed": record}
