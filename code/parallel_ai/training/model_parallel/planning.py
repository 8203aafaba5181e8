"""Which dimension for which link: plans for a cluster, by formulas."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """GPUs in nodes. Rates are per GPU, in bytes or operations a second.

    Attributes
    ----------
    inside, across : float
        Bytes a second that a GPU sends within its node, and to others.
    reached : float
        Share of the peak that one GPU reaches alone.
    """

    gpus: int
    node: int = 8
    peak: float = 312e12
    memory: float = 80e9
    inside: float = 300e9
    across: float = 25e9
    reached: float = 0.55


@dataclass(frozen=True)
class Model:
    """A transformer, and the batch of a step."""

    width: int
    depth: int
    length: int = 2048
    batch: int = 1536  # sequences
    vocabulary: int = 51200

    @property
    def parameters(self) -> float:
        """About 12 h² a block, and the embedding."""
        return 12 * self.depth * self.width**2 + self.vocabulary * self.width


@dataclass(frozen=True)
class Plan:
    """Ranks of each dimension, and what a step costs; seconds, bytes."""

    tensor: int
    pipeline: int
    data: int
    memory: float
    compute: float
    tensor_talk: float
    pipeline_talk: float
    data_talk: float
    bubble: float  # seconds

    @property
    def seconds(self) -> float:
        """Of a step; nothing is hidden behind arithmetic."""
        talk = self.tensor_talk + self.pipeline_talk + self.data_talk
        return self.compute + talk + self.bubble


def state_bytes(model: Model, tensor: int, pipeline: int) -> float:
    """Bytes of weights, gradients and Adam's states on a GPU.

    Mixed precision: 2 + 2 for weight and gradient, 12 for the optimizer's
    copy and its two averages.
    """
    return 16 * model.parameters / (tensor * pipeline)


def kept_bytes(model: Model, tensor: int, pipeline: int) -> float:
    """Bytes of activations of the first stage under 1F1B.

    Only the inputs of blocks are kept, and a block is computed again
    backwards; of one block all is there, 34 bytes a number (Korthikanti et
    al. 2022, with attention that keeps no scores). Micro-batches of one
    sequence; at most as many are kept as there are stages.
    """
    vectors = model.length * model.width
    blocks = model.depth / pipeline
    inputs = 2 * vectors * blocks * pipeline
    return inputs + vectors * (10 + 24 / tensor)


def make_plan(
    cluster: Cluster, model: Model, tensor: int, pipeline: int
) -> Plan:
    """Add up a step: each dimension pays on the link that it uses."""
    data = cluster.gpus // (tensor * pipeline)
    micros = model.batch / data
    tokens = model.batch * model.length
    operations = 8 * model.parameters * tokens  # 6, and forwards once again
    compute = operations / cluster.gpus / (cluster.peak * cluster.reached)
    vector = 2 * model.length * model.width  # bytes of a micro-batch
    speed = cluster.inside if tensor <= cluster.node else cluster.across
    sums = 6 * micros * model.depth / pipeline  # of a rank; 4, and 2 again
    talk = sums * 2 * (tensor - 1) / tensor * vector / speed
    hops = 2 * micros * (pipeline > 1)
    between = cluster.across
    if tensor * pipeline <= cluster.node:
        between = cluster.inside
    own = model.parameters / (tensor * pipeline)
    gradients = 2 * (data - 1) / data * 2 * own
    link = cluster.inside if cluster.gpus <= cluster.node else cluster.across
    return Plan(
        tensor, pipeline, data,
        state_bytes(model, tensor, pipeline)
        + kept_bytes(model, tensor, pipeline),
        compute, talk, hops * vector / tensor / between, gradients / link,
        (compute + talk) * (pipeline - 1) / micros,
    )  # fmt: skip


def plans(cluster: Cluster, model: Model) -> list[Plan]:
    """Try every split that fits into memory; the fastest first."""
    found = [
        make_plan(cluster, model, tensor, pipeline)
        for tensor, pipeline in _splits(cluster, model)
    ]
    fitting = [plan for plan in found if plan.memory <= 0.9 * cluster.memory]
    return sorted(fitting, key=lambda plan: plan.seconds)


def _splits(cluster: Cluster, model: Model) -> Iterator[tuple[int, int]]:
    """Yield what divides GPUs, width, depth and batch."""
    for tensor in range(1, cluster.gpus + 1):
        for pipeline in range(1, model.depth + 1):
            whole, rest = divmod(cluster.gpus, tensor * pipeline)
            if rest or model.width % (64 * tensor) or model.depth % pipeline:
                continue
            if whole and model.batch % whole == 0:
                yield tensor, pipeline
