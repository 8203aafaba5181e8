"""The tests in every environment that a reader may have.

Each environment gets a clone of the last commit and runs pytest there: with
another Python, on one core, told of little memory, without a network, as a
user without rights, from a folder that nobody may write to, from a path with
a space and letters beyond ASCII, where text is not UTF-8::

    make environments                           # all of them, all tests
    make environments ONLY="path" TESTS="tests/toolbox"

What each printed stays in ``_build/environments/``. Needs a checkout of the
repository; an environment that this machine cannot make is said to be left
out, with the reason.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from parallel_ai.toolbox.stopwatch import readable

ROOT = Path(__file__).parents[3]
SECONDS = 3600  # for the tests of one environment
NOBODY = 65534
# In a network of its own only the loopback device is there, and it is down.
ALONE = 'ip link set lo up && exec "$@"'
# A mount of its own, which ends with the command.
FROZEN = (
    'mount --bind . . && mount -o remount,ro,bind . && cd "$PWD" && exec "$@"'
)
COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Environment:
    """Where tests run.

    Attributes
    ----------
    name : str
    prefix : sequence of str
        Words before the command.
    variables : dict of str
        Set for the command; an empty one is taken away.
    folder : str
        Name of the folder above the clone.
    python : str
        An interpreter to make an own environment of, as the README does;
        without one, the tests run with this one.
    user : bool
        The clone belongs to a user without rights, who runs the command.
    """

    name: str
    prefix: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = "book"
    python: str = ""
    user: bool = False

    def missing(self) -> str:
        """Return why this machine cannot make it; empty, if it can."""
        for program in (
            *self.prefix[:1],
            *([self.python] * bool(self.python)),
        ):
            if shutil.which(program) is None:
                return f"{program} is not installed"
        if self.prefix[:1] in (["unshare"], ["setpriv"]) and os.geteuid() != 0:
            return "needs root"
        return ""


@dataclass(frozen=True)
class Result:
    """What the tests of one environment came to.

    Attributes
    ----------
    environment : str
    counts : dict of str to int
        Tests that ``passed``, ``failed``, ``skipped``, with ``errors``; empty
        if pytest did not come to its end.
    seconds : float
    code : int
        Exit status.
    """

    environment: str
    counts: dict[str, int]
    seconds: float
    code: int

    def __str__(self) -> str:
        """One line of the table."""
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        said = counts or f"did not end by itself (exit status {self.code})"
        return f"{self.environment:<24}{said} ({readable(self.seconds)})"


def interpreters() -> dict[str, str]:
    """Return the Pythons of this machine that the book promises, by version.

    Looked for by name on the path, and where pyenv and uv keep theirs.
    """
    homes = [Path.home() / ".pyenv/versions"]
    homes.append(Path.home() / ".local/share/uv/python")
    found = {}
    for version in ("3.11", "3.12", "3.13", "3.14"):
        kept = [
            str(path)
            for home in homes
            for path in sorted(home.glob(f"*{version}*/bin/python{version}"))
        ]
        on_path = shutil.which(f"python{version}")
        # pyenv's stand-ins are there for versions that are not.
        if kept or (on_path and "shims" not in on_path):
            found[version] = kept[-1] if kept else str(on_path)
    return found


def environments() -> list[Environment]:
    """Return all environments of this machine."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    core = str(min(os.sched_getaffinity(0)))
    return [
        *(
            Environment(f"Python {version}", python=path)
            for version, path in interpreters().items()
            if version != own
        ),
        Environment("one core", ["taskset", "-c", core]),
        Environment("2 GB", variables={"PARALLEL_AI_MEMORY": "2GB"}),
        Environment(
            "no network", ["unshare", "--net", "sh", "-c", ALONE, "sh"]
        ),
        Environment(
            "user without rights",
            [
                "setpriv",
                f"--reuid={NOBODY}",
                f"--regid={NOBODY}",
                "--clear-groups",
                "--no-new-privs",
            ],
            python="/usr/bin/python3",
            user=True,
        ),
        Environment(
            "read-only checkout",
            ["unshare", "--mount", "sh", "-c", FROZEN, "sh"],
        ),
        Environment("odd path", folder="Bücher, auch alte"),
        Environment(
            "text not UTF-8",
            variables={
                "LC_ALL": "C",
                "PYTHONCOERCECLOCALE": "0",
                "PYTHONUTF8": "0",
            },
        ),
    ]


@contextmanager
def cloned(environment: Environment) -> Iterator[Path]:
    """Make a clone of the last commit, and delete it at the end.

    Yields
    ------
    Path
        Its folder; beside it stands an empty home.
    """
    with tempfile.TemporaryDirectory(prefix="environment-") as top:
        root = Path(top) / environment.folder / "main"
        subprocess.run(  # noqa: S603
            ["git", "clone", "-q", "--no-hardlinks", ROOT, root],  # noqa: S607
            check=True,
        )
        (root.parent / "home").mkdir()
        if environment.user:
            for path in (Path(top), *Path(top).rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        yield root


def run(
    environment: Environment, arguments: Sequence[str], log: Path
) -> Result:
    """Run pytest in an environment.

    Parameters
    ----------
    environment : Environment
    arguments : sequence of str
        Files and options for pytest.
    log : Path
        Takes what was printed.
    """
    began = time.monotonic()
    with cloned(environment) as root, open(log, "w", encoding="utf8") as said:
        variables = os.environ | environment.variables
        python = sys.executable
        if environment.python:
            python = ".venv/bin/python"
            variables |= {"HOME": str(root.parent / "home")}
            make = ["make", f"PYTHON={environment.python}", ".venv/ready"]
            call([*environment.prefix, *make], root, variables, said)
        else:
            variables |= {"PYTHONPATH": str(root / "code")}
        pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        code = call(
            [*environment.prefix, *pytest, *arguments], root, variables, said
        )
    lines = log.read_text("utf8", "replace").splitlines()
    last = next(
        (x for x in reversed(lines) if " in " in x and COUNTS.search(x)), ""
    )
    counts = {what: int(number) for number, what in COUNTS.findall(last)}
    return Result(environment.name, counts, time.monotonic() - began, code)


def call(
    command: Sequence[str], root: Path, variables: dict[str, str], said: object
) -> int:
    """Run a command to its end; returns its status."""
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=root,
        env={name: text for name, text in variables.items() if text},
        stdout=said,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            return process.wait(SECONDS)
        except BaseException:
            process.terminate()
            raise


def main(arguments: list[str] | None = None) -> int:
    """Run the tests in the environments whose names hold a word, or in all."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.environments",
        description="Run the tests in every environment of a reader.",
    )
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--folder", type=Path, default=Path("environments"))
    parser.add_argument(
        "tests", nargs="*", help="files and options for pytest"
    )
    wanted = parser.parse_args(arguments)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    for one in environments():
        if wanted.only not in one.name:
            continue
        if why := one.missing():
            print(f"{one.name:<24}left out: {why}", flush=True)
            continue
        log = wanted.folder / f"{one.name.replace(' ', '_')}.txt"
        result = run(one, wanted.tests, log)
        bad += result.code != 0
        print(result, flush=True)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
