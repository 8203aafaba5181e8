"""How many bytes a training holds: parameters, gradients, states.

A training holds four kinds of numbers. Three of them follow from the number
of parameters alone, whatever the model looks like.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Precision:
    """Bytes of each number that belongs to one parameter.

    Attributes
    ----------
    parameter, gradient : int
        As forward and backward pass use them.
    master : int
        Of a more precise copy that the optimizer updates; 0 without one.
    state : int
        Of each number that the optimizer remembers.
    """

    parameter: int
    gradient: int
    master: int
    state: int


PRECISIONS = {
    "fp32": Precision(4, 4, 0, 4),
    "bf16, fp32 master": Precision(2, 2, 4, 4),
    "bf16 alone": Precision(2, 2, 0, 2),
    "bf16, 8-bit states": Precision(2, 2, 4, 1),
}
STATES = {"SGD": 0, "momentum": 1, "Adam": 2}  # numbers a parameter


@dataclass(frozen=True)
class Held:
    """Bytes that a training holds on one device, by kind.

    Attributes
    ----------
    parameters, gradients : int
    states : int
        What the optimizer remembers, and master weights.
    activations : int
        What the forward pass left for the backward pass.
    """

    parameters: int
    gradients: int
    states: int
    activations: int = 0

    @property
    def total(self) -> int:
        """Bytes of all kinds."""
        return (
            self.parameters + self.gradients + self.states + self.activations
        )


def training_bytes(
    count: int, precision: str = "fp32", optimizer: str = "Adam"
) -> Held:
    """Bytes for so many parameters, without activations.

    Parameters
    ----------
    count : int
        Parameters that are trained.
    precision, optimizer : str
        Keys of `PRECISIONS` and `STATES`.

    Raises
    ------
    ValueError
        The count is negative, or a key is not known.
    """
    if count < 0:
        raise ValueError(f"a model has at least 0 parameters, got {count}")
    size = _of(PRECISIONS, precision)
    remembered = _of(STATES, optimizer) * size.state + size.master
    return Held(
        count * size.parameter, count * size.gradient, count * remembered
    )


def _of(table: dict[str, Any], key: str) -> Any:
    if key not in table:
        raise ValueError(f"{key!r} is none of {', '.join(table)}")
    return table[key]


def mlp_activations(batch: int, widths: list[int], itemsize: int = 4) -> int:
    """Bytes that an MLP with ReLUs, and its loss, save for backwards.

    Parameters
    ----------
    widths : list of int
        Of the input, each hidden layer and the logits.

    Notes
    -----
    A linear layer saves its input. A ReLU saves its output, which *is* the
    next layer's input, and counts once. The loss saves the logarithms of the
    probabilities, the labels (8 bytes each) and one number of its own.
    """
    return itemsize * (batch * sum(widths) + 1) + 8 * batch


def transformer_activations(
    batch: int,
    tokens: int,
    width: int,
    heads: int,
    depth: int,
    patch: int = 49,
    classes: int = 10,
) -> int:
    """Bytes that `architectures.vit` in fp32, and its loss, save.

    Notes
    -----
    In a block, in units of tokens × width: the input of both norms (2) and
    of the layers after them (2), queries, keys and values (3), what
    attention returns (1), and the inner layer of twice the width before and
    after its GELU (4). Fused attention adds one number for each head and
    token, a norm two for each token.
    """
    rows = batch * tokens
    block = rows * (12 * width + heads + 2 * 2)
    ends = rows * (patch + width + 2) + batch * (width + classes) + 1
    return 4 * (depth * block + ends) + 8 * batch


def cnn_activations(batch: int) -> int:
    """Bytes that `vision.cnn` in fp32, and its loss, save on a CPU.

    Notes
    -----
    Convolution and normalisation each save their input; a ReLU its output,
    which is the next layer's input. A normalisation saves two numbers for
    each channel, dropout its mask (in fp32 on a CPU).
    """
    flat = 64 * 7 * 7
    came = [32 * 14 * 14, flat, flat]  # out of each convolution
    channels = 32 + 64 + 64
    numbers = 28 * 28 + 2 * sum(came) + 2 * flat + 128 + 10
    return 4 * (batch * numbers + 2 * channels + 1) + 8 * batch
