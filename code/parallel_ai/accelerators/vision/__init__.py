"""Fashion-MNIST on CPU and GPU: one training function for both.

The claim: the same function trains on whatever device there is, its table
tells training from evaluation, and a training that was killed ends with the
same weights as one that was not. All three networks, whole::

    python -m parallel_ai.toolbox.records vision
"""

from parallel_ai.accelerators.vision.checkpoints import (
    CheckpointError,
    chance,
    load,
    restore_chance,
    save,
)
from parallel_ai.accelerators.vision.data import (
    Clothes,
    Data,
    Part,
    as_part,
    batches,
    load_data,
    loader_batches,
    shuffled,
)
from parallel_ai.accelerators.vision.models import (
    CLASSES,
    cnn,
    convolution,
    mlp,
    original,
    parameters,
)
from parallel_ai.accelerators.vision.practice import (
    count_weights,
    normalise,
    recalls,
    stop_after,
)
from parallel_ai.accelerators.vision.recording import (
    compare_models,
    record,
    some_steps,
    train_original,
)
from parallel_ai.accelerators.vision.scoring import (
    Score,
    confusion,
    evaluate,
    evaluating,
    predict,
)
from parallel_ai.accelerators.vision.training import (
    Epoch,
    History,
    NotFiniteError,
    Run,
    constant,
    one_cycle,
    seeded,
    train,
    train_step,
)
from parallel_ai.accelerators.vision.traps import (
    accuracy_in_training_mode,
    best_of,
    careless,
    cut_in_half,
)

__all__ = [
    "CLASSES",
    "CheckpointError",
    "Clothes",
    "Data",
    "Epoch",
    "History",
    "NotFiniteError",
    "Part",
    "Run",
    "Score",
    "accuracy_in_training_mode",
    "as_part",
    "batches",
    "best_of",
    "careless",
    "chance",
    "cnn",
    "compare_models",
    "confusion",
    "constant",
    "convolution",
    "count_weights",
    "cut_in_half",
    "evaluate",
    "evaluating",
    "load",
    "load_data",
    "loader_batches",
    "mlp",
    "normalise",
    "one_cycle",
    "original",
    "parameters",
    "predict",
    "recalls",
    "record",
    "restore_chance",
    "save",
    "seeded",
    "shuffled",
    "some_steps",
    "stop_after",
    "train",
    "train_original",
    "train_step",
]

COMPARISONS = {"20 training steps of each network": compare_models}
RECORDS = {"vision": record}
