"""Figures that answer, in a real browser: what they compute, say and need.

Each figure stands in the book once. Its script computes anew what Python
computed when the book was built; both are held against each other here.
"""

import importlib
import itertools
import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from parallel_ai.toolbox import records

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"
SCRIPTS = ROOT / "book" / "_static" / "explore"
NAMES = sorted({path.stem for path in SCRIPTS.glob("*.js")} - {"kit"})
WIDTHS = (390, 768, 1280)
SCHEMES = ("light", "dark")
CASES = 40  # inputs of each figure that are compared
TOUCH = 44  # pixels
SECONDS = 20
TOPICS = sorted(records.declared("CURVES"))
WEIGHT = 27_000  # bytes of the scripts of one figure
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
expect.set_options(timeout=1000 * SECONDS)
# One of each kind: points of one's own, a file, steps, a plan.
SMOKE = ("amdahl", "machine", "ring", "memory")
figures = pytest.mark.parametrize("name", NAMES)
some_figures = pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n in SMOKE else pytest.mark.every_page)
        for n in NAMES
    ],
)


def page_of(name: str, inputs: str = "") -> str:
    """Page on which a figure stands, with inputs of its own or without."""
    start = re.compile(
        rf"{{explore}} {name}\n"
        + (f":inputs: {inputs}\n" if inputs else "(?!:)")
    )
    found = [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in sorted((ROOT / "book").rglob("*.md"))
        if start.search(path.read_text("utf8"))
    ]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def scenes() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXTENSIONS)
        found = importlib.import_module("scenes")
        for figure in found.FIGURES.values():
            figure.scene(**figure.values({}))  # imports set variables
        yield found


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    context.set_default_timeout(1000 * SECONDS)
    yield context.new_page()
    context.close()


def come_to(tab: Page, site: str, name: str, query: str = "") -> Locator:
    """Open a figure's page and scroll until it is alive."""
    tab.goto(f"{site}{page_of(name)}.html{query}")
    tab.keyboard.press("Shift")  # lays out the whole page
    figure = tab.locator(f"#explore-{name}")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-ready", "")
    return figure


@pytest.fixture(scope="module", params=NAMES)
def figure(request: pytest.FixtureRequest, tab: Page, site: str) -> Locator:
    """Each figure in turn, its page loaded once for the tests that ask."""
    return come_to(tab, site, request.param)


def name_of(figure: Locator) -> str:
    return figure.get_attribute("data-explore")


# ----------------------------------------------------- Python and JavaScript


def some_inputs(figure: Any, seed: int) -> dict[str, Any]:
    """Inputs that a reader may set."""
    chance = random.Random(seed)
    found = {}
    for one in figure.inputs:
        if one.kind == "record":
            continue
        if one.kind == "fixed":
            found[one.name] = one.start
            continue
        if one.options:
            found[one.name] = chance.choice(one.options)
        elif one.kind == "file":
            found[one.name] = some_record(chance)
        elif one.kind == "number":
            near = one.start * 10 ** chance.uniform(-3, 3)
            extremes = [
                one.start,
                one.least,
                min(max(near, one.least), one.most),
            ]
            found[one.name] = chance.choice(extremes)
        else:
            rows = [
                f"{2**k} {2**k / (1 + 0.05 * 2**k * chance.random()):.3f}"
                for k in range(chance.randrange(7))
            ]
            found[one.name] = "\n".join([*rows, *chance.choice([[], ["1 x"]])])
    return found


def recorded(topic: str = "threads") -> dict[str, Any]:
    folder = ROOT / "code" / "parallel_ai" / "recorded"
    path = next(folder.glob(f"{topic}_*.json"))
    return json.loads(path.read_text("utf8"))


