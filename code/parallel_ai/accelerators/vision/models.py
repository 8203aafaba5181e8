"""Two models for the images, and the network of the book's original."""

from torch import nn

CLASSES = 10


def mlp(classes: int = CLASSES) -> nn.Sequential:
    """Build a multilayer perceptron: pixels as a list, no neighbourhood.

    Takes (n, 1, 28, 28) and returns (n, classes), the logits.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def convolution(
    inputs: int, outputs: int, size: int = 3, stride: int = 1
) -> nn.Sequential:
    """Build a convolution with batch normalisation and ReLU.

    The normalisation has a shift of its own, so the convolution needs none.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def cnn(classes: int = CLASSES) -> nn.Sequential:
    """Build a small convolutional network that halves by its stride.

    Takes (n, 1, 28, 28) and returns (n, classes). A stride of 2 computes only
    the quarter of the outputs that a pooling layer would keep.
    """
    return nn.Sequential(
        convolution(1, 32, 5, stride=2),  # 14 × 14
        convolution(32, 64, stride=2),  # 7 × 7
        convolution(64, 64),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def original(classes: int = CLASSES) -> nn.Sequential:
    """Build the original's network: two blocks, three dense layers.

    The second convolution is not padded: 28 → 14 → 12 → 6 pixels a side.
    """
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 6 * 6, 600),
        nn.Dropout(0.25),
        nn.Linear(600, 120),
        nn.Linear(120, classes),
    )


def parameters(model: nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
