"""One small book shows what each directive makes of its source, or refuses.

A page that is wrong on purpose costs a page, not a build: all of them are
read by the one build, and what it says about each is looked up.
"""

import functools
import importlib
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
SECONDS = 120
REPOSITORY = "https://example.org/a/book"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "overview", "listing", "coding", "quiz", "mathml"]
myst_enable_extensions = ["dollarmath", "amsmath"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "{REPOSITORY}/",
                      "repository_provider": "github",
                      "repository_branch": "trunk"}}
html_math_renderer = "mathml"
html_static_path = [{str(ROOT / "book" / "_static")!r}]
"""
MODULES = {
    "__init__": "",
    "one_machine/__init__": "",
    "one_machine/tiny/__init__": "",
    "one_machine/tiny/first": '''
import functools

CONSTANT = 1


@functools.cache
@functools.wraps(
    len
)
def decorated(n):
    """Have two decorators."""
    return n


class Plain:
    """A class."""

    async def method(self): ...
''',
    "one_machine/tiny/second": '''
async def later(): ...


def check_double(candidate): ...


@exercise(check_double)
def double(n: "Number", *, times: int = 1) -> "Number":
    """Return twice `n`.

    Notes
    -----
    As often as `times`.
    """
    return n * 2**times
''',
    "one_machine/tiny/third": '''
def tabled(n):
    """Give it back.

    As it was.

    Parameters
    ----------
    n : int
    """
    return n


class Kept:
    """A class.

    Attributes
    ----------
    n : int
    """


def long(n: int = 1, *more: "Number") -> int:
    """Take *long*.

    Returns
    -------
    int
    """
'''
    + "    n += 1\n" * 30
    + """

def short(): ...
""",
}
TINY = """
# Tiny

```{listing} decorated later Plain
```

```{listing} toolbox.exercises.starter_of
```

```{coding} double
Think of *addition*. `n + n` is 2.5 times too
short. Why?
```

```{coding} double
```

$a^2$ and

$$ \\frac{1}{N} $$ (law)

see {eq}`law`.

```{listing} tabled Kept long short
```
"""
OVERVIEW = """
# Head

```{overview}
:question: What for?
:minutes: 15
:needs: [Tiny](one_machine/tiny.md)
- do *this*;
- do that.
```

```{keypoints}
- It is so.
```
"""
QUIZ = """
# Quiz

