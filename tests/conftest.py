"""No test may leave anything behind: a leak fails the test that made it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

# Tests count, they do not time.
hypothesis.settings.register_profile("book", deadline=None)
hypothesis.settings.load_profile("book")

ROOT = Path(__file__).parents[1]
SECONDS = 5
BUILD_SECONDS = 1800  # a cold book executes every chapter
SHARED_MEMORY = Path("/dev/shm")
# Helpers that Python starts once and keeps until it ends.
KEPT = ("resource_tracker", "forkserver", "semaphore_tracker")
FEEDER = "QueueFeederThread"  # of a queue to other processes, a daemon
# Dask's pool for what would hold up its event loop, kept for the next cluster.
OFFLOAD = "Dask-Offload"
# Ended by the fixture that started it, with the browser below it, which
# starts and ends helpers as it likes.
DRIVER = "playwright/driver"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is too slow for every day."""
    parser.addoption(
        "--every-notebook",
        action="store_true",
        help="run each chapter's notebook in a fresh environment, too",
    )


def pytest_configure() -> None:
    """Hear Ctrl-C, and let children hear it, also after `make test &`.

    Shells without job control start what runs beside them deaf to it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what was not asked for; a small book stands in for it."""
    if not config.getoption("--every-notebook"):
        items[:] = [
            item
            for item in items
            if not item.get_closest_marker("every_notebook")
        ]


def children() -> set[psutil.Process]:
    """Child processes, except those that Python itself keeps."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            helper = any(word in command for word in KEPT)
            if helper and child.ppid() == os.getpid():
                continue
            if any(driven(process) for process in child.parents()):
                continue
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child)
        except psutil.NoSuchProcess:
            pass
    return found


def driven(process: psutil.Process) -> bool:
    """Is this the program that drives the browser?"""
    return DRIVER in Path(*process.cmdline()[:1]).as_posix()


def shared_memory() -> set[str]:
    """Blocks of shared memory of this kind of program."""
    if not SHARED_MEMORY.is_dir():
        return set()
    return {p.name for p in SHARED_MEMORY.iterdir() if p.name[:4] == "psm_"}


def used_by_others(block: str) -> bool:
    """Does a program that no test started use the block of shared memory?"""
    own = {os.getpid(), *(child.pid for child in children())}
    others = set(psutil.pids()) - own
    maps = (Path(f"/proc/{pid}/maps") for pid in others)
    for path in maps:
        with contextlib.suppress(OSError):  # ended, or another user's
            if f"{SHARED_MEMORY / block}" in path.read_text():
                return True
    return not (SHARED_MEMORY / block).exists()  # gone meanwhile


def end_kept_workers() -> None:
    """End the processes that joblib keeps for a next loop."""
    kept = sys.modules.get("joblib.externals.loky.reusable_executor")
    if kept is not None and kept._executor is not None:
        kept._executor.shutdown(wait=True)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare processes, threads, shared memory and environment."""
    processes, threads = children(), set(threading.enumerate())
    environment, blocks = dict(os.environ), shared_memory()
    handler = signal.getsignal(signal.SIGINT)
    folder = Path.cwd()
    yield
    end_kept_workers()
    _, left = psutil.wait_procs(children() - processes, timeout=SECONDS)
    assert not left, f"processes left: {[p.cmdline() for p in left]}"
    for thread in set(threading.enumerate()) - threads:
        if thread.name == FEEDER and "joblib.externals.loky" in sys.modules:
            continue  # has data for workers that an error has ended
        if thread.name.startswith(OFFLOAD):
            continue
        thread.join(SECONDS)
        assert not thread.is_alive(), f"thread left: {thread.name}"
    left = {b for b in shared_memory() - blocks if not used_by_others(b)}
    assert not left, f"shared memory left: {left}"
    environment["PYTEST_CURRENT_TEST"] = os.environ["PYTEST_CURRENT_TEST"]
    assert dict(os.environ) == environment, "environment variables changed"
    assert Path.cwd() == folder, "working folder changed"
    assert signal.getsignal(signal.SIGINT) is handler, "Ctrl-C taken over"


@pytest.fixture(scope="session")
def built_book() -> Path:
    """``Path`` of the folder ``_build/html``, built with what is there now.

    ``built_book / "index.html"`` is the first page, ``built_book /
    "notebooks"`` holds the notebooks to download, ``built_book.parent /
    "notebooks"`` the branch that is launched.  Plain ``jupyter-book build .``
    in the repository: a fresh book executes nothing, so this takes seconds.
    Builds wait for one another, so several workers may ask for it.
    """
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "_build" / "html"
