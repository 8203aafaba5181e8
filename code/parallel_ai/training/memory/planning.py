"""What each stage of ZeRO needs on a device, before anything is started."""

from dataclasses import dataclass

from parallel_ai.training.memory.formulas import (
    PRECISIONS,
    Held,
    training_bytes,
)

STAGES = {
    0: "all on each device",
    1: "states divided",
    2: "and gradients",
    3: "and parameters",
}
GPUS = {"H100": 80e9, "H200": 141e9}  # bytes, by their maker


@dataclass(frozen=True)
class Need:
    """Bytes that one device needs.

    Attributes
    ----------
    rest : Held
        What is there from step to step, and activations.
    working : int
        What a stage gathers for a moment, beyond its share.
    """

    rest: Held
    working: int

    @property
    def total(self) -> int:
        """Bytes at the worst moment of a step."""
        return self.rest.total + self.working


def need(
    count: int,
    ranks: int,
    stage: int,
    precision: str = "bf16, fp32 master",
    optimizer: str = "Adam",
    unit: int = 0,
    activations: int = 0,
) -> Need:
    """Say what a device needs when so many share a model's state.

    Parameters
    ----------
    count, ranks : int
        Parameters, and devices.
    stage : int
        0 to 3, of `STAGES`.
    unit : int
        Parameters that are gathered, or reduced, together (a layer, say).
    activations : int
        Bytes that a device's share of the batch saves.

    Raises
    ------
    ValueError
        There is no rank, no such stage, or a unit larger than the model.

    Notes
    -----
    The memory model of Rajbhandari et al. (2020), and what their stages
    hold for a moment: a unit's gradients from stage 2 on, before they are
    reduced, and in stage 3 a unit's parameters as well.
    """
    if ranks < 1 or stage not in STAGES or not 0 <= unit <= count:
        raise ValueError(
            f"need at least 1 rank, a stage of 0 to 3 and a unit within the "
            f"model, got {ranks} ranks, stage {stage} and {unit} parameters"
        )
    whole = training_bytes(count, precision, optimizer)
    share = training_bytes(-(-count // ranks), precision, optimizer)
    size = PRECISIONS[precision]
    held = Held(
        share.parameters if stage == 3 else whole.parameters,
        share.gradients if stage >= 2 else whole.gradients,
        share.states if stage >= 1 else whole.states,
        activations,
    )
    moment = size.gradient * (stage >= 2) + size.parameter * (stage == 3)
    return Need(held, unit * moment if ranks > 1 else 0)


def fewest(limit: float, count: int, stage: int, most: int = 4096) -> int:
    """Find how many devices are enough; 0 if none up to `most` are.

    Parameters
    ----------
    limit : float
        Bytes that a device can spare for parameters, gradients, states.
    """
    doubling = (2**k for k in range(most.bit_length()))
    enough = (
        n
        for n in doubling
        if n <= most and need(count, n, stage).total <= limit
    )
    return next(enough, 0)


def sent_bytes(
    stage: int, parameters: int, gradients: int, ranks: int
) -> float:
    """Bytes that a rank sends in a step, by a ring.

    Parameters
    ----------
    parameters, gradients : int
        Bytes of the whole model's.

    Raises
    ------
    ValueError
        There is no rank, or no such stage.

    Notes
    -----
    An all-reduce is a reduce-scatter and an all-gather, so stages 1 and 2
    cost what stage 0 costs, if parameters and gradients are of one type.
    Stage 3 gathers twice: for the forward pass and for the backward pass.
    """
    if stage not in STAGES or ranks < 1:
        raise ValueError(f"no stage {stage} with {ranks} ranks")
    gathered = {0: gradients, 1: parameters, 2: parameters, 3: 2 * parameters}
    return (ranks - 1) / ranks * (gradients + gathered[stage])