```{quiz}
- question: Which is *even*?
  kind: choice
  options:
    - {text: "`2`", correct: true, why: Twice one.}
    - {text: 3, why: Not **at all**.}
- question: Which are even?
  kind: many
  options:
    - {text: 2, correct: true}
    - {text: 3, why: Odd.}
    - {text: 4, correct: true}
- question: How long?
  kind: number
  answer: 1.5
  tolerance: 0.1
  unit: s
  why: Half of three.
- question: What does this print?
  kind: predict
  code: |
    print(1)
    print("<2>")
  answer: |
    1
    <2>
  why: In order.
- question: And this?
  kind: predict
  code: print(1)
  options:
    - {text: "1\\n2", why: One line only.}
    - {text: 1, correct: true}
```
"""
WRONG = {
    "listing": ("{listing} missing", "one_machine/wrong_listing defines no"),
    "listing_of": (
        "{listing} one_machine.tiny.missing",
        "parallel_ai/one_machine/tiny defines no function or class 'missing'",
    ),
    "listing_constant": (
        "{listing} one_machine.tiny.CONSTANT",
        "defines no function or class 'CONSTANT'",
    ),
    "coding": ("{coding} one_machine.tiny.nothing", "no function or class"),
    "coding_class": (
        "{coding} one_machine.tiny.Plain",
        "one_machine.tiny.Plain is not a function",
    ),
    "coding_async": (
        "{coding} one_machine.tiny.later",
        "one_machine.tiny.later is not a function",
    ),
    "overview": ("{overview}\n:question: What?\n- this", "needs"),
    "overview_list": (
        "{overview}\n:question: What?\n:minutes: 15\n:needs: it",
        "missing: the list",
    ),
    "overview_minutes": (
        "{overview}\n:question: What?\n:minutes: few\n:needs: it\n- this",
        "minutes",
    ),
    "keypoints": ("{keypoints}", "Content block expected"),
    "yaml": ("{quiz}\n- question: [", "quiz: no YAML"),
    "no_list": ("{quiz}\nquestion: What?", "quiz: write a list of questions"),
    "second": (
        "{quiz}\n- {question: a, kind: predict, answer: 1, why: b}"
        + "\n- {question: a}",
        "quiz, question 2: `kind:` is one of",
    ),
}
TWO = [{"text": 1, "correct": True}, {"text": 2, "why": "No."}]
BASE = {"question": "Why?", "kind": "choice", "options": TWO}
NUMBER = {"question": "How many?", "kind": "number", "why": "So."}
MALFORMED = [
    ("a text", "a mapping"),
    ({**BASE, "option": []}, "unknown key option"),
    ({**BASE, 1: 2}, "unknown key 1"),
    ({**BASE, "question": ""}, "`question:` is missing"),
    ({**BASE, "kind": "chose"}, "one of choice, many, number, predict"),
    ({**BASE, "code": 1}, "`code:` is a text"),
    ({"question": "Why?", "kind": "choice"}, "`options:` is missing"),
    ({"question": "Why?", "kind": "many"}, "`options:` is missing"),
    ({**BASE, "kind": "number"}, "a number has no `options:`"),
    ({**BASE, "options": TWO[:1]}, "a list of at least two"),
    ({**BASE, "options": "two"}, "a list of at least two"),
    ({**BASE, "options": [1, 2]}, "each option has `text:`"),
    ({**BASE, "options": [*TWO, {"why": "No."}]}, "each option has `text:`"),
    ({**BASE, "options": [*TWO, {"text": None}]}, "each option has `text:`"),
    (
        {**BASE, "options": [*TWO, {"text": 3}]},
        "option 3 is wrong: say `why:`",
    ),
    (
        {**BASE, "options": [*TWO, {"text": 3, "corect": True}]},
        "unknown key corect",
    ),
    (
        {**BASE, "options": [*TWO, {"text": 3, "correct": "no"}]},
        "`correct:` is true or false",
    ),
    ({**BASE, "options": [TWO[1]] * 2}, "0 options are correct"),
    ({**BASE, "options": [TWO[0]] * 2}, "2 options are correct"),
    ({**NUMBER, "tolerance": 1}, "`answer:` and `why:` are needed"),
    ({**NUMBER, "answer": 1, "why": ""}, "`answer:` and `why:` are needed"),
    ({**NUMBER, "answer": 1}, "`tolerance:` is a number"),
    ({**NUMBER, "answer": "1", "tolerance": 0}, "`answer:` is a number"),
    ({**NUMBER, "answer": True, "tolerance": 0}, "`answer:` is a number"),
    ({**NUMBER, "answer": math.nan, "tolerance": 0}, "`answer:` is a number"),
    ({**NUMBER, "answer": 1, "tolerance": -1}, "`tolerance:` is not negative"),
]


@dataclass
class Small:
    """A book in a folder, built by Sphinx itself: nothing is executed."""

    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")

    def build(self, builder: str = "html") -> str:
        """Build; returns the warnings."""
        options = ["-q", "-d", "doctrees", "-b", builder]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *options, ".", builder],
            cwd=self.root,
            env={
                **os.environ,
                "PYTHONPATH": str(self.root / "code"),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def html(self, name: str) -> BeautifulSoup:
        text = (self.root / "html/book" / f"{name}.html").read_text("utf8")
        return BeautifulSoup(text, "html.parser")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    small = Small(tmp_path_factory.mktemp("directives"))
    shutil.copytree(
        ROOT / "code/parallel_ai/toolbox",
        small.root / "code/parallel_ai/toolbox",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, source in MODULES.items():
        small.write(f"code/parallel_ai/{name}.py", source)
    pages = {
        "one_machine/tiny": TINY,
        "head": OVERVIEW,
        "quiz": QUIZ,
        "formula": "# Formula\n\n$\\nonsense{1}$\n",
    }
    for name, (source, _) in WRONG.items():
        page = f"# Wrong\n\n```{source}\n```\n"
        pages[f"one_machine/wrong_{name}"] = page
    for number, (question, _) in enumerate(MALFORMED):
        source = yaml.safe_dump([question], sort_keys=False)
        pages[f"malformed_{number}"] = f"# Q\n\n```{{quiz}}\n{source}```\n"
    for name, text in pages.items():
        small.write(f"book/{name}.md", text)
    toc = "".join(f"book/{name}\n" for name in pages)
    small.write("index.md", f"# Index\n\n```{{toctree}}\n{toc}```\n")
    small.write("conf.py", CONF)
    return small


@dataclass
class Warnings:
    """What a build said, by page."""

    text: str

    def of(self, page: str) -> str:
        """What was said about a page; with the lines that go on."""
        parts = re.split(r"^(?=\S+\.md:\d+: )", self.text, flags=re.MULTILINE)
        return "".join(p for p in parts if f"/book/{page}.md:" in p)


@pytest.fixture(scope="module")
def said(small: Small) -> Warnings:
    return Warnings(small.build())


@pytest.fixture
def page(small: Small, said: Warnings):
    """A page by its name, of which the build said nothing."""

    def read(name: str) -> Tag:
        assert said.of(name) == ""
        return small.html(name).article

    return read


# ---------------------------------------------------------------- listings


def test_listing_cuts_definitions_out_and_groups_them_by_file(page):
    first, second, _ = page("one_machine/tiny").select(".listing")[:3]
    code = first.pre.get_text()
    assert code.startswith("@functools.cache\n@functools.wraps(\n    len\n)")
    assert code.endswith("async def method(self): ...\n")
    assert "    return n\n\n\nclass Plain:" in code
    assert "CONSTANT" not in code
    assert second.pre.get_text() == "async def later(): ...\n"


def test_listing_names_its_module_and_leads_to_the_repository(page):
    listings = page("one_machine/tiny").select(".listing")[:3]
    paths = [
        "one_machine/tiny/first",
        "one_machine/tiny/second",
        "toolbox/exercises",
    ]
    for listing, path in zip(listings, paths, strict=True):
        link = listing.select_one(".listing-name a")
        assert link.get_text() == f"parallel_ai.{path.replace('/', '.')}"
        name = f"code/parallel_ai/{path}.py"
        assert link["href"] == f"{REPOSITORY}/blob/trunk/{name}"
    assert "def starter_of(node" in listings[2].pre.get_text()


def test_a_listing_shows_a_screen_and_folds_the_rest(page):
    """Tables of docstrings are the reference's; nothing else is left out."""
    listing = page("one_machine/tiny").select(".listing")[-1]
    first, last = listing.find_all("div", recursive=False)
    assert first.pre.get_text() == (
        'def tabled(n):\n    """Give it back.\n\n    As it was. …"""\n'
        '    return n\n\n\nclass Kept:\n    """A class.\n\n    Attributes\n'
        '    ----------\n    n : int\n    """\n'
    )
    fold = listing.details
    words = " ".join(fold.summary.get_text().split())
    assert words == "long(n=1, *more) Take long. 32 lines"
    code = fold.pre.get_text()
    assert code.startswith('def long(n: int = 1, *more: "Number") -> int:')
    assert code.count("n += 1") == 30
    assert "Returns" not in code
    assert last.pre.get_text() == "def short(): ...\n"


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_shown_is_an_error(said, name):
    words = said.of(f"one_machine/wrong_{name}")
    assert re.search(rf"wrong_{name}\.md:\d+: ERROR", words)
    assert WRONG[name][1] in words


