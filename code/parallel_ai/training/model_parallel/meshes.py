"""Two dimensions at once: batches shared, and layers split."""

from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from parallel_ai.toolbox import ranks
from parallel_ai.training.model_parallel.language import loss_of, split_model
from parallel_ai.training.model_parallel.teams import Processes
from parallel_ai.training.model_parallel.trainings import (
    Job,
    Momentum,
    Trained,
    weights_of,
)


def mesh_of(data: int, tensor: int) -> DeviceMesh:
    """Lay the ranks out; those of a row split layers, and are neighbours."""
    return init_device_mesh(
        ranks.device().type, (data, tensor), mesh_dim_names=("data", "tensor")
    )


def train_mesh(job: Job, data: int, tensor: int) -> tuple[list[int], Trained]:
    """Train with batches shared by the rows, and layers split in them.

    Returns
    -------
    tuple
        The rank's place, row and column; and what it trained.
    """
    mesh, device = mesh_of(data, tensor), ranks.device()
    team = Processes(mesh.get_group("tensor"))
    replicas = Processes(mesh.get_group("data"))
    model = split_model(job.model(), team).to(device)
    optimizer = Momentum(model)
    losses = []
    for pair in job.batches():
        tokens, targets = (
            one.chunk(data)[replicas.rank].to(device) for one in pair
        )
        loss = loss_of(model(tokens), targets, team)
        optimizer.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.grad = replicas.total(p.grad) / data  # type: ignore[arg-type]
        optimizer.step()
        losses.append((replicas.total(loss.detach()) / data).item())
    place = list(mesh.get_coordinate() or [])
    return place, (losses, weights_of(model))