def some_record(chance: random.Random) -> str:
    """Text of a record, or of what may be taken for one."""
    raw = recorded()
    raw["hardware"] |= {"cpu": "Mine", "cpus": chance.choice([1, 2, 16])}
    drawn = raw["curves"]
    for one in drawn["lines"]:
        one["at"] = [[x, y * chance.uniform(0.1, 10)] for x, y in one["at"]]
        del one["at"][chance.randrange(1, len(one["at"]) + 1) :]
    some = chance.choice(drawn["lines"])
    changes = [
        lambda: raw.update(topic="native"),
        lambda: raw.update(extra=1, more=2),
        lambda: raw.pop("date"),
        lambda: raw.update(date="2026-02-30"),
        lambda: raw.update(commit=5),
        lambda: raw.update(versions=[]),
        lambda: raw.update(hardware={"cpu": "x"}),
        lambda: raw["hardware"].update(cpus="2"),
        lambda: raw["hardware"].update(cpu=None),
        lambda: raw.pop("curves"),
        lambda: raw.update(curves=[]),
        lambda: drawn.update(more=1),
        lambda: drawn.update(lines=[]),
        lambda: drawn.update(lines=25 * [some]),
        lambda: drawn["x"].update(label="threads"),
        lambda: drawn["x"].update(log=True),
        lambda: drawn["y"].update(unit="s"),
        lambda: drawn["y"].pop("log"),
        lambda: some.update(name="another"),
        lambda: some.update(name=60 * "é"),
        lambda: some.update(of=61 * "x"),
        lambda: some.update(limit=0),
        lambda: some.update(at=[]),
        lambda: some["at"].append([1.0]),
        lambda: some["at"].append([0.0, 0]),
        lambda: some["at"].append([1.0, -1.0]),
        lambda: some["at"].append([1.0, True]),
    ]
    if chance.random() < 0.7:
        chance.choice(changes)()
    text = json.dumps(raw)
    return chance.choice([text, text, text, text, "", text[:-9], "[]", "null"])


def computed(figure: Any, inputs: dict[str, Any], module: ModuleType) -> Any:
    try:
        return figure.scene(**inputs)
    except module.Unsuitable as error:
        return str(error)


COMPUTE = """([name, all]) => all.map((inputs) => {
  try {
    const data = document.querySelector(`#explore-${name} script`);
    return exploreKit.figures[name](
      inputs, data ? JSON.parse(data.textContent) : undefined);
  } catch (error) {
    if (!(error instanceof exploreKit.Unsuitable)) throw error;
    return error.message;
  }
})"""


