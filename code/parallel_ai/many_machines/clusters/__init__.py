"""Clusters: from this laptop to the cloud with the same program.

The claim: a program says `connect` once and runs anywhere. What differs
between a laptop, hosts with SSH, a batch system and a cloud stands outside
of it: who may come in (certificates), what the workers have installed, where
the data lie, when it all ends, and who pays.

What this machine offers::

    python -m parallel_ai.many_machines.clusters
"""

from parallel_ai.many_machines.clusters.adapting import (
    QUICK,
    Episode,
    Roster,
    WorkerProcess,
    adapt_to,
    managed_cluster,
    pause,
)
from parallel_ai.many_machines.clusters.batch import (
    ASKED,
    directives,
    job_script,
    slurm_cluster,
)
from parallel_ai.many_machines.clusters.by_hand import (
    Running,
    end,
    processes,
    scheduler_command,
    security_flags,
    started,
    wait_for_address,
    worker_command,
)
from parallel_ai.many_machines.clusters.certificates import (
    Authority,
    issue,
    make_authority,
    secure,
)
from parallel_ai.many_machines.clusters.comparing import (
    client_of,
    encryption_rate,
    many_tasks,
    plain_and_tls,
    send,
    start_times,
)
from parallel_ai.many_machines.clusters.connecting import (
    ADDRESS,
    HOSTS,
    SATURN,
    Choice,
    choose,
    connect,
    open_address,
    open_saturn,
    survey,
)
from parallel_ai.many_machines.clusters.costing import (
    Job,
    Rates,
    bill,
    cheapest,
    cost,
    forgotten,
)
from parallel_ai.many_machines.clusters.cutting import (
    NUMBERS,
    cluster_on,
    combine,
    combine_serial,
    fetch_seconds,
    hosts_experiment,
    known_workers,
    listening_on,
    lose_a_host,
    simulate,
)
from parallel_ai.many_machines.clusters.environments import (
    count_rows,
    differences,
    pretend_version,
)
from parallel_ai.many_machines.clusters.logins import (
    as_configuration,
    free_port,
    own_sshd,
    ssh_cluster,
    sshd_program,
)
from parallel_ai.many_machines.clusters.networks import (
    Lan,
    apart,
    forbidden,
    inside,
    lan,
)
from parallel_ai.many_machines.clusters.practice import (
    best_workers,
    beyond_loopback,
    walltime_seconds,
)
from parallel_ai.many_machines.clusters.queues import (
    no_slurm,
    own_slurm,
    slurm_experiment,
    slurm_settings,
)
from parallel_ai.many_machines.clusters.recording import (
    here_or_recorded,
    hosts_here,
    slurm_here,
)
from parallel_ai.many_machines.clusters.strangers import (
    listeners,
    trespass,
)

__all__ = [
    "ADDRESS",
    "ASKED",
    "HOSTS",
    "NUMBERS",
    "QUICK",
    "SATURN",
    "Authority",
    "Choice",
    "Episode",
    "Job",
    "Lan",
    "Rates",
    "Roster",
    "Running",
    "WorkerProcess",
    "adapt_to",
    "apart",
    "as_configuration",
    "best_workers",
    "beyond_loopback",
    "bill",
    "cheapest",
    "choose",
    "client_of",
    "cluster_on",
    "combine",
    "combine_serial",
    "connect",
    "cost",
    "count_rows",
    "differences",
    "directives",
    "encryption_rate",
    "end",
    "fetch_seconds",
    "forbidden",
    "forgotten",
    "free_port",
    "here_or_recorded",
    "hosts_experiment",
    "hosts_here",
    "inside",
    "issue",
    "job_script",
    "known_workers",
    "lan",
    "listeners",
    "listening_on",
    "lose_a_host",
    "make_authority",
    "managed_cluster",
    "many_tasks",
    "no_slurm",
    "open_address",
    "open_saturn",
    "own_slurm",
    "own_sshd",
    "pause",
    "plain_and_tls",
    "pretend_version",
    "processes",
    "scheduler_command",
    "secure",
    "security_flags",
    "send",
    "simulate",
    "slurm_cluster",
    "slurm_experiment",
    "slurm_here",
    "slurm_settings",
    "ssh_cluster",
    "sshd_program",
    "start_times",
    "started",
    "survey",
    "trespass",
    "wait_for_address",
    "walltime_seconds",
    "worker_command",
]
