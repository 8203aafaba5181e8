"""Threads in pure Python, on whatever Python there is.

This module imports nothing but the standard library, and hands its own
source to other interpreters, so that they need nothing installed.
"""

import json
import marshal
import os
import shutil
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

NAMES = ("python3.13t", "python3.14t", "python3.15t")
VARIABLE = "PARALLEL_AI_PYTHONS"


def ink(pixels: bytes) -> int:
    """Count the pixels that are more ink than paper, one by one."""
    count = 0
    for pixel in pixels:
        if pixel > 127:
            count += 1
    return count


def _cut(pixels: bytes, parts: int) -> list[bytes]:
    """Divide the pixels into parts of nearly equal length."""
    stops = [len(pixels) * i // parts for i in range(parts + 1)]
    return [pixels[a:b] for a, b in pairwise(stops)]


def ink_threads(pixels: bytes, threads: int) -> int:
    """Count the same with threads, each its own part and its own sum."""
    sums: list[int] = []
    _run([lambda p=p: sums.append(ink(p)) for p in _cut(pixels, threads)])
    return sum(sums)


def ink_interpreters(pixels: bytes, interpreters: int) -> int:
    """Count the same with interpreters, each in a thread, with its own GIL.

    Nothing is shared between them but bytes: they receive the function's
    code and their part of the pixels, and write their sum into a pipe.

    Raises
    ------
    ImportError
        Before Python 3.13.
    """
    from _interpreters import create, destroy, exec, set___main___attrs

    reader, writer = os.pipe()
    team = [create() for _ in range(interpreters)]
    for each, part in zip(team, _cut(pixels, interpreters), strict=True):
        code = marshal.dumps(ink.__code__)
        have = {"pixels": part, "code": code, "writer": writer}
        set___main___attrs(each, have)
    _run([lambda each=each: exec(each, INSIDE) for each in team])
    os.close(writer)
    with os.fdopen(reader) as sums:
        total = sum(map(int, sums))
    for each in team:
        destroy(each)
    return total


INSIDE = """
import marshal, os, types
ink = types.FunctionType(marshal.loads(code), {})
os.write(writer, b"%d\\n" % ink(pixels))
"""


def _run(jobs: list) -> None:
    """Run each job in a thread of its own and wait for all."""
    team = [threading.Thread(target=job) for job in jobs]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()


def lost(times: int = 250_000, threads: int = 4) -> float:
    """Share of the increments ``n += 1`` that four threads lose."""
    n = 0

    def add() -> None:
        nonlocal n
        for _ in range(times):
            n += 1

    _run([add] * threads)
    return 1 - n / (times * threads)


def survey(pixels: bytes, most: int, repeats: int = 3) -> dict:
    """Time this interpreter with 1, 2, … `most` threads.

    Returns
    -------
    dict, fit for JSON
        python (version), gil (whether there is one), pixels (their number),
        lost (share of increments, one for each repeat), threads and
        interpreters (seconds of each repeat, by the number of workers;
        the second is empty where there are no interpreters).
    """
    ways = {"threads": ink_threads, "interpreters": ink_interpreters}
    try:
        import _interpreters  # noqa: F401
    except ImportError:
        del ways["interpreters"]
    found: dict = {
        "python": sys.version.split()[0],
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "pixels": len(pixels),
        "lost": [round(lost(), 6) for _ in range(repeats)],
        "threads": {},
        "interpreters": {},
    }
    for _ in range(repeats):
        for way, function in ways.items():
            for workers in range(1, most + 1):
                start = time.perf_counter()
                function(pixels, workers)
                taken = time.perf_counter() - start
                found[way].setdefault(str(workers), []).append(round(taken, 6))
    return found


def pythons() -> list[str]:
    """Find Pythons to compare: this one and the free-threaded ones.

    Those on the PATH by their usual names, and those that the environment
    variable ``PARALLEL_AI_PYTHONS`` lists, separated as in PATH.
    """
    listed = os.environ.get(VARIABLE, "").split(os.pathsep)
    found = [sys.executable, *map(shutil.which, NAMES), *listed]
    return list(dict.fromkeys(python for python in found if python))


def survey_all(pixels: bytes, most: int) -> list[dict]:
    """Survey each interpreter of `pythons`, one after the other.

    Raises
    ------
    subprocess.CalledProcessError
        An interpreter failed; its message is printed.
    """
    return [
        json.loads(
            subprocess.run(  # noqa: S603
                [python, "-I", "-c", _source(), str(most)],
                input=pixels,
                stdout=subprocess.PIPE,
                check=True,
                timeout=300,
            ).stdout
        )
        for python in pythons()
    ]


def _source() -> str:
    """Return the text of this module."""
    return Path(__file__).read_text("utf-8")


if __name__ == "__main__":
    print(json.dumps(survey(sys.stdin.buffer.read(), int(sys.argv[1]))))
