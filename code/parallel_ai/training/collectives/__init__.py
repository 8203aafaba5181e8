"""Collectives: how many ranks come to have one sum.

The claim: an all-reduce is a few sends and receives; which ones decides its
time, and a model of two numbers says how. Our ring and the library's
all-reduce by size, on this machine::

    python -m parallel_ai.toolbox.benches all-reduce
"""

from functools import partial

from parallel_ai.training.collectives.algorithms import (
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
    star_all_reduce,
    tree_all_reduce,
    tree_broadcast,
    tree_reduce,
)
from parallel_ai.training.collectives.bucketing import (
    InBuckets,
    buckets,
    compare_buckets,
    reduce_buckets,
)
from parallel_ai.training.collectives.checking import (
    MismatchError,
    checked_all_reduce,
)
from parallel_ai.training.collectives.costs import (
    Link,
    bus_bandwidth,
    fit_link,
    ring_time,
    shared_time,
    star_time,
    tree_time,
)
from parallel_ai.training.collectives.definitions import (
    all_gather,
    all_reduce,
    broadcast,
    pieces,
    reduce,
    reduce_scatter,
)
from parallel_ai.training.collectives.drawing import draw_ring, ring_states
from parallel_ai.training.collectives.groups import (
    OURS,
    SIZES,
    adding_time,
    compare_with_library,
    copy_bandwidth,
    drawn,
    in_group,
    library_all_reduce,
    measure_link,
    measure_messages,
    measure_ways,
    ping_pong,
    record,
    times_in_group,
)
from parallel_ai.training.collectives.in_memory import (
    Deadlock,
    Memory,
    Message,
    Network,
    run_local,
)
from parallel_ai.training.collectives.practice import (
    chain_broadcast,
    crossing,
    doubling_all_reduce,
)
from parallel_ai.training.collectives.transports import Mpi, Transport, Wire
from parallel_ai.training.collectives.traps import (
    different,
    integer_mean,
    other_order,
    overwritten,
    roll_call,
    send_then_receive,
    skipped,
    small_integers,
    two_sums,
)

__all__ = [
    "OURS",
    "SIZES",
    "Deadlock",
    "InBuckets",
    "Link",
    "Memory",
    "Message",
    "MismatchError",
    "Mpi",
    "Network",
    "Transport",
    "Wire",
    "adding_time",
    "all_gather",
    "all_reduce",
    "broadcast",
    "buckets",
    "bus_bandwidth",
    "chain_broadcast",
    "checked_all_reduce",
    "compare_buckets",
    "compare_with_library",
    "copy_bandwidth",
    "crossing",
    "different",
    "doubling_all_reduce",
    "draw_ring",
    "fit_link",
    "in_group",
    "integer_mean",
    "library_all_reduce",
    "measure_link",
    "measure_messages",
    "measure_ways",
    "other_order",
    "overwritten",
    "pieces",
    "ping_pong",
    "record",
    "reduce",
    "reduce_buckets",
    "reduce_scatter",
    "ring_all_gather",
    "ring_all_reduce",
    "ring_reduce_scatter",
    "ring_states",
    "ring_time",
    "roll_call",
    "run_local",
    "send_then_receive",
    "shared_time",
    "skipped",
    "small_integers",
    "star_all_reduce",
    "star_time",
    "times_in_group",
    "tree_all_reduce",
    "tree_broadcast",
    "tree_reduce",
    "tree_time",
    "two_sums",
]

COMPARISONS = {
    "all-reduce of 2 ranks, 1 KiB": partial(compare_with_library, 1 << 8),
    "all-reduce of 2 ranks, 256 KiB": partial(compare_with_library, 1 << 16),
    "all-reduce of 2 ranks, 16 MiB": partial(compare_with_library, 1 << 22),
}
RECORDS = {"collectives": record}
CURVES = {"collectives": drawn}
