"""Why depth needed a way around: gradients and trainings, by depth."""

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.imagenet.blocks import (
    Basic,
    Norm,
    ResNet,
)
from parallel_ai.accelerators.imagenet.classifying import normalise
from parallel_ai.accelerators.vision import (
    Data,
    History,
    Part,
    seeded,
    train,
)
from parallel_ai.toolbox import datasets


def no_norm(channels: int) -> nn.Module:
    """Stand where a normalisation would, and do nothing."""
    return nn.Identity()


def deep(
    depth: int, residual: bool, norm: Norm = nn.BatchNorm2d, classes: int = 8
) -> ResNet:
    """Build a narrow network of so many layers: 6k + 2, as in the paper.

    Three stages of k basic blocks, a convolution before and a layer after.
    Plain and residual networks have the same convolutions.

    Raises
    ------
    ValueError
        The depth is not 6k + 2.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth is 8, 14, 20, 26 …, not {depth}")
    return ResNet(
        Basic, (blocks,) * 3, classes, 8, small=True, residual=residual,
        norm=norm,
    )  # fmt: skip


def usual_start(model: ResNet) -> ResNet:
    """Draw the convolutions as `nn.Conv2d` does when nobody asks for more."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return model


def gradient_norms(model: nn.Module, part: Part) -> list[float]:
    """Measure the gradient of each 3 × 3 convolution, first layer first.

    Returns
    -------
    list of float
        Euclidean norms, of one batch, in training mode. The model is left
        as it was, but for its gradients, which are cleared.
    """
    before = {k: v.clone() for k, v in model.state_dict().items()}
    mode = model.training
    model.train()
    model.zero_grad()
    F.cross_entropy(model(part.images), part.labels).backward()
    norms = [
        module.weight.grad.norm().item()
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
        if module.weight.grad is not None
    ]
    model.zero_grad()
    model.load_state_dict(before)
    model.train(mode)
    return norms


def cells(count: int = 1_000) -> Data:
    """Load some blood cells, 14 × 14 pixels, for many short trainings."""
    raw = datasets.load("blood-cells")

    def part(split: str, most: int) -> Part:
        images = normalise(raw[f"{split}_images"][:most])
        labels = torch.as_tensor(raw[f"{split}_labels"][:most]).long()
        return Part(F.avg_pool2d(images, 2).contiguous(), labels)

    validation = part("val", 500)
    return Data(part("train", count), validation, validation[:0])


def train_deep(
    depth: int, residual: bool, data: Data, epochs: int = 4, seed: int = 0
) -> History:
    """Train one of the narrow networks."""
    model = seeded(lambda: deep(depth, residual), seed)
    return train(
        model, data, epochs=epochs, batch_size=64,
        device=data.train.images.device, seed=seed,
    )  # fmt: skip


def multiply_adds(model: nn.Module, side: int) -> int:
    """Count the multiplications of one picture's forward pass.

    Each comes with an addition. Convolutions and dense layers only, which
    is how papers and torchvision count.
    """
    counted: list[int] = []

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        each = layer.get_parameter("weight")[
            0
        ].numel()  # for one number that comes out
        counted.append(out.numel() * each)

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    device = next(model.parameters()).device
    mode = model.training
    model.eval()
    with torch.inference_mode():
        model(torch.zeros(1, 3, side, side, device=device))
    model.train(mode)
    for hook in hooks:
        hook.remove()
    return sum(counted)
