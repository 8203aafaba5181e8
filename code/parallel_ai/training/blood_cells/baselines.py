"""What a score is worth: the same scores of something trivial."""

import numpy as np
import torch
from torch.nn import functional as F

from parallel_ai.accelerators import imagenet
from parallel_ai.accelerators.vision import Part
from parallel_ai.training.blood_cells.cells import CLASSES
from parallel_ai.training.blood_cells.measures import softmax


def always_the_most(train: Part, ask: Part) -> np.ndarray:
    """Answer with the frequencies of the classes, whatever the picture."""
    counts = torch.bincount(train.labels, minlength=CLASSES)
    shares = (counts / counts.sum()).double().numpy()
    return np.tile(shares, (len(ask), 1))


def colours(part: Part) -> torch.Tensor:
    """Describe each picture by its mean red, green and blue, (n, 3)."""
    return torch.cat(
        [some.float().mean((2, 3)) / 255 for some in part.images.split(1000)]
    )


def nearest_colour(train: Part, ask: Part) -> np.ndarray:
    """Answer with the class whose mean colour is the nearest one."""
    known = colours(train)
    centres = torch.stack(
        [known[train.labels == k].mean(0) for k in range(CLASSES)]
    )
    return softmax(-torch.cdist(colours(ask), centres))


def colour_regression(train: Part, ask: Part) -> np.ndarray:
    """Answer by a logistic regression on the mean colour."""
    head = imagenet.fit_head(colours(train), train.labels, CLASSES, epochs=200)
    with torch.inference_mode():
        return softmax(head(colours(ask)))


def baselines(train: Part, ask: Part) -> dict[str, np.ndarray]:
    """Return the probabilities of each trivial answer."""
    return {
        "most frequent": always_the_most(train, ask),
        "nearest mean colour": nearest_colour(train, ask),
        "regression on colour": colour_regression(train, ask),
    }


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of minus the logarithm of what the truth was given."""
    logs = torch.from_numpy(np.log(np.maximum(probabilities, 1e-300)))
    return float(F.nll_loss(logs, torch.from_numpy(labels)))
