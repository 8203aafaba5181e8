"""To take home: any cluster that `connect` finds; and Ray's way."""

from collections.abc import Callable
from typing import Any

from parallel_ai.training.on_dask.running import Report, run_ddp


def train_anywhere(
    train: Callable[..., Any],
    *args: Any,
    workers: int = 2,
    report: Report = print,
) -> list[Any]:
    """Train on Saturn Cloud if we are there, else on the cluster there is.

    `connect` decides by the environment: an address in
    ``DASK_SCHEDULER_ADDRESS``, Saturn Cloud's variables, hosts, SLURM, and
    else this machine.
    """
    from parallel_ai.many_machines.clusters import connect

    with connect(workers=workers) as client:
        return run_ddp(client, train, *args, workers=workers, report=report)


def train_by_ray(
    train: Callable[[dict[str, Any]], Any],
    options: dict[str, Any],
    workers: int = 2,
    gpus: bool = False,
    folder: str | None = None,
) -> Any:
    """Do the same by Ray Train, which wants the package pydantic, too.

    In the function, ``ray.train.report(metrics, checkpoint=…)`` takes the
    place of `tell`, and all ranks have to call it.

    Parameters
    ----------
    folder : str, optional
        For checkpoints, one that all hosts see; by default in the home.

    Returns
    -------
    ray.train.Result
        Its `return_value` is what rank 0 returned.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        train,
        train_loop_config=options,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(
            storage_path=folder, failure_config=FailureConfig(max_failures=2)
        ),
    )
    return trainer.fit()
