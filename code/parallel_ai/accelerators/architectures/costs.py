"""Operations and bytes of each layer, by formulas that fit on a line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from parallel_ai.accelerators.architectures.vit import Mix
from parallel_ai.accelerators.vision import evaluating

# Operations for each number that comes out. A convention, not a count: an
# exponential is many instructions, and none of the usual counters counts any.
SMALL: dict[type[nn.Module], int] = {
    nn.ReLU: 1, nn.BatchNorm2d: 2, nn.LayerNorm: 8, nn.GELU: 8,
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """What a layer does to one batch, forwards.

    Attributes
    ----------
    name, kind : str
        Where it is in the model, and what it is.
    products : int
        Multiplications and additions of its matrix product, as PyTorch's
        counter counts them: 2 for each pair.
    others : int
        Operations on single numbers, by the convention `SMALL`.
    weights, activations : int
        Bytes of its parameters; bytes that come in and go out.
    independent : int
        Numbers that come out and do not need each other.
    call : callable
        Computes the layer once more, for a stopwatch.
    """

    name: str
    kind: str
    products: int
    others: int
    weights: int
    activations: int
    independent: int
    call: Callable[[], Any]

    @property
    def operations(self) -> int:
        """All operations."""
        return self.products + self.others

    @property
    def bytes(self) -> int:
        """Bytes that pass if each number passes once."""
        return self.weights + self.activations

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.operations / self.bytes


def dense_products(rows: int, inputs: int, outputs: int) -> int:
    """Count for a matrix product (rows × inputs) @ (inputs × outputs)."""
    return 2 * rows * inputs * outputs


def convolution_products(
    pixels: int, inputs: int, outputs: int, size: int
) -> int:
    """Count for a convolution; `pixels` come out, over the whole batch."""
    return dense_products(pixels, inputs * size * size, outputs)


def attention_products(
    batch: int, heads: int, queries: int, keys: int, width: int
) -> int:
    """Count for scores and mixing: two products for each head."""
    return 2 * batch * heads * dense_products(queries, width, keys)


def products(layer: nn.Module, given: torch.Tensor, came: torch.Tensor) -> int:
    """Count the products of one layer from its shapes; 0 if it has none."""
    if isinstance(layer, nn.Linear):
        rows = came.numel() // layer.out_features
        return dense_products(rows, layer.in_features, layer.out_features)
    if isinstance(layer, nn.Conv2d):
        pixels = came.numel() // layer.out_channels
        inputs = layer.in_channels // layer.groups
        size = layer.kernel_size[0] * layer.kernel_size[1]
        return dense_products(pixels, inputs * size, layer.out_channels)
    if isinstance(layer, Mix):
        n, heads, tokens, width = given.shape
        return attention_products(n, heads, tokens, tokens, width)
    return 0


def layers(model: nn.Module, images: torch.Tensor) -> list[Layer]:
    """Run a model once and note each layer that computes something.

    Additions between layers (residuals, positions) are left out.
    """
    found: list[Layer] = []

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, given: Any, came: torch.Tensor) -> None:
            def again() -> torch.Tensor:
                with evaluating(layer):
                    return layer(*given)

            counted = products(layer, given[0], came)
            small = SMALL.get(type(layer), 0) * came.numel()
            if counted or small:
                found.append(
                    Layer(
                        name,
                        type(layer).__name__,
                        counted,
                        small,
                        _bytes(layer.parameters()),
                        _bytes([*given, came]),
                        came.numel(),
                        again,
                    )
                )

        return hook

    leaves = [m for m in model.named_modules() if not [*m[1].children()]]
    hooks = [leaf.register_forward_hook(note(n)) for n, leaf in leaves]
    try:
        with evaluating(model):
            model(images)
    finally:
        for one in hooks:
            one.remove()
    return found


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def forward_products(model: nn.Module, images: torch.Tensor) -> int:
    """Count a whole forward pass."""
    return sum(layer.products for layer in layers(model, images))


def training_products(
    model: nn.Module, images: torch.Tensor, again: bool = False
) -> int:
    """Count forward and backward.

    Each product has two backwards, one for each of its factors. The first
    layer is spared one of them: nobody asks for the gradient of a picture.

    Parameters
    ----------
    again : bool
        Whether attention computes its scores again on the way back, as
        tiles must, so that a fifth product joins its four.
    """
    each = layers(model, images)
    first = next((one.products for one in each if one.products), 0)
    mixing = sum(one.products for one in each if one.kind == "Mix")
    total = 3 * sum(one.products for one in each) - first
    return total + again * mixing // 2
