"""How to cite a page: from one file, on every page, copied by keyboard."""

import re
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
from cite import bibtex, escaped, in_words

sys.path.remove(str(EXTENSIONS))
SITE = "https://example.org/book/"
CONF = f"""
import re
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
project = html_title = "Small"
extensions = ["myst_parser", "sphinx_copybutton", "slim", "cite"]
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "book" / "_static")!r}]
html_css_files = ["book.css"]
html_baseurl = {SITE!r}
templates_path = [{str(ROOT / "book" / "_templates")!r}]
"""
FILE = """title: "Small & tested: A Book"
authors:
  - name: The authors
  - {given-names: Ada, family-names: Lovelace}
version: 0.1.0
date-released: 2026-01-02
"""
CITATION = yaml.safe_load(FILE)
PAGE = f"{SITE}parts/gil.html"
WORDS = (
    "The authors and Ada Lovelace (2026). The GIL."
    f" In: Small & tested: A Book, version 0.1.0. {PAGE}"
)
TEX = rf"""@incollection{{small-tested:gil,
  author    = {{{{The authors}} and Lovelace, Ada}},
  title     = {{{{The GIL}}}},
  booktitle = {{{{Small \& tested: A Book}}}},
  year      = {{2026}},
  note      = {{Version 0.1.0}},
  url       = {{{PAGE}}},
}}"""


@pytest.fixture(scope="module")
def book(sphinx_book):
    toctree = "\n```{toctree}\nparts/gil\n```\n"
    sphinx_book.write("conf.py", CONF)
    sphinx_book.write("CITATION.cff", FILE)
    sphinx_book.write("index.md", f"# Index\n{toctree}")
    sphinx_book.write("parts/gil.md", "# The GIL\n\n## A part\n\nWords.\n")
    sphinx_book.build()
    return sphinx_book


def texts(book, name: str) -> list[str]:
    folds = book.html(name).select("article details.cite")
    assert len(folds) == 1
    return [pre.get_text().rstrip("\n") for pre in folds[0].select("pre")]


def test_a_page_is_cited_as_a_part_of_the_book(book):
    assert texts(book, "parts/gil") == [WORDS, TEX]


def test_the_first_page_cites_the_whole_book(book):
    words, tex = texts(book, "index")
    assert words == (
        "The authors and Ada Lovelace (2026)."
        f" Small & tested: A Book, version 0.1.0. {SITE}"
    )
    assert tex.startswith("@book{small-tested,\n")
    assert "booktitle" not in tex


def test_the_fold_is_the_last_thing_on_a_page(book):
    article = book.html("parts/gil").select_one("article")
    assert article.find_all(recursive=False)[-1]["class"] == ["cite"]


def test_a_page_without_an_address_is_cited_without_one():
    assert in_words(CITATION, "The GIL", "").endswith("version 0.1.0.")
    assert "url" not in bibtex(CITATION, "a", "The GIL", "")


@given(st.text("ab{}\\%&#_^~$ ", max_size=20))
def test_any_title_keeps_the_braces_of_an_entry_in_pairs(title):
    entry = bibtex(CITATION, "key", f"x{title}", "")
    plain = entry.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for letter in plain:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert escaped("50 % & C_1") == r"50 \% \& C\_1"


def test_a_changed_file_changes_every_page_and_a_lack_is_named(book):
    book.write("CITATION.cff", FILE.replace("0.1.0", "0.2.0"))
    book.build()
    assert "version 0.2.0" in texts(book, "parts/gil")[0]
    book.write("CITATION.cff", FILE.replace("version: 0.1.0\n", ""))
    with pytest.raises(AssertionError, match=r"CITATION\.cff lacks version"):
        book.build()
    book.write("CITATION.cff", FILE)
    book.build()
    assert texts(book, "parts/gil") == [WORDS, TEX]


def test_this_books_file_has_what_a_citation_needs():
    ours = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
    assert isinstance(ours["date-released"], date)
    address = "https://example.org/"
    assert bibtex(ours, "key", "", address).count("\n") == 6
    assert ours["title"] in in_words(ours, "", address)


@pytest.fixture(scope="module")
def built_book(book) -> Path:
    """What `site` serves."""
    return book.root / "_build"


def test_both_texts_are_copied_by_keyboard(site, browser):
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(f"{site}parts/gil.html", wait_until="networkidle")
    fold = tab.locator("details.cite")
    fold.locator("summary").focus()
    tab.keyboard.press("Enter")
    for number, text in enumerate((WORDS, TEX)):
        button = fold.locator("button.copybtn").nth(number)
        for _ in range(2):  # a text that scrolls is a stop before it
            tab.keyboard.press("Tab")
            if button.evaluate("(b) => b === document.activeElement"):
                break
        expect(button).to_be_focused()
        tab.keyboard.press("Enter")
        expect(button).to_have_class(re.compile("success"))
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied.rstrip("\n") == text
    context.close()


def test_a_text_is_selected_where_a_page_may_not_copy(site, browser):
    """As when a book is served without https."""
    tab = browser.new_page()
    tab.add_init_script("delete Navigator.prototype.clipboard")
    tab.goto(f"{site}parts/gil.html", wait_until="networkidle")
    fold = tab.locator("details.cite")
    fold.locator("summary").click()
    button = fold.locator("button.copybtn").last
    button.click()
    expect(button).to_have_attribute("aria-label", re.compile("Selected"))
    assert tab.evaluate("getSelection().toString()").rstrip("\n") == TEX
    expect(button).to_have_attribute("aria-label", "Copy")
    tab.close()
