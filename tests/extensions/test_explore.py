"""Figures that answer, in a small book: what stands there before any script."""

import importlib
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
SECONDS = 120
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "look", "explore"]
html_theme = "sphinx_book_theme"
html_static_path = ["static"]
"""
INPUTS = "workers = 8, item = 25"
PAGES = {
    "plain": "# Plain\n\nWords.",
    "answers": "# Answers\n\n```{explore} costs\n:inputs: "
    + INPUTS
    + "\n\nWhat is *it*?\n```\n\n```{explore} turns\n```",
}
WRONG = {
    "unknown": ("{explore} cost", "explore: no figure 'cost': there are "),
    "no_name": ("{explore}", "1 argument(s) required"),
    "twice": (
        "{explore} turns\n```\n```{explore} turns",
        "explore: turns stands on this page already",
    ),
    "input": (
        "{explore} costs\n:inputs: worker = 3",
        "explore costs: no input worker: there are start, task,",
    ),
    "option": (
        "{explore} costs\n:inputs: workers = 5",
        "explore costs: workers: 5 is none of 2, 3, 4,",
    ),
    "number": (
        "{explore} costs\n:inputs: item = much",
        "explore costs: item: 'much' is no number",
    ),
    "range": (
        "{explore} costs\n:inputs: item = -1",
        "explore costs: item: -1 is not between 1e-06 and 1e+12",
    ),
    "choice": (
        "{explore} turns\n:inputs: lock = no",
        "explore turns: lock: 'no' is none of With the GIL, Without the GIL",
    ),
    "list": (
        "{explore} turns\n:inputs: a",
        "explore turns: `:inputs:` is a list as in `a = 1, b = 2`",
    ),
}


@dataclass
class Small:
    """A book in a folder, built by Sphinx itself: nothing is executed."""

    root: Path
    said: str = ""

    def build(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", ".", "html"],
            cwd=self.root,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.said = done.stderr

    def html(self, name: str) -> BeautifulSoup:
        text = (self.root / f"html/{name}.html").read_text("utf8")
        return BeautifulSoup(text, "html.parser")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    root = tmp_path_factory.mktemp("explore")
    pages = PAGES | {
        f"wrong_{name}": f"# Wrong\n\n```{source}\n```"
        for name, (source, _) in WRONG.items()
    }
    toc = "\n".join(pages)
    pages["index"] = f"# Index\n\n```{{toctree}}\n{toc}\n```"
    for name, text in pages.items():
        (root / f"{name}.md").write_text(text + "\n", encoding="utf8")
    (root / "conf.py").write_text(CONF, encoding="utf8")
    static = ROOT / "book" / "_static"
    (root / "static").mkdir()
    shutil.copytree(static / "explore", root / "static" / "explore")
    for name in ("explore.js", "explore.css"):
        shutil.copy(static / name, root / "static")
    small = Small(root)
    small.build()
    return small


@pytest.fixture
def figure(small: Small) -> Tag:
    return small.html("answers").select_one("#explore-costs")


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    """Modules of our extensions, imported as Sphinx does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXTENSIONS)
        yield importlib.import_module("drawn")


# ------------------------------------------------------ what stands there


def test_picture_words_and_table_stand_in_the_page(figure):
    picture = figure.select_one("svg[role=img]")
    assert "logarithmic" in picture["aria-label"]
    assert picture.select(".line.a")
    assert picture.select(".line.b")
    said = figure.select_one(f"#{picture['aria-describedby']}")
    assert said["class"] == ["explore-said"]
    assert "workers win from" in figure.select_one(".explore-said").text
    rows = figure.select("details table tbody tr")
    assert len(rows) > 3
    assert all(row.th["scope"] == "row" for row in rows)
    heads = [th.text for th in figure.select("thead th")]
    assert heads == ["items", "one process", "8 workers", "speed-up"]
    assert figure.select_one(".explore-lead em").text == "it"


