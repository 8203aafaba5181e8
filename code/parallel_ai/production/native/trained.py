"""The four models that this chapter carries out of Python."""

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from parallel_ai.toolbox import datasets

LEARNT = 4_000  # pictures: this chapter asks how models run, not how well


@dataclass(frozen=True)
class Trained:
    """Models, and the rows on which all their ways must agree.

    Attributes
    ----------
    linear, forest, boosted, network
        scikit-learn's, scikit-learn's, LightGBM's, PyTorch's.
    rows : array of float32, (10000, 784)
        Test pictures, pixels from 0 to 1.
    labels : array of int, (10000,)
    """

    linear: Any
    forest: Any
    boosted: Any
    network: Any
    rows: np.ndarray
    labels: np.ndarray


def as_rows(images: np.ndarray) -> np.ndarray:
    """Turn pictures of bytes into rows of float32, from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


@cache
def trained(learnt: int = LEARNT) -> Trained:
    """Train all four on the first pictures of Fashion-MNIST, once."""
    import lightgbm
    import torch
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from parallel_ai.accelerators import vision

    raw = datasets.load("fashion-mnist")
    x, y = as_rows(raw["train_images"][:learnt]), raw["train_labels"][:learnt]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        linear = LogisticRegression(C=0.05, max_iter=20).fit(x, y)
    forest = RandomForestClassifier(20, max_leaf_nodes=48, random_state=0)
    settings = {
        "objective": "multiclass", "num_class": 10, "num_leaves": 12,
        "learning_rate": 0.3, "max_bin": 63, "feature_fraction": 0.3,
        "num_threads": 1, "force_col_wise": True, "verbose": -1, "seed": 0,
    }  # fmt: skip
    boosted = lightgbm.train(settings, lightgbm.Dataset(x, y), 8)
    network = vision.seeded(vision.cnn, 0)
    pictures = torch.as_tensor(x).view(-1, 1, 28, 28)
    part = vision.Part(pictures, torch.as_tensor(y).long())
    data = vision.Data(part[:2000], part[:100], part[:0])
    vision.train(network, data, epochs=1, device=torch.device("cpu"))
    return Trained(
        linear, forest.fit(x, y), boosted, network.eval(),
        as_rows(raw["test_images"]), raw["test_labels"],
    )  # fmt: skip
