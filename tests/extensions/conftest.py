"""A small book that plain Sphinx builds, with warnings as errors."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

COMMAND = ["sphinx", "-W", "-n", "-b", "html", ".", "_build"]


@dataclass
class SphinxBook:
    """Sources in a folder, and the pages that were built of them."""

    root: Path
    run: Callable[..., subprocess.CompletedProcess]

    def build(self) -> str:
        """Build what is stale; returns what Sphinx said."""
        done = self.run(COMMAND, self.root)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """Write a source, in a folder that may be new."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf8")

    def html(self, name: str) -> BeautifulSoup:
        """Read a built page."""
        text = (self.root / f"_build/{name}.html").read_text("utf8")
        return BeautifulSoup(text, "html.parser")


@pytest.fixture(scope="module")
def sphinx_book(tmp_path_factory, run_prepared) -> SphinxBook:
    """A book without any page."""
    return SphinxBook(tmp_path_factory.mktemp("book"), run_prepared)
