"""The graph of chapters: from their heads, without what follows."""

import sys
from pathlib import Path

import pytest
from bs4 import Tag
from hypothesis import given
from hypothesis import strategies as st

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
from paths import reduced, rows

sys.path.remove(str(EXTENSIONS))
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "tags", "overview", "paths"]
project = "ways"
"""
HEAD = """# {title}

```{{overview}}
:question: Why?
:minutes: 5
:needs: {needs}

- do it
```
"""
PAGES = {
    "one/a": ("First & last", "nothing"),
    "one/b": ("Second", "[First](a.md)"),
    "two/c": ("Third", "[First](../one/a.md), [Second](../one/b.md)"),
}

graphs = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        *(st.sets(st.integers(0, max(0, i - 1)), max_size=i) for i in range(n))
    )
)


def closure(needs: dict[str, list[str]], name: str) -> set[str]:
    return {name}.union(*(closure(needs, n) for n in needs[name]))


@given(graph=graphs)
def test_nothing_is_lost_and_nothing_is_said_twice(graph):
    needs = {str(i): [str(n) for n in own] for i, own in enumerate(graph)}
    less = reduced(needs)
    for name in needs:
        assert closure(less, name) == closure(needs, name)
        for one in less[name]:
            others = [n for n in less[name] if n != one]
            assert not any(one in closure(less, n) for n in others)
    level = {n: i for i, row in enumerate(rows(less)) for n in row}
    assert set(level) == set(needs)
    assert all(level[n] < level[name] for name in less for n in less[name])


@pytest.fixture(scope="module")
def ways(sphinx_book):
    names = "\n".join(["map", *PAGES])
    index = f"# Index\n\n```{{toctree}}\n{names}\n```\n"
    sphinx_book.write("index.md", index)
    sphinx_book.write("map.md", "# Map\n\n```{prerequisites}\n```\n")
    for name, (title, needs) in PAGES.items():
        sphinx_book.write(f"{name}.md", HEAD.format(title=title, needs=needs))
    sphinx_book.write("conf.py", CONF)
    sphinx_book.build()
    return sphinx_book


def graph(book) -> Tag:
    return book.html("map").select_one("svg")


def test_boxes_lead_to_the_chapters_and_say_what_they_need(ways):
    found = {a["href"]: a.title.text for a in graph(ways).select("a")}
    assert found == {
        "one/a.html": "First & last, builds on nothing before it",
        "one/b.html": "Second, builds on First & last",
        "two/c.html": "Third, builds on Second",
    }
    assert len(graph(ways).select("path")) == 2


def test_another_head_redraws_the_map_alone(ways):
    title, _ = PAGES["two/c"]
    ways.write(
        "two/c.md", HEAD.format(title=title, needs="[First](../one/a.md)")
    )
    ways.build()
    said = {a.title.text for a in graph(ways).select("a")}
    assert "Third, builds on First & last" in said
    (ways.root / "one/b.md").touch()
    ways.build()
    assert len(graph(ways).select("a")) == 3
