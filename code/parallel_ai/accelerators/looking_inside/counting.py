"""What is in a model? Layers, shapes, weights and multiplications.

The tools are imported where they are used: a machine that records times
needs none of them.
"""

import contextlib
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    import torchinfo

Hook = Callable[[str, nn.Module, torch.Tensor], None]


@contextmanager
def as_used(model: nn.Module) -> Iterator[None]:
    """Switch to the mode of use, remember no graph, and switch back."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in before.items():
            module.training = mode


@contextmanager
def hooked(modules: Mapping[str, nn.Module], hook: Hook) -> Iterator[None]:
    """Call a function after each of some modules; take it off at the end.

    Parameters
    ----------
    modules : mapping of str to Module
        By the names under which the hook hears of them.
    hook : callable
        Called with name, module and output; what it returns is ignored.
    """
    with ExitStack() as stack:
        for name, module in modules.items():

            def call(
                module: nn.Module, inputs: Any, output: Any, name: str = name
            ) -> None:
                hook(name, module, output)

            stack.callback(module.register_forward_hook(call).remove)
        yield


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    """Find the modules that contain no others, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if not any(module.children())
    }


@dataclass(frozen=True)
class Layer:
    """One call of a module without children."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    parameters: int  # none where a call before had the same ones
    multiply_adds: int  # for one example


def layers(model: nn.Module, example: torch.Tensor) -> list[Layer]:
    """List what a model calls, with a forward hook on each leaf.

    The model is left as it was: mode, running means, hooks.

    Parameters
    ----------
    example : tensor, (n, …)
        A batch; its first dimension is left out of all shapes.
    """
    found: list[Layer] = []
    seen: set[nn.Parameter] = set()

    def note(name: str, module: nn.Module, output: torch.Tensor) -> None:
        shape = tuple(output.shape[1:])
        own = set(module.parameters()) - seen
        seen.update(own)
        found.append(
            Layer(
                name, type(module).__name__, shape,
                sum(p.numel() for p in own), multiply_adds(module, shape),
            )
        )  # fmt: skip

    with as_used(model), hooked(leaves(model), note):
        model(example)
    return found


def multiply_adds(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Count the products of a layer: each output needs a row of weights.

    Normalisation, ReLU and pooling count as none, as is usual.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        return math.prod(shape) * module.weight[0].numel()
    return 0


def products(model: nn.Module, example: torch.Tensor) -> int:
    """Count multiply-adds where they happen: in PyTorch's dispatcher.

    Attention's fast path is one operation that the counter does not know.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with as_used(model), FlopCounterMode(display=False) as counter:
            model(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


def torchsummarys_count(model: nn.Module, shape: tuple[int, ...]) -> int | str:
    """Read the total from what torchsummary prints, or its error."""
    import torchsummary

    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            torchsummary.summary(model, shape, device="cpu")
    except Exception as error:  # noqa: BLE001 - whatever it raises is shown
        return type(error).__name__
    total = re.search(r"Total params: ([\d,]+)", printed.getvalue())
    return int(total[1].replace(",", "")) if total else "no total"


def torchinfos_table(
    model: nn.Module, shape: tuple[int, ...]
) -> "torchinfo.ModelStatistics":
    """Let torchinfo describe a model for one example.

    It puts back one mode for all; `as_used` gives each module its own again.
    """
    import torchinfo

    with as_used(model):
        return torchinfo.summary(
            model, input_size=(1, *shape), verbose=0,
            col_names=("output_size", "num_params", "mult_adds"),
        )  # fmt: skip


class Twice(nn.Module):
    """One layer, called twice: 72 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it, and again."""
        return self.layer(self.layer(x))


class Scaled(nn.Module):
    """A layer, and a parameter that belongs to no layer: 80 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale, then apply the layer."""
        return self.layer(self.scale * x)


class Attending(nn.Module):
    """Attention keeps its weights under names of its own: 360 of them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let each of the rows look at all of them."""
        return self.layer(self.attention(x, x, x, need_weights=False)[0])
