"""Faults of a build: killed, at a wrong time, beside another one."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from parallel_ai.toolbox.faults import (
    Inject,
    Outcome,
    outcome,
)
from parallel_ai.toolbox.faults.trials import (
    SHOWN,
    Said,
    Trial,
    failed,
    other,
    trial,
)
from parallel_ai.toolbox.stopwatch import measure

TRIES = 5


def killed(
    times: int,
    seed: int,
    kind: signal.Signals = signal.SIGKILL,
    pages: int = 3,
) -> Iterator[Outcome]:
    """End builds at random moments; the next one must end as if none had been.

    Half of them build from nothing, half after an edit of all modules.
    """
    chance = random.Random(seed)  # noqa: S311
    with trial(pages) as one:
        seconds = {"": measure(one.undisturbed, repeats=1, warmup=0).median}
        one.keep("old")
        for number in range(pages):
            one.value(number, f"new {number}")
        seconds["old"] = measure(one.undisturbed, repeats=1, warmup=0).median
        expected = one.pages()
        for number in range(times):
            state = ("", "old")[number % 2]
            moment, struck = _strike(one, state, seconds[state], kind, chance)
            left = one.left()
            again = one.build()
            repeated = struck.stored & set(again.ran)
            problems = [
                left,
                struck.code == 0 and "it went on",
                failed(again),
                again.code == 0 and other(one.pages(), expected),
                f"executed again: {sorted(repeated)}" if repeated else "",
                again.code == 0 and one.unsound(),
            ]
            what = (
                f"{kind.name} after {moment:.2f} s, from {state or 'nothing'}"
            )
            told = "nterrupt" in struck.text
            yield outcome(what, told, not any(problems), problems)


def _strike(
    one: Trial,
    state: str,
    seconds: float,
    kind: signal.Signals,
    chance: random.Random,
) -> tuple[float, Said]:
    """Start a build and send a signal to its group while it works."""
    for _ in range(TRIES):
        one.restore(state)
        one.ran.write_text("")
        process, moment = one.start(), chance.random() * seconds
        try:
            process.wait(moment)  # it is done already: earlier, then
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, kind)
            return moment, one.said(process)
    raise RuntimeError(f"{TRIES} builds ended before {seconds:.1f} s")


EDITS = (
    ("book/page_0.md", "A sentence", "A new sentence"),
    ("code/tiny/part_0.py", "old 0", "new 0"),
    ("book/shown.txt", SHOWN.strip(), "Another text."),
)
DAY = 86_400
# Python's clock, put forward or back. libfaketime would do it for all programs,
# but makes `time.sleep` fail: it shifts the end of the sleep, too.
CLOCK = """
import os, time

def shifted(clock, by):
    return lambda: clock() + by

if seconds := int(os.environ.get("AHEAD", "0")):
    time.time = shifted(time.time, seconds)
    time.time_ns = shifted(time.time_ns, seconds * 10**9)
"""


def _ahead(seconds: int) -> tuple[str, ...]:
    """Let a build's clock be ahead by so many seconds."""
    return "env", f"AHEAD={seconds}"


def clock(times: int, seed: int, pages: int = 1) -> Iterator[Outcome]:
    """Set the clock back a day, edit a file, build: the edit must be shown.

    Either the clock was ahead when the book was built, or it is behind when
    the file is edited. In both cases the file looks older than its page.

    Raises
    ------
    RuntimeError
        A build without an edit failed; the message says how.
    """
    with trial(pages) as one:
        (one.root / "code/sitecustomize.py").write_text(CLOCK, "utf8")
        for name, before in (("true", ()), ("ahead", _ahead(DAY))):
            one.restore()
            if problem := failed(one.build(*before)):
                raise RuntimeError(problem)
            one.keep(name)
        for number in range(times):
            state = ("true", "ahead")[number // len(EDITS) % 2]
            name, old, new = EDITS[number % len(EDITS)]
            one.restore(state)
            path = one.root / name
            text = path.read_text("utf8")
            path.write_text(text.replace(old, new), "utf8")
            if state == "true":
                then = path.stat().st_mtime - DAY
                os.utime(path, (then, then))
                done = one.build(*_ahead(-DAY))
            else:
                done = one.build()
            shown = new in one.book.shown()
            path.write_text(text, "utf8")
            problems = [failed(done), "" if shown else "the old page is shown"]
            what = f"{name} edited, clock {state}"
            yield outcome(what, False, not any(problems), problems)


def together(times: int, seed: int, pages: int = 2) -> Iterator[Outcome]:
    """Start two builds of one book: each page is executed by one of them."""
    chance = random.Random(seed)  # noqa: S311
    with trial(pages) as one:
        seconds = measure(one.undisturbed, repeats=1, warmup=0).median
        expected, names = one.pages(), sorted(one.ran.read_text().split())
        for _ in range(times):
            one.restore()
            one.ran.write_text("")
            first, later = one.start(), chance.random() * seconds / 2
            with suppress(subprocess.TimeoutExpired):
                first.wait(later)
            second = one.start(name="second")
            both = [one.said(first), one.said(second, "second")]
            told = any("Another build works in" in done.text for done in both)
            ran = sorted(both[1].ran)
            problems = [
                *map(failed, both),
                other(one.pages(), expected),
                "" if ran == names else f"executed: {', '.join(ran)}",
                one.unsound(),
            ]
            what = f"a second build after {later:.2f} s"
            yield outcome(what, told, not any(problems), problems)


KINDS: dict[str, tuple[Inject, int]] = {
    "build killed at a random moment": (killed, 20),
    "build interrupted (Ctrl-C)": (partial(killed, kind=signal.SIGINT), 6),
    "clock set back a day before an edit": (clock, 6),
    "two builds at once": (together, 3),
}
