"""Three models, each in a file that holds no code, loaded by its path."""

import hashlib
import importlib
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from parallel_ai.toolbox import datasets

PIXELS, CLASSES = 28 * 28, 10
SEAL, END = "sha256=", "\nend of parameters\n"
LEARNT = 3_000  # pictures: this chapter asks how a service runs
Predict = Callable[[np.ndarray], np.ndarray]
# Who serves no network does not wait seconds for PyTorch, nor pays memory.
LIBRARIES = {
    ".npz": [],
    ".txt": ["lightgbm"],
    ".pt": ["torch", "parallel_ai.accelerators.vision"],
}


@dataclass(frozen=True)
class Model:
    """What the service knows of a model.

    Attributes
    ----------
    name : str
        What a client asks for.
    version : str
        Twelve digits of the file's SHA-256: another file is another version,
        and nobody can forget to count up.
    predict : callable
        Takes pixels, uint8, (n, 784); returns probabilities, (n, 10).
    """

    name: str
    version: str
    predict: Predict


def load_model(name: str, path: Path) -> Model:
    """Load a model; its file's ending says what kind it is.

    Raises
    ------
    ValueError
        No kind of ours, or a damaged file.
    """
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: no kind of model, one of {sorted(KINDS)}")
    content = path.read_bytes()  # once: another file may come in its place
    version = hashlib.sha256(content).hexdigest()[:12]
    try:
        predict = KINDS[path.suffix](content)
        right = predict(np.zeros((1, PIXELS), "u1")).shape == (1, CLASSES)
    except Exception as error:
        raise ValueError(f"{path}: {error}") from error
    if not right:
        raise ValueError(f"{path}: does not tell {CLASSES} classes apart")
    return Model(name, version, predict)


def import_for(paths: Iterable[Path]) -> None:
    """Import what models in such files need; one thread for PyTorch.

    Before workers are forked: they have it then, and share its memory.
    """
    for path in paths:
        for library in LIBRARIES.get(path.suffix, []):
            importlib.import_module(library)
    if "torch" in sys.modules:  # workers and their threads are enough
        sys.modules["torch"].set_num_threads(1)


def linear_from(content: bytes) -> Predict:
    """Read weights of a logistic regression; NumPy does the rest."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        weights, bias = file["weights"], file["bias"]

    def predict(pixels: np.ndarray) -> np.ndarray:
        scores = pixels.astype(np.float32) @ weights + bias
        scores -= scores.max(axis=1, keepdims=True)
        parts = np.exp(scores)
        return parts / parts.sum(axis=1, keepdims=True)

    return predict


def sealed(text: str) -> str:
    """Add a line to a text that tells its digest."""
    return f"{text}{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def whole_trees(text: str) -> str:
    """Return a model's text of LightGBM's, if it is as it was written.

    LightGBM believes what it reads: of a text that was cut off, or in which
    a byte has changed, it reads beyond the end, and the process may be over,
    or turn in circles, before Python hears of it.

    Parameters
    ----------
    text : str
        With the line of `sealed`; or without it, as from others. Then only
        a missing part is found: the head tells the bytes of all trees.

    Raises
    ------
    ValueError
        It is not whole, or not what was sealed.
    """
    body, seal, _ = text.rpartition(SEAL)
    if seal:
        if sealed(body) != text:
            raise ValueError("changed since it was sealed")
        return body
    head, _, rest = text.partition("\n\n")
    told = re.search(r"^tree_sizes=([\d ]+)$", head, re.MULTILINE)
    if not head.startswith("tree\n") or told is None:
        raise ValueError("no model of LightGBM's: its head is missing")
    trees = sum(map(int, told[1].split()))
    end = rest.encode()[trees:].decode(errors="replace")
    if not end.startswith("end of trees\n") or END not in end:
        raise ValueError(f"cut off: no {END.strip()!r} behind its trees")
    return text


def trees_from(content: bytes) -> Predict:
    """Read boosted trees from LightGBM's text; one thread a call."""
    import lightgbm

    booster = lightgbm.Booster(model_str=whole_trees(content.decode()))

    def predict(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(pixels, num_threads=1))

    return predict


def network_from(content: bytes) -> Predict:
    """Read weights of the CNN of *Fashion-MNIST on CPU and GPU*."""
    import torch

    from parallel_ai.accelerators import vision

    network = vision.cnn()
    weights = torch.load(io.BytesIO(content), weights_only=True)
    network.load_state_dict(weights)
    network.eval()

    @torch.inference_mode()
    def predict(pixels: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(pixels.astype(np.float32) / 255)
        return network(images.view(-1, 1, 28, 28)).softmax(1).numpy()

    return predict


KINDS = {".npz": linear_from, ".txt": trees_from, ".pt": network_from}


def train_linear(x: np.ndarray, y: np.ndarray, path: Path) -> None:
    """Learn a logistic regression; the scale of pixels goes into weights."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # it need not converge
        learnt = LogisticRegression(C=0.05, max_iter=20).fit(x / 255, y)
    np.savez(
        path,
        weights=(learnt.coef_.T / 255).astype("f4"),
        bias=learnt.intercept_.astype("f4"),
    )


def train_trees(x: np.ndarray, y: np.ndarray, path: Path) -> None:
    """Boost a few trees."""
    import lightgbm

    settings = {
        "objective": "multiclass", "num_class": CLASSES, "num_leaves": 12,
        "learning_rate": 0.3, "max_bin": 63, "feature_fraction": 0.3,
        "num_threads": 1, "force_col_wise": True, "verbose": -1, "seed": 0,
    }  # fmt: skip
    data = lightgbm.Dataset(x.astype("f4"), y)
    text = lightgbm.train(settings, data, 8).model_to_string()
    path.write_text(sealed(text), encoding="utf8")


def train_network(x: np.ndarray, y: np.ndarray, path: Path) -> None:
    """Train the CNN for one short epoch, by plain gradient descent.

    PyTorch's optimizers would import its compiler, which takes longer.
    """
    import torch
    from torch.nn import functional

    from parallel_ai.accelerators import vision

    network = vision.seeded(vision.cnn, 0)
    part = vision.as_part(x.reshape(-1, 28, 28), y)
    for batch in vision.batches(part, 32, vision.shuffled(len(part), 0, 0)):
        loss = functional.cross_entropy(network(batch.images), batch.labels)
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                assert parameter.grad is not None  # noqa: S101 - for mypy
                parameter.sub_(parameter.grad, alpha=0.1)
    torch.save(network.state_dict(), path)


TRAINED = {
    "linear": ("linear.npz", train_linear),
    "trees": ("trees.txt", train_trees),
    "cnn": ("cnn.pt", train_network),
}


@cache
def garments() -> tuple[np.ndarray, np.ndarray]:
    """Give the pictures of the test set: uint8 (10000, 784), and labels."""
    raw = datasets.load("fashion-mnist")
    return raw["test_images"].reshape(-1, PIXELS), raw["test_labels"]


def train_all(folder: Path, learnt: int = LEARNT) -> dict[str, Path]:
    """Train all three on the first pictures, and say where their files are."""
    raw = datasets.load("fashion-mnist")
    x = raw["train_images"][:learnt].reshape(-1, PIXELS)
    y = raw["train_labels"][:learnt]
    paths = {name: folder / file for name, (file, _) in TRAINED.items()}
    for name, (_, train) in TRAINED.items():
        train(x, y, paths[name])
    return paths
