"""Pages that cells show: files of their own, which need no other host."""

import re
from base64 import b64encode
from importlib.metadata import version
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "attached"]
project = "attached"
"""
BOKEH = "https://cdn.bokeh.org/bokeh/release"


def page(release: str) -> str:
    return (
        '<head><meta charset="utf-8">'
        f'<script src="{BOKEH}/bokeh-{release}.min.js"></script>'
        f'<script src="{BOKEH}/bokeh-widgets-{release}.min.js"></script>'
        "</head><body>Panes</body>"
    )


def link(release: str) -> str:
    data = b64encode(page(release).encode()).decode()
    return (
        '<a class="attached" download="report.html" '
        f'href="data:text/html;base64,{data}">Open it</a>'
    )


@pytest.fixture(scope="module")
def book(sphinx_book):
    text = f"# A page\n\nRead: {link(version('bokeh'))}\n"
    sphinx_book.write("index.md", "# Home\n\n```{toctree}\nin/page\n```\n")
    sphinx_book.write("in/page.md", text)
    sphinx_book.write("conf.py", CONF)
    sphinx_book.build()
    return sphinx_book


def test_a_link_leads_to_a_file_of_its_own(book):
    found = book.html("in/page").select_one("a.attached")
    assert found.text == "Open it"
    assert not found.has_attr("download")
    assert found["href"] == "../attached/in-page-1.html"
    file = book.root / "_build" / "in" / found["href"]
    assert "Panes" in file.read_text("utf8")


def test_what_the_file_needs_lies_beside_it(book):
    (file,) = (book.root / "_build/attached").glob("*.html")
    text = file.read_text("utf8")
    assert "https://" not in text
    assert "default-src 'self'" in text
    scripts = re.findall('src="([^"]+)"', text)
    assert len(scripts) == 2
    assert all((file.parent / name).stat().st_size > 1e5 for name in scripts)


def test_another_version_of_bokeh_is_told(book):
    book.write("in/page.md", f"# A page\n\nRead: {link('1.0.0')}\n")
    with pytest.raises(
        AssertionError, match=r"Bokeh 1\.0\.0 is not installed"
    ):
        book.build()
