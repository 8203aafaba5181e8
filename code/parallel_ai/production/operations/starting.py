"""What a process costs before its first answer, measured from outside."""

import gc
import inspect
import json
import multiprocessing
import subprocess
import sys
import time
from http.client import HTTPConnection
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from parallel_ai.production.native import (
    CompilationError,
    MissingToolError,
    NativeLinear,
    Weights,
)
from parallel_ai.production.serving import load_model
from parallel_ai.production.serving.packed import CLASSES, PIXELS
from parallel_ai.toolbox.workers import SAFE, begin

LIMIT = 120.0  # seconds: no program here lasts longer
HANGS = 1.5  # seconds after which a call of milliseconds is given up


def first_answer(model: str, threads: int) -> None:
    """Be the program that is measured; print when each of its steps ended.

    It is sent to a new Python as text, so that it imports nothing but what
    it names.
    """
    import json
    import os
    import time

    import psutil

    moments: list[Any] = []

    def note(name: str) -> None:
        one = psutil.Process(os.getpid())
        moments.append([name, time.monotonic(), one.num_threads()])

    note("the interpreter")
    import numpy

    note("NumPy")
    import torch

    note("PyTorch")
    from pathlib import Path

    from parallel_ai.production.serving import packed

    path, row = Path(model), numpy.zeros((1, 784), "u1")
    packed.import_for([path])
    note("the service")
    torch.set_num_threads(threads)
    predict = packed.KINDS[path.suffix](path.read_bytes())
    note("the model's file")
    for name in ("first call", "second call"):
        predict(row)
        note(name)
    batch = numpy.zeros((64, 784), "u1")
    for name in ("first batch", "second batch"):
        predict(batch)
        note(name)
    shared = getattr(psutil.Process().memory_info(), "shared", 0)
    print(json.dumps([moments, shared]))


def cold_start(model: Path, threads: int = 1) -> dict[str, Any]:
    """Start a new Python, and take its first answer apart.

    Parameters
    ----------
    threads : int
        Of PyTorch.

    Returns
    -------
    dict
        ``steps``: name, seconds, and how many threads there were at the end
        of each; ``mapped``: bytes of files in memory, libraries above all.
    """
    text = inspect.getsource(first_answer)
    program = (
        f"from typing import Any\n{text}\nimport sys\n"
        "first_answer(sys.argv[1], int(sys.argv[2]))"
    )
    begun = time.monotonic()  # the same clock in all processes of a machine
    moments, mapped = _told_by(program, model, threads)
    steps, before = [], begun
    for name, moment, alive in moments:
        steps.append(
            {"name": name, "seconds": moment - before, "threads": alive}
        )
        before = moment
    return {"steps": steps, "mapped": mapped}


