"""Several threads: one memory, one lock, and when that is enough.

The claim: threads that wait overlap, in any Python. Threads that compute in
pure Python take turns, because each needs the GIL; those inside NumPy,
Numba, a hash or a system call run side by side, because these let go of it.
The GIL protects the interpreter, not your program: ``n = int(n) + 1`` loses
updates.
"""

from parallel_ai.one_machine.threads.lock import (
    Interruptions,
    answer_times,
    echo,
    interruptions,
    ping,
    spin,
    switch_interval,
    turns,
)
from parallel_ai.one_machine.threads.locks import (
    actor,
    all_of,
    deadlock,
    learner,
    within,
)
from parallel_ai.one_machine.threads.pixels import (
    at_once,
    histogram_serial,
    histogram_shared,
    histogram_threads,
    mean_threads,
    operations,
    tally,
)
from parallel_ai.one_machine.threads.practice import (
    count_labels,
    map_bounded,
    outcomes,
)
from parallel_ai.one_machine.threads.races import (
    add_called,
    add_locked,
    add_plain,
    count,
    count_apart,
    count_queued,
    lose_on_purpose,
    together,
)
from parallel_ai.one_machine.threads.recording import drawn, gains, record
from parallel_ai.one_machine.threads.scaling import (
    ink,
    ink_interpreters,
    ink_threads,
    lost,
    pythons,
    survey,
    survey_all,
)
from parallel_ai.one_machine.threads.simulating import Turn, take_turns
from parallel_ai.one_machine.threads.sizing import (
    components,
    components_serial,
    first_component,
    team,
    threads_each,
)
from parallel_ai.one_machine.threads.waiting import (
    ask,
    label_service,
    map_by_hand,
    map_serial,
    map_threads,
)

__all__ = [
    "Interruptions",
    "Turn",
    "actor",
    "add_called",
    "add_locked",
    "add_plain",
    "all_of",
    "answer_times",
    "ask",
    "at_once",
    "components",
    "components_serial",
    "count",
    "count_apart",
    "count_labels",
    "count_queued",
    "deadlock",
    "echo",
    "first_component",
    "gains",
    "histogram_serial",
    "histogram_shared",
    "histogram_threads",
    "ink",
    "ink_interpreters",
    "ink_threads",
    "interruptions",
    "label_service",
    "learner",
    "lose_on_purpose",
    "lost",
    "map_bounded",
    "map_by_hand",
    "map_serial",
    "map_threads",
    "mean_threads",
    "operations",
    "outcomes",
    "ping",
    "pythons",
    "spin",
    "survey",
    "survey_all",
    "switch_interval",
    "take_turns",
    "tally",
    "team",
    "threads_each",
    "together",
    "turns",
    "within",
]

RECORDS = {"threads": record}
CURVES = {"threads": drawn}