# --------------------------------------------------------------- exercises


def test_coding_shows_starter_check_hint_and_solution(page):
    box, plain = page("one_machine/tiny").select(".coding")
    assert box.select_one(".coding-title").get_text() == "Exercise: double"
    starter, check, solution = (pre.get_text() for pre in box.select("pre"))
    assert starter.startswith('def double(n, *, times=1):\n    """Return')
    assert "As often as `times`." in starter
    assert "raise NotImplementedError" in starter
    assert "2**times" not in starter + check
    compile(starter, "starter", "exec")
    assert "from parallel_ai.one_machine import tiny" in check
    assert check.endswith("check(double, tiny)\n")
    assert solution.startswith("@exercise(check_double)\ndef double(")
    assert "return n * 2**times" in solution
    folds = box.select("details")
    titles = [fold.summary.get_text() for fold in folds]
    steps = [f"Hint {n} of 3" for n in (1, 2, 3)]
    assert titles == [*steps, "Solution"]
    said = [" ".join(fold.p.get_text().split()) for fold in folds[:3]]
    assert said == [
        "Think of addition.", "n + n is 2.5 times too short.", "Why?",
    ]  # fmt: skip
    assert folds[0].em.get_text() == "addition"
    assert folds[1].code.get_text() == "n + n"
    assert not any(fold.has_attr("open") for fold in folds)
    assert [f.summary.get_text() for f in plain.select("details")] == [
        "Solution"
    ]


