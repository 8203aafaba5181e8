"""Worker processes: even parts, clean ends, honest failures."""

import multiprocessing
import os
import signal
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.workers import SAFE, bounds, executor

METHODS = multiprocessing.get_all_start_methods()
on_posix = pytest.mark.skipif(
    not hasattr(os, "killpg"), reason="needs signals and process groups"
)
# Python 3.12 and later warn of fork beside threads; these tests know.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@given(st.integers(0, 300), st.integers(1, 20))
def test_bounds_cover_everything_once_and_evenly(count, parts):
    cuts = bounds(count, parts)
    assert [i for a, b in cuts for i in range(a, b)] == list(range(count))
    sizes = [b - a for a, b in cuts]
    assert len(sizes) == min(count, parts)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_bounds_of_no_parts_is_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        bounds(3, 0)


def test_method_is_the_one_that_python_3_14_prefers():
    assert SAFE in METHODS
    if sys.version_info >= (3, 14):
        default = multiprocessing.get_start_method()
        assert default == SAFE


@on_posix
def test_exception_cancels_what_waits_and_kills_what_runs():
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="enough"),
        executor(2) as team,
    ):
        tasks = [team.submit(signal.pause) for _ in range(8)]
        raise RuntimeError("enough")
    assert all(task.done() for task in tasks)


@pytest.mark.parametrize("method", METHODS)
def test_all_workers_start_with_the_first_task(method):
    """None can start while another one dies."""
    with executor(3, method) as team:
        assert team.submit(abs, -1).result(60) == 1
        assert len(team._processes) == 3


@on_posix
@pytest.mark.parametrize("method", METHODS)
def test_killed_worker_is_noticed(method):
    with pytest.raises(BrokenProcessPool):  # noqa: SIM117
        with executor(2, method) as team:
            team.submit(signal.raise_signal, signal.SIGKILL).result(60)


def test_function_without_a_name_is_a_clear_error():
    with executor(1) as team:
        error = team.submit(lambda: None).exception(60)
        assert "lambda" in str(error)
        assert team.submit(len, "abc").result(60) == 3  # and no harm is done


def test_initializer_that_fails_breaks_the_executor():
    with pytest.raises(BrokenProcessPool):  # noqa: SIM117
        with executor(1, initializer=int, initargs=("x",)) as team:
            team.submit(len, "abc").result(60)


@on_posix
def test_workers_end_with_a_parent_that_is_killed():
    shown = attempt(
        "import os, signal\n"
        "from parallel_ai.toolbox.workers import executor\n"
        "if __name__ == '__main__':\n"
        "    with executor(2) as team:\n"
        "        print(*team.map(abs, [1, 2]), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n",
        seconds=30,
    )
    assert shown.startswith("1 2")
    assert shown.endswith("[ended with exit code -9]")


@on_posix
def test_interrupt_is_the_parent_s_business():
    shown = attempt(
        "import signal\n"
        "from parallel_ai.toolbox.workers import executor\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        with executor(2) as team:\n"
        "            task = team.submit(signal.pause)\n"
        "            print('ready', team.submit(abs, 1).result())\n"
        "            task.result()\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped')\n",
        seconds=30,
        interrupt_at="ready",
    )
    assert shown.split() == [
        "ready", "1", "stopped", "[ended", "with", "exit", "code", "0]",
    ]  # fmt: skip
