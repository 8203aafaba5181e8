"""The reference: what is public, as its docstring says, linked both ways."""

import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import Tag

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
REPOSITORY = "https://example.org/a/book"
# The package of this book is a made-up one: it is looked for beside conf.py.
CONF = f"""
import os, sys
sys.path[:0] = [{str(EXTENSIONS)!r}, os.path.abspath("code")]
extensions = ["myst_parser", "tags", "listing", "coding", "reference",
              "machinery", "steady"]
project, version = "words", "1.2"
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "{REPOSITORY}",
                      "repository_provider": "github"}}
"""
SUMS = '''"""Sums of numbers.

The claim: they are sums. Run it::

    python -m parallel_ai.part.sums
"""

raise ImportError("nobody may import this")


def total(values: list[float], *, start: float = 0.0) -> float:
    """Add numbers, as `mean` does, or ``sum``; *never* `absent`.

    >>> total([1, 2])
    3

    Parameters
    ----------
    values : list of float, (n,)
        In any order.
    start : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        There are none.

    Notes
    -----
    See https://example.org/sums. Here |a - b| < ``|c|``.
    """


def mean(*values: float, **options: int) -> float:
    """Take the mean of `total`.

    Parameters
    ----------
    *values, **options
        What is left.
    """


def _helper():
    """Help."""


@dataclass(frozen=True)
class Part:
    """A part."""

    count: int
    names: list[str] = field(default_factory=list)
    found: bool = field(init=False)

    @property
    def size(self) -> int:
        """Bytes."""

    def add(self, other: "Part") -> "Part":
        """Add another."""

    @staticmethod
    def of(n: int) -> "Part":
        """Make one."""

    def _hidden(self): ...


class Own(Exception):
    """Our error."""


@contextmanager
def opened(path: str = "a") -> Iterator[int]:
    """Open it."""


async def later(): 
    """Come later."""


@exercise(None)
def double(n: int) -> int:
    """Return twice `n`."""
    return 2 * n
'''
CODE = {
    "__init__": '"""The package."""',
    "toolbox/__init__": '"""Tools."""',
    "toolbox/exercises": (
        ROOT / "code/parallel_ai/toolbox/exercises.py"
    ).read_text("utf8"),
    "part/__init__": '"""The part."""',
    "part/sums/__init__": SUMS,
    "part/sums/more": '"""More."""\n\n\ndef most():\n    """Be most."""\n',
    "part/alone": '"""Alone."""\n\n\ndef one():\n    """Be one."""\n',
}
SHOWN = """# Sums

```{listing} total Part
```

```{listing} total Own
```

```{coding} double
```
"""
PAGES = {
    "index": "# Index\n\n```{toctree}\nbook/part/sums\nbook/part/alone\n"
    "book/list\nbook/made\n```\n",
    "book/part/sums": SHOWN,
    "book/part/alone": "# By itself\n\n```{listing} part.sums.total\n```\n",
    "book/list": "# List\n\n```{reference} part\n```\n",
    "book/made": "# Made\n\n```{extensions}\n```\n",
}
NAME = "parallel_ai.part.sums"
SOURCE = f"{REPOSITORY}/blob/main/code/parallel_ai/part/sums/__init__.py"
LIGHT = 350  # bytes of markup


def write(book, name: str, text: str) -> None:
    path = book.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf8")


@pytest.fixture(scope="module")
def made(sphinx_book):
    for name, text in CODE.items():
        write(sphinx_book, f"code/parallel_ai/{name}.py", text)
    for name, text in PAGES.items():
        write(sphinx_book, f"{name}.md", text)
    write(sphinx_book, "conf.py", CONF)
    sphinx_book.build()
    return sphinx_book


def entry(book, name: str) -> tuple[Tag, Tag]:
    """Head and text of an entry."""
    head = book.html("book/list").find(id=f"{NAME}.{name}")
    return head, head.find_next_sibling("dd")


def words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def test_entries_have_signatures_of_the_source(made):
    found = {
        name: entry(made, name)[0].select_one(".sig").get_text()
        for name in [
            "total", "mean", "Part", "Part.size", "Part.add", "Part.of",
            "Own", "opened", "later",
        ]
    }  # fmt: skip
    assert found == {
        "total": "total(values: list[float], *, start: float = 0.0) → float",
        "mean": "mean(*values: float, **options: int) → float",
        "Part": "class Part(count: int, names: list[str] = list())",
        "Part.size": "property size: int",
        "Part.add": "add(other: Part) → Part",
        "Part.of": "staticmethod of(n: int) → Part",
        "Own": "class Own(Exception)",
        "opened": "with opened(path: str = 'a') → Iterator[int]",
        "later": "async later()",
    }


def test_what_is_private_has_no_entry(made):
    text = made.html("book/list").article.get_text()
    assert "_helper" not in text
    assert "_hidden" not in text


def test_sections_of_a_docstring_are_lists(made):
    _, text = entry(made, "total")
    lists = text.select_one("dl")
    heads = [dt.get_text() for dt in lists.find_all("dt", recursive=False)]
    assert heads == ["Parameters", "Returns", "Raises", "Notes"]
    parameters = lists.dd.select("dt")
    assert [words(dt) for dt in parameters] == [
        "values list of float, (n,)",
        "start float",
    ]
    assert words(lists.dd.dd) == "In any order."
    assert text.select_one("a[href='https://example.org/sums']")
    assert ">>> total([1, 2])" in text.pre.get_text()
    assert text.em.get_text() == "never"
    assert words(lists).endswith("Here |a - b| < |c| .")


def test_stars_of_parameters_are_no_emphasis(made):
    _, text = entry(made, "mean")
    assert words(text.dl.dl.dt) == "*values, **options"