# -------------------------------------------------------- head, key points


def test_overview_and_key_points(page):
    head, end = page("head").select(".overview, .keypoints")
    assert head.p.get_text() == "What for?"
    assert "Time: 15 minutes" in head.get_text()
    assert "Builds on: Tiny" in head.get_text()
    assert head.a["href"] == "one_machine/tiny.html"
    assert [li.get_text(strip=True) for li in head.select("li")] == [
        "dothis;",
        "do that.",
    ]
    assert end.p.strong.get_text() == "Key points"
    assert end.li.get_text(strip=True) == "It is so."


# ---------------------------------------------------------------- formulas


def test_formulas_are_mathml(page):
    tree = page("one_machine/tiny")
    assert len(tree.select("math")) == 2
    block = tree.select_one("div.formula")
    assert block.math["display"] == "block"
    assert block.select("mfrac")
    assert block.select_one(".eqno").get_text() == "(1)"
    assert tree.select_one(f"a[href='#{block['id']}']")
    assert block["tabindex"] == "0"  # scrolls where it is too wide
    assert "\\frac" not in tree.get_text()


def test_formula_with_an_unknown_command_is_a_warning(said, small):
    words = said.of("formula")
    assert re.search(r"formula\.md:3: WARNING", words)
    assert "nonsense" in words
    code = small.html("formula").article.code
    assert code.get_text() == r"\nonsense{1}"


# -------------------------------------------------------------------- quiz


def test_every_kind_of_question_has_controls_with_names(page):
    forms = page("quiz").select(".quiz form.question")
    kinds = [form["data-kind"] for form in forms]
    assert kinds == ["options", "options", "number", "text", "options"]
    for form in forms:
        assert form.fieldset.legend.get_text()
        assert form.select_one("button[type=submit]").get_text() == "Check"
        assert form.select_one(".verdict[role=status]").get_text() == ""
        assert form.select_one("details.answers summary")
        for control in form.select("input, textarea"):
            assert form.select_one(f"label[for={control['id']}]").get_text()
    ids = [tag["id"] for tag in page("quiz").select("[id]")]
    assert len(ids) == len(set(ids))
    types = [{i["type"] for i in form.select("input")} for form in forms]
    assert types == [{"radio"}, {"checkbox"}, {"text"}, set(), {"radio"}]
    groups = [{i.get("name") for i in form.select("input")} for form in forms]
    assert len(groups[0]) == len(groups[1]) == 1
    assert groups[0] != groups[1] != groups[4]


def test_answers_tell_what_is_right_and_why(page):
    forms = page("quiz").select("form.question")
    right, wrong = forms[0].select(".answers li")
    assert right["data-correct"] == "true"
    assert right.select_one(".said code").get_text() == "2"
    assert wrong["data-correct"] == "false"
    assert wrong.select_one(".why strong").get_text() == "at all"
    number = forms[2].select_one(".answers li")
    assert number["data-answer"] == "1.5"
    assert number["data-tolerance"] == "0.1"
    assert number.code.get_text() == "1.5 s"
    assert "(s)" in forms[2].label.get_text()
    assert forms[2].input["inputmode"] == "decimal"
    predict = forms[3]
    assert 'print("<2>")' in predict.fieldset.pre.get_text()
    assert predict.select_one(".answers li")["data-answer"] == "1 <2>"
    assert predict.select_one(".answers pre").get_text() == "1\n<2>"
    assert predict.textarea["rows"] == "2"
    assert forms[4].select_one("label pre").get_text() == "1\n2"


