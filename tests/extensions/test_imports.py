"""Many imports are folded under their names; the lines after them are shown."""

import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_nb", "imports"]
nb_execution_mode = "off"
project = "imports"
"""
MANY = "\n".join(
    ["import os", "import sys", "", "import numpy as np"]
    + ["from concurrent.futures import (", "    Future,", "    wait,", ")"]
)
HEAD = (
    "---\nfile_format: mystnb\nkernelspec: {name: python3}\n"
    "language_info: {name: python, pygments_lexer: ipython3}\n---\n\n# A page\n"
)


def cell(source: str) -> str:
    return f"\n```{{code-cell}} python\n{source}\n```\n"


@pytest.fixture(scope="module")
def cells(sphinx_book):
    few = MANY.split("\n", 1)[1]
    texts = [f"{MANY}\n\nx = 1", MANY, f"{few}\nx = 1", f"x = 1\n{MANY}"]
    sphinx_book.write("index.md", HEAD + "".join(map(cell, texts)))
    sphinx_book.write("conf.py", CONF)
    sphinx_book.build()
    return sphinx_book.html("index").select("div.cell_input")


def test_imports_are_folded_and_the_rest_is_shown(cells):
    details = cells[0].select_one("details")
    assert details.summary.text == "Imports: os, sys, numpy, concurrent"
    assert details.pre.get_text().strip() == MANY
    shown = details.find_next_sibling("div").pre.get_text()
    assert shown == "x = 1\n"


def test_a_cell_of_imports_alone_is_folded_whole(cells):
    assert len(cells[1].select("pre")) == 1
    assert cells[1].details.pre.get_text().strip() == MANY


def test_few_imports_and_later_ones_stay(cells):
    assert [bool(one.select("details")) for one in cells[2:]] == [False, False]


def test_commands_of_the_notebook_are_no_error():
    sys.path.insert(0, str(EXTENSIONS))
    try:
        from imports import leading
    finally:
        sys.path.remove(str(EXTENSIONS))
    assert leading("%matplotlib inline\n" + MANY) == (0, [])