def same(one: Any, other: Any, close: float, at: str = "") -> None:
    """Numbers are close, words equal, numbers in words to three digits."""
    if isinstance(one, dict):
        assert one.keys() - other.keys() <= {"legend", "data"}, at
        assert other.keys() <= one.keys(), at
        for key in other:
            same(one[key], other[key], close, f"{at}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), at
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            same(a, b, close, f"{at}[{n}]")
    elif isinstance(one, str):
        assert NUMBER.sub("#", one) == NUMBER.sub("#", other), at
        for a, b in zip(
            NUMBER.findall(one), NUMBER.findall(other), strict=True
        ):
            a, b = (float(text.replace(",", "")) for text in (a, b))
            assert math.isclose(a, b, rel_tol=0.011, abs_tol=1e-6), at
    elif isinstance(one, bool):
        assert one is other, at
    else:
        assert math.isclose(one, other, rel_tol=close, abs_tol=1e-12), at


def test_the_script_computes_what_python_computes(tab, scenes, figure):
    name = name_of(figure)
    source = scenes.FIGURES[name]
    inputs = [source.values({})]
    inputs += [some_inputs(source, seed) for seed in range(CASES)]
    by_script = tab.evaluate(COMPUTE, [name, inputs])
    close = 1e-3 if name == "amdahl" else 1e-9  # two ways to fit
    words = 0
    for given, theirs in zip(inputs, by_script, strict=True):
        ours = computed(source, given, scenes)
        assert type(ours) is type(theirs), (given, ours, theirs)
        same(ours, theirs, close, f"{given}: ")
        words += ours == theirs or ours["said"] == theirs["said"]
    assert words > 0.9 * len(inputs)  # the others differ in a last digit


PARTS = """(parent) => [...parent.querySelectorAll('*')].map((e) => [
  e.tagName, e.childElementCount ? '' : e.textContent,
  Object.fromEntries([...e.attributes].map((a) => [a.name, a.value]))])"""
REDRAWN = """async (figure) => {
  const field = figure.querySelector('input, select, textarea');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}"""


def test_the_script_draws_what_was_drawn_when_built(figure):
    shown = figure.locator(".explore-shown")
    before = shown.evaluate(PARTS)
    words = shown.inner_text()
    figure.evaluate(REDRAWN)
    after = shown.evaluate(PARTS)
    assert shown.inner_text() == words
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert old[:2] == new[:2]
        assert {*old[2], "scope"} >= {*new[2]}
        for key, value in new[2].items():
            olds, news = (
                [float(n) for n in re.findall(r"-?\d+\.?\d*", text)]
                for text in (old[2].get(key, value), value)
            )
            assert news == pytest.approx(olds, abs=0.02)


def test_numbers_are_written_alike(tab, site, scenes):
    come_to(tab, site, "costs")
    drawn = importlib.import_module("drawn")
    chance = random.Random(0)
    values = [0.0, 0.125, 12.25, 999.4, 999.5, 1000, 1e15, 0.000123456, 99.96]
    values += [10 ** chance.uniform(-8, 16) for _ in range(300)]
    written = tab.evaluate(
        """(all) => all.map((n) => [exploreKit.three(n), exploreKit.si(n, 's'),
            exploreKit.many(n)])""",
        values,
    )
    assert written == [
        [drawn.three(n), drawn.si(n, "s"), drawn.many(n)] for n in values
    ]


def test_every_figure_has_its_script_and_its_place(scenes):
    assert sorted(scenes.FIGURES) == NAMES
    assert all(map(page_of, NAMES))


@figures
def test_the_notebook_shows_a_call_that_runs(scenes, name, capsys):
    figure = scenes.FIGURES[name]
    explore = importlib.import_module("explore")
    names = {}
    exec(explore.code(name, figure, figure.values({})), names)
    assert names.keys() == {"__builtins__", f"explore_{name}"}
    assert capsys.readouterr().out.strip()


# ------------------------------------------------------------ what is loaded


def strictly(route: Any) -> None:
    """Let a page run its scripts, but evaluate no text."""
    answer = route.fetch()
    policy = "default-src 'self' data:; script-src 'self' 'unsafe-inline';"
    policy += " style-src 'self' 'unsafe-inline'"
    headers = answer.headers | {"content-security-policy": policy}
    route.fulfill(response=answer, headers=headers)


@some_figures
def test_nothing_is_loaded_before_the_reader_comes_near(browser, site, name):
    context = browser.new_context(viewport={"width": 1280, "height": 700})
    context.route("**/*.html", strictly)
    tab, loaded, complaints = context.new_page(), [], []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type in ("error", "warning")
            else None
        ),
    )
    tab.on("request", lambda request: loaded.append(request.url))
    tab.goto(f"{site}{page_of(name)}.html", wait_until="networkidle")
    assert not [url for url in loaded if "/explore/" in url]
    figure = come_to(tab, site, name)
    scripts = [url for url in loaded if "/explore/" in url]
    names = [re.sub(r".*/|\.js\?.*", "", url) for url in scripts]
    assert {"kit", name} <= set(names)
    assert len(set(names)) == len(names)
    assert all(re.search(r"\?v=[0-9a-f]{8}$", url) for url in scripts)
    assert all(url.startswith(site) for url in loaded)
    shifts = tab.evaluate(
        """() => new Promise((done) => new PerformanceObserver((list) =>
            done(list.getEntries().reduce((sum, e) => sum + e.value, 0))
          ).observe({ type: 'layout-shift', buffered: true })
          || setTimeout(() => done(0), 200))"""
    )
    assert shifts < 0.01
    assert complaints == []
    assert (
        figure.evaluate("(e) => e.getAnimations({subtree: true}).length") == 0
    )
    context.close()


