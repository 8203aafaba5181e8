"""What a process needs that only has the file: one function a format.

The source of a reader is sent to a fresh interpreter, which imports nothing
of this package unless the reader does.
"""

import inspect
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Reader = Callable[[str], Callable[[Any], Any]]


def read_weights(path: str) -> Callable[[Any], Any]:
    """Load weights into the class that they belong to."""
    import torch

    from parallel_ai.accelerators import vision

    torch.set_num_threads(1)
    model = vision.cnn().eval()
    model.load_state_dict(torch.load(path, weights_only=True))

    def answer(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return answer


def read_torchscript(path: str) -> Callable[[Any], Any]:
    """Load TorchScript: classes and code are in the file."""
    import torch

    torch.set_num_threads(1)
    model = torch.jit.load(path)

    def answer(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return answer


def read_program(path: str) -> Callable[[Any], Any]:
    """Load what `torch.export` saved: a graph of operations."""
    import torch

    torch.set_num_threads(1)
    model = torch.export.load(path).module()

    def answer(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return answer


def read_onnx(path: str) -> Callable[[Any], Any]:
    """Load ONNX: neither PyTorch nor the model's class is needed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnxruntime.InferenceSession(path, options)
    name = model.get_inputs()[0].name

    def answer(images: Any) -> Any:
        return model.run(None, {name: images})[0]

    return answer


def answer_all(read: Reader, path: str, asked: str, answered: str) -> None:
    """Read a model, answer all batches of a file, tell what it took."""
    import json
    import sys
    import time

    import numpy as np
    import psutil

    with np.load(asked) as file:
        batches = [file[name] for name in file.files]
    started = time.time()
    answer = read(path)
    loaded = time.time()
    answers = [answer(batches[0])]
    first = time.time()
    answers += [answer(batch) for batch in batches[1:]]
    np.savez(answered, *answers)
    told = {
        "moments": [started, loaded, first],
        "memory": psutil.Process().memory_info().rss,
        "imported": sorted({"torch", "parallel_ai"} & set(sys.modules)),
    }
    print(json.dumps(told))


@dataclass(frozen=True)
class Elsewhere:
    """What another process answered, and what that took.

    Attributes
    ----------
    answers : list of array
        One for each batch.
    stages : tuple of float
        Seconds: the interpreter starts; imports and loading; first answer.
    memory : int
        Bytes resident at the end.
    imported : list of str
        Which of `torch` and this package it had to import.
    """

    answers: list[np.ndarray]
    stages: tuple[float, ...]
    memory: int
    imported: list[str]


def elsewhere(
    read: Reader,
    path: Path,
    batches: Sequence[np.ndarray],
    seconds: float = 100,
) -> Elsewhere:
    """Let a fresh process read a model's file and answer.

    Raises
    ------
    RuntimeError
        It failed; the message ends with its last line.
    subprocess.TimeoutExpired
        It took longer than so many seconds.
    """
    call = f"answer_all({read.__name__}, *sys.argv[1:])"
    names = "import sys\nfrom typing import Any\nfrom collections.abc import *"
    parts = [
        names, "Reader = object", inspect.getsource(read),
        inspect.getsource(answer_all), call,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = (Path(folder, f"{n}.npz") for n in ("in", "out"))
        np.savez(asked, *batches)
        files = [str(path), str(asked), str(answered)]
        begun = time.time()
        done = subprocess.run(  # noqa: S603 - our own source
            [sys.executable, "-c", "\n\n".join(parts), *files],
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(
                f"reading {path.name} elsewhere failed "
                f"(exit {done.returncode}): {last}"
            )
        told = json.loads(done.stdout.splitlines()[-1])
        with np.load(answered) as file:
            answers = [file[name] for name in file.files]
    moments = [begun, *told["moments"]]
    return Elsewhere(
        answers,
        tuple(b - a for a, b in itertools.pairwise(moments)),
        told["memory"],
        told["imported"],
    )
