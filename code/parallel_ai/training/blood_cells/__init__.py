"""Blood cells on many GPUs: trained, watched, scored, shared.

The claim: one program trains on one process or on many GPUs, its curves can be
read while they grow, and its scores are those of MedMNIST's protocol, however
many ranks have computed them::

    torchrun --standalone --nproc_per_node=2 -m parallel_ai.training.blood_cells
    python -m parallel_ai.training.blood_cells --help
"""

from functools import partial

from parallel_ai.training.blood_cells.baselines import (
    always_the_most,
    baselines,
    colour_regression,
    colours,
    log_loss,
    nearest_colour,
)
from parallel_ai.training.blood_cells.calibration import (
    Bin,
    calibration_error,
    fit_temperature,
    reliability,
)
from parallel_ai.training.blood_cells.cells import (
    CLASSES,
    Cells,
    FromBytes,
    built,
    load_cells,
    network,
    turned,
)
from parallel_ai.training.blood_cells.comparing import (
    PAGE,
    compare_one,
    compare_ranks,
    record,
    taken,
    time_rank,
    train_timed,
)
from parallel_ai.training.blood_cells.measures import (
    Scores,
    accuracy,
    auc_of,
    bootstrap,
    confusion_of,
    macro_auc,
    report,
    score,
    softmax,
)
from parallel_ai.training.blood_cells.monitoring import (
    Events,
    Monitor,
    Point,
    curve,
    follow,
    watch,
)
from parallel_ai.training.blood_cells.practice import (
    balanced_accuracy,
    in_order,
    pair_auc,
)
from parallel_ai.training.blood_cells.program import (
    CellOptions,
    cell_step,
    close_epoch,
    main,
    scores_shared,
    train_cells,
)
from parallel_ai.training.blood_cells.sharing import (
    gather_shares,
    predict_shared,
)
from parallel_ai.training.blood_cells.traps import (
    answers_of_rank,
    mean_of_shares,
    tune_shifts,
    turns_of_rank,
)

__all__ = [
    "CLASSES",
    "PAGE",
    "Bin",
    "CellOptions",
    "Cells",
    "Events",
    "FromBytes",
    "Monitor",
    "Point",
    "Scores",
    "accuracy",
    "always_the_most",
    "answers_of_rank",
    "auc_of",
    "balanced_accuracy",
    "baselines",
    "bootstrap",
    "built",
    "calibration_error",
    "cell_step",
    "close_epoch",
    "colour_regression",
    "colours",
    "compare_one",
    "compare_ranks",
    "confusion_of",
    "curve",
    "fit_temperature",
    "follow",
    "gather_shares",
    "in_order",
    "load_cells",
    "log_loss",
    "macro_auc",
    "main",
    "mean_of_shares",
    "nearest_colour",
    "network",
    "pair_auc",
    "predict_shared",
    "record",
    "reliability",
    "report",
    "score",
    "scores_shared",
    "softmax",
    "taken",
    "time_rank",
    "train_cells",
    "train_timed",
    "tune_shifts",
    "turned",
    "turns_of_rank",
    "watch",
]

COMPARISONS = {
    "blood cells, a step of training: one process and 2 ranks": partial(
        compare_one, "step"
    ),
    "blood cells, asking: one process and 2 ranks": partial(
        compare_one, "asking"
    ),
}
RECORDS = {"blood-cells": record}
