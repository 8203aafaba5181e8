"""From source to a library in this process: found, compiled, kept, loaded."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from parallel_ai.toolbox import datasets, machine

HERE = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-fopenmp")
OBJECT = ("-c", "-fPIC", "-std=gnu11")
FAST = "-ffast-math"
SECONDS = 120  # that a compiler may take


class MissingToolError(RuntimeError):
    """A program that this page needs is not installed."""


class CompilationError(RuntimeError):
    """A compiler refused a source; the message holds what it said."""


def tool(*names: str) -> str:
    """Find the first of some programs that is installed; its path.

    Raises
    ------
    MissingToolError
        None of them is.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    raise MissingToolError(
        f"none of {', '.join(names)} is installed. On Debian: apt-get "
        "install g++ default-jdk-headless. Without them the page shows a "
        "record of another machine."
    )


@cache
def version(path: str) -> str:
    """Ask a program for its version: the first line of its answer."""
    done = subprocess.run(  # noqa: S603 - our own command
        [path, "--version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return (done.stdout or done.stderr).partition("\n")[0]


def run(command: Sequence[object], folder: Path | None = None) -> str:
    """Run a compiler, or what it made; return all that it printed.

    Raises
    ------
    CompilationError
        It failed, with all that it printed, or took too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            list(map(str, command)),
            check=False,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CompilationError(
            f"{command[0]} took more than {SECONDS} s"
        ) from error
    if done.returncode:
        raise CompilationError(
            f"{command[0]} ended with {done.returncode}:\n{done.stdout}"
        )
    return done.stdout


def kept() -> Path:
    """Name the folder of compiled libraries, in this user's cache folder."""
    with warnings.catch_warnings():  # tqdm misses ipywidgets; no bar is drawn
        warnings.filterwarnings("ignore", "IProgress not found")
        return datasets.cache() / "native"


def build(
    source: str, flags: Sequence[str] = FLAGS, folder: Path | None = None
) -> Path:
    """Compile C to a shared library, unless that has been done before.

    Parameters
    ----------
    source : str
        Text of the program.
    flags : sequence of str
        For the compiler, beside those that make a library.
    folder : path, optional
        Where libraries are kept: by default in the user's own cache. Not in
        a folder where others may write: they could put a library there.

    Returns
    -------
    Path
        Its name is a digest of all that decides what is in it: source,
        flags, compiler and, as `-march=native` asks for it, processor.
    """
    compiler = tool("cc", "gcc", "clang")
    folder = folder or kept()
    parts = [source, *flags, *OBJECT, version(compiler), machine.cpu()]
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    library = folder / f"{name}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        text, made = Path(place, "model.c"), Path(place, "model.so")
        text.write_text(source, encoding="utf-8")
        half = text.with_suffix(".o")
        run([compiler, *flags, *OBJECT, text, "-o", half])
        # GCC before 13, asked to *link* with it, adds code that switches
        # subnormal numbers off for the whole process that loads the library.
        last = [flag for flag in flags if flag != FAST]
        run([compiler, *last, "-shared", half, "-o", made, "-lm"])
        os.replace(made, library)  # whole, or not at all
    return library


def load(source: str, flags: Sequence[str] = FLAGS) -> ctypes.CDLL:
    """Compile C if need be, and load it. It stays until the process ends."""
    return ctypes.CDLL(str(build(source, flags)))


def text_of(name: str) -> str:
    """Read one of this chapter's sources, such as ``linear.c``."""
    return (HERE / name).read_text(encoding="utf-8")


def vectorised(source: str, flags: Sequence[str]) -> dict[str, str]:
    """Ask GCC which loops it has vectorised.

    Returns
    -------
    dict of str to str
        For each function with such a loop, the widest of its vectors.

    Raises
    ------
    MissingToolError
        There is no GCC: other compilers have other options.
    """
    compiler = tool("gcc")
    if "clang" in version(compiler):  # so on a Mac
        raise MissingToolError("gcc is another name of clang here")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "model.c")
        path.write_text(source, encoding="utf-8")
        said = run(
            [
                compiler, *flags, *OBJECT, "-fopt-info-vec-optimized",
                path, "-o", Path(place, "model.o"),
            ]
        )  # fmt: skip
    lines = source.splitlines()
    found: dict[str, int] = {}
    for number, size in re.findall(
        r":(\d+):\d+: optimized: .*vectorized.* (\d+) byte vectors", said
    ):
        name = _function_at(lines, int(number))
        found[name] = max(found.get(name, 0), int(size))
    return {name: f"{8 * size} bits" for name, size in found.items()}


def _function_at(lines: list[str], number: int) -> str:
    """Name the C function around a line."""
    for line in reversed(lines[:number]):
        if start := re.match(r"(?:static )?\w[\w ]*?\*?(\w+)\(", line):
            return start[1]
    return "?"