def _told_by(program: str, *arguments: object) -> Any:
    """Run a program in a new Python; what its last line says, as JSON."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def preload() -> None:
    """Start the server from which workers are forked, all imports done.

    It must come before the first worker of any kind: there is one server,
    and Dask's workers come from it, too.
    """
    context: Any = multiprocessing.get_context(SAFE)
    if SAFE == "forkserver":
        context.set_forkserver_preload([__package__])
        forkserver.ensure_running()


def answer_once(model: Any, mailbox: Any) -> None:
    """Be a worker: load if need be, answer one row, say what it took."""
    begin(None)
    if isinstance(model, Path):
        model = load_model("model", model)
    model.predict(np.zeros((1, PIXELS), np.uint8))
    moment = time.monotonic()
    memory = psutil.Process().memory_full_info()
    mailbox.send((moment, memory.uss, memory.rss))


def started(method: str, model: Any, count: int = 2) -> dict[str, Any]:
    """Start workers one after the other, and wait for their first answers.

    Returns
    -------
    dict
        ``seconds`` of each until its first answer; ``own`` bytes that the
        last one shares with nobody, and ``all`` that it uses.

    Raises
    ------
    RuntimeError
        A worker gave no answer in time.
    """
    context: Any = multiprocessing.get_context(method)
    told, processes = [], []
    try:
        for _ in range(count):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=answer_once, args=(model, there))
            begun = time.monotonic()
            process.start()
            processes.append(process)
            there.close()
            with here:
                if not here.poll(LIMIT):
                    raise RuntimeError(f"no answer in {LIMIT:g} s")
                moment, own, whole = here.recv()
            told.append(moment - begun)
    finally:
        for process in processes:
            process.join(HANGS)
            process.kill()  # if it is still there
            process.join()
    return {"seconds": told, "own": own, "all": whole}


def fork_loaded(path: Path) -> dict[str, Any]:
    """Load a model, and fork workers that have it: in a new process.

    Returns
    -------
    dict
        As `started`; and what a child does whose parent has, ``before``,
        not yet, and, ``after``, already had threads of OpenMP.
    """
    program = (
        f"import json, sys; from {__name__} import forks\n"
        "print(json.dumps(forks(sys.argv[1])))"
    )
    found: dict[str, Any] = _told_by(program, path)
    return found


def forks(path: str) -> dict[str, Any]:
    """Do what `fork_loaded` says, in a process that has used no threads."""
    import torch

    if "fork" not in multiprocessing.get_all_start_methods():
        return {}
    torch.set_num_threads(1)
    model = load_model("model", Path(path))
    gc.collect()
    gc.freeze()  # a collection would write to what all share
    found = started("fork", model)
    return found | {"before": call_in_child(0), "after": call_in_child(2)}


def call_in_child(threads: int) -> str:
    """Call C with two threads in a forked child, after so many here.

    Returns
    -------
    str
        What the child did: ``answers``, ``hangs``, or why nobody knows.
    """
    draw = np.random.default_rng(0).normal(size=(PIXELS, CLASSES))
    weights = Weights(draw.astype("f4"), np.zeros(CLASSES, "f4"))
    try:
        predict = NativeLinear(weights)
    except (MissingToolError, CompilationError) as error:
        return str(error).partition(".")[0]
    rows = np.zeros((1_000, PIXELS), "f4")
    if threads:
        predict(rows, threads)
    child = multiprocessing.get_context("fork").Process(
        target=predict, args=(rows, 2)
    )
    child.start()
    child.join(HANGS if threads else LIMIT)  # without threads it must answer
    found = "answers" if child.exitcode == 0 else "hangs"
    child.kill()
    child.join()
    return found


def one_after_another(port: int, count: int = 20) -> list[float]:
    """Ask for a picture at a time; seconds of each, the first one first.

    Health is asked for before, as a load balancer does: so neither the
    connection nor this client's own first time is counted.
    """
    body, kind = bytes(PIXELS), {"Content-Type": "application/octet-stream"}
    line = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    taken = []
    try:
        line.request("GET", "/health/ready")
        line.getresponse().read()
        for _ in range(count):
            begun = time.perf_counter()
            line.request("POST", "/models/model", body, kind)
            line.getresponse().read()
            taken.append(time.perf_counter() - begun)
    finally:
        line.close()
    return taken


def first_requests(store: Path) -> dict[str, dict[str, Any]]:
    """Ask a service that is ready too early, one half warm, and *Serving*'s.

    Returns
    -------
    dict
        For each ``ready``, seconds until it said so, and ``answers``.
    """
    from parallel_ai.production.operations.fleet import Fleet
    from parallel_ai.production.serving import Design

    found = {}
    for name, warm in (
        ("at once", "no"),
        ("warmed in another thread", "elsewhere"),
        ("warmed where it answers", "where it answers"),
    ):
        begun = time.monotonic()
        with Fleet(store, design=Design(), warm=warm) as fleet:
            ready = time.monotonic() - begun
            answers = one_after_another(fleet.port)
        found[name] = {"ready": ready, "answers": answers}
    return found
