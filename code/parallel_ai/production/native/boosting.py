"""Boosted trees: LightGBM's C functions by ctypes, and code by tl2cgen."""

import ctypes
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from parallel_ai.production.native import compiling
from parallel_ai.production.native.linear import (
    INT,
    POINTER,
    InputError,
    checked,
)

FLOAT32, NORMAL, ALL = 0, 0, -1  # of LightGBM/c_api.h


class LightGBMError(RuntimeError):
    """What LightGBM's C functions say when they return no 0."""


def _library() -> Path:
    """Find LightGBM's library without a second for importing its package."""
    package = find_spec("lightgbm")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("lightgbm is not installed")
    return next(Path(package.origin).parent.glob("**/lib_lightgbm.*"))


class NativeBooster:
    """A LightGBM model behind its C functions; to be closed.

    Parameters
    ----------
    text : str
        What `Booster.model_to_string` wrote, all of it: of a part LightGBM
        may end the process. `whole_trees` of *Serving* checks a file's.
    parameters : str
        As on the command line, such as ``num_threads=2``.
    """

    def __init__(self, text: str, parameters: str = "num_threads=1") -> None:
        self._library = ctypes.CDLL(str(_library()))
        self._library.LGBM_GetLastError.restype = ctypes.c_char_p
        self._handle, self._fast = POINTER(), POINTER()
        self._parameters = parameters.encode()
        trees, classes, features = INT(), INT(), INT()
        by = ctypes.byref
        self._call(
            "BoosterLoadModelFromString",
            text.encode(), by(trees), by(self._handle),
        )  # fmt: skip
        self._call("BoosterGetNumClasses", self._handle, by(classes))
        self._call("BoosterGetNumFeature", self._handle, by(features))
        self.classes, self.features = classes.value, features.value
        self._call(
            "BoosterPredictForMatSingleRowFastInit",
            self._handle, NORMAL, 0, ALL, FLOAT32, self.features,
            self._parameters, by(self._fast),
        )  # fmt: skip
        self._row = self._library.LGBM_BoosterPredictForMatSingleRowFast
        self._row.argtypes = [POINTER] * 4
        self._length = ctypes.c_int64()
        self._answer = np.empty((1, self.classes))
        self._where = (
            ctypes.addressof(self._length),
            self._answer.ctypes.data,
        )

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"LGBM_{name}")(*arguments):
            said = self._library.LGBM_GetLastError().decode()
            raise LightGBMError(f"{name}: {said}")

    def __call__(self, rows: np.ndarray, row_major: bool = True) -> np.ndarray:
        """Compute the probabilities, (n, classes), float64."""
        rows = checked(rows, self.features)
        out = np.empty((len(rows), self.classes))
        self._call(
            "BoosterPredictForMat",
            self._handle, POINTER(rows.ctypes.data), FLOAT32, len(rows),
            self.features, int(row_major), NORMAL, 0, ALL, self._parameters,
            ctypes.byref(self._length), POINTER(out.ctypes.data),
        )  # fmt: skip
        return out

    def one(self, row: np.ndarray) -> np.ndarray:
        """Compute them for one row, all else being settled beforehand.

        The answer is overwritten by the next call; one thread a booster.

        Raises
        ------
        InputError
            It is not one row of the right type and length.
        LightGBMError
            With what LightGBM said.
        """
        if len(checked(row, self.features)) != 1:
            raise InputError(f"expected one row, got {len(row)}")
        if self._row(self._fast, row.ctypes.data, *self._where):
            raise LightGBMError(self._library.LGBM_GetLastError().decode())
        return self._answer

    def close(self) -> None:
        """Free what C has allocated: no garbage collector knows of it."""
        for kind, handle in (
            ("FastConfigFree", self._fast),
            ("BoosterFree", self._handle),
        ):
            if handle:
                self._call(kind, handle)
                handle.value = None

    def __enter__(self) -> Self:
        """Use it in a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence a library of C++, which writes through Python and past it.

    tl2cgen 1.0 notes in many lines that the Treelite inside of it is older
    than the one that has read the model; the tests compare the answers.
    """
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
        os.close(nowhere)


class Tl2cgenModel:
    """Trees that Treelite reads and tl2cgen writes as C.

    Parameters
    ----------
    model : lightgbm.Booster or a forest of scikit-learn
    """

    def __init__(self, model: Any, threads: int = 1) -> None:
        import lightgbm
        import tl2cgen
        import treelite

        boosted = isinstance(model, lightgbm.Booster)
        trees = (
            treelite.frontend.from_lightgbm(model)
            if boosted
            else treelite.sklearn.import_model(model)
        )
        compiler = compiling.tool("gcc", "clang")
        seal = hashlib.sha256(trees.serialize_bytes())
        seal.update(compiling.version(compiler).encode())
        folder = compiling.kept()
        path = folder / f"{seal.hexdigest()[:24]}_tl2cgen.so"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                made = Path(place, path.name)
                with _quiet():
                    tl2cgen.export_lib(
                        trees, toolchain=Path(compiler).name, libpath=made,
                        params={}, options=["-O1"],
                    )  # fmt: skip
                made.replace(path)
        self._predictor = tl2cgen.Predictor(str(path), nthread=threads)
        self._matrix = tl2cgen.DMatrix

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Compute the probabilities, (n, classes), float64."""
        matrix = self._matrix(checked(rows, rows.shape[-1]))
        return np.asarray(self._predictor.predict(matrix)).reshape(
            len(rows), -1
        )
