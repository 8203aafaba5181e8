"""What does each layer do with the pictures? Hooks, forwards and backwards."""

from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.looking_inside.counting import (
    as_used,
    hooked,
    leaves,
)
from parallel_ai.accelerators.vision import Part


def feature_maps(
    model: nn.Module, images: torch.Tensor, kind: type[nn.Module] = nn.ReLU
) -> dict[str, torch.Tensor]:
    """Collect what every layer of a kind puts out.

    Returns
    -------
    dict of str to tensor
        On the CPU, by the layer's name, the batch first.
    """
    found = {}

    def keep(name: str, module: nn.Module, output: torch.Tensor) -> None:
        found[name] = output.cpu()

    chosen = {n: m for n, m in leaves(model).items() if isinstance(m, kind)}
    with as_used(model), hooked(chosen, keep):
        model(images.to(next(model.parameters()).device))
    return found


def dead_units(model: nn.Module, images: torch.Tensor) -> dict[str, float]:
    """Find the share of each ReLU's units that no picture wakes.

    A channel of a feature map is one unit: it has one set of weights.
    """
    shares = {}
    for name, output in feature_maps(model, images).items():
        units = output.transpose(0, 1).flatten(1)
        shares[name] = (units == 0).all(1).float().mean().item()
    return shares


def gradient_norms(model: nn.Module, part: Part) -> dict[str, float]:
    """Measure the gradient that comes back to each convolution and layer.

    Returns
    -------
    dict of str to float
        Norm of the gradient of the mean loss with respect to the layer's
        output, in the order of the layers.
    """
    place = next(model.parameters()).device
    norms: dict[str, float] = {}
    with ExitStack() as stack:
        for name, module in leaves(model).items():
            if not isinstance(module, nn.Conv2d | nn.Linear):
                continue

            def note(
                module: nn.Module, inputs: Any, outputs: Any, name: str = name
            ) -> None:
                norms[name] = outputs[0].norm().item()

            hook = module.register_full_backward_hook(note)
            stack.callback(hook.remove)
        with as_used(model), torch.enable_grad():
            # A full backward hook wants an input with a gradient.
            images = part.images.to(place).detach().requires_grad_()
            logits = model(images)
            loss = F.cross_entropy(logits, part.labels.to(place))
            loss.backward()
    model.zero_grad()
    return dict(reversed(norms.items()))


def saliency(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Ask which pixels move the score of a class.

    Returns
    -------
    tensor, as the images
        Absolute gradient of each picture's score with respect to its pixels
        (Simonyan, Vedaldi and Zisserman, 2014).
    """
    place = next(model.parameters()).device
    with as_used(model), torch.enable_grad():
        pixels = images.detach().clone().to(place).requires_grad_()
        scores = model(pixels).gather(1, labels.to(place).unsqueeze(1))
        [gradient] = torch.autograd.grad(scores.sum(), pixels)
    return gradient.abs().cpu()


def alike(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Correlate the ranks of two stacks of maps, picture by picture."""
    ranks = [
        maps.flatten(1).argsort(1).argsort(1).double()
        for maps in (ours, theirs)
    ]
    one, two = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    return F.cosine_similarity(one, two, dim=1).mean().item()
