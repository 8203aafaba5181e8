"""Weights: the official ones where they can be had, ours with a note."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from parallel_ai.accelerators.imagenet.blocks import (
    Basic,
    ResNet,
    resnet18,
    resnet50,
)
from parallel_ai.accelerators.imagenet.classifying import normalise
from parallel_ai.accelerators.imagenet.decoding import SIDE, decode_threads
from parallel_ai.accelerators.vision import Data, Part, seeded, train
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.downloads import (
    DatasetError,
    Downloader,
    fetch,
    locked,
)

ADDRESS = "https://download.pytorch.org/models/"
LEARNED = 6  # photographs of each kind to learn from; two are left
SMALL = 64  # pixels a side of the pictures that our own network takes


@dataclass(frozen=True)
class Weights:
    """A file of official weights, its checksum, and what it fits."""

    file: str
    sha256: str
    build: Callable[[], ResNet]


WEIGHTS = {
    "resnet18": Weights(
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        resnet18,
    ),
    "resnet50": Weights(
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        resnet50,
    ),
}


@dataclass(frozen=True)
class Classifier:
    """A model with all that is needed to ask it and to read its answers.

    Attributes
    ----------
    names : list of str
        Of the classes, in the order of the logits.
    right : dict of str to tuple of int
        Which classes are right for a kind of photograph.
    side : int
        Pixels a side of what it takes.
    fresh : list of int
        Photographs that it has never learned from.
    note : str or None
        What a page that shows its answers must print.
    """

    model: nn.Module
    names: list[str]
    right: dict[str, tuple[int, ...]]
    side: int
    fresh: list[int]
    note: str | None = None


def weights_file(name: str, *, downloader: Downloader | None = None) -> Path:
    """Find a file of official weights, downloaded if need be, and verified.

    It is looked for in ``$PARALLEL_AI_DATA/weights`` where that variable is
    set, and else fetched into the book's cache: resumed where it broke off,
    whole or not there at all, by one process at a time.

    Raises
    ------
    DatasetError
        Missing, damaged, or no network; the message says what to do.
    """
    wanted = WEIGHTS[name]
    url = ADDRESS + wanted.file
    if root := os.environ.get(datasets.OFFLINE):
        path = Path(root, "weights", wanted.file)
        shown = f"{wanted.file} in {datasets.OFFLINE}/weights"
        cure = f"take it from {ADDRESS}, or unset {datasets.OFFLINE}"
        if not path.is_file():
            raise DatasetError(f"{shown} is missing: {cure}")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != wanted.sha256:
            raise DatasetError(f"{shown} is damaged: {cure}")
        return path
    path = datasets.cache() / "weights" / wanted.file
    with locked(path.parent):
        fetch(path, url, wanted.sha256, downloader=downloader)
    return path


def official(
    name: str = "resnet18", *, downloader: Downloader | None = None
) -> Classifier:
    """Load an official network, trained on ImageNet, into our own.

    Raises
    ------
    DatasetError
        As in `weights_file`.
    """
    path = weights_file(name, downloader=downloader)
    model = WEIGHTS[name].build()
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    photos = datasets.load("photos")
    names = [
        class_name.replace("_", " ") for _, class_name in photos["class_index"]
    ]
    every = list(range(len(photos["images"])))
    return Classifier(model, names, photos["labels"], SIDE, every)


def photo_parts(side: int = SMALL) -> tuple[Part, Part, list[int]]:
    """Split the photographs: six of each kind to learn from, two not.

    Returns
    -------
    tuple
        Both parts, and the numbers of the photographs in the second.
    """
    images = datasets.load("photos")["images"]
    kinds = list(dict.fromkeys(kind for _, kind in images))
    decoded = decode_threads([path for path, _ in images], side, draft=True)
    pixels = normalise(decoded.pixels).contiguous()
    labels = torch.tensor([kinds.index(kind) for _, kind in images])
    seen: dict[str, int] = {}
    places = []
    for _, kind in images:
        places.append(seen.get(kind, 0))
        seen[kind] = places[-1] + 1
    learned = torch.tensor(places) < LEARNED
    both = Part(pixels, labels)
    return both[learned], both[~learned], (~learned).nonzero()[:, 0].tolist()


def own_network(classes: int) -> ResNet:
    """Build a small network: ten layers, and a quarter of the channels."""
    return ResNet(Basic, (1, 1, 1, 1), classes, width=16)


def stand_in(why: str, epochs: int = 12) -> Classifier:
    """Train a small network on the photographs themselves, and say so."""
    learn, test, fresh = photo_parts()
    mirrored = torch.cat([learn.images, learn.images.flip(3)])
    data = Data(Part(mirrored, learn.labels.repeat(2)), test[:0], test[:0])
    kinds = list(datasets.load("photos")["labels"])
    model = seeded(lambda: own_network(len(kinds)), seed=0)
    train(
        model, data, epochs=epochs, batch_size=37, device=torch.device("cpu")
    )
    note = (
        f"These are **not** ImageNet's weights. {why}. Instead you see a small "
        f"residual network that this page has trained on {len(learn)} "
        f"photographs of {len(kinds)} kinds. What comes before it and after "
        "it is the same; its answers are much worse."
    )
    right: dict[str, tuple[int, ...]] = {
        kind: (number,) for number, kind in enumerate(kinds)
    }
    names = [kind.replace("_", " ") for kind in kinds]
    return Classifier(model.eval(), names, right, SMALL, fresh, note)


def classifier(name: str = "resnet18") -> Classifier:
    """Load the official network, or train a stand-in that has a note."""
    try:
        return official(name)
    except DatasetError as error:
        return stand_in(str(error).rstrip("."))
