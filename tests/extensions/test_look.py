"""The frame of a small book: nothing in it that nobody uses, restyled whole."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
CONFIG = f"""
title: framed
only_build_toc_files: true
execute: {{execute_notebooks: cache, run_in_temp: true, timeout: 60}}
sphinx:
  local_extensions: {{look: {EXTENSIONS}, fresh: {EXTENSIONS}}}
  config:
    fresh_package: tiny
    html_static_path: [static]
    html_css_files: [style.css]
"""
PAGES = {
    "index": "# Index\n\n```{eval-rst}\n.. [One] A book.\n"
    ".. [Two] Another.\n```\n\n\n",
    "executed": "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
    "# Executed\n\n```{code-cell} python\nimport os\n"
    "open(os.environ['RAN'], 'a').write('x')\n"
    "import pandas\npandas.DataFrame({'a': [1]})\n```\n",
    "plain": "# Plain\n\nWords of version {sub-ref}`release`.\n",
}


@dataclass
class Framed:
    root: Path
    run: Callable[..., subprocess.CompletedProcess]

    def build(self) -> str:
        more = {
            "PYTHONPATH": str(self.root / "code"),
            "RAN": str(self.root / "ran"),
        }
        done = self.run(
            ["jupyter-book", "build", "."], self.root, os.environ | more
        )
        assert done.returncode == 0, done.stdout
        return (self.root / "_build/summary.txt").read_text("utf8")

    def html(self, name: str) -> BeautifulSoup:
        text = (self.root / f"_build/html/{name}.html").read_text("utf8")
        return BeautifulSoup(text, "html.parser")


@pytest.fixture(scope="module")
def framed(tmp_path_factory, run_prepared) -> Framed:
    root = tmp_path_factory.mktemp("framed")
    files = {f"{name}.md": text for name, text in PAGES.items()} | {
        "_config.yml": CONFIG,
        "_toc.yml": "format: jb-book\nroot: index\nchapters:\n"
        "  - file: executed\n  - file: plain\n",
        "static/style.css": "p { color: red }",
        "code/tiny/__init__.py": "",
        "pyproject.toml": '[project]\nversion = "4.5.6"\n',
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf8")
    book = Framed(root, run_prepared)
    book.build()
    return book


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_no_script_of_another_host_and_none_unused(framed, name):
    page = framed.html(name)
    loaded = [tag["src"] for tag in page.select("[src]")]
    loaded += [tag["href"] for tag in page.select("link[href]")]
    assert not any(address.startswith(("http", "//")) for address in loaded)
    assert "thebe" not in str(page)
    assert "unpkg" not in str(page)
    folder = framed.root / "_build/html"
    local = [a.partition("?")[0] for a in loaded if not a.startswith("data:")]
    assert [a for a in local if a != "#" and not (folder / a).exists()] == []


def test_one_search_field(framed):
    assert len(framed.html("plain").select("input[type=search]")) == 1
    assert len(framed.html("search").select("main input[type=search]")) == 1


def test_version_is_that_of_the_package(framed):
    """Also in the inventory, after which the archive is named."""
    assert "Words of version 4.5.6." in framed.html("plain").article.text
    inventory = (framed.root / "_build/html/objects.inv").read_bytes()
    assert b"\n# Version: 4.5.6\n" in inventory


def test_no_index_that_lists_nothing(framed):
    assert not (framed.root / "_build/html/genindex.html").exists()


def test_color_mode_is_one_that_the_theme_knows(framed):
    page = framed.html("plain")
    assert page.html["data-theme"] == "auto"
    assert 'localStorage.getItem("mode") || "auto"' in page.head.script.text


def test_references_are_a_list(framed):
    entries = framed.html("index").select_one(".citation-list[role=list]")
    items = entries.find_all(recursive=False)
    assert [item["role"] for item in items] == ["listitem", "listitem"]
    assert all(item["id"] for item in items)


def test_data_frame_has_no_heading_without_words(framed):
    table = framed.html("executed").select_one("table.dataframe")
    assert [th.get_text() for th in table.select("th")] == ["a", "0"]
    assert table.thead.td.get_text() == ""


def test_changed_stylesheet_reaches_every_page_and_executes_nothing(framed):
    """Each page names it with its checksum, so that no browser keeps the old."""
    style = framed.root / "static/style.css"

    def sheet(name: str) -> str:
        return framed.html(name).select_one("link[href*=style\\.css]")["href"]

    before = {name: sheet(name) for name in PAGES}
    assert len(set(before.values())) == 1
    style.write_text("p { color: blue }", encoding="utf8")
    summary = framed.build()
    assert "0 executed" in summary
    assert (framed.root / "ran").read_text() == "x"
    copied = framed.root / "_build/html/_static/style.css"
    assert copied.read_text("utf8") == "p { color: blue }"
    after = {name: sheet(name) for name in PAGES}
    assert len(set(after.values())) == 1
    assert after["plain"] != before["plain"]
    again = (framed.root / "_build/html/plain.html").stat().st_mtime_ns
    framed.build()
    page = framed.root / "_build/html/plain.html"
    assert page.stat().st_mtime_ns == again, "an unchanged one rewrites none"
