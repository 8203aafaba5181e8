"""The watch sees children and grandchildren, and shared memory once."""

import subprocess
import sys

import numpy as np
import psutil
import pytest

from parallel_ai.one_machine.processes import share
from parallel_ai.toolbox.memory import ChildrenPeak, taken

MEGABYTE = 2**20
HOLD = "b = bytearray(b'x' * {size}); print('ready', flush=True); input()"
GRANDCHILD = (
    "import subprocess, sys; "
    "p = subprocess.Popen([sys.executable, '-c', {program!r}]); p.wait()"
)
MAP = (
    "from parallel_ai.one_machine.processes import sharing; "
    "from multiprocessing import shared_memory; "
    "m = sharing.attach({name!r}); s = sum(m.buf[::4096]); "
    "print('ready', flush=True); input(); m.close()"
)


def start(program: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=30)
    assert child.returncode == 0


def test_a_child_and_a_grandchild_are_seen():
    program = HOLD.format(size=64 * MEGABYTE)
    # Other tests' helpers, such as a browser, may be there already.
    before = taken(psutil.Process().children(recursive=True))
    with ChildrenPeak(0.01) as watched:
        child = start(GRANDCHILD.format(program=program))
        while watched.bytes - before / 2 <= 64 * MEGABYTE:
            assert child.poll() is None
    end(child)
    assert watched.bytes - before / 2 > 64 * MEGABYTE
    assert watched.bytes < 256 * MEGABYTE + 2 * before


def test_without_children_nothing_is_taken():
    with ChildrenPeak() as watched:
        pass
    kept = taken(psutil.Process().children(recursive=True))
    assert watched.bytes <= 2 * kept  # helpers that Python itself keeps


def test_a_process_that_has_ended_takes_nothing():
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    child.wait(30)
    assert taken([process]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_shared_memory_is_counted_once():
    values = np.ones(128 * MEGABYTE // 8)
    with share(values) as array:
        program = MAP.format(name=array.name)
        children = [start(program) for _ in range(2)]
        together = taken(psutil.Process(c.pid) for c in children)
        apart = sum(psutil.Process(c.pid).memory_info().rss for c in children)
        for child in children:
            end(child)
    assert apart > 256 * MEGABYTE
    assert together < apart - 120 * MEGABYTE