@pytest.mark.parametrize(("question", "words"), MALFORMED)
def test_malformed_question_is_explained(said, question, words):
    number = MALFORMED.index((question, words))
    text = said.of(f"malformed_{number}")
    assert re.search(rf"malformed_{number}\.md:\d+: ERROR", text)
    assert re.search(rf"quiz, question 1: .*{re.escape(words)}", text)


@functools.cache
def extension(name: str) -> ModuleType:
    sys.path.insert(0, str(EXTENSIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXTENSIONS))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.sampled_from(["choice", "many", "number", "predict", "1", ""])
    | st.text(max_size=5)
)
keys = st.sampled_from(
    ["question", "kind", "code", "options", "answer", "tolerance", "unit"]
    + ["why", "text", "correct"]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys | scalars, inner, max_size=6)
    ),
    max_leaves=20,
)
VALID = [
    BASE,
    {**BASE, "kind": "many"},
    {**NUMBER, "answer": 1, "tolerance": 0.1, "unit": "s"},
    {"question": "?", "kind": "predict", "code": "1", "answer": 1, "why": "."},
]
changed = st.builds(
    lambda question, change: question | change,
    st.sampled_from(VALID),
    st.dictionaries(keys, values, max_size=2),
)
options = st.lists(
    st.builds(
        lambda option, change: option | change,
        st.sampled_from(TWO),
        st.dictionaries(keys, values, max_size=2),
    ),
    max_size=4,
)
with_options = st.builds(
    lambda question, options: question | {"options": options},
    st.sampled_from(VALID),
    options,
)


@given(values | changed | with_options)
def test_any_yaml_is_a_question_or_malformed(question):
    quiz = extension("quiz")
    try:
        checked = quiz.check_question(question)
    except quiz.Malformed:
        return
    assert checked is question
    assert quiz.kind(question) in ("options", "number", "text")
    assert "Question 7" in quiz.markdown(question, 7)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("- question: 2026-02-30", "no YAML: day"),
        ("- question: 0b_", "no YAML: "),
        ("- question: !!bool maybe", "no YAML: "),
        ("- question: !!timestamp now", "no YAML: "),
        ("- question: !!int", "no YAML: "),
        ("[" * 5000, "no YAML: "),
        ("- &a [*a]", "question 1: each question is a mapping"),
        (f"- {{question: a, answer: 0x{'f' * 5000}}}", "too many digits"),
        (
            "- {question: a, kind: number, tolerance: 1, why: b, answer: "
            + "9" * 400
            + "}",
            "`answer:` is a number",
        ),
    ],
)
def test_what_yaml_stumbles_over_is_explained(source, words):
    quiz = extension("quiz")
    with pytest.raises(quiz.Malformed, match=re.escape(words)):
        quiz.read(source)


# -------------------------------------------------------- other builders


def test_other_builders_show_the_words_of_elements(small, said):
    small.build("text")
    text = (small.root / "text/book/quiz.txt").read_text("utf8")
    assert "Which is *even*?" in text
    assert "Twice one." in text


def test_names_of_attributes():
    node = extension("tags").element(
        "input", id="one", class_="a", for_="b", data_kind="c"
    )
    assert node["html"] == {"class": "a", "for": "b", "data-kind": "c"}
    assert node["ids"] == ["one"]


# ------------------------------------------------------------- last: edits


def test_edited_module_is_shown_by_the_next_build(small, said):
    """Of the page nothing changed but the source that it lists."""
    name = "code/parallel_ai/one_machine/tiny/second.py"
    text = (small.root / name).read_text("utf8")
    small.write(name, text.replace("n * 2**times", "n << times"))
    before = (small.root / "html/book/head.html").stat().st_mtime_ns
    again = Warnings(small.build())
    assert again.of("quiz") == ""
    box = small.html("one_machine/tiny").select(".coding")[0]
    assert "return n << times" in box.select("pre")[-1].get_text()
    assert (small.root / "html/book/head.html").stat().st_mtime_ns == before
