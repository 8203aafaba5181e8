"""Which way, before it is written: a prediction, and its test.

The claim: a few measurements of a job (does it wait, does it hold the lock,
how much must be sent) and a few of the machine predict which way of running
it in parallel ends first, because the busiest resource decides.
"""

from parallel_ai.one_machine.choosing.jobs import Job, jobs, run, survey, ways
from parallel_ai.one_machine.choosing.practice import (
    kind_of_job,
    least_chunk,
    most_workers,
)
from parallel_ai.one_machine.choosing.predicting import (
    Prices,
    Way,
    bottleneck,
    choose,
    demands,
    measure_prices,
    predict,
)
from parallel_ai.one_machine.choosing.work import Work, examine, lock_share

__all__ = [
    "Job",
    "Prices",
    "Way",
    "Work",
    "bottleneck",
    "choose",
    "demands",
    "examine",
    "jobs",
    "kind_of_job",
    "least_chunk",
    "lock_share",
    "measure_prices",
    "most_workers",
    "predict",
    "run",
    "survey",
    "ways",
]

RECORDS = {"choosing": survey}
