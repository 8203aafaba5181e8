"""Where memory goes: counted by formula, measured, and divided.

The claim: what a training holds follows from parameters, precision,
optimizer and batch, to the byte but for small change; and a training whose
state is divided among ranks ends with the weights of one that is not::

    python -m parallel_ai.toolbox.records memory
"""

from parallel_ai.training.memory.checkpoints_of_ranks import (
    CheckpointError,
    check_shares,
    load_shares,
    save_shares,
    train_and_save,
)
from parallel_ai.training.memory.formulas import (
    PRECISIONS,
    STATES,
    Held,
    Precision,
    cnn_activations,
    mlp_activations,
    training_bytes,
    transformer_activations,
)
from parallel_ai.training.memory.halves import (
    Master,
    measure_halves,
    small_steps,
)
from parallel_ai.training.memory.measuring import (
    Saved,
    Tracker,
    bytes_of,
    held,
    saving,
    storages,
    there,
)
from parallel_ai.training.memory.offloading import (
    OnDisk,
    saved_on_disk,
    try_disk,
)
from parallel_ai.training.memory.planning import (
    GPUS,
    STAGES,
    Need,
    fewest,
    need,
    sent_bytes,
)
from parallel_ai.training.memory.practice import (
    best_segments,
    bytes_on_rank,
    peak_of,
)
from parallel_ai.training.memory.recomputing import (
    Recompute,
    Recomputed,
    Segmented,
    deep,
    library_recompute,
    recompute,
    recomputed,
    segments_peak,
    square_root_rule,
)
from parallel_ai.training.memory.recording import (
    OPTIMIZERS,
    allocator_peak,
    optimizer_peaks,
    record,
)
from parallel_ai.training.memory.sharding import (
    WAYS,
    divide,
    every_way,
    optimizer_for,
    shard,
    train_divided,
    units,
    update,
    whole_weights,
)
from parallel_ai.training.memory.steps import (
    Timeline,
    adam,
    measure_step,
    outside,
    timeline,
    wide,
)
from parallel_ai.training.memory.traffic import (
    VARIANTS,
    Share,
    Traffic,
    alone,
    compare_sharded,
    held_and_timed,
    owned,
    prepare,
    shares,
    step_times,
)
from parallel_ai.training.memory.traps import (
    KEPT,
    clip_norms,
    evaluation_peak,
    keep_losses,
    norm_of_shares,
    optimizer_first,
    sharded_traps,
)
from parallel_ai.training.memory.zero import (
    Sharded,
    Unit,
)

__all__ = [
    "GPUS",
    "KEPT",
    "OPTIMIZERS",
    "PRECISIONS",
    "STAGES",
    "STATES",
    "VARIANTS",
    "WAYS",
    "CheckpointError",
    "Held",
    "Master",
    "Need",
    "OnDisk",
    "Precision",
    "Recompute",
    "Recomputed",
    "Saved",
    "Segmented",
    "Sharded",
    "Share",
    "Timeline",
    "Tracker",
    "Traffic",
    "Unit",
    "adam",
    "allocator_peak",
    "alone",
    "best_segments",
    "bytes_of",
    "bytes_on_rank",
    "check_shares",
    "clip_norms",
    "cnn_activations",
    "compare_sharded",
    "deep",
    "divide",
    "evaluation_peak",
    "every_way",
    "fewest",
    "held",
    "held_and_timed",
    "keep_losses",
    "library_recompute",
    "load_shares",
    "measure_halves",
    "measure_step",
    "mlp_activations",
    "need",
    "norm_of_shares",
    "optimizer_first",
    "optimizer_for",
    "optimizer_peaks",
    "outside",
    "owned",
    "peak_of",
    "prepare",
    "recompute",
    "recomputed",
    "record",
    "save_shares",
    "saved_on_disk",
    "saving",
    "segments_peak",
    "sent_bytes",
    "shard",
    "sharded_traps",
    "shares",
    "small_steps",
    "square_root_rule",
    "step_times",
    "storages",
    "there",
    "timeline",
    "train_and_save",
    "train_divided",
    "training_bytes",
    "transformer_activations",
    "try_disk",
    "units",
    "update",
    "whole_weights",
    "wide",
]

COMPARISONS = {"training divided, and not": compare_sharded}
RECORDS = {"memory": record}
