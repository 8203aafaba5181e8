"""Residual blocks and networks by hand, with torchvision's names inside.

Equal names make weights exchangeable: `load_state_dict` takes the official
ones as they are. All of it is He et al. (2016),
https://doi.org/10.1109/CVPR.2016.90, with the stride in the 3 × 3
convolution of a bottleneck, as torchvision has it ("ResNet v1.5").
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1
) -> nn.Conv2d:
    """Build a convolution that keeps the sides, divided by its stride."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def shortcut(
    inputs: int, outputs: int, stride: int, norm: Norm
) -> nn.Sequential:
    """Build the way around a block: nothing, or a fit of the shape.

    An empty `Sequential` returns what it gets. Where a block changes the
    shape, a 1 × 1 convolution does so too, and only there has it weights.
    """
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        convolution(inputs, outputs, 1, stride), norm(outputs)
    )


class Basic(nn.Module):
    """Two 3 × 3 convolutions, and a way around them.

    Parameters
    ----------
    inputs, width : int
        Channels that come in, and that go out.
    stride : int
        Of the first convolution.
    residual : bool
        Without, the same layers and no way around: a plain block.
    norm : callable
        Makes the normalisation of so many channels.
    """

    expansion = 1

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int = 1,
        residual: bool = True,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, width, 3, stride)
        self.bn1 = norm(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = norm(width)
        if residual:
            self.downsample = shortcut(inputs, width, stride, norm)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what is to be added, and add it."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x) if self.residual else y)


class Bottleneck(nn.Module):
    """Fewer channels, a 3 × 3 convolution among them, four times as many.

    Parameters are those of `Basic`; ``4 · width`` channels go out.
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int = 1,
        residual: bool = True,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = convolution(inputs, width, 1)
        self.bn1 = norm(width)
        self.conv2 = convolution(width, width, 3, stride)
        self.bn2 = norm(width)
        self.conv3 = convolution(width, outputs, 1)
        self.bn3 = norm(outputs)
        if residual:
            self.downsample = shortcut(inputs, outputs, stride, norm)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what is to be added, and add it."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x) if self.residual else y)


class ResNet(nn.Module):
    """Blocks in stages: each halves the sides and doubles the channels.

    Parameters
    ----------
    block : Basic or Bottleneck
    repeats : sequence of int
        Blocks of each stage.
    classes : int
    width : int
        Channels of the first stage.
    small : bool
        For small pictures: begin with a 3 × 3 convolution that keeps the
        sides, where the large network divides them by four.
    residual, norm
        As in `Basic`.
    """

    def __init__(
        self,
        block: type[Basic] | type[Bottleneck],
        repeats: Sequence[int],
        classes: int = 1000,
        width: int = 64,
        small: bool = False,
        residual: bool = True,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.small, self.stages = small, len(repeats)
        size, stride = (3, 1) if small else (7, 2)
        self.conv1 = convolution(3, width, size, stride)
        self.bn1 = norm(width)
        channels = width
        for stage, count in enumerate(repeats):
            blocks = nn.Sequential()
            for number in range(count):
                stride = 2 if stage and number == 0 else 1
                wide = width * 2**stage
                blocks.append(block(channels, wide, stride, residual, norm))
                channels = wide * block.expansion
            self.add_module(f"layer{stage + 1}", blocks)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Describe pictures by their channels, averaged over the places.

        Takes (n, 3, height, width) and returns (n, channels).
        """
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x.mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, (n, classes)."""
        return self.fc(self.features(x))


def resnet18(classes: int = 1000) -> ResNet:
    """Build ResNet-18: eight basic blocks, one convolution, one layer."""
    return ResNet(Basic, (2, 2, 2, 2), classes)


def resnet50(classes: int = 1000) -> ResNet:
    """Build ResNet-50: sixteen bottlenecks, one convolution, one layer."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes)
