"""Workers, schedulers and programs that die, and results that do not.

The claim: a program that is a graph of tasks without side effects survives
``kill -9`` of any worker with an equal result, for what was lost is computed
again from what it came from. What is not in the graph (scattered data, an
actor's state, output that is not written twice alike) is lost or doubled,
unless it is saved under its name.
"""

from parallel_ai.many_machines.failures.faults import (
    at_full_strength,
    breakable,
    complete,
    complete_fetching,
    kill,
    log_kept,
    process_of,
    richest,
    stopped,
    wait_for_file,
)
from parallel_ai.many_machines.failures.hedging import (
    hang_and_hedge,
    hedged,
    presumed_dead,
    second_copy,
)
from parallel_ai.many_machines.failures.job import (
    draw_medians,
    interval,
    month_interval,
    read_delays,
    year_graph,
    year_serial,
)
from parallel_ai.many_machines.failures.journal import (
    Tally,
    noted,
    tally,
    write_line,
)
from parallel_ai.many_machines.failures.lost import (
    Count,
    Split,
    after_one_kill,
    copies,
    copies_kept,
    copies_left,
    laid_out,
    shuffled,
    to_test,
    to_train,
    what_remains,
)
from parallel_ai.many_machines.failures.odds import (
    expected_time,
    simulate,
    survival,
    young_interval,
)
from parallel_ai.many_machines.failures.outputs import (
    add_to_total,
    append_row,
    count_flights,
    die_once,
    publish_carefully,
    publish_carelessly,
    published,
    put_row,
    save_if_absent,
    save_whole,
)
from parallel_ai.many_machines.failures.practice import (
    add_once,
    finish_time,
    to_recompute,
)
from parallel_ai.many_machines.failures.recovery import (
    COMPARISONS,
    Run,
    recovery,
    run_year,
    worker_seconds,
)
from parallel_ai.many_machines.failures.saved import (
    resume,
    save_result,
    separate,
)
from parallel_ai.many_machines.failures.steps import long_task, steps_predicted
from parallel_ai.many_machines.failures.suspects import (
    again_and_again,
    allowed_failures,
    beside_poison,
    flaky,
    poison,
)

__all__ = [
    "COMPARISONS",
    "Count",
    "Run",
    "Split",
    "Tally",
    "add_once",
    "add_to_total",
    "after_one_kill",
    "again_and_again",
    "allowed_failures",
    "append_row",
    "at_full_strength",
    "beside_poison",
    "breakable",
    "complete",
    "complete_fetching",
    "copies",
    "copies_kept",
    "copies_left",
    "count_flights",
    "die_once",
    "draw_medians",
    "expected_time",
    "finish_time",
    "flaky",
    "hang_and_hedge",
    "hedged",
    "interval",
    "kill",
    "laid_out",
    "log_kept",
    "long_task",
    "month_interval",
    "noted",
    "poison",
    "presumed_dead",
    "process_of",
    "publish_carefully",
    "publish_carelessly",
    "published",
    "put_row",
    "read_delays",
    "recovery",
    "resume",
    "richest",
    "run_year",
    "save_if_absent",
    "save_result",
    "save_whole",
    "second_copy",
    "separate",
    "shuffled",
    "simulate",
    "steps_predicted",
    "stopped",
    "survival",
    "tally",
    "to_recompute",
    "to_test",
    "to_train",
    "wait_for_file",
    "what_remains",
    "worker_seconds",
    "write_line",
    "year_graph",
    "year_serial",
    "young_interval",
]
