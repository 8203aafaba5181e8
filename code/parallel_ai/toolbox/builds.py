"""How long a book takes to build: this one's extensions against stock.

Small books of pages that are all alike are built in a temporary folder, by
Jupyter Book as it comes and with the extensions of this repository::

    python -m parallel_ai.toolbox.benches "pages"

Needs a checkout of the repository, for the extensions are no part of the
package.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from parallel_ai.toolbox.stopwatch import Timing

ROOT = Path(__file__).parents[3]
FRAME = ("book/_ext", "book/_static", "book/_templates")
SECONDS = 1800
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
        text = page.read_text("utf8").replace("A sentence", "A new sentence")
        page.write_text(text, "utf8")

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


def _two(pages: int, page: str) -> Iterator[tuple[str, Small]]:
    for name, ours in (("stock", False), ("ours", True)):
        with small(pages, ours, page) as book:
            yield name, book


def _timed(book: Small, edit: str = "", repeats: int = 1) -> Timing:
    """Time builds after an edit each, or of nothing new."""
    found = []
    for _ in range(repeats):
        if edit:
            getattr(book, edit)()
        found.append(book.build())
    return Timing(tuple(found))


def compare_cold(pages: int = 8) -> dict[str, Timing]:
    """Build executed pages from nothing."""
    return {
        name: _timed(book, "clean", 2) for name, book in _two(pages, EXECUTED)
    }


def compare_unchanged(pages: int = 8) -> dict[str, Timing]:
    """Build again when nothing is new."""
    found = {}
    for name, book in _two(pages, EXECUTED):
        book.build()
        found[name] = _timed(book, repeats=3)
    return found


def compare_sentence(pages: int = 8) -> dict[str, Timing]:
    """Build after the prose of one page was edited."""
    found = {}
    for name, book in _two(pages, EXECUTED):
        book.build()
        found[name] = Timing(
            tuple(_edited(book, number) for number in range(3))
        )
    return found


def _edited(book: Small, number: int) -> float:
    page = book.root / f"book/page_{number}.md"
    page.write_text(page.read_text("utf8") + "\nMore.\n", "utf8")
    return book.build()


def compare_module(pages: int = 8) -> dict[str, Timing]:
    """Build after an edit of the module that every page imports.

    Stock finds nothing to do and keeps the old outputs; to have the right
    ones, its reader deletes what was built.
    """
    found = {}
    for name, book in _two(pages, EXECUTED):
        book.build()
        if book.ours:
            found[name] = _timed(book, "edit_module")
        else:
            stale = _timed(book, "edit_module")
            book.clean()
            found["stock, cleaned first"] = _timed(book)
            found["stock, outputs stale"] = stale
    return found


def compare_growth(pages: int) -> dict[str, Timing]:
    """Build pages of prose from nothing."""
    return {name: _timed(book) for name, book in _two(pages, PROSE)}


COMPARISONS = {
    "8 executed pages, from nothing": compare_cold,
    "8 executed pages, nothing changed": compare_unchanged,
    "8 executed pages, one sentence edited": compare_sentence,
    "8 executed pages, a module edited": compare_module,
    "10 pages of prose, from nothing": partial(compare_growth, 10),
    "50 pages of prose, from nothing": partial(compare_growth, 50),
    "200 pages of prose, from nothing": partial(compare_growth, 200),
}
