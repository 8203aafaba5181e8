"""The dials of a neural network on CPUs: threads in and between operations."""

from typing import Any

import numpy as np

from parallel_ai.toolbox import device as devices


def network(features: int, classes: int, width: int = 512) -> Any:
    """Make a network of two dense layers in PyTorch, with a fixed seed."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(features, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, classes),
    )


def train_network(
    X: np.ndarray, y: np.ndarray, threads: int, steps: int = 20
) -> float:
    """Train on all rows for some steps; `threads` within each operation.

    Returns
    -------
    float
        The loss after the last step. It hardly depends on `threads`: sums
        are added in another order.
    """
    import torch

    with devices.threads(threads):
        inputs = torch.from_numpy(X)
        targets = torch.from_numpy(y.astype(np.int64))
        model = network(X.shape[1], int(y.max()) + 1)
        for _ in range(steps):
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for weights in model.parameters():
                    weights -= 0.1 * weights.grad
        return float(loss.detach())
