"""Serving: from the notebook to a service.

The claim: a service of a few hundred lines answers every request that it
accepts, says no to the others at once, and by batches does several times
what one call after the other does, until a queue, and not the model, decides
how late an answer is. With a model's file::

    python -m parallel_ai.production.serving cnn=cnn.pt --workers 2
"""

from functools import partial

from parallel_ai.production.serving.answering import Service, refusal
from parallel_ai.production.serving.asking import (
    Line,
    Told,
    dial,
    insist,
    request_of,
)
from parallel_ai.production.serving.batching import (
    Batcher,
    Design,
    FullError,
    Job,
    hand_out,
    ignore,
    refuse_all,
)
from parallel_ai.production.serving.breaking import (
    QUICKLY,
    Killed,
    all_misuses,
    busiest,
    ended,
    get,
    health_under_load,
    killed,
    one_scrape,
)
from parallel_ai.production.serving.bulk import (
    Batched,
    CallCost,
    batch_queue,
)
from parallel_ai.production.serving.checking import (
    Limits,
    RefusedError,
    check_row,
    counted,
    no_constant,
    no_key_twice,
    parsed,
    pixels_from,
)
from parallel_ai.production.serving.counting import (
    BOUNDS,
    Metrics,
    names_of,
    waiting_for,
)
from parallel_ai.production.serving.door import Door, serve
from parallel_ai.production.serving.loading import (
    Journal,
    closed_loop,
    load,
    offered,
    open_loop,
)
from parallel_ai.production.serving.misusing import (
    CLOSED,
    Misuse,
    Outcome,
    drip,
    misuse,
    misuses,
    pictures,
    post,
    raw,
    rest_of,
)
from parallel_ai.production.serving.packed import (
    Model,
    garments,
    linear_from,
    load_model,
    network_from,
    train_all,
    train_linear,
    train_network,
    train_trees,
    trees_from,
    whole_trees,
)
from parallel_ai.production.serving.practice import (
    batches_of,
    quantile_of,
    servers_needed,
)
from parallel_ai.production.serving.stalling import (
    omitted,
    overload,
    patience,
    scraped,
    standstill,
)
from parallel_ai.production.serving.starting import (
    Running,
    main,
    running,
    signals_to,
)
from parallel_ai.production.serving.sweeping import (
    CLIENTS,
    SHARES,
    against_theory,
    batch_times,
    capacity,
    compare_rates,
    compare_tails,
    cost_of_a_million,
    designs,
    knee,
    percentiles,
    record,
    requests_for,
    service_times,
    serving,
    sweep,
    trained,
    under_load,
)
from parallel_ai.production.serving.team import (
    PortBusyError,
    Settings,
    Team,
    listening,
    models_of,
    prepare,
    supervise,
    work,
)
from parallel_ai.production.serving.waiting import (
    Little,
    erlang_c,
    fan_out,
    in_a_row,
    little,
    mg1_wait,
    mgc_wait,
    mmc_wait,
    play,
    poisson_times,
    slow_share,
    utilisation,
)

__all__ = [
    "BOUNDS",
    "CLIENTS",
    "CLOSED",
    "QUICKLY",
    "SHARES",
    "Batched",
    "Batcher",
    "CallCost",
    "Design",
    "Door",
    "FullError",
    "Job",
    "Journal",
    "Killed",
    "Limits",
    "Line",
    "Little",
    "Metrics",
    "Misuse",
    "Model",
    "Outcome",
    "PortBusyError",
    "RefusedError",
    "Running",
    "Service",
    "Settings",
    "Team",
    "Told",
    "against_theory",
    "all_misuses",
    "batch_queue",
    "batch_times",
    "batches_of",
    "busiest",
    "capacity",
    "check_row",
    "closed_loop",
    "compare_rates",
    "compare_tails",
    "cost_of_a_million",
    "counted",
    "designs",
    "dial",
    "drip",
    "ended",
    "erlang_c",
    "fan_out",
    "garments",
    "get",
    "hand_out",
    "health_under_load",
    "ignore",
    "in_a_row",
    "insist",
    "killed",
    "knee",
    "linear_from",
    "listening",
    "little",
    "load",
    "load_model",
    "main",
    "mg1_wait",
    "mgc_wait",
    "misuse",
    "misuses",
    "mmc_wait",
    "models_of",
    "names_of",
    "network_from",
    "no_constant",
    "no_key_twice",
    "offered",
    "omitted",
    "one_scrape",
    "open_loop",
    "overload",
    "parsed",
    "patience",
    "percentiles",
    "pictures",
    "pixels_from",
    "play",
    "poisson_times",
    "post",
    "prepare",
    "quantile_of",
    "raw",
    "record",
    "refusal",
    "refuse_all",
    "request_of",
    "requests_for",
    "rest_of",
    "running",
    "scraped",
    "serve",
    "servers_needed",
    "service_times",
    "serving",
    "signals_to",
    "slow_share",
    "standstill",
    "supervise",
    "sweep",
    "train_all",
    "train_linear",
    "train_network",
    "train_trees",
    "trained",
    "trees_from",
    "under_load",
    "utilisation",
    "waiting_for",
    "whole_trees",
    "work",
]

COMPARISONS = {
    "serving a CNN at saturation: one by one and ours": partial(
        compare_rates, "cnn"
    ),
    "serving boosted trees at saturation: one by one and ours": partial(
        compare_rates, "trees"
    ),
    "serving a CNN, p99 near the naive end: one by one and ours": partial(
        compare_tails, "cnn"
    ),
}
RECORDS = {"serving": record}
