"""PyTorch on a Dask cluster: one training function on every worker.

The claim: `run_ddp` starts the ranks of a process group on the workers of
any Dask cluster, brings their results, numbers and checkpoints back while
they train, and ends with an error that names the guilty one, never with a
hang. Its weights are those of torchrun. Its start against torchrun's::

    python -m parallel_ai.toolbox.benches on_dask
"""

from parallel_ai.training.on_dask.beside_ray import (
    both_ways,
    fashion_anywhere,
    fashion_by_dask,
    fashion_by_ray,
    record,
)
from parallel_ai.training.on_dask.faults import (
    add_up,
    hang_on,
    kill_on,
    kill_worker_of,
    open_doors,
    raise_on,
)
from parallel_ai.training.on_dask.letters import (
    KINDS,
    Letters,
    StepTime,
    lines_of,
    next_letter_loss,
    predicted_gain,
    python_text,
    some_pictures,
    time_kind,
    time_kinds,
    weights_of,
)
from parallel_ai.training.on_dask.many_models import (
    Row,
    Setting,
    fit,
    fit_each,
    fit_task,
    search,
)
from parallel_ai.training.on_dask.photo_training import (
    Plan,
    decode_shard,
    mirrored,
    resume_from,
    score_shards,
    train_photos,
)
from parallel_ai.training.on_dask.photographs import (
    Done,
    Split,
    classify_all,
    classify_part,
    once,
    read_answers,
    read_model,
    save_model,
    shard,
    split_once,
)
from parallel_ai.training.on_dask.placing import (
    Place,
    find_places,
    gpus,
    interface,
    meeting_address,
    places,
)
from parallel_ai.training.on_dask.practice import (
    break_even,
    number_ranks,
    who_is_guilty,
)
from parallel_ai.training.on_dask.program import (
    by_dask,
    by_torchrun,
    by_turns,
    compare_starts,
    compare_trainings,
    main,
    train_fashion,
)
from parallel_ai.training.on_dask.running import (
    Run,
    run_ddp,
)
from parallel_ai.training.on_dask.telling import (
    Lines,
    Told,
    packed,
    tell,
    unpacked,
)
from parallel_ai.training.on_dask.templates import (
    train_anywhere,
    train_by_ray,
)
from parallel_ai.training.on_dask.verdicts import (
    absent,
    guilty,
    late,
)
from parallel_ai.training.on_dask.watching import (
    be_rank,
    children_allowed,
    end_rank,
    follow_rank,
    start_rank,
    state_name,
    tail,
    take_state,
    where,
)

__all__ = [
    "KINDS",
    "Done",
    "Letters",
    "Lines",
    "Place",
    "Plan",
    "Row",
    "Run",
    "Setting",
    "Split",
    "StepTime",
    "Told",
    "absent",
    "add_up",
    "be_rank",
    "both_ways",
    "break_even",
    "by_dask",
    "by_torchrun",
    "by_turns",
    "children_allowed",
    "classify_all",
    "classify_part",
    "compare_starts",
    "compare_trainings",
    "decode_shard",
    "end_rank",
    "fashion_anywhere",
    "fashion_by_dask",
    "fashion_by_ray",
    "find_places",
    "fit",
    "fit_each",
    "fit_task",
    "follow_rank",
    "gpus",
    "guilty",
    "hang_on",
    "interface",
    "kill_on",
    "kill_worker_of",
    "late",
    "lines_of",
    "main",
    "meeting_address",
    "mirrored",
    "next_letter_loss",
    "number_ranks",
    "once",
    "open_doors",
    "packed",
    "places",
    "predicted_gain",
    "python_text",
    "raise_on",
    "read_answers",
    "read_model",
    "record",
    "resume_from",
    "run_ddp",
    "save_model",
    "score_shards",
    "search",
    "shard",
    "some_pictures",
    "split_once",
    "start_rank",
    "state_name",
    "tail",
    "take_state",
    "tell",
    "time_kind",
    "time_kinds",
    "train_anywhere",
    "train_by_ray",
    "train_fashion",
    "train_photos",
    "unpacked",
    "weights_of",
    "where",
    "who_is_guilty",
]

COMPARISONS = {
    "start of all ranks: torchrun and run_ddp": compare_starts,
    "training in ranks of torchrun and of run_ddp": compare_trainings,
}
RECORDS = {"ray-train": record}
