"""What is in a photograph: a job of pieces that need each other."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask import delayed
from dask.delayed import Delayed
from PIL import Image

from parallel_ai.toolbox import datasets

SIDE = 4  # cells of a photograph, across and down
ANGLES = 8  # directions of edges told apart in each cell
SHADES = 4  # of each of red, green and blue
LEARNED = 6  # photographs of a kind to learn from; the rest are asked
SHRINKAGE = 0.3  # towards features that do not depend on each other


def photo_groups(kinds: int | None = None) -> dict[str, list[str]]:
    """Return paths of photographs by kind, of the first kinds or of all."""
    groups: dict[str, list[str]] = {}
    for path, kind in datasets.load("photos")["images"]:
        groups.setdefault(kind, []).append(str(path))
    return dict(list(groups.items())[:kinds])


def read(paths: Sequence[str]) -> list[np.ndarray]:
    """Decode photographs; arrays of shape (height, width, 3), uint8."""
    photos = []
    for path in paths:
        with Image.open(path) as image:
            photos.append(np.asarray(image.convert("RGB")))
    return photos


def describe(photos: Sequence[np.ndarray]) -> np.ndarray:
    """Describe each photograph by its edges, cell by cell, and its colours.

    Returns
    -------
    array of shape (photographs, SIDE² · ANGLES + SHADES³)
        Square roots of shares, which add up to 1 twice in each row.

    Notes
    -----
    A plain relative of the histograms of oriented gradients of Dalal and
    Triggs (2005), https://doi.org/10.1109/CVPR.2005.177
    """
    size = SIDE**2 * ANGLES + SHADES**3
    rows = [np.concatenate([_edges(p), _colours(p)]) for p in photos]
    return np.sqrt(np.array(rows).reshape(-1, size))


def _edges(photo: np.ndarray) -> np.ndarray:
    down, across = np.gradient(photo.mean(axis=2))
    turn = np.arctan2(down, across) / np.pi % 1  # light or dark: the same
    bins = np.minimum((turn * ANGLES).astype(int), ANGLES - 1)
    rows, columns = (np.arange(n) * SIDE // n for n in down.shape)
    bins += ANGLES * (SIDE * rows[:, None] + columns)
    counts = np.bincount(
        bins.ravel(), np.hypot(down, across).ravel(), SIDE**2 * ANGLES
    )
    return counts / max(counts.sum(), 1e-9)


def _colours(photo: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(photo // (256 // SHADES), 2, 0).astype(int)
    bins = SHADES * (SHADES * red + green) + blue
    return np.bincount(bins.ravel(), minlength=SHADES**3) / bins.size


@dataclass(frozen=True)
class Summary:
    """What a classifier has to know of photographs; summaries can be merged.

    Attributes
    ----------
    count : int
        Photographs that were learned from.
    means : dict of str to array
        Mean features of each kind.
    scatter : array of shape (features, features)
        Sum of products of the deviations from those means.
    """

    count: int
    means: dict[str, np.ndarray]
    scatter: np.ndarray


def summarise(kind: str, features: np.ndarray) -> Summary:
    """Summarise those photographs of a kind that are learned from."""
    known = features[:LEARNED]
    mean = known.mean(axis=0)
    return Summary(len(known), {kind: mean}, (known - mean).T @ (known - mean))


def merge(one: Summary, other: Summary) -> Summary:
    """Summarise what two summaries of different kinds stand for."""
    return Summary(
        one.count + other.count,
        one.means | other.means,
        one.scatter + other.scatter,
    )


@dataclass(frozen=True)
class Model:
    """A linear classifier: the kind with the largest score."""

    kinds: list[str]
    weights: np.ndarray
    bias: np.ndarray


def fit(summary: Summary) -> Model:
    """Fit Fisher's linear discriminant with a shrunken covariance."""
    means = np.array(list(summary.means.values()))
    covariance = summary.scatter / summary.count
    flat = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * flat
    weights = np.linalg.solve(shrunk, means.T)
    return Model(list(summary.means), weights, -(means.T * weights).sum(0) / 2)


def hits(kind: str, features: np.ndarray, model: Model) -> int:
    """Count the photographs not learned from that the model gets right."""
    scores = features[LEARNED:] @ model.weights + model.bias
    return sum(model.kinds[best] == kind for best in scores.argmax(axis=1))


def photos_serial(groups: Mapping[str, Sequence[str]]) -> int:
    """Learn from some photographs, and count the others told rightly."""
    features = {kind: describe(read(paths)) for kind, paths in groups.items()}
    known = [summarise(kind, found) for kind, found in features.items()]
    summary = known[0]
    for other in known[1:]:
        summary = merge(summary, other)
    model = fit(summary)
    return sum(hits(kind, found, model) for kind, found in features.items())


def photos_graph(
    groups: Mapping[str, Sequence[str]],
) -> dict[Hashable, tuple[Any, ...]]:
    """Write the same job as a graph: by key, a function and its arguments.

    An argument that is a key stands for that task's result. The last key
    is "total".
    """
    graph: dict[Hashable, tuple[Any, ...]] = {}
    level: list[Hashable] = []
    for kind, paths in groups.items():
        graph["read", kind] = (read, list(paths))
        graph["describe", kind] = (describe, ("read", kind))
        graph["summarise", kind] = (summarise, kind, ("describe", kind))
        level.append(("summarise", kind))
    height = 0
    while len(level) > 1:  # merge neighbours, until one is left
        height += 1
        pairs = list(zip(level[::2], level[1::2], strict=False))
        odd = level[len(pairs) * 2 :]
        level = [("merge", height, place) for place in range(len(pairs))]
        for key, pair in zip(level, pairs, strict=True):
            graph[key] = (merge, *pair)
        level += odd
    graph["fit"] = (fit, *level)
    for kind in groups:
        graph["hits", kind] = (hits, kind, ("describe", kind), "fit")
    graph["total"] = (sum, [("hits", kind) for kind in groups])
    return graph


def photos_delayed(groups: Mapping[str, Sequence[str]]) -> Delayed:
    """Write the same job by calls that are noted down, not made."""
    features = {
        kind: delayed(describe)(delayed(read)(list(paths)))
        for kind, paths in groups.items()
    }
    level = [delayed(summarise)(kind, f) for kind, f in features.items()]
    while len(level) > 1:
        odd = level[len(level) // 2 * 2 :]
        pairs: Iterable[Any] = zip(level[::2], level[1::2], strict=False)
        level = [delayed(merge)(*pair) for pair in pairs] + odd
    model = delayed(fit)(*level)
    found = [delayed(hits)(kind, f, model) for kind, f in features.items()]
    return delayed(sum)(found)
