"""The built book in a real browser: what readers see, click, type and hear.

Every page is loaded once at each width; the tests of a page share it. Names
outside this machine do not resolve, so a page that needs another host fails.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WIDTHS = (320, 390, 768, 1280)
SOME = 6  # folds of a page that are opened one by one, the last
MILLISECONDS = 20_000
expect.set_options(timeout=MILLISECONDS)


def table_of_contents() -> dict[str, bool]:
    """Name of each page, and whether it is a chapter."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    pages = {toc["root"]: False}
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            pages[chapter["file"]] = part["caption"] != "About"
    return pages


PAGES = [*table_of_contents(), "search"]
CHAPTERS = [name for name, taught in table_of_contents().items() if taught]


@pytest.fixture(scope="module")
def site(built_book: Path) -> Iterator[str]:
    """Address of the built book, served on a free port of loopback.

    By a process, because a server's threads come and go during the tests.
    """
    options = ["--bind", "127.0.0.1", "--directory", str(built_book), "0"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            yield re.search(r"http://[^)]+", server.stdout.readline())[0]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        flags = [*FLAGS, *(["--no-sandbox"] if root else [])]
        browser = playwright.chromium.launch(
            executable_path=program, args=flags
        )
        yield browser
        browser.close()


@functools.cache
def soup(folder: Path, name: str) -> BeautifulSoup:
    """Source of a page, as it was built."""
    text = (folder / f"{name}.html").read_text(encoding="utf8")
    return BeautifulSoup(text, "html.parser")


@dataclass
class Log:
    """What went over the network and to the console."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        context.on("request", lambda r: self.requests.append(r.url))
        context.on("requestfailed", lambda r: self._note("failed", r.url))
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", lambda e: self._note("error", e.error))

    def _note(self, *what: object) -> None:
        self.complaints.append(" ".join(map(str, what)))

    def _response(self, response) -> None:
        if response.status >= 400:
            self._note(response.status, response.url)

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self._note(message.type, message.text, message.location)


@dataclass
class Visit:
    """A page of the book in a tab, and all that happened since it opened."""

    name: str
    tab: Page
    log: Log
    site: str

    @property
    def address(self) -> str:
        return f"{self.site}{self.name}.html"


def open_context(browser: Browser, **settings) -> BrowserContext:
    context = browser.new_context(
        viewport=settings.pop("viewport", DESKTOP), **settings
    )
    context.set_default_timeout(MILLISECONDS)
    return context


@pytest.fixture(scope="module")
def opened(browser: Browser, site: str) -> Iterator[Visit]:
    context = open_context(browser, color_scheme="light")
    log = Log()
    log.listen(context)
    yield Visit("", context.new_page(), log, site)
    context.close()


@pytest.fixture(scope="module", params=PAGES)
def visit(request: pytest.FixtureRequest, opened: Visit) -> Visit:
    """Each page in turn, loaded once for all tests that ask for it."""
    opened.name = request.param
    opened.log.requests.clear()
    opened.log.complaints.clear()
    opened.tab.set_viewport_size(DESKTOP)
    opened.tab.emulate_media(color_scheme="light")
    opened.tab.goto(opened.address, wait_until="networkidle")
    return opened


@pytest.fixture(scope="module")
def scriptless(browser: Browser, site: str) -> Iterator[Visit]:
    """A tab without JavaScript."""
    context = open_context(browser, java_script_enabled=False)
    yield Visit("", context.new_page(), Log(), site)
    context.close()


@pytest.fixture
def fresh(browser: Browser, site: str) -> Iterator[Visit]:
    """A reader who was never here: nothing is stored."""
    context = open_context(browser, color_scheme="light")
    log = Log()
    log.listen(context)
    yield Visit(PAGES[0], context.new_page(), log, site)
    context.close()


# ----------------------------------------------------------- what is loaded


def test_no_other_host_and_no_complaint(visit):
    visit.tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    visit.tab.wait_for_load_state("networkidle")
    assert visit.log.requests
    own = (visit.site, "data:", "blob:")
    assert [u for u in visit.log.requests if not u.startswith(own)] == []
    assert visit.log.complaints == []


def test_source_names_no_other_host(visit, built_book):
    """Also what this browser would not load, such as another system's font."""
    tree = soup(built_book, visit.name)
    loads = [
        tag[key]
        for key in ("src", "srcset", "poster", "data")
        for tag in tree.find_all(attrs={key: True})
    ]
    loads += [tag["href"] for tag in tree.select("link:not([rel=canonical])")]
    styles = " ".join(tag.get_text() for tag in tree.find_all("style"))
    loads += re.findall(r"url\([\"']?(\S*?)[\"']?\)", styles)
    assert [a for a in loads if re.match(r"(\w+:)?//", a)] == []


def test_pictures_are_there_and_described(visit):
    tab = visit.tab
    tab.evaluate("for (const i of document.images) i.loading = 'eager'")
    tab.wait_for_load_state("networkidle")
    bad = tab.evaluate(
        """() => [...document.images].filter(i =>
            !i.naturalWidth || i.getAttribute('alt') === null
            || (i.closest('article') && i.alt.trim().length < 15)
        ).map(i => `${i.src}: ${i.alt}`)"""
    )
    assert bad == []


# --------------------------------------------------------- how it looks


TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (e) => e && e !== document.body && (
    ['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(e).overflowX)
    || scrolls(e.parentElement));
  return {
    page: document.documentElement.scrollWidth - width,
    parts: [...document.querySelectorAll('article *')].filter(e => {
      const box = e.getBoundingClientRect();
      return box.width && box.right > width + 1 && !scrolls(e.parentElement);
    }).map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 60)}`),
  };
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_scrolls_sideways(visit, width):
    visit.tab.set_viewport_size({"width": width, "height": 900})
    assert visit.tab.evaluate(TOO_WIDE) == {"page": 0, "parts": []}


def test_dark_mode_toggles_and_persists(fresh):
    tab, root = fresh.tab, fresh.tab.locator("html")
    tab.goto(fresh.address)
    expect(root).to_have_attribute("data-theme", "light")
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    button = tab.get_by_role("button", name="Color mode").first
    for _ in range(3):  # auto, light, dark
        button.click()
        if root.get_attribute("data-theme") == "dark":
            break
    expect(root).to_have_attribute("data-theme", "dark")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    tab.goto(f"{fresh.site}{CHAPTERS[0]}.html")
    expect(root).to_have_attribute("data-theme", "dark")
    assert fresh.log.complaints == []


# ----------------------------------------------------------------- search


@pytest.fixture(scope="module")
def words(built_book: Path) -> dict[str, str]:
    """For each page a word that no other page has."""
    counts = {
        name: Counter(
            re.findall(
                r"\b[a-z]{6,}\b",
                soup(built_book, name).article.get_text(" ").lower(),
            )
        )
        for name in table_of_contents()
    }
    everywhere = Counter(word for words in counts.values() for word in words)
    return {
        name: max((n, w) for w, n in words.items() if everywhere[w] == 1)[1]
        for name, words in counts.items()
    }


@pytest.mark.parametrize("name", table_of_contents())
def test_search_finds_a_word_of_each_page(opened, words, name):
    tab = opened.tab
    tab.goto(f"{opened.site}{PAGES[0]}.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type(words[name])
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=*")
    link = tab.locator(f"#search-results a[href*='{name}.html']").first
    expect(link).to_be_visible()


def test_search_page_itself(opened, words):
    name = CHAPTERS[0]
    opened.tab.goto(f"{opened.site}search.html")
    field = opened.tab.locator("main input[type=search]:visible")
    expect(field).to_have_count(1)
    field.fill(words[name])
    field.press("Enter")
    link = opened.tab.locator(f"#search-results a[href*='{name}.html']")
    link.first.click()
    expect(opened.tab.locator("article h1")).to_be_visible()


def test_one_search_button_in_the_frame(opened):
    opened.tab.goto(f"{opened.site}{CHAPTERS[0]}.html")
    for size in (DESKTOP, PHONE):
        opened.tab.set_viewport_size(size)
        seen = opened.tab.locator(".search-button__button:visible")
        expect(seen).to_have_count(1)


# ------------------------------------------------------------------- quiz


def right_and_wrong(question: Locator) -> tuple[set[str], list[set[str]]]:
    """Options to choose for a right answer, and for several wrong ones."""
    options = question.locator(".answers li").evaluate_all(
        """(items) => Object.fromEntries(items.map((item) => [
            item.dataset.option, item.dataset.correct === 'true']))"""
    )
    right = {option for option, correct in options.items() if correct}
    if question.locator("input[type=radio]").count():
        return right, [{o} for o in options if o not in right]
    wrong = [right | {o} for o in options if o not in right]
    return right, wrong + ([right - {min(right)}] if len(right) > 1 else [])


def choose(question: Locator, options: set[str]) -> None:
    if question.locator("input[type=radio]").count():
        question.locator(f"input[value='{min(options)}']").check()
    else:
        for box in question.locator("input").all():
            box.set_checked(box.get_attribute("value") in options)
    question.get_by_role("button", name="Check").click()


def reasons(question: Locator) -> dict[str, str]:
    """Why each option is right or wrong, "" if the source does not say."""
    return question.locator(".answers li").evaluate_all(
        """(items) => Object.fromEntries(items.map((item) => [
            item.dataset.option,
            item.querySelector('.why')?.textContent.trim() ?? '']))"""
    )


def questions(tab: Page, kind: str) -> list[Locator]:
    return tab.locator(f".quiz .question[data-kind={kind}]").all()


def test_options_are_judged_and_each_wrong_one_explained(visit):
    for question in questions(visit.tab, "options"):
        verdict = question.locator(".verdict")
        right, wrongs = right_and_wrong(question)
        why = reasons(question)
        for wrong in wrongs:
            choose(question, wrong)
            expect(verdict).to_contain_text("Not quite.")
            more = "but more is" in verdict.inner_text()
            assert more == (wrong < right)
            for option in wrong - right:
                assert why[option]
                expect(verdict).to_contain_text(why[option])
        choose(question, right)
        expect(verdict).to_contain_text("Right.")
        expect(verdict).to_have_attribute("role", "status")


def test_numbers_and_texts_are_judged(visit):
    tab = visit.tab
    for question in [*questions(tab, "number"), *questions(tab, "text")]:
        numeric = question.get_attribute("data-kind") == "number"
        verdict = question.locator(".verdict")
        answer = question.locator(".answers li")
        field = question.locator("input, textarea")
        value = answer.get_attribute("data-answer")
        right = [f" {value} "]
        if numeric:
            right += [value.replace(".", ","), f"{float(value):,}"]
        why = " ".join(answer.locator(".why").all_text_contents()).strip()
        assert why
        for text, said in [
            ("", "Write a number" if numeric else "Give an answer"),
            ("7,777,777" if numeric else "something else", "Try again"),
            *((text, "Right.") for text in right),
        ]:
            field.fill(text)
            question.get_by_role("button", name="Check").click()
            expect(verdict).to_contain_text(said)
        expect(verdict).to_contain_text(why)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_questions_of_several_kinds(opened, name):
    tree = opened.tab.request.get(f"{opened.site}{name}.html").text()
    kinds = set(re.findall(r'data-kind="(\w+)"', tree))
    assert "options" in kinds
    assert len(kinds) > 1


def test_quiz_by_keyboard_alone(visit):
    """Tab reaches the choices, Space and arrows choose, Enter asks."""
    kinds = {"radio": " ", "checkbox": " ", "text": "7777777"}
    for kind, keys in kinds.items():
        question = visit.tab.locator(f".question:has(input[type={kind}])")
        if not question.count():
            continue
        question = question.first
        before = visit.tab.evaluate_handle(
            """(form) => {
                form.reset();
                form.querySelector('.verdict').replaceChildren();
                const stop = document.createElement('span');
                stop.tabIndex = -1;
                form.before(stop);
                stop.focus();
                return stop;
            }""",
            question.element_handle(),
        )
        keyboard = visit.tab.keyboard
        for _ in range(3):  # code above the choices may be a stop, too
            keyboard.press("Tab")
            if question.locator("input:focus").count():
                break
        expect(question.locator("input").first).to_be_focused()
        outline = visit.tab.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
        )
        assert outline != "none"
        keyboard.type(keys)
        if kind == "radio":
            keyboard.press("ArrowDown")
            expect(question.locator("input").nth(1)).to_be_checked()
        keyboard.press("Enter")
        expect(question.locator(".verdict")).to_contain_text(
            re.compile("Right|Not quite")
        )
        before.evaluate("(stop) => stop.remove()")


# --------------------------------------------------- folds, links, no script


def test_folds_are_named_and_open_by_keyboard(visit):
    folds = visit.tab.locator("article details")
    names = folds.locator("> summary").all_inner_texts()
    assert len(names) == folds.count()
    assert all(name.strip() for name in names)
    for fold in folds.all()[-SOME:]:
        fold.locator("> summary").focus()
        visit.tab.keyboard.press("Enter")
        expect(fold).to_have_attribute("open", "")
        visit.tab.keyboard.press("Enter")


def test_links_inside_the_book_lead_somewhere(visit, built_book):
    broken = []
    for link in soup(built_book, visit.name).select("a[href]"):
        target = link["href"]
        if urlsplit(target).scheme:
            continue
        address, anchor = urldefrag(urljoin(f"/{visit.name}.html", target))
        path = built_book / unquote(urlsplit(address).path).lstrip("/")
        if not path.is_file():
            broken.append(target)
        elif anchor and path.suffix == ".html":
            page = path.relative_to(built_book).with_suffix("").as_posix()
            if not soup(built_book, page).find(id=unquote(anchor)):
                broken.append(target)
    assert broken == []


def test_map_leads_to_every_chapter(visit):
    if visit.name != PAGES[0]:
        return
    links = visit.tab.locator(".routes a")
    targets = links.evaluate_all("(all) => all.map(a => a.pathname)")
    assert targets == [f"/{name}.html" for name in CHAPTERS]
    links.last.click()
    expect(visit.tab.locator("article h1")).to_be_visible()
    visit.tab.go_back()


# Code is thousands of tokens: axe is shown one of each class. Of all texts it
# measures the contrast of one in each colour, background, size and weight.
SAMPLE = """() => {
  const background = (e) => {
    const colour = e ? getComputedStyle(e).backgroundColor : '';
    return colour === 'rgba(0, 0, 0, 0)' ? background(e.parentElement) : colour;
  };
  const tokens = new Set();
  for (const token of document.querySelectorAll('pre span[class]')) {
    const kind = `${token.className} ${background(token)}`;
    if (tokens.has(kind)) token.replaceWith(...token.childNodes);
    tokens.add(kind);
  }
  const texts = new Set();
  for (const e of document.body.querySelectorAll('*')) {
    e.removeAttribute('data-sample');
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility({ checkOpacity: true })) continue;
    const s = getComputedStyle(e);
    const kind = [s.color, s.fontSize, s.fontWeight, background(e)].join();
    if (!texts.has(kind)) e.setAttribute('data-sample', '');
    texts.add(kind);
  }
}"""
# The theme makes what scrolls a stop of the Tab key, a moment after resizing.
STOPS_ARE_SET = """() => [...document.querySelectorAll('pre')].every(
  (pre) => pre.scrollWidth <= pre.clientWidth || pre.tabIndex === 0)"""
NARROW = ["region", "scrollable-region-focusable", "target-size"]


@pytest.mark.parametrize(
    ("scheme", "size", "rules"),
    [
        ("light", DESKTOP, {"rules": {"color-contrast": {"enabled": False}}}),
        ("dark", PHONE, {"runOnly": NARROW}),
    ],
    ids=["light-desktop", "dark-phone"],
)
def test_axe_finds_nothing(visit, scheme, size, rules):
    """Last of the tests of a page, because it takes code apart."""
    tab = visit.tab
    tab.set_viewport_size(size)
    tab.emulate_media(color_scheme=scheme)
    expect(tab.locator("html")).to_have_attribute("data-theme", scheme)
    tab.wait_for_function(STOPS_ARE_SET)
    tab.evaluate(SAMPLE)
    axe, only = Axe(), {"resultTypes": ["violations"]}
    found = axe.run(tab, options=only | rules).response["violations"]
    contrast = axe.run(
        tab,
        context={"include": [["[data-sample]"]]},
        options=only | {"runOnly": ["color-contrast"]},
    ).response
    assert contrast["passes"], "no text was measured"
    assert [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in [*found, *contrast["violations"]]
        for node in rule["nodes"]
    ] == []


@pytest.mark.parametrize("name", table_of_contents())
def test_without_javascript_nothing_is_missing(scriptless, name):
    tab = scriptless.tab
    tab.goto(f"{scriptless.site}{name}.html")
    expect(tab.locator("article h1")).to_be_visible()
    for selector in ("section > p", "img", "figcaption", ".listing pre"):
        for part in tab.locator(f"article {selector}").all()[:3]:
            if not part.locator("xpath=ancestor::details").count():
                expect(part).to_be_visible()
    for fold in tab.locator("article details").all()[-SOME:]:
        fold.locator("> summary").click()
        expect(fold.locator("> :not(summary)").first).to_be_visible()
    for solution in tab.locator("article .solution").all():
        expect(solution.locator("p, pre").last).to_be_visible()


@pytest.mark.parametrize("name", CHAPTERS)
def test_ways_to_run_a_chapter_are_in_sight(opened, built_book, name):
    tab = opened.tab
    tab.goto(f"{opened.site}{name}.html")
    for size in (DESKTOP, PHONE):
        tab.set_viewport_size(size)
        links = tab.locator(".book-launch a")
        assert links.all_inner_texts() == ["Colab", "Binder", "Download"]
        for link in links.all():
            expect(link).to_be_in_viewport()
    with tab.expect_download() as download:
        links.last.click()
    notebook = json.loads(Path(download.value.path()).read_text("utf8"))
    assert notebook["cells"]


def test_copy_opened_from_a_folder_works(fresh, built_book, words):
    """Offline, without a server: mathematics, quiz and search."""
    tab, name = fresh.tab, CHAPTERS[0]
    tab.goto((built_book / f"{name}.html").as_uri())
    question = questions(tab, "options")[0]
    choose(question, right_and_wrong(question)[0])
    expect(question.locator(".verdict")).to_contain_text("Right.")
    assert fresh.log.complaints == []
    tab.keyboard.press("Control+k")
    tab.keyboard.type(words[name])
    tab.keyboard.press("Enter")
    link = tab.locator(f"#search-results a[href*='{name}.html']").first
    expect(link).to_be_visible()
