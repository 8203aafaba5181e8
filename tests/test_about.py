"""What the pages beside the road say, held against the chapters."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
CODE = re.compile(
    r"^(`{3,})(?:\{(?:code-cell|listing|glue)\}|\w)[^\n]*\n.*?^\1`*$",
    re.MULTILINE | re.DOTALL,
)
MATH_FENCE = re.compile(
    r"^`{3,}\{math\}[^\n]*\n(.*?)^`{3,}$", re.MULTILINE | re.DOTALL
)
CODE_IN_TEXT = re.compile(r"`[^`\n]+`")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$((?:[^$\n]|\n(?!\n))+)\$", re.DOTALL)
WORDS = re.compile(r"\\(?:text|operatorname|math\w+|begin|end)\s*\{[^}]*\}")
INDEX = re.compile(r"_(?:\{[^{}]*\}|\\\w+|\w)")
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi"
    " rho sigma tau phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma"
    " Phi Psi Omega ell"
)
SYMBOL = re.compile(
    rf"\\((?:{'|'.join(GREEK.split())})(?![A-Za-z])|[A-Za-z]+)|([A-Za-z])"
)
COUNTERS = set("eij")  # the page says so above its tables
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\((\S+?)\.md\)")


def symbols(tex: str) -> set[str]:
    """Letters of a formula, without words and without indices."""
    tex = INDEX.sub(" ", WORDS.sub(" ", tex))
    found = SYMBOL.findall(tex)
    greek = {name for name, _ in found if name in GREEK.split()}
    return greek | {letter for _, letter in found if letter}


def formulas(text: str) -> list[str]:
    """Every formula of a page."""
    text = CODE.sub("", text)
    found = MATH_FENCE.findall(text)
    text = CODE_IN_TEXT.sub("", MATH_FENCE.sub("", text))
    return found + ["".join(pair) for pair in FORMULA.findall(text)]


@cache
def used(chapter: str) -> set[str]:
    """Symbols of a chapter's formulas."""
    text = (BOOK / f"{chapter}.md").read_text("utf8")
    return set().union(*map(symbols, formulas(text)))


def chapters() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    return [
        chapter["file"].removeprefix("book/")
        for part in toc["parts"]
        if part["caption"] != "About"
        for chapter in part["chapters"]
    ]


def rows() -> list[tuple[set[str], str, list[tuple[str, str]]]]:
    """Symbols, meaning and chapters of each row of the tables."""
    text = (BOOK / "notation.md").read_text("utf8")
    return [
        (set().union(*map(symbols, formulas(first))), meaning, links)
        for first, meaning, _, where in ROW.findall(text)
        if (links := LINK.findall(where))
    ]


def test_symbols_are_read_off_a_formula():
    assert symbols(r"T_\text{start} + k\,\alpha_{ij} \frac{n}{\max p}") == {
        "T",
        "k",
        "alpha",
        "n",
        "p",
    }
    assert symbols(r"\pi\lambda^{-s} \sum_i \text{words} \ell") == {
        "pi",
        "lambda",
        "s",
        "ell",
    }
    text = "`$NO` $a\n+ b$\n\n```python\n$c$\n```\n\n```{math}\nd\n```\n$$f$$"
    assert set().union(*map(symbols, formulas(text))) == set("abdf")


@pytest.mark.parametrize("chapter", chapters())
def test_notation_has_every_symbol_of_a_chapter_and_no_other(chapter):
    told = set().union(
        *(
            names
            for names, _, links in rows()
            if chapter in {target for _, target in links}
        )
    )
    assert used(chapter) - COUNTERS - told == set(), "not in book/notation.md"
    assert told - used(chapter) == set(), "not in the chapter"


def test_notation_says_each_thing_once():
    said = [
        (name, meaning, target)
        for names, meaning, links in rows()
        for name in names
        for _, target in links
    ]
    assert len(said) > 100
    assert len(said) == len(set(said))


def test_notation_calls_chapters_by_their_names():
    for _, _, links in rows():
        for name, target in links:
            text = (BOOK / f"{target}.md").read_text("utf8")
            title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
            assert name in title


def test_changes_are_of_the_kinds_that_keep_a_changelog_names():
    changes = (ROOT / "CHANGELOG.md").read_text("utf8")
    kinds = re.findall(r"^### (.+)$", changes, re.MULTILINE)
    assert kinds
    assert set(kinds) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    days = re.findall(r"^## \d\S* - (\S+)$", changes, re.MULTILINE)
    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize("part", ["A semester", "What learners believe"])
def test_a_course_and_its_notes_name_every_chapter(part):
    text = (BOOK / "teaching.md").read_text("utf8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (found,) = (one for one in section if one.startswith(part))
    taught = {one for one in chapters() if not one.startswith("reference/")}
    assert taught - {page for _, page in LINK.findall(found)} == set()
