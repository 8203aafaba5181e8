"""A job for SLURM: one torchrun on each node."""

TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1       # torchrun starts the ranks itself
#SBATCH --gpus-per-node={gpus}
#SBATCH --cpus-per-task={cpus}
#SBATCH --time={hours}:00:00
#SBATCH --exclusive
#SBATCH --requeue                 # killed? queue again, from the checkpoint
#SBATCH --signal=B:USR1@300       # 5 minutes' warning: save
#SBATCH --switches=1@00:30:00     # wait so long for one leaf switch

set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export NCCL_DEBUG=WARN TORCH_NCCL_DUMP_ON_TIMEOUT=1
trap 'scancel --signal=USR1 "$SLURM_JOB_ID.0"' USR1

srun --kill-on-bad-exit=1 torchrun \\
  --nnodes="$SLURM_JOB_NUM_NODES" \\
  --nproc-per-node={gpus} \\
  --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" \\
  --rdzv-endpoint="$head:29500" \\
  --max-restarts=3 \\
  -m {module} --resume &
wait
"""


def sbatch_script(
    module: str, nodes: int, gpus: int, hours: int = 24, cpus: int = 96
) -> str:
    """Fill in the template. It was checked by bash -n and never submitted.

    Parameters
    ----------
    module : str
        What torchrun starts with `-m`; dotted names only.

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
        gpus=gpus, hours=hours, cpus=cpus,
    )  # fmt: skip
