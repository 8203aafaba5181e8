"""Words of the glossary: linked once a page, in prose, and nowhere else."""

from pathlib import Path

import pytest
from bs4 import Tag

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "terms"]
myst_enable_extensions = ["dollarmath"]
project = "words"
"""
GLOSSARY = """# Glossary

```{glossary}
Amdahl's law
  A bound, $1 / s$.

GIL
  A lock.

Rank
  A number.

α–β model
  $\\alpha + \\beta n$.
```
"""
PAGE = """# The GIL and ranks

Amdahl’s law, and Amdahl's law again. `GIL` is code, the GIL is prose, a
gil is none, nor are GIL-free programs. Ranks come in crowds, cranks do not;
the α–β model counts.

[A rank](glossary.md) leads elsewhere already.
"""


@pytest.fixture(scope="module")
def words(sphinx_book):
    index = "# Index\n\n```{toctree}\nglossary\npage\n```\n"
    files = {"glossary": GLOSSARY, "page": PAGE, "index": index}
    for name, text in files.items():
        sphinx_book.write(f"{name}.md", text)
    sphinx_book.write("conf.py", CONF)
    sphinx_book.build()
    return sphinx_book


def links(book, name: str) -> list[Tag]:
    return book.html(name).select("a.glossed")


def test_the_first_use_of_a_word_is_a_link_with_its_meaning(words):
    found = {a.text: a["title"] for a in links(words, "page")}
    assert found == {
        "Amdahl’s law": "A bound, 1 / s.",
        "GIL": "A lock.",
        "Ranks": "A number.",
        "α–β model": "α + β n.",
    }


def test_it_leads_to_the_definition(words):
    glossary = (words.root / "_build/glossary.html").read_text("utf8")
    for link in links(words, "page"):
        page, anchor = link["href"].split("#")
        assert page == "glossary.html"
        assert f'id="{anchor}"' in glossary


def test_the_glossary_does_not_link_to_itself(words):
    assert links(words, "glossary") == []


def test_a_changed_definition_reaches_every_page(words):
    assert "no targets are out of date" in words.build()
    path = words.root / "glossary.md"
    path.write_text(path.read_text("utf8").replace("A lock.", "The lock."))
    words.build()
    meanings = {a.text: a["title"] for a in links(words, "page")}
    assert meanings["GIL"] == "The lock."
