"""`torch.compile`, measured in a process of its own.

What the compiler starts and writes ends with that process and its folder::

    python -m parallel_ai.accelerators.speed.compiling 128
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass

import torch

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.speed.loops import Loop, Settings
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import compare

COMPILERS = ("c++", "g++", "clang++")


class CompilerError(RuntimeError):
    """No compiler, or it failed; the message says what to do."""


@dataclass(frozen=True)
class Compiling:
    """Seconds of the first step, and of a later one, without and with."""

    eager_first: float
    eager: float
    compiled_first: float
    compiled: float

    @property
    def break_even(self) -> float:
        """Steps after which compiling has paid; infinite if it never does."""
        gain = self.eager - self.compiled
        cost = self.compiled_first - self.eager_first
        return max(0.0, cost / gain) if gain > 0 else float("inf")


def measure_compiled(batch_size: int = 128, seconds: float = 300) -> Compiling:
    """Time `torch.compile` in a child process, from an empty cache.

    Raises
    ------
    CompilerError
        No C++ compiler here, or the child failed or took too long.
    """
    if not (os.environ.get("CXX") or any(map(shutil.which, COMPILERS))):
        raise CompilerError(
            "torch.compile writes C++ and needs a compiler, and there is "
            "none: install g++ (Debian: apt install g++) or set CXX."
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        child = {
            **os.environ,
            "TORCHINDUCTOR_CACHE_DIR": folder,
            "TRITON_CACHE_DIR": os.path.join(folder, "triton"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        command = [sys.executable, "-m", __name__, str(batch_size)]
        try:
            done = subprocess.run(  # noqa: S603
                command, env=child, capture_output=True, text=True,
                timeout=seconds, check=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CompilerError(f"not compiled in {seconds} s") from error
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise CompilerError(f"torch.compile failed: {last}") from error
    return Compiling(**json.loads(done.stdout.splitlines()[-1]))


def time_both(batch_size: int, repeats: int = 3) -> Compiling:
    """Time first and later steps, here; leaves compiled code behind."""
    device = devices.choose()
    generator = torch.Generator().manual_seed(0)
    batch = Part(
        torch.randn(batch_size, 1, 28, 28, generator=generator),
        torch.randint(0, vision.CLASSES, (batch_size,), generator=generator),
    ).to(device)
    first, jobs = {}, {}
    for name in ("eager", "compiled"):
        begun = time.perf_counter()
        loop = Loop(Settings(batch_size, compiled=name == "compiled"), device)
        jobs[name] = devices.finished(
            lambda loop=loop: loop.step(batch), device
        )
        jobs[name]()
        first[name] = time.perf_counter() - begun
    later = compare(jobs, repeats)
    return Compiling(
        first["eager"], later["eager"].median,
        first["compiled"], later["compiled"].median,
    )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(machine.cpus())
    print(json.dumps(asdict(time_both(int(sys.argv[1])))))
