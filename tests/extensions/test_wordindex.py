"""The index: every word with the chapters and sections whose prose uses it."""

from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "terms", "wordindex"]
project = "index"
"""
FILES = {
    "index": "# Home\n\n```{toctree}\nglossary\nlocks\nloops\nwords\n```\n",
    "glossary": "# Glossary\n\n```{glossary}\nGIL\n  A lock.\n```\n",
    "locks": "# Locks\n\nThe GIL, once.\n\n## More of it\n\n"
    "A GIL here and a GIL there. Joblib's too; `Ray` is a name.\n\n```\nRay\n```\n",
    "loops": "# Loops\n\nNo GIL for joblib.\n",
    "words": "# Words\n\n```{wordindex}\njoblib\nRay\n```\n",
}


@pytest.fixture(scope="module")
def book(sphinx_book):
    for name, text in FILES.items():
        sphinx_book.write(f"{name}.md", text)
    sphinx_book.write("conf.py", CONF)
    sphinx_book.build()
    return sphinx_book


def listed(book) -> dict[str, list[tuple[str, str]]]:
    """Words, with text and address of each link."""
    terms = book.html("words").select(".wordindex dt")
    return {
        term.get_text(): [
            (a.get_text(), a["href"])
            for a in term.find_next_sibling("dd").select("a")
        ]
        for term in terms
    }


def test_a_word_leads_to_the_section_that_uses_it_most(book):
    assert listed(book) == {
        "GIL": [("Locks", "locks.html#more-of-it"), ("Loops", "loops.html")],
        "joblib": [
            ("Locks", "locks.html#more-of-it"),
            ("Loops", "loops.html"),
        ],
        "Ray": [("Locks", "locks.html#more-of-it")],
    }


def test_the_chapter_with_most_uses_stands_out(book):
    strong = book.html("words").select(".wordindex strong")
    assert [one.get_text() for one in strong] == ["Locks", "Locks"]


def test_a_word_of_the_glossary_leads_to_its_definition(book):
    link = book.html("words").select_one(".wordindex dt a")
    assert link["href"] == "glossary.html#term-GIL"
    assert link["title"] == "A lock."


def test_a_changed_page_reaches_the_index(book):
    assert "no targets are out of date" in book.build()
    book.write("loops.md", "# Loops\n\nAll of Ray, a Ray and a Ray.\n")
    book.build()
    found = listed(book)
    assert found["Ray"][1] == ("Loops", "loops.html")
    assert book.html("words").select(".wordindex strong")[-1].text == "Loops"
    assert [name for name, _ in found["GIL"]] == ["Locks"]


def test_a_word_that_nobody_uses_is_told(book):
    book.write("words.md", "# Words\n\n```{wordindex}\nSpark\n```\n")
    with pytest.raises(AssertionError, match="no chapter speaks of 'Spark'"):
        book.build()