@figures
def test_scripts_are_small_and_evaluate_no_text(name):
    texts = [(SCRIPTS / f"{n}.js").read_text("utf8") for n in ("kit", name)]
    assert sum(map(len, texts)) < WEIGHT
    for text in texts:
        assert not re.search(r"\beval\b|new Function|innerHTML|import\b", text)


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_copy_opened_from_a_folder_answers(tab, built_book, name):
    figure = come_to(tab, f"{built_book.as_uri()}/", name)
    said = figure.locator(".explore-said")
    before = said.inner_text()
    move(figure)
    expect(said).not_to_have_text(before)


def record_file(raw: Any, name: str = "threads_mine.json") -> dict[str, Any]:
    """A file as a reader would choose it."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return {
        "name": name, "mimeType": "application/json", "buffer": text.encode(),
    }  # fmt: skip


def move(figure: Locator) -> None:
    """Change an input by the keyboard, so that something else is said."""
    sliders = figure.locator("input[type=range]")
    if not sliders.count():  # a file cannot be chosen by keys alone, in a test
        figure.locator("input").set_input_files(record_file(recorded()))
        return
    sliders.first.focus()
    sliders.first.press("ArrowLeft")
    words = sliders.first.get_attribute("aria-valuetext")
    expect(figure.locator("output").first).to_have_text(words)


# ------------------------------------------------------------------- for all


def test_by_keyboard_alone(tab, figure):
    stops = figure.locator("input, select, textarea, button, summary")
    stops.first.focus()
    for stop in stops.all():
        expect(stop).to_be_focused()
        style = "getComputedStyle(document.activeElement).outlineStyle"
        assert tab.evaluate(style) != "none"
        tab.keyboard.press("Tab")
    said, live = (figure.locator(f".explore-{n}") for n in ("said", "live"))
    before, picture = said.inner_text(), figure.locator("svg").first
    drawn = picture.inner_html()
    move(figure)
    expect(said).not_to_have_text(before)
    assert picture.inner_html() != drawn
    expect(live).to_have_text(said.inner_text())  # read out, once it rests
    figure.get_by_role("button", name="Start again").press("Enter")
    expect(said).to_have_text(before)


def test_steps_by_buttons(figure):
    if not figure.locator(".step").count():
        return
    back, forth = figure.locator("[data-move]").all()
    slider = figure.locator(".step input")
    start = int(slider.input_value())
    forth.press("Enter")
    expect(slider).to_have_value(str(start + 1))
    slider.press("Home")
    expect(back).to_have_attribute("aria-disabled", "true")
    back.press("Enter")
    expect(slider).to_have_value("0")
    slider.press("End")
    expect(forth).to_have_attribute("aria-disabled", "true")
    expect(slider).to_be_focused()
    forth.focus()  # it is no end for the Tab key, only for the steps
    expect(forth).to_be_focused()
    figure.get_by_role("button", name="Start again").click()


def test_steps_go_as_far_as_the_other_inputs_let_them(tab, site):
    """From an address, and back again after there were fewer of them."""
    figure = come_to(tab, site, "ring", "?explore-ring=ranks:4~step:9")
    step = figure.locator(".step input")
    expect(step).to_have_value("9")
    expect(step).to_have_attribute("max", "10")
    figure = come_to(tab, site, "tasks")
    step, kinds = figure.locator(".step input"), figure.locator("[name=kinds]")
    start = step.input_value()
    kinds.press("Home")
    expect(step).not_to_have_value(start)
    figure.get_by_role("button", name="Start again").click()
    expect(step).to_have_value(start)


def test_what_cannot_be_drawn_is_told(figure):
    error = figure.locator(".explore-error")
    expect(error).to_have_attribute("role", "alert")
    for field in figure.locator("[data-kind=number], [data-kind=text]").all():
        picture = figure.locator("svg").first.inner_html()
        right = field.input_value()
        field.fill("1 2 3 x")
        expect(error).to_contain_text("such as")
        assert figure.locator("svg").first.inner_html() == picture
        field.fill(f" {right} ")
        expect(error).to_be_empty()


def test_numbers_are_read_as_people_write_them(tab, site):
    come_to(tab, site, "costs")
    written = {
        "1500": 1500, "1,500": 1500, "1 500": 1500, "1.5": 1.5, "1,5": 1.5,
        " 2e3 ": 2000, "0,25": 0.25, "12,345.5": 12345.5,
    }  # fmt: skip
    read = tab.evaluate("(all) => all.map(exploreKit.number)", [*written])
    assert read == [*written.values()]
    nothing = tab.evaluate(
        "(all) => all.map((t) => Number.isNaN(exploreKit.number(t)))",
        ["", " ", "x", "1 x", "--1"],
    )
    assert all(nothing)


@pytest.mark.parametrize("name", ["amdahl", "memory"])
def test_inputs_are_kept_in_the_address(tab, site, name):
    figure = come_to(tab, site, name)
    said = figure.locator(".explore-said")
    before = said.inner_text()
    move(figure)
    expect(said).not_to_have_text(before)
    slider = figure.locator("input[type=range]").first
    after, value = said.inner_text(), slider.input_value()
    tab.wait_for_function(f"() => location.search.includes('explore-{name}')")
    figure = come_to(tab, site, name, "?" + tab.url.partition("?")[2])
    expect(said).to_have_text(after)
    expect(figure.locator("input[type=range]").first).to_have_value(value)
    figure.get_by_role("button", name="Start again").click()
    tab.wait_for_function("() => location.search === ''")
    come_to(tab, site, name, f"?explore-{name}=nothing:3~x~{'y' * 50}")
    expect(said).to_have_text(before)


FILES = {
    "no JSON": (record_file("{"), "This file is not JSON."),
    "a list": (record_file([]), "This is no record of this book: missing"),
    "another one": (
        record_file(recorded("native"), "native_mine.json"),
        "This is a record of “native”; this figure draws “threads”",
    ),
    "other data": (
        record_file(recorded() | {"curves": {"lines": []}}),
        "This record has no lines that can be drawn.",
    ),
    "huge": (
        record_file("[" + "1," * 600_000 + "1]"),
        "threads_mine.json has 1.2 MB; a record has less than 1 MB.",
    ),
}
DROP = """(figure, text) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([text], 'threads_dropped.json'));
  for (const kind of ['dragover', 'drop'])
    figure.dispatchEvent(new DragEvent(kind, {
      dataTransfer, bubbles: true, cancelable: true }));
}"""


def test_the_readers_machine_is_drawn_beside_ours(tab, site):
    figure = come_to(tab, site, "machine")
    field, error, said = (
        figure.locator(f"{part}") for part in
        ("input[type=file]", ".explore-error", ".explore-said")
    )  # fmt: skip
    loaded, before = [], said.inner_text()
    tab.on("request", lambda request: loaded.append(request.url))
    for file, told in FILES.values():
        field.set_input_files(file)
        expect(error).to_contain_text(told)
        expect(said).to_have_text(before)
    raw = recorded()
    raw["hardware"] |= {"cpu": "<b>My CPU</b>", "cpus": 4}
    field.set_input_files(record_file(raw))
    expect(error).to_be_empty()
    expect(said).to_contain_text("Yours: <b>My CPU</b>, 4 CPUs")
    lines = figure.locator("polyline")
    expect(lines).to_have_count(figure.locator("tbody tr").count())
    expect(figure.locator("svg.dot").first).to_be_visible()
    figure.get_by_role("button", name="Start again").click()
    expect(said).to_have_text(before)
    figure.evaluate(DROP, json.dumps(raw))
    expect(said).to_contain_text("Yours: <b>My CPU</b>, 4 CPUs")
    assert loaded == []  # the file has gone nowhere


@pytest.mark.parametrize("topic", [t for t in TOPICS if t != "threads"])
def test_every_topic_with_lines_has_its_figure(tab, site, topic):
    tab.goto(f"{site}{page_of('machine', f'topic = {topic}')}.html")
    tab.keyboard.press("Shift")
    figure = tab.locator("#explore-machine")
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-ready", "")
    raw = recorded(topic)
    raw["hardware"] |= {"cpu": "Mine", "cpus": 4}
    name = f"{topic}_mine.json"
    figure.locator("input").set_input_files(record_file(raw, name))
    expect(figure.locator(".explore-said")).to_contain_text("Yours: Mine, 4")
    expect(figure.locator("svg.dot").first).to_be_visible()


FILLED = {
    "amdahl": (
        "scaling",
        {"workers": [1, 2, 4], "nearest": [[4, 9, 4], [2], [1, 1.25]]},
        {"points": "1 1\n2 2\n4 3.556"},
    ),
    "roofline": (
        "roofs",
        {"read": [8e9, 12.34567e9], "float32": [5e10, 1e11]},
        {"operations": "100", "bandwidth": "12.35"},
    ),
    "costs": (
        "processes",
        {"costs": {"start": 0.25, "task": 2e-4, "rate": 5e8}},
        {"start": "250", "task": "200", "rate": "0.5"},
    ),
}


@pytest.mark.parametrize("name", FILLED)
def test_a_record_fills_the_other_fields(tab, site, name):
    topic, data, filled = FILLED[name]
    figure = come_to(tab, site, name)
    field, said = (
        figure.locator("[type=file]"),
        figure.locator(".explore-said"),
    )
    error, before = figure.locator(".explore-error"), said.inner_text()
    raw = recorded() | {"topic": topic, "data": data}
    field.set_input_files(record_file(recorded()))
    expect(error).to_contain_text(f"choose {topic}_….json")
    for wrong in ({}, [], {key: [0] for key in data}):
        field.set_input_files(record_file(raw | {"data": wrong}))
        expect(error).to_contain_text(f"is not what “{topic}” records")
    expect(said).to_have_text(before)
    field.set_input_files(record_file(raw))
    expect(error).to_be_empty()
    expect(said).not_to_have_text(before)
    for key, value in filled.items():
        expect(figure.locator(f"[name={key}]")).to_have_value(value)
    figure.get_by_role("button", name="Start again").click()
    expect(said).to_have_text(before)


SLIDE = """(field, value) => {
  field.value = JSON.parse(field.dataset.values).indexOf(value);
  field.dispatchEvent(new Event('input', { bubbles: true }));
}"""


def test_the_planner_counts_as_one_does_by_hand(tab, site):
    figure = come_to(tab, site, "cache")
    said, error, shared, memory, rule = (
        figure.locator(part) for part in (
            ".explore-said", ".explore-error", "[name=shared]",
            "[name=memory]", ".rule",
        )
    )  # fmt: skip
    before = said.inner_text()
    # 2 · 32 blocks · 8 heads · 128 · 2 B; (80 − 16) GB by 8,192 of them
    assert "A token takes 131 kB of cache" in before
    assert "beside them fit 59 sequences" in before
    # 16 GB and 16 sequences at 2,039 GB/s
    assert "takes at least 16.3 ms, because of the cache" in before
    assert "at most 983 tokens/s together, 61.5 for each" in before
    shared.evaluate(SLIDE, 5)
    expect(error).to_contain_text("32 heads of queries cannot be shared")
    expect(said).to_have_text(before)
    shared.evaluate(SLIDE, 1)
    expect(error).to_be_empty()
    expect(said).to_contain_text("524 kB of cache")
    expect(said).to_contain_text("fit 14 sequences")
    expect(rule).to_have_count(1)
    memory.fill("16,5")  # GB: 0.5 for the cache, of a sequence 4.29
    expect(said).to_contain_text("beside them fit 0 sequences")
    expect(rule).to_have_count(0)
    memory.fill("15.9")
    expect(said).to_contain_text("16 GB of 15.9 GB: they do not fit.")
    figure.get_by_role("button", name="Start again").click()
    expect(said).to_have_text(before)


def test_a_wait_is_endless_where_more_comes_than_can_be_done(tab, site):
    figure = come_to(tab, site, "queues")
    said, dots = figure.locator(".explore-said"), figure.locator("svg.dot")
    before = said.inner_text()
    # two workers, 1 ms and 0.25 ms for each: 2 / 1.25 ms, 64 / 9 ms
    assert "At most 1,600 requests/s can be answered one by one" in before
    assert "and 7,111 in batches of 32" in before
    expect(dots).to_have_count(3)
    rate = figure.locator("[name=rate]")
    rate.fill("1600")
    expect(said).to_contain_text("time is endless with one queue for all")
    expect(said).to_contain_text("and endless with a queue for each")
    expect(said).not_to_contain_text("In batches it is endless")
    expect(dots).to_have_count(1)
    rate.fill("8000")
    expect(said).to_contain_text("In batches it is endless")
    expect(dots).to_have_count(0)
    figure.locator("[name=measured]").fill("20")
    expect(said).to_contain_text("You measured 20 ms.")
    expect(dots).to_have_count(1)
    rate.fill("0")
    expect(figure.locator(".explore-error")).to_contain_text("from 0.001 to")
    figure.get_by_role("button", name="Start again").click()
    expect(said).to_have_text(before)


def test_fingers_find_what_they_touch(tab, figure):
    tab.set_viewport_size({"width": 390, "height": 844})
    for control in figure.locator("input, select, textarea, button").all():
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= TOUCH, control
    tab.set_viewport_size({"width": 1280, "height": 900})


@some_figures
def test_without_script_and_on_paper_nothing_is_missing(browser, site, name):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{site}{page_of(name)}.html")
    figure = tab.locator(f"#explore-{name}")
    for media in ("screen", "print"):
        tab.emulate_media(media=media)
        expect(figure.locator("form")).to_be_hidden()
        expect(figure.get_by_role("img").first).to_be_visible()
        expect(figure.locator(".explore-said")).not_to_be_empty()
    tab.emulate_media(media="screen")
    figure.locator("summary").click()
    expect(figure.locator("td").first).to_be_visible()
    context.close()


def test_no_two_looks_differ_by_colour_alone(figure):
    """Each item of the legend has a dash, marker, hatching or word of its own."""
    looks = figure.locator(".explore-legend li").evaluate_all(
        """(items) => items.map((item) => [
            item.querySelector('.line')
              ? getComputedStyle(item.querySelector('.line')).strokeDasharray
              : '',
            item.querySelector('path:not(.line):not(.hatch)')
              ?.getAttribute('d') ?? '',
            item.querySelectorAll('.hatch').length,
            item.querySelector('rect.e') ? 'pale' : '',
            item.querySelector('rect')
              ? getComputedStyle(item.querySelector('rect')).strokeWidth
                + getComputedStyle(item.querySelector('rect')).strokeDasharray
              : '',
        ].join('|'))"""
    )
    assert len(set(looks)) == len(looks)


ALONE = """(figure) => {
  for (let e = figure; e !== document.body; e = e.parentElement)
    for (const other of [...e.parentElement.children])
      if (other !== e) other.remove();
}"""
NARROW = {"runOnly": ["target-size", "scrollable-region-focusable"]}


@some_figures
def test_axe_finds_nothing_at_any_width(tab, site, name):
    """In the figure; the whole page is shown to axe in another file."""
    figure = come_to(tab, site, name)
    figure.locator("summary").click()
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        over = "document.documentElement.scrollWidth - innerWidth"
        assert tab.evaluate(over) <= 0
    figure.evaluate(ALONE)
    for scheme, width in itertools.product(SCHEMES, WIDTHS):
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        tab.set_viewport_size({"width": width, "height": 900})
        expect(tab.locator("html")).to_have_attribute("data-theme", scheme)
        rules = {} if width == WIDTHS[0] else NARROW
        found = Axe().run(
            tab,
            context={"include": [[f"#{figure.get_attribute('id')}"]]},
            options={"resultTypes": ["violations"], **rules},
        )
        assert [
            f"{one['id']}: {json.dumps(one['nodes'])[:500]}"
            for one in found.response["violations"]
        ] == []
    tab.emulate_media(color_scheme="light", reduced_motion="no-preference")
