"""Start the training by torchrun, with nothing open beyond loopback."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

MODULE = "parallel_ai.training.data_parallel"
SECONDS = 120.0
# torchrun's agent would open a store on every address, even with a file.
QUIET = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Launch:
    """How a launch ended, and what it wrote."""

    code: int
    output: str
    errors: str


def torchrun_command(
    size: int, rendezvous: Path, restarts: int = 0
) -> list[str]:
    """Return torchrun's command for one machine, which meets by a file."""
    return [
        sys.executable, "-m", "torch.distributed.run",
        f"--nproc-per-node={size}", f"--max-restarts={restarts}",
        "--nnodes=1", "--rdzv-id=book", "--rdzv-backend=c10d",
        f"--rdzv-endpoint={rendezvous}", "--rdzv-conf=store_type=file",
        "--local-addr=127.0.0.1", "--monitor-interval=0.1", "-m", MODULE,
    ]  # fmt: skip


@contextmanager
def started_command(
    words: list[str], **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a command; end it, and all that it started, with the block."""
    process = subprocess.Popen(  # noqa: S603
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        below = _tree(process.pid)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # torchrun ends its ranks
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        for one in below:
            if one.is_running():
                one.kill()
        process.communicate()


def launch(
    size: int,
    *options: str,
    restarts: int = 0,
    seconds: float = SECONDS,
) -> Launch:
    """Train with so many processes under torchrun, and wait for the end.

    Raises
    ------
    TimeoutError
        It did not end; it was ended, and all of its ranks.
    """
    with tempfile.TemporaryDirectory(prefix="torchrun-") as folder:
        words = torchrun_command(size, Path(folder, "store"), restarts)
        with started_command([*words, *options], **QUIET) as process:
            try:
                output, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"torchrun ran for {seconds} s") from error
        return Launch(process.returncode, output, errors)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
