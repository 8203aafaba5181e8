"""A network outside of Python: ONNX Runtime, and compiled ahead of time."""

import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parallel_ai.production.native import compiling
from parallel_ai.production.native.latency import one_by_one, percentiles
from parallel_ai.toolbox import device as devices

if TYPE_CHECKING:  # slow to import, and a worker that scores needs none
    import torch

BATCH = 500  # rows that a network gets at once


def pictures(rows: np.ndarray) -> np.ndarray:
    """See rows as pictures, (n, 1, 28, 28); nothing is copied."""
    return rows.reshape(-1, 1, 28, 28)


def eager(network: Any, rows: np.ndarray) -> np.ndarray:
    """Compute logits by PyTorch, as well as plain Python can."""
    import torch

    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(pictures(rows))))


def onnx_sessions(
    network: "torch.nn.Module", threads: Sequence[int]
) -> list[Any]:
    """Translate a network to ONNX, and load it for so many threads each."""
    import torch

    from parallel_ai.accelerators import looking_inside

    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "network.onnx")
        looking_inside.to_onnx(network, torch.zeros(2, 1, 28, 28), path)
        return [looking_inside.session(path, count) for count in threads]


def run_onnx(session: Any, rows: np.ndarray) -> np.ndarray:
    """Compute logits by ONNX Runtime, (n, 10), float32."""
    return np.asarray(session.run(None, {"images": pictures(rows)})[0])


def in_batches(predict: Any, rows: np.ndarray) -> np.ndarray:
    """Compute all answers, `BATCH` rows at a time."""
    parts = range(0, len(rows), BATCH)
    return np.concatenate([predict(rows[i : i + BATCH]) for i in parts])


def compile_ahead(network: "torch.nn.Module", path: Path) -> Path:
    """Compile a network ahead of time into a package: a library and more.

    Takes half a minute, most of it a C++ compiler's.
    """
    import torch

    compiling.tool("g++", "clang++")
    many = torch.export.Dim("rows", min=1, max=1 << 20)
    program = torch.export.export(
        network.eval(),
        (torch.zeros(2, 1, 28, 28),),
        dynamic_shapes=({0: many},),
    )
    made = torch._inductor.aoti_compile_and_package(
        program,
        package_path=str(path),
        inductor_configs={"compile_threads": 1},  # no helpers that stay
    )
    return Path(made)


def build_ahead(folder: Path) -> Path:
    """Compile ahead.cpp against the headers that PyTorch's wheel holds."""
    import torch
    from torch.utils import cpp_extension

    program = folder / "ahead"
    headers = [f"-I{path}" for path in cpp_extension.include_paths()]
    [libraries] = cpp_extension.library_paths()
    abi = int(torch.compiled_with_cxx11_abi())
    compiling.run(
        [
            compiling.tool("g++", "clang++"), "-std=c++20", "-O1",
            f"-D_GLIBCXX_USE_CXX11_ABI={abi}", *headers,
            compiling.HERE / "ahead.cpp", "-o", program, f"-L{libraries}",
            # The package needs libtorch.so, which ahead.cpp does not name.
            "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu", "-lc10",
            f"-Wl,-rpath,{libraries}",
        ]
    )  # fmt: skip
    return program


def run_ahead(
    program: Path, package: Path, rows: np.ndarray, threads: int = 1
) -> tuple[np.ndarray, dict[str, float]]:
    """Let the C++ program answer; it runs without Python.

    Returns
    -------
    array of float32, (n, 10)
        Logits.
    dict
        ``p50`` and ``p99`` of one row in seconds, ``rate`` in rows a second.
    """
    with tempfile.TemporaryDirectory() as place:
        source, answers = Path(place, "rows"), Path(place, "answers")
        rows.tofile(source)
        said = compiling.run(
            [program, package, source, answers, len(rows), threads]
        )
        return np.fromfile(answers, np.float32).reshape(-1, 10), json.loads(
            said.splitlines()[-1]
        )


def compare_ahead(
    network: "torch.nn.Module", rows: np.ndarray, threads: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Measure all ways of a network, those that take long to compile too.

    Returns
    -------
    list of dict
        For each way and number of threads: percentiles of one row, rows a
        second, largest difference from PyTorch, and labels that differ.
    """
    import torch

    truth = in_batches(partial(eager, network), rows)
    found = []
    with tempfile.TemporaryDirectory() as place:
        with ThreadPoolExecutor(1) as other:  # g++ reads headers for seconds
            building = other.submit(build_ahead, Path(place))
            package = compile_ahead(network, Path(place, "network.pt2"))
            program = building.result()
        loaded = torch._inductor.aoti_load_package(str(package))
        compiled = torch.compile(network, dynamic=False)
        sessions = onnx_sessions(network, threads)
        for count, session in zip(threads, sessions, strict=True):
            ways = {
                "PyTorch": partial(eager, network),
                "torch.compile": partial(eager, compiled),
                "ONNX Runtime": partial(run_onnx, session),
                "ahead of time, from Python": partial(eager, loaded),
            }
            with devices.threads(count):
                for name, way in ways.items():
                    row = _measured(way, rows)
                    found.append(_judged(name, count, *row, truth))
            row = run_ahead(program, package, rows, count)
            found.append(_judged("ahead of time, C++", count, *row, truth))
    return found


def _measured(way: Any, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    one = percentiles(one_by_one(way, rows, 1000))
    in_batches(way, rows[:BATCH])
    begun = time.perf_counter()
    answers = in_batches(way, rows)
    rate = len(rows) / (time.perf_counter() - begun)
    return answers, {"p50": one["p50"], "p99": one["p99"], "rate": rate}


def _judged(
    name: str,
    threads: int,
    answers: np.ndarray,
    row: dict[str, Any],
    truth: np.ndarray,
) -> dict[str, Any]:
    return {
        "way": name,
        "threads": threads,
        **row,
        "difference": float(np.abs(answers - truth).max()),
        "labels": int((answers.argmax(1) != truth.argmax(1)).sum()),
    }
