"""How long a book takes to build: this one's extensions against stock.

Small books of pages that are all alike are built in a temporary folder, by
Jupyter Book as it comes and with the extensions of this repository::

    python -m parallel_ai.toolbox.benches "pages"

Needs a checkout of the repository, for the extensions are no part of the
package.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import yaml

from parallel_ai.toolbox.stopwatch import Timing

ROOT = Path(__file__).parents[3]
FRAME = ("book/_ext", "book/_static", "book/_templates")
SECONDS = 1800
OURS = {"stock": False, "ours": True}
EXECUTED = """---
file_format: mystnb
kernelspec:
  name: python3
---
# Page {number}

A sentence.

```{{code-cell}} python
from tiny import VALUE
page = {number}  # stock executes cells that are alike once
print(VALUE)
```
"""
PROSE = "# Page {number}\n\nA sentence.\n"
BUILD = (
    "import gc; gc.disable(); from jupyter_book.cli.main import main; main()"
)


class BuildError(RuntimeError):
    """A build failed; the message is what it said."""


@dataclass
class Small:
    """A book of pages that are all alike.

    Attributes
    ----------
    root : Path
        Its folder.
    ours : bool
        With this repository's extensions, or as Jupyter Book comes.
    """

    root: Path
    ours: bool

    def command(self) -> list[str]:
        """Return what builds it, in its folder."""
        return [sys.executable, "-c", BUILD, "build", ".", "-q"]

    def environment(self) -> dict[str, str]:
        """Return the variables with which its pages find their modules."""
        return os.environ | {"PYTHONPATH": str(self.root / "code")}

    def build(self) -> float:
        """Build what is stale; returns seconds of wall time.

        Raises
        ------
        BuildError
            With what the build said.
        """
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603
            self.command(),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise BuildError(done.stdout)
        return seconds

    def edit_sentence(self) -> None:
        """Change the prose of one page."""
        page = self.root / "book/page_0.md"
        page.write_text(page.read_text("utf8") + "\nA new sentence.\n", "utf8")

    def edit_module(self) -> None:
        """Change the module that every executed page imports."""
        module = self.root / "code/tiny/__init__.py"
        module.write_text(module.read_text("utf8") + "VALUE += 1\n", "utf8")

    def shown(self) -> str:
        """Return the page whose output tells the module's value."""
        return (self.root / "_build/html/book/page_0.html").read_text("utf8")

    def clean(self) -> None:
        """Delete everything that was built."""
        shutil.rmtree(self.root / "_build", ignore_errors=True)


@contextmanager
def small(pages: int, ours: bool, page: str = PROSE) -> Iterator[Small]:
    """Make a book, and delete it afterwards.

    Parameters
    ----------
    pages : int
        How many, besides the first.
    ours : bool
        With this repository's extensions and look.
    page : str
        Text of each, with ``{number}`` where its number goes.

    Raises
    ------
    BuildError
        This is no checkout of the repository.
    """
    if not (ROOT / "_config.yml").exists():
        raise BuildError("builds are compared in a checkout of the repository")
    with tempfile.TemporaryDirectory() as folder:
        book = Small(Path(folder), ours)
        names = [f"book/page_{number}" for number in range(pages)]
        chapters = "".join(f"  - file: {name}\n" for name in names)
        files = {
            "_toc.yml": "format: jb-book\nroot: book/index\n"
            + (f"chapters:\n{chapters}" if names else ""),
            "_config.yml": yaml.safe_dump(_config(ours)),
            "code/tiny/__init__.py": "VALUE = 1\n",
            "book/index.md": "# Index\n",
        } | {f"{n}.md": page.format(number=i) for i, n in enumerate(names)}
        for name, text in files.items():
            (book.root / name).parent.mkdir(parents=True, exist_ok=True)
            (book.root / name).write_text(text, "utf8")
        for name in FRAME if ours else ():
            shutil.copytree(ROOT / name, book.root / name)
        yield book


def _config(ours: bool) -> dict:
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    config.pop("bibtex_bibfiles")
    if ours:
        config["sphinx"]["config"]["fresh_package"] = "tiny"
        return config
    for key in ("sphinx", "parse", "html", "logo"):
        config.pop(key)
    return config


def _timed(book: Small, edit: str = "", repeats: int = 1) -> Timing:
    """Time builds after an edit each, or of nothing new."""
    found = []
    for _ in range(repeats):
        if edit:
            getattr(book, edit)()
        found.append(book.build())
    return Timing(tuple(found))


def compare_cold() -> dict[str, Timing]:
    """Build executed pages from nothing."""
    return {
        name: _timed(book, "clean", 2) for name, book in _executed().items()
    }


def compare_unchanged() -> dict[str, Timing]:
    """Build again when nothing is new."""
    return {name: _timed(book, repeats=3) for name, book in _current()}


def compare_sentence() -> dict[str, Timing]:
    """Build after the prose of one page was edited."""
    return {
        name: _timed(book, "edit_sentence", 3) for name, book in _current()
    }


def compare_module() -> dict[str, Timing]:
    """Build after an edit of the module that every page imports.

    Stock finds nothing to do and keeps the old outputs; to have the right
    ones, its reader deletes what was built.
    """
    (_, stock), (_, ours) = _current()
    stale = _timed(stock, "edit_module")
    return {
        "stock, cleaned first": _timed(stock, "clean"),
        "stock, outputs stale": stale,
        "ours": _timed(ours, "edit_module"),
    }


@cache
def _executed(pages: int = 8) -> dict[str, Small]:
    """Two books of executed pages, which go with this process."""
    books = ExitStack()
    atexit.register(books.close)
    return {
        name: books.enter_context(small(pages, ours, EXECUTED))
        for name, ours in OURS.items()
    }


def _current() -> Iterator[tuple[str, Small]]:
    """Those books with nothing left to build."""
    for name, book in _executed().items():
        book.build()
        yield name, book


def compare_growth(pages: int) -> dict[str, Timing]:
    """Build pages of prose from nothing."""
    found = {}
    for name, ours in OURS.items():
        with small(pages, ours) as book:
            found[name] = _timed(book)
    return found


COMPARISONS = {
    "8 executed pages, from nothing": compare_cold,
    "8 executed pages, nothing changed": compare_unchanged,
    "8 executed pages, one sentence edited": compare_sentence,
    "8 executed pages, a module edited": compare_module,
    "10 pages of prose, from nothing": partial(compare_growth, 10),
    "50 pages of prose, from nothing": partial(compare_growth, 50),
    "200 pages of prose, from nothing": partial(compare_growth, 200),
}