def test_a_name_of_the_same_module_is_a_link_and_another_is_none(made):
    _, text = entry(made, "total")
    links = {a.get_text(): a["href"] for a in text.p.select("a")}
    assert links == {"mean": f"#{NAME}.mean"}
    codes = [code.get_text() for code in text.p.select("code")]
    assert codes == ["mean", "sum", "absent"]


def test_modules_are_sections_with_their_text(made):
    sections = made.html("book/list").select("section section")
    assert [s["id"] for s in sections] == ["alone", "sums", "sums-more"]
    text = words(sections[1])
    assert "The claim: they are sums. Run it:" in text
    assert "python -m parallel_ai.part.sums" in text


def links(tag: Tag) -> list[str]:
    return [a["href"] for a in tag.select_one(".api-links").select("a")]


def line_of(text: str) -> int:
    return SUMS.splitlines().index(text) + 1


def test_entries_lead_to_where_they_are_taught(made):
    """The own chapter first; a listing within a fold by its exercise."""
    assert links(entry(made, "total")[1]) == [
        "part/sums.html#listing-total",
        "part/alone.html#listing-total",
    ]
    page = made.html("book/part/sums")
    assert "listing" in page.find(id="listing-total")["class"]
    assert page.find(id="listing-Own").pre.get_text().startswith("def total")
    assert "coding" in page.find(id="listing-double")["class"]


def test_what_no_page_shows_leads_to_its_line(made):
    _, text = entry(made, "mean")
    line = line_of("def mean(*values: float, **options: int) -> float:")
    assert links(text) == [f"{SOURCE}#L{line}"]
    assert "Taught in" not in text.get_text()


def test_modules_lead_to_their_chapter_and_their_file(made):
    sections = made.html("book/list").select("section section")
    assert links(sections[1]) == ["part/sums.html", SOURCE]
    assert links(sections[2]) == [SOURCE.replace("__init__", "more")]


def test_a_name_is_its_own_link(made):
    page = made.html("book/list")
    names = page.select(".sig > a")
    heads = page.select("dl.api > dt")
    methods = page.select("dl.api dl.api > dt")
    assert len(names) == len(heads) - len(methods)
    for name in names:
        head = page.find(id=name["href"].removeprefix("#"))
        assert head.name == "dt"
        assert name in head.select("a")


def test_entries_are_light(made):
    """A part has hundreds: what an entry adds to its words is limited."""
    page = made.html("book/list")
    entries = page.select_one("dl.api")
    bare = len(" ".join(entries.get_text().split()))
    per_entry = (len(str(entries)) - bare) / len(entries.select(".sig"))
    assert per_entry < LIGHT


def test_every_listing_leads_to_its_entry(made):
    for name in ("sums", "alone"):
        page = made.html(f"book/part/{name}")
        links = page.select(".listing-reference")
        assert len(links) == len(page.select(".listing"))
        assert links[0]["href"] == f"../list.html#{NAME}.total"


def test_identities_are_unique(made):
    for name in ("book/list", "book/part/sums"):
        ids = [tag["id"] for tag in made.html(name).article.select("[id]")]
        assert len(ids) == len(set(ids))


def test_search_and_other_books_know_every_name(made):
    index = (made.root / "_build/searchindex.js").read_text("utf8")
    assert f'"{NAME}"' in index
    assert '"total"' in index
    command = [sys.executable, "-m", "sphinx.ext.intersphinx"]
    done = subprocess.run(
        [*command, str(made.root / "_build/objects.inv")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{NAME}.Part.add" in done.stdout
    assert f"book/list.html#{NAME}.total" in done.stdout


def test_a_page_of_the_machinery_has_every_extension_and_its_idea(made):
    lists = made.html("book/made").select("dl.machinery")
    loaded, shared = ([dt.get_text() for dt in one("dt")] for one in lists)
    ours = ["tags", "listing", "coding", "reference", "machinery", "steady"]
    assert loaded == ours
    names = {path.stem for path in EXTENSIONS.glob("*.py")}
    assert set(loaded + shared) == names
    assert lists[0].dd.get_text().startswith("A docutils node that is one")
    link = f"{REPOSITORY}/blob/main/book/_ext/listing.py"
    assert lists[0].select_one(f"a[href='{link}']")


# ---------------------------------------------------- last: edits, in order


def test_nothing_is_read_again_if_nothing_changed(made):
    assert "no targets are out of date" in made.build()


def test_another_listing_reaches_the_reference(made):
    write(made, "book/part/alone.md", "# Alone\n\n```{listing} one\n```\n")
    made.build()
    _, text = entry(made, "total")
    assert "By itself" not in text.get_text()
    one = made.html("book/list").find(id="parallel_ai.part.alone.one")
    text = one.find_next_sibling("dd")
    assert "Taught in Alone" in words(text)


def test_a_new_module_is_found_and_one_that_went_is_gone(made):
    new = made.root / "code/parallel_ai/part/sums/extra.py"
    new.write_text('"""New."""\n\n\ndef fresh():\n    """Be fresh."""\n')
    made.build()
    assert entry(made, "extra.fresh")[0]
    new.unlink()
    made.build()
    assert made.html("book/list").find(id=f"{NAME}.extra.fresh") is None


def test_an_edited_docstring_is_read_again_and_refused_if_wrong(made):
    path = made.root / "code/parallel_ai/part/alone.py"
    path.write_text(path.read_text().replace("Be one.", "Be the one."))
    made.build()
    assert "Be the one." in made.html("book/list").article.get_text()
    path.write_text(path.read_text().replace("Be the one.", "Be *one."))
    with pytest.raises(AssertionError, match="parallel_ai.part.alone.one"):
        made.build()
