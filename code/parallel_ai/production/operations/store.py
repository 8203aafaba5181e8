"""Versions of a model on disk: whole, named by content, one of them current."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from threadpoolctl import threadpool_limits

from parallel_ai.production.serving import (
    Model,
    load_model,
    train_linear,
    train_network,
)
from parallel_ai.production.serving.packed import CLASSES, PIXELS, Predict
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.files import whole, write_whole

DIGITS = 12
POINTER = "CURRENT"


class NotTakenError(ValueError):
    """A version that does not do what it should; the message says what."""


@dataclass(frozen=True)
class Golden:
    """Rows with answers that are known, made where the model was trained.

    Attributes
    ----------
    pixels : array of uint8, (n, 784)
    labels : array of int, (n,)
        What the pictures show.
    expected : array of float, (n, 10)
        What the model said there.
    """

    pixels: np.ndarray
    labels: np.ndarray
    expected: np.ndarray

    def complaints(
        self, predict: Predict, tolerance: float = 1e-4, floor: float = 0.4
    ) -> list[str]:
        """List what is wrong with a model; nothing, if it may be taken.

        Parameters
        ----------
        tolerance : float
            Largest difference of a probability from what is expected: is it
            the same model, fed the same way, with libraries that agree?
        floor : float
            Least share of right labels: is it any good? Ours have learnt
            from few pictures.
        """
        found = np.asarray(predict(self.pixels))
        if found.shape != (len(self.pixels), CLASSES):
            return [f"answers have the shape {found.shape}"]
        said = []
        if not np.isfinite(found).all():
            said.append("answers are not finite")
        elif (worst := float(np.abs(found - self.expected).max())) > tolerance:
            said.append(f"differs from where it was trained by {worst:.2g}")
        right = float((found.argmax(axis=1) == self.labels).mean())
        if right < floor:
            said.append(f"{100 * right:.0f} % right, less than {floor:.0%}")
        return said


def publish(
    store: Path, source: Path, pixels: np.ndarray, labels: np.ndarray
) -> str:
    """Put a model into the store, with golden rows; returns its version.

    Nothing is overwritten: another content has another name. Nobody uses it
    before somebody points at it.
    """
    model = load_model("model", source)
    expected = np.asarray(model.predict(pixels))
    golden = store / f"golden-{model.version}.npz"
    with whole(golden) as draft, draft.open("wb") as file:
        np.savez(file, pixels=pixels, labels=labels, expected=expected)
    write_whole(store / f"{model.version}{source.suffix}", source.read_bytes())
    return model.version


def file_of(store: Path, version: str) -> Path:
    """Find a version's file, and make sure that it is that version.

    Raises
    ------
    NotTakenError
        It is not there, or damaged.
    """
    for path in store.glob(f"{version}.*"):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if content[:DIGITS] == version:
            return path
        raise NotTakenError(f"{path.name} is not what its name says")
    raise NotTakenError(f"no version {version!r} in the store")


def golden_of(store: Path, version: str) -> Golden:
    """Read a version's golden rows.

    Raises
    ------
    NotTakenError
        There are none, or they are damaged.
    """
    path = store / f"golden-{version}.npz"
    try:
        content = io.BytesIO(path.read_bytes())
        with np.load(content, allow_pickle=False) as file:
            return Golden(file["pixels"], file["labels"], file["expected"])
    except (OSError, EOFError, LookupError, ValueError, BadZipFile) as error:
        raise NotTakenError(f"{path.name}: {error}") from error


def take(store: Path, version: str, name: str = "model") -> Model:
    """Load a version, if it passes its check.

    Raises
    ------
    NotTakenError
        It does not, or cannot be loaded at all.
    """
    try:
        model = load_model(name, file_of(store, version))
    except ValueError as error:
        raise NotTakenError(str(error)) from error
    if said := golden_of(store, version).complaints(model.predict):
        raise NotTakenError(f"{version}: " + "; ".join(said))
    return model


def point(store: Path, version: str) -> None:
    """Make a version the current one, in one step, if it passes."""
    take(store, version)
    write_whole(store / POINTER, version.encode())


def current(store: Path) -> str:
    """Say which version is the current one.

    Raises
    ------
    NotTakenError
        None has been pointed at yet.
    """
    try:
        return (store / POINTER).read_text()
    except FileNotFoundError:
        raise NotTakenError(f"no version of {store} is current") from None


def latest(store: Path, suffix: str = ".npz") -> Path:
    """Take the file that was changed last: do not.

    It may be a copy under way, an old version copied back, or one that
    nobody has checked; and two machines may disagree on it.
    """
    paths = store.glob(f"*{suffix}")
    return max(paths, key=lambda path: path.stat().st_mtime_ns)


def half_written(store: Path, source: Path) -> dict[str, str]:
    """Look for a model while another one is being copied, in two ways.

    Returns
    -------
    dict
        What comes of ``the newest file`` and of ``the pointer``.
    """
    content = source.read_bytes()
    copy = store / f"copy{source.suffix}"
    copy.write_bytes(content[: len(content) // 2])  # and it goes on writing
    try:
        found = {}
        for way, choose in (
            ("the newest file", lambda: latest(store, source.suffix)),
            ("the pointer", lambda: file_of(store, current(store))),
        ):
            try:
                model = load_model("model", choose())
                found[way] = f"loaded {model.version}"
            except ValueError as error:
                reason = str(error).partition(": ")[2]
                found[way] = f"ValueError: {reason}"
        return found
    finally:
        copy.unlink()


def make_versions(folder: Path, learnt: int = 1_000) -> dict[str, Path]:
    """Train a logistic regression twice, once on shuffled labels, and a CNN.

    Returns
    -------
    dict
        Files of ``first``, ``second``, ``spoilt`` and ``network``.
    """
    raw = datasets.load("fashion-mnist")
    x = raw["train_images"][: 3 * learnt].reshape(-1, PIXELS)
    y = raw["train_labels"][: 3 * learnt].copy()
    np.random.default_rng(0).shuffle(y[2 * learnt :])
    paths = {
        name: folder / f"{name}.npz" for name in ("first", "second", "spoilt")
    }
    with threadpool_limits(1):  # small models: threads would only wait
        for number, path in enumerate(paths.values()):
            part = slice(number * learnt, (number + 1) * learnt)
            train_linear(x[part], y[part], path)
        paths["network"] = folder / "network.pt"
        train_network(x, raw["train_labels"][: 3 * learnt], paths["network"])
    return paths