def test_inputs_begin_with_what_the_page_gives(figure):
    slider = figure.select_one("input[name=workers]")
    assert slider["aria-valuetext"] == "8"
    assert figure.select_one(f"output[for={slider['id']}]").text == "8"
    assert figure.select_one("input[name=item]")["value"] == "25"


def test_controls_have_labels_and_rest_until_the_script_comes(figure):
    assert figure.select_one("fieldset").has_attr("disabled")
    controls = figure.select("form input, form select, form textarea")
    assert controls
    for control in controls:
        assert figure.select_one(f"label[for={control['id']}]").text.strip()
    assert figure["role"] == "group"
    title = figure.select_one(f"#{figure['aria-labelledby']}")
    assert title.text.startswith("Explore: ")


def test_identities_of_two_figures_differ(small):
    page = small.html("answers")
    identities = [tag["id"] for tag in page.select(".explore [id]")]
    assert len(set(identities)) == len(identities)


def test_files_are_named_only_where_a_figure_stands(small):
    assert small.html("answers").select("script[src*=explore\\.js][defer]")
    assert not small.html("plain").select("script[src*=explore]")
    # The styles are on every page, where `slim` joins them with all others.
    assert small.html("answers").select("link[href*=explore\\.css]")
    assert "explore/kit" not in str(small.html("answers"))  # comes later


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_told(small, name):
    told = [
        part for part in small.said.split(str(small.root))
        if part.startswith(f"/wrong_{name}.md:")
    ]  # fmt: skip
    assert WRONG[name][1] in "".join(told)


def test_no_other_page_is_complained_about(small):
    assert small.said.count("ERROR") == len(WRONG)


def test_a_changed_script_reaches_the_page_that_names_it(small):
    """Its version stands in the page, which is written anew, not read anew."""

    def version() -> str:
        figure = small.html("answers").select_one("#explore-costs")
        return figure["data-version"]

    before = version()
    doctree = small.root / "html/.doctrees/answers.doctree"
    read = doctree.stat().st_mtime_ns
    script = small.root / "static/explore/costs.js"
    script.write_text(script.read_text("utf8") + "// changed\n", "utf8")
    small.build()
    assert version() != before
    copied = small.root / "html/_static/explore/costs.js"
    assert copied.read_text("utf8").endswith("// changed\n")
    assert doctree.stat().st_mtime_ns == read
    assert len(small.html("answers").select(".explore")) == 2


# -------------------------------------------------------- numbers and axes


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"), (math.inf, "∞"), (1, "1"), (0.125, "0.125"), (2.5, "2.5"),
        (12.25, "12.3"), (99.96, "100"), (999.4, "999"), (999.5, "1,000"),
        (1234567, "1,234,567"), (0.000123456, "0.000123"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(extension, value, written):
    assert extension.three(value) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0, "s", "0 s"), (1.5e-3, "s", "1.5 ms"), (90, "s", "90 s"),
        (4000, "s", "4,000 s"), (2.5e9, "B", "2.5 GB"), (800, "B", "800 B"),
        (math.inf, "s", "∞"),
    ],
)  # fmt: skip
def test_quantities_have_a_prefix(extension, value, unit, written):
    assert extension.si(value, unit) == written


@given(st.floats(1e-9, 1e12), st.floats(1, 1e9), st.sampled_from([2, 10]))
def test_a_logarithmic_axis_holds_its_values(extension, low, ratio, base):
    high = low * ratio
    axis = extension.log_axis("", low, high, base)
    assert axis["from"] <= low * (1 + 1e-6)
    assert axis["to"] >= high * (1 - 1e-6)
    assert 2 <= len(axis["ticks"]) <= extension.MOST_TICKS
    shares = [extension.share(axis, tick) for tick, _ in axis["ticks"]]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] <= 1 + 1e-9


@given(st.floats(1e-3, 1e9))
def test_a_linear_axis_begins_at_nought(extension, to):
    axis = extension.axis("", to)
    assert axis["ticks"][0][0] == 0
    assert 3 <= len(axis["ticks"]) <= 8
    assert axis["ticks"][-1][0] <= to * (1 + 1e-9)
