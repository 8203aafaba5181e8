"""What a cut stylesheet keeps, what goes, and where its pictures are."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
PAGE = """<!DOCTYPE html><html lang="en" data-theme="auto">
<body class="wide home" style="--own: 1px"><a id='top' href="#">x</a>
<p title="a > b" class="lead">a < b</p><input type="checkbox" disabled>
<details class="fold"></details></body></html>"""


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(EXTENSIONS))
    import cut
    import icons

    yield cut, icons
    sys.path.remove(str(EXTENSIONS))


def cut_for(modules, css: str, names=None, **imported: str) -> str:
    cut = modules[0]
    known = cut.names_in(PAGE) if names is None else names
    return cut.cut([("styles/a.css", css)], known, imported.__getitem__)


def test_names_of_a_page(modules):
    names = modules[0].names_in(PAGE)
    assert {"html", "body", ".wide", ".home", "#top", "[type"} <= names
    assert {"[disabled", ".lead", "--own", "[data-theme"} <= names
    assert not names & {".auto", "b", "#", ".a"}


@pytest.mark.parametrize(
    "selector",
    [
        "p",
        "*",
        ".wide.home > #top:hover",
        "p:not(.absent)",
        "a::before",
        "::selection",
        ":is(.absent, .wide) a",
        "body:has(> .lead)",
        "input[type=checkbox]:checked",
        "details[open] > summary ~ *".replace("summary", "p"),
        "html[data-theme=dark]",
        "P",
        "p:nth-child(2n + 1)",
        "li.added",
        "[data-has-words]",
    ],
)
def test_kept(modules, selector):
    names = modules[0].names_in(PAGE)
    script = 'e("li").classList.add("added").dataset.hasWords = 1'
    names |= modules[0].names_in_script(script)
    text = f"{selector}{{color:red}}"
    assert cut_for(modules, text, names) == text


@pytest.mark.parametrize(
    "selector",
    [
        "table",
        ".absent",
        "p .absent",
        ".wide.absent",
        "#other",
        "[hidden] p",
        ":is(.absent, table) a",
        "body:has(> .absent)",
        "p:where(.absent)",
    ],
)
def test_cut(modules, selector):
    assert cut_for(modules, f"{selector}{{color:red}}") == ""


def test_a_list_of_selectors_keeps_the_possible_ones(modules):
    css = "table, p /* so */ > a ,.absent{ color : red }"
    assert cut_for(modules, css) == "p > a{color:red}"


def test_groups(modules):
    css = """@charset "utf-8"; @media print { table{a:b} }
    @media print{ @supports (display: grid) { p{color:red !important} } }
    @page { margin: 1cm } @font-face{font-family:x;src:url(x.woff2)}"""
    assert cut_for(modules, css) == (
        "@media print{@supports (display: grid){p{color:red!important}}}"
        "@page{margin: 1cm}@font-face{font-family:x;src:url(styles/x.woff2)}"
    )


def test_imported_rules_come_first_and_keep_their_addresses(modules):
    css = '@import "../base.css"; p{background:url("data:x")}'
    base = {"base.css": "p{background:url('deep/x.png')} table{a:b}"}
    assert cut_for(modules, css, **base) == (
        'p{background:url(deep/x.png)}p{background:url("data:x")}'
    )


def test_unused_properties_and_animations_go(modules):
    css = """:root{--a:1px;--b:var(--a);--c:2px;--own:3px;--d:var(--c)}
    p{margin:var(--b, 4px);animation:spin 1s} table{animation:fall 1s}
    html{--e:5px} @keyframes spin{to{rotate:1turn}} @keyframes fall{to{top:0}}
    """
    assert cut_for(modules, css) == (
        ":root{--a:1px;--b:var(--a);--own:3px}"
        "p{margin:var(--b, 4px);animation:spin 1s}"
        "@keyframes spin{to{rotate:1turn}}"
    )


def test_a_rule_inside_a_rule_stays_whole(modules):
    css = "p{color:red;&:hover{color:var(--x)}}table{&:hover{a:b}}:root{--x:1}"
    kept = cut_for(modules, css)
    assert "&:hover{color:var(--x)}" in kept.replace(" ", "")
    assert "--x" in kept
    assert "table" not in kept


NAMES = st.sampled_from(["p", "table", ".wide", ".absent", "#top", "a:hover"])
RULES = st.lists(
    st.builds(
        lambda names, value: f"{','.join(names)}{{width:{value}px}}",
        st.lists(NAMES, min_size=1, max_size=3),
        st.integers(0, 9),
    )
)


@given(RULES, st.booleans())
def test_order_is_kept_and_cutting_twice_changes_nothing(
    modules, rules, printed
):
    css = "".join(rules)
    css = f"@media print{{{css}}}" if printed and css else css
    once = cut_for(modules, css)
    assert cut_for(modules, once) == once
    values = iter(re.findall(r"\d", css))
    assert all(value in values for value in re.findall(r"\d", once))


# ------------------------------------------------------------------- icons


SCRIPT = (
    'x={"bell":[448,512,["b"],"f0f3","M1 2z"],bars:[10,20,[],"f0c9","M3 4z"]}'
)


def test_icons_become_masks(modules):
    css = (
        '.fa-bars:before,.fa-nav:before{content:"\uf0c9"}'
        ':root{--pst-icon-bell:"\uf0f3";--pst-icon-x:var(--pst-icon-bell)}'
        "p:after{content:var(--pst-icon-x);font:var(--fa-font-solid)}"
        'b:after{content:"\uf0f3";margin:0}'
        "@font-face{font-family:Font Awesome;src:url(fa.woff2)}"
    )
    made = modules[1].masked(css, SCRIPT)
    assert ".fa-bars,.fa-nav{--icon:url(" in made
    assert "viewBox='0 0 10 20'%3E%3Cpath d='M3 4z'" in made
    assert "--pst-icon-bell:url(" in made
    assert 'p:after{content:"";--icon:var(--pst-icon-x);display' in made
    assert 'b:after{content:"";--icon:url(' in made
    assert "font-face" not in made
    assert not re.search("[\ue000-\uf8ff]", made)
    assert made.startswith("/*! Icons: Font Awesome Free")


def test_a_sheet_without_icons_stays(modules):
    assert modules[1].masked("p{color:red}", SCRIPT) == "p{color:red}"
