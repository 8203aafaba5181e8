"""Waiting well: thousands of calls under way, in one thread.

The claim: what waits needs no thread, only a place to come back to. An
event loop keeps a coroutine for each call and sleeps until one of them can
go on. How many calls should be in flight is not a matter of taste: rate
times latency (Little's law), and no more than the service can take.
"""

from parallel_ai.one_machine.async_io.asking import (
    Refused,
    client,
    clocked,
    connect,
    in_loop,
    labels_asyncio,
    labels_serial,
    labels_threads,
    map_tasks,
    retry_after,
)
from parallel_ai.one_machine.async_io.blocking import (
    ask_blocking,
    ask_in_thread,
    ink_blocking,
    ink_in_process,
    ink_in_thread,
    lateness,
)
from parallel_ai.one_machine.async_io.bounding import (
    Pace,
    arrivals,
    map_workers,
    paced,
    pipeline,
)
from parallel_ai.one_machine.async_io.costs import (
    Flow,
    Waiting,
    calls,
    flow,
    sockets,
    wait_in_tasks,
    wait_in_threads,
    waiting,
)
from parallel_ai.one_machine.async_io.failing import (
    backoff,
    call,
    herd,
    patiently,
    three_in_gather,
    three_in_group,
    within,
)
from parallel_ai.one_machine.async_io.practice import (
    hedged,
    in_flight,
    once,
)
from parallel_ai.one_machine.async_io.slow_service import (
    Bucket,
    LabelService,
    Manner,
    counts,
    serve,
    service,
)
from parallel_ai.one_machine.async_io.tiny import (
    ask_tiny,
    run_all,
    wait,
    wish_for,
)

__all__ = [
    "Bucket",
    "Flow",
    "LabelService",
    "Manner",
    "Pace",
    "Refused",
    "Waiting",
    "arrivals",
    "ask_blocking",
    "ask_in_thread",
    "ask_tiny",
    "backoff",
    "call",
    "calls",
    "client",
    "clocked",
    "connect",
    "counts",
    "flow",
    "hedged",
    "herd",
    "in_flight",
    "in_loop",
    "ink_blocking",
    "ink_in_process",
    "ink_in_thread",
    "labels_asyncio",
    "labels_serial",
    "labels_threads",
    "lateness",
    "map_tasks",
    "map_workers",
    "once",
    "paced",
    "patiently",
    "pipeline",
    "retry_after",
    "run_all",
    "serve",
    "service",
    "sockets",
    "three_in_gather",
    "three_in_group",
    "wait",
    "wait_in_tasks",
    "wait_in_threads",
    "waiting",
    "wish_for",
    "within",
]

COMPARISONS = {"1,000 calls to a slow service": calls}
