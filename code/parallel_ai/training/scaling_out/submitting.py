"""A job for SLURM: one torchrun on each node."""

import shlex
from collections.abc import Sequence

TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1       # torchrun starts the ranks itself
#SBATCH --gpus-per-node={gpus}
#SBATCH --cpus-per-task={cpus}
#SBATCH --time={hours}:00:00
#SBATCH --exclusive
#SBATCH --requeue                 # a node lost? queue again: it resumes
#SBATCH --switches=1@00:30:00     # wait so long for one leaf switch

set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export NCCL_DEBUG=WARN TORCH_NCCL_DUMP_ON_TIMEOUT=1

srun --kill-on-bad-exit=1 torchrun \\
  --nnodes="$SLURM_JOB_NUM_NODES" \\
  --nproc-per-node={gpus} \\
  --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" \\
  --rdzv-endpoint="$head:29500" \\
  --max-restarts=3 \\
  -m {module} {options}
"""


def sbatch_script(
    module: str,
    options: Sequence[str],
    nodes: int,
    gpus: int,
    hours: int = 24,
    cpus: int = 96,
) -> str:
    """Fill in the template. It was checked by bash -n and never submitted.

    Parameters
    ----------
    module : str
        What torchrun starts with `-m`; dotted names only.
    options : sequence of str
        Of the module. A checkpoint on a disk that all nodes see is among
        them, or a job that is queued again begins anew.

    Raises
    ------
    ValueError
        The module's name is none, or a number is not positive.
    """
    if not all(word.isidentifier() for word in module.split(".")):
        raise ValueError(f"{module!r} is no module's name")
    if min(nodes, gpus, hours, cpus) < 1:
        raise ValueError("nodes, gpus, hours and cpus are at least 1")
    return TEMPLATE.format(
        name=module.rpartition(".")[2], module=module, nodes=nodes,
        gpus=gpus, hours=hours, cpus=cpus, options=shlex.join(options),
    )  # fmt: skip
