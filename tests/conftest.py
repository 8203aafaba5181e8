"""No test may leave anything behind: a leak fails the test that made it."""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psutil
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
WRITABLE = os.access(ROOT, os.W_OK)  # else failed examples are not kept
# Tests count, they do not time.
hypothesis.settings.register_profile("book", deadline=None)
hypothesis.settings.register_profile("frozen", deadline=None, database=None)
hypothesis.settings.load_profile("book" if WRITABLE else "frozen")

SECONDS = 5
SMALL_SECONDS = 120  # for a book of a few pages
BUILD_SECONDS = 3600  # a cold book executes every chapter
SHARED_MEMORY = Path("/dev/shm")
PROC_CHILDREN = Path(f"/proc/self/task/{threading.get_native_id()}/children")
# Helpers that Python starts once and keeps until it ends.
KEPT = ("resource_tracker", "forkserver", "semaphore_tracker")
LOKY = "popen_loky"  # joblib's workers, kept until a file's last test
# Of joblib's pool of workers, in this process.
POOL = ("QueueFeederThread", "ExecutorManagerThread")
# Dask's pool for what would hold up its event loop, kept for the next cluster.
OFFLOAD = "Dask-Offload"
# Ended by the fixture that started it, with the browser below it, which
# starts and ends helpers as it likes.
DRIVER = "playwright/driver"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Options, and markers of the tests that run with them only.
SLOW = {
    "every_notebook": "run each chapter's notebook in a fresh environment, too",
    "every_page": "show every page to a browser, not one of each kind",
}
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is too slow for every day."""
    for name, words in SLOW.items():
        option = f"--{name.replace('_', '-')}"
        parser.addoption(option, action="store_true", help=words)


def pytest_configure() -> None:
    """Hear Ctrl-C, and let children hear it, also after `make test &`.

    Shells without job control start what runs beside them deaf to it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what was not asked for, and say what belongs together."""
    for name in SLOW:
        if not config.getoption(name):
            items[:] = [i for i in items if not i.get_closest_marker(name)]
    for item in items:  # side by side, a file stays in one process
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Watch for ports that are open to others, beside all tests.

    In a process of its own: some tests count the threads of this one.
    """
    session.config.watch = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("watch.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # not to hear Ctrl-C, or a test's signals
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a port was opened to other machines."""
    said, _ = session.config.watch.communicate(timeout=10 * SECONDS)
    if said:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nopen beyond loopback:\n{said}", file=sys.stderr)


def children() -> set[psutil.Process]:
    """Child processes, except those that Python itself keeps."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            helper = any(word in cmdline(child) for word in (*KEPT, LOKY))
            if helper and child.ppid() == os.getpid():
                continue
            if any(driven(process) for process in child.parents()):
                continue
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child)
        except psutil.NoSuchProcess:
            pass
    return found


def offspring(pid: int) -> set[int]:
    """Processes below one, but for the browser's.

    Linux lists the children of each thread; psutil looks at all processes
    of the machine, which before and after each test takes a minute in all.
    """
    found: set[int] = set()
    if not PROC_CHILDREN.exists():
        return {p.pid for p in psutil.Process(pid).children(recursive=True)}
    with contextlib.suppress(OSError):  # it has ended
        while (now := children_of_threads(pid)) is None:
            pass
        found = now
    found = {child for child in found if not drives(child)}
    return found.union(*map(offspring, found))


def children_of_threads(pid: int) -> set[int] | None:
    """Read each thread's list; None if one ended and left it to another."""
    found: set[int] = set()
    tasks = os.listdir(f"/proc/{pid}/task")
    try:
        for task in tasks:
            with open(
                f"/proc/{pid}/task/{task}/children", encoding="utf-8"
            ) as file:
                found.update(map(int, file.read().split()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return found


@functools.cache
def drives(pid: int) -> bool:
    """Ask once whether a process drives the browser."""
    try:
        return driven(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def cmdline(process: psutil.Process) -> str:
    """Words with which a process was started; none, if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return ""


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


@pytest.fixture(scope="module", autouse=True)
def no_worker_outlives_its_file() -> Iterator[None]:
    """Let the tests of a file share joblib's workers, and no others."""
    yield
    end_kept_workers()
    _, left = psutil.wait_procs(
        {p for p in psutil.Process().children() if LOKY in cmdline(p)},
        timeout=SECONDS,
    )
    assert not left, f"workers of joblib left: {left}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare processes, threads, shared memory and environment."""
    before, threads = offspring(os.getpid()), set(threading.enumerate())
    environment, blocks = dict(os.environ), shared_memory()
    handler = signal.getsignal(signal.SIGINT)
    folder = Path.cwd()
    yield
    if offspring(os.getpid()) - before:
        new = {p for p in children() if p.pid not in before}
        _, left = psutil.wait_procs(new, timeout=SECONDS)
        assert not left, f"processes left: {[p.cmdline() for p in left]}"
    for thread in set(threading.enumerate()) - threads:
        if thread.name in POOL and "joblib.externals.loky" in sys.modules:
            continue
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


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Draw the same random numbers whichever tests ran before."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def run_prepared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Run ``jupyter-book`` or ``sphinx`` in a folder, without its imports.

    As `subprocess.run` would, with all that was said in ``stdout``.
    """
    said = tmp_path_factory.mktemp("prepared") / "said.txt"
    program = Path(__file__).with_name("prepared.py")
    with subprocess.Popen(
        [sys.executable, program, str(SMALL_SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as helper:

        def run(
            command: list[str],
            folder: Path,
            environment: Mapping[str, str] = os.environ,
        ) -> subprocess.CompletedProcess:
            asked = {
                "command": command,
                "folder": str(folder),
                "environment": dict(environment),
                "said": str(said),
            }
            print(json.dumps(asked), file=helper.stdin, flush=True)
            status = int(helper.stdout.readline())
            words = said.read_text("utf8")
            return subprocess.CompletedProcess(command, status, words)

        yield run
        helper.stdin.close()


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``Path`` of the folder ``_build/html``, built with what is there now.

    ``built_book / "index.html"`` is the first page, ``built_book /
    "notebooks"`` holds the notebooks to download, ``built_book.parent /
    "notebooks"`` the branch that is launched.  Plain ``jupyter-book build .``
    in the repository: a fresh book executes nothing, so this takes seconds.
    Of several workers side by side one builds, and the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers of this run
    done = folder / "built_book"
    with FileLock(folder / "built_book.lock", timeout=BUILD_SECONDS):
        if not done.exists():
            build_book()
            done.touch()
    return ROOT / "_build" / "html"


def build_book() -> None:
    """Build the book of this repository."""
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(built_book: Path) -> Iterator[str]:
    """Address of the built book, served on a free port of loopback.

    By a process, because a server's threads come and go during the tests.
    """
    options = ["--bind", "127.0.0.1", "--directory", str(built_book), "0"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            yield re.search(r"http://[^)]+", server.stdout.readline())[0]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser to which names outside this machine do not resolve."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, *(["--no-sandbox"] if root else [])]
        browser = playwright.chromium.launch(
            executable_path=program, args=flags
        )
        yield browser
        browser.close()
