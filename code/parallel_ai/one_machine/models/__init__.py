"""Training in parallel: which dial drives which model, and who turns it.

The claim: a model is parallel in one of three ways, each with a dial of its
own. joblib divides whole tasks (`n_jobs`), OpenMP divides loops inside one
fit, BLAS divides matrix products; some models have none of them. A dial that
a model does not have does nothing, and two dials turned at once multiply:
more threads than CPUs are slower than one.
"""

from parallel_ai.one_machine.models.admissions import (
    MADE_UP,
    arrow_threads,
    codes,
    divide,
    features,
    files,
    made_up,
    prepare_processes,
    prepare_serial,
    prepare_threads,
    read_features,
    year,
)
from parallel_ai.one_machine.models.counting import (
    Counter,
    pools,
    tasks_sent,
    threads_at_work,
)
from parallel_ai.one_machine.models.dials import (
    Usage,
    dials,
    fit,
    settings,
    turn,
    usage,
)
from parallel_ai.one_machine.models.families import (
    estimators,
    garments,
    has_jobs,
    with_jobs,
)
from parallel_ai.one_machine.models.forests import (
    forest_processes,
    forest_serial,
    forest_threads,
    forest_training,
    grow,
    rounds,
    train_forest,
    vote,
)
from parallel_ai.one_machine.models.networks import network, train_network
from parallel_ai.one_machine.models.practice import (
    encode_parts,
    plan,
    predict_in_parts,
)
from parallel_ai.one_machine.models.search import (
    Fit,
    candidates,
    evaluate,
    folds,
    means,
    pools_of_workers,
    search_joblib,
    search_serial,
)

__all__ = [
    "MADE_UP",
    "Counter",
    "Fit",
    "Usage",
    "arrow_threads",
    "candidates",
    "codes",
    "dials",
    "divide",
    "encode_parts",
    "estimators",
    "evaluate",
    "features",
    "files",
    "fit",
    "folds",
    "forest_processes",
    "forest_serial",
    "forest_threads",
    "forest_training",
    "garments",
    "grow",
    "has_jobs",
    "made_up",
    "means",
    "network",
    "plan",
    "pools",
    "pools_of_workers",
    "predict_in_parts",
    "prepare_processes",
    "prepare_serial",
    "prepare_threads",
    "read_features",
    "rounds",
    "search_joblib",
    "search_serial",
    "settings",
    "tasks_sent",
    "threads_at_work",
    "train_forest",
    "train_network",
    "turn",
    "usage",
    "vote",
    "with_jobs",
    "year",
]

COMPARISONS = {"forest training": forest_training}
