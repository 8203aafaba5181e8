"""Data parallel: every rank has the model, and a share of each batch.

The claim: one process, our own version and DDP take the same steps, for any
number of ranks; and a training whose rank was killed ends with the weights
of one that was not::

    torchrun --standalone --nproc_per_node=2 -m parallel_ai.training.data_parallel
    python -m parallel_ai.training.data_parallel
"""

from parallel_ai.training.data_parallel.by_hand import (
    Bucket,
    Replica,
    average_gradients,
    broadcast_weights,
    in_buckets,
)
from parallel_ai.training.data_parallel.joining import (
    joined,
    store_of_machine,
)
from parallel_ai.training.data_parallel.large import (
    scaled_rate,
    train_large,
    warmed,
)
from parallel_ai.training.data_parallel.launching import (
    Launch,
    launch,
    started_command,
    torchrun_command,
)
from parallel_ai.training.data_parallel.norms import (
    SharedNorm,
    SumOverRanks,
    normed,
    train_normed,
    try_sync_norm,
)
from parallel_ai.training.data_parallel.practice import (
    fill_buckets,
    shares_of,
    whole_mean,
)
from parallel_ai.training.data_parallel.program import (
    Options,
    add_flags,
    drill,
    main,
    only_needed,
    own_chance,
    resume,
    save_once,
    say,
    share_of_batch,
    steps_of_epoch,
    train_shared,
)
from parallel_ai.training.data_parallel.samplers import (
    each_once,
    evaluate_shared,
    padded_accuracy,
    shards,
)
from parallel_ai.training.data_parallel.scaling import (
    BATCH,
    LENGTHS,
    Steps,
    compare_ddp,
    compare_processes,
    drawn,
    fit_alpha_beta,
    measure_scaling,
    one_process,
    predicted_efficiency,
    record,
    reduce_seconds,
    ring_seconds,
    slowest,
    step_seconds,
    together,
)
from parallel_ai.training.data_parallel.steps import (
    WAYS,
    accumulate,
    finish_backward,
    mean_over_ranks,
    part_of_loss,
    position,
    share,
    train_by,
    uneven,
    wrap,
)
from parallel_ai.training.data_parallel.traps import (
    Branching,
    drift,
    log_on_all,
    read_broken,
    train_branching,
    wrap_different_models,
)

__all__ = [
    "BATCH",
    "LENGTHS",
    "WAYS",
    "Branching",
    "Bucket",
    "Launch",
    "Options",
    "Replica",
    "SharedNorm",
    "Steps",
    "SumOverRanks",
    "accumulate",
    "add_flags",
    "average_gradients",
    "broadcast_weights",
    "compare_ddp",
    "compare_processes",
    "drift",
    "drill",
    "each_once",
    "evaluate_shared",
    "fill_buckets",
    "finish_backward",
    "fit_alpha_beta",
    "in_buckets",
    "joined",
    "launch",
    "log_on_all",
    "main",
    "mean_over_ranks",
    "measure_scaling",
    "normed",
    "one_process",
    "only_needed",
    "own_chance",
    "padded_accuracy",
    "part_of_loss",
    "position",
    "predicted_efficiency",
    "read_broken",
    "record",
    "reduce_seconds",
    "resume",
    "ring_seconds",
    "save_once",
    "say",
    "scaled_rate",
    "shards",
    "share",
    "share_of_batch",
    "shares_of",
    "slowest",
    "started_command",
    "step_seconds",
    "steps_of_epoch",
    "store_of_machine",
    "together",
    "torchrun_command",
    "train_branching",
    "train_by",
    "train_large",
    "train_normed",
    "train_shared",
    "try_sync_norm",
    "uneven",
    "warmed",
    "whole_mean",
    "wrap",
    "wrap_different_models",
]

COMPARISONS = {"DDP with 2 processes, one process": compare_ddp}
RECORDS = {"data-parallel": record}
CURVES = {"data-parallel": drawn}
