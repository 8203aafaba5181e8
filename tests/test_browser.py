"""The built book in a real browser: what readers see, click, type and hear.

A page is loaded once at each width; the tests of a page share it. Names
outside this machine do not resolve, so a page that needs another host fails.
What a source can tell is asked of every page; a browser shows some of each
kind, or all of them with ``--every-page`` (``make every-page``).
"""

import functools
import itertools
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
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
)

from parallel_ai.toolbox import pages

ROOT = Path(__file__).parents[1]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WIDTHS = (320, 390, 768, 1280)
APART = ("Reference", "About")  # parts without chapters
REFERENCE = "book/reference/toolbox"
SHORT = "book/many_machines/failures"
SOME = 6  # folds of a page that are opened one by one, the last
MILLISECONDS = 20_000
expect.set_options(timeout=MILLISECONDS)


def table_of_contents() -> dict[str, bool]:
    """Name of each page, and whether it is a chapter."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    pages = {toc["root"]: False}
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            pages[chapter["file"]] = part["caption"] not in APART
    return pages


def halves(pages: Iterable[str]) -> list:
    """Pages for two processes with a browser each, if there are two."""
    found = []
    for n, name in enumerate(pages):
        marks = [pytest.mark.xdist_group(f"browser {n % 2}")]
        if name not in SMOKE:
            marks.append(pytest.mark.every_page)
        found.append(pytest.param(name, marks=marks))
    return found


PAGES = [*table_of_contents(), "search"]
CHAPTERS = [name for name, taught in table_of_contents().items() if taught]
# A short page of each kind, and those that have what no other one has.
SMOKE = {
    *(PAGES[0], CHAPTERS[0], CHAPTERS[-1], SHORT, REFERENCE, "search"),
    *(
        f"book/{name}"
        for name in (
            "accelerators/vision",
            "training/blood_cells",
            "how_fast",
            "teaching",
            "glossary",
        )
    ),
}
SECTIONS = ".bd-article > section > section"
LAID_OUT = f"""() => [...document.querySelectorAll('{SECTIONS}')].every(
  (one) => getComputedStyle(one).contentVisibility === 'visible')"""
every_source = pytest.mark.parametrize("name", PAGES)


@functools.cache
def soup(folder: Path, name: str) -> BeautifulSoup:
    """Source of a page, as it was built."""
    text = (folder / f"{name}.html").read_text(encoding="utf8")
    return BeautifulSoup(text, "html.parser")


@functools.cache
def identities(folder: Path, name: str) -> set[str]:
    """To what a link to a page can lead."""
    return {tag["id"] for tag in soup(folder, name).select("[id]")}


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


@pytest.fixture(scope="module", params=halves(PAGES))
def visit(request: pytest.FixtureRequest, opened: Visit) -> Visit:
    """Each page in turn, loaded once for all tests that ask for it."""
    opened.name = request.param
    opened.log.requests.clear()
    opened.log.complaints.clear()
    opened.tab.set_viewport_size(DESKTOP)
    opened.tab.emulate_media(color_scheme="light")
    opened.tab.goto(opened.address, wait_until="networkidle")
    opened.tab.keyboard.press("Shift")
    opened.tab.wait_for_function(LAID_OUT)
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


def test_dask_s_report_opens_and_needs_no_other_host(fresh):
    tab = fresh.tab
    tab.goto(f"{fresh.site}book/many_machines/tasks.html")
    tab.locator("a.attached").scroll_into_view_if_needed()
    tab.wait_for_load_state("networkidle")  # pictures that came into sight
    tab.locator("a.attached").click()
    expect(tab.locator(".bk-Tabs")).to_contain_text("Task Stream")
    tab.get_by_text("Task Stream", exact=True).click()
    expect(tab.locator(".bk-Figure").first).to_be_visible()
    assert all(url.startswith(fresh.site) for url in fresh.log.requests)
    # Bokeh itself says that empty panes have no ranges.
    assert [c for c in fresh.log.complaints if "[bokeh" not in c] == []


@every_source
def test_source_names_no_other_host(name, built_book):
    """Also what this browser would not load, such as another system's font."""
    tree = soup(built_book, name)
    loads = [
        tag[key]
        for key in ("src", "srcset", "poster", "data")
        for tag in tree.find_all(attrs={key: True})
    ]
    loads += [tag["href"] for tag in tree.select("link:not([rel=canonical])")]
    styles = " ".join(tag.get_text() for tag in tree.find_all("style"))
    loads += re.findall(r"url\([\"']?(\S*?)[\"']?\)", styles)
    assert [a for a in loads if re.match(r"(\w+:)?//", a)] == []


@every_source
def test_each_page_has_its_policy_and_says_how_to_cite_it(name, built_book):
    tree = soup(built_book, name)
    policy = tree.select_one("meta[http-equiv=Content-Security-Policy]")
    assert "default-src 'self'" in policy["content"]
    assert "unsafe-eval" not in policy["content"]
    folds = tree.select("article details.cite")
    assert len(folds) == (name != "search")


def test_the_root_leads_to_the_first_page(fresh, built_book):
    policy = soup(built_book, "index").select_one("meta[http-equiv]")
    assert "default-src 'self'" in policy["content"]
    fresh.tab.goto(fresh.site)
    fresh.tab.wait_for_url(fresh.address)
    assert fresh.log.complaints == []


LOAD_PICTURES = """() => Promise.allSettled([...document.images].map((one) => {
  one.loading = 'eager';
  return one.decode();
}))"""


def test_pictures_are_there_and_described(visit):
    tab = visit.tab
    tab.evaluate(LOAD_PICTURES)
    bad = tab.evaluate(
        """() => [...document.images].filter(i =>
            !i.naturalWidth || i.getAttribute('alt') === null
            || (i.closest('article') && i.alt.trim().length < 15)
        ).map(i => `${i.src}: ${i.alt}`)"""
    )
    assert bad == []


def test_pictures_are_as_large_as_without_their_attributes(visit):
    """They tell their size so that nothing moves, not to change it."""
    visit.tab.evaluate(LOAD_PICTURES)
    wrong = visit.tab.evaluate(
        """() => [...document.querySelectorAll('article img[width]')]
            .filter((one) => {
                const bare = one.cloneNode();
                for (const name of ['width', 'height', 'style'])
                    if (name !== 'style' || one.style.width === '100%')
                        bare.removeAttribute(name);
                const { width, height } = one.getBoundingClientRect();
                one.replaceWith(bare);
                const free = bare.getBoundingClientRect();
                bare.replaceWith(one);
                return free.width && (Math.abs(width - free.width) > 1
                    || Math.abs(height - free.height) > 2);
            }).map((one) => `${one.src} ${one.width} × ${one.height}`)"""
    )
    assert wrong == []


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


def test_nothing_moves_while_a_page_loads(fresh):
    """Layout shift, as the browser counts it, of the head of some pages."""
    fresh.tab.set_viewport_size(PHONE)
    for name in (PAGES[0], CHAPTERS[0], "book/install", REFERENCE):
        fresh.tab.goto(f"{fresh.site}{name}.html", wait_until="networkidle")
        shift = fresh.tab.evaluate(
            """() => new Promise((done) => {
                let sum = 0;
                const type = 'layout-shift';
                new PerformanceObserver((list) => {
                    for (const one of list.getEntries()) sum += one.value;
                }).observe({ type, buffered: true });
                requestAnimationFrame(() => setTimeout(() => done(sum)));
            })"""
        )
        assert shift == 0


def place(number: int) -> str:
    """Distance of a section from the top of the window."""
    sections = f"document.querySelectorAll('{SECTIONS}')"
    return f"{sections}[{number}].getBoundingClientRect().top"


ACTS = {
    "a key": lambda tab: tab.keyboard.press("Shift"),
    "a wheel": lambda tab: tab.mouse.wheel(0, 1),
    "a pointer": lambda tab: tab.mouse.down(),
    "a click without one": lambda tab: tab.evaluate("document.body.click()"),
}


@pytest.mark.parametrize("act", ACTS)
def test_who_may_go_far_gets_the_whole_page_laid_out(fresh, act):
    """And what a search in the page has brought into sight stays there."""
    fresh.tab.set_viewport_size(PHONE)
    fresh.tab.goto(f"{fresh.site}book/one_machine/threads.html")
    figure = fresh.tab.locator("#explore-machine")  # deep in the page
    figure.evaluate("(e) => e.scrollIntoView({ behavior: 'instant' })")
    expect(figure).to_have_attribute("data-ready", "")
    where = "(e) => [e.getBoundingClientRect().top, scrollY]"
    assert not fresh.tab.evaluate(LAID_OUT)
    top, scrolled = figure.evaluate(where)
    ACTS[act](fresh.tab)
    fresh.tab.wait_for_function(LAID_OUT)
    now, further = figure.evaluate(where)
    assert abs(now - top) < 4
    assert abs(further - scrolled) > 1000, "what is before it was laid out"


def test_a_place_inside_a_page_is_found_and_found_again(fresh):
    """By a link from elsewhere, by one in the page, and by who comes back."""
    tab, address = fresh.tab, f"{fresh.site}{CHAPTERS[0]}.html"
    tab.set_viewport_size(PHONE)
    tab.goto(address)
    names = tab.locator(SECTIONS).evaluate_all("(all) => all.map((e) => e.id)")
    for number in range(1, len(names) - 1, 4):
        there = f"() => {place(number)} >= 0 && {place(number)} < 120"
        tab.goto(fresh.address)
        tab.goto(f"{address}#{names[number]}")
        tab.wait_for_function(there)
    tab.reload()
    tab.wait_for_function(there)
    tab.goto(fresh.address)
    tab.go_back()
    tab.wait_for_function(there)
    tab.goto(address)
    link = f"article h2 a.headerlink[href='#{names[number]}']"
    tab.locator(link).evaluate("(link) => link.click()")
    tab.wait_for_function(there)


SCROLL = """async (step) => {
  const frame = () => new Promise(requestAnimationFrame);
  const moved = [];
  for (let count = 0; count < 900; count++) {
    const seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
    const top = () => seen.getBoundingClientRect().top;
    const before = top() + scrollY, from = scrollY;
    scrollBy({ top: step, behavior: 'instant' });
    const by = scrollY - from;
    if (!by) break;
    const wanted = before - from - by;
    await frame();
    await frame();
    if (Math.abs(top() - wanted) > 2) moved.push(top() - wanted);
  }
  return moved;
}"""


def test_nothing_moves_while_a_page_is_scrolled(fresh):
    """What is in the middle goes as far as the page is scrolled, no farther."""
    fresh.tab.set_viewport_size(PHONE)
    fresh.tab.goto(f"{fresh.site}{CHAPTERS[0]}.html")
    for step in (300, -300):
        assert fresh.tab.evaluate(SCROLL, step) == []
    assert not fresh.tab.evaluate(LAID_OUT)


def test_paper_shows_what_is_folded_on_a_white_ground(fresh):
    """Colours as by day, folds open, nothing to click; and back again."""
    fresh.tab.emulate_media(color_scheme="dark")
    fresh.tab.goto(f"{fresh.site}{CHAPTERS[0]}.html")
    root = fresh.tab.locator("html")
    fold = fresh.tab.locator("article .question details").first
    button = fresh.tab.locator("article .question button").first
    expect(root).to_have_attribute("data-theme", "dark")
    fresh.tab.emulate_media(media="print")
    fresh.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(root).to_have_attribute("data-theme", "light")
    expect(fold.locator("li").first).to_be_visible()
    expect(button).not_to_be_visible()
    expect(fresh.tab.locator(".bd-sidebar-primary")).not_to_be_visible()
    fresh.tab.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(root).to_have_attribute("data-theme", "dark")
    expect(fold).not_to_have_attribute("open", "")


def test_menus_open_by_keyboard_and_close_by_escape(fresh):
    fresh.tab.goto(fresh.address)
    menu = fresh.tab.locator("details.book-menu").first
    menu.locator("summary").focus()
    fresh.tab.keyboard.press("Enter")
    expect(menu.locator("li").first).to_be_visible()
    fresh.tab.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(menu.locator("summary")).to_be_focused()
    menu.locator("summary").click()
    fresh.tab.locator("article h1").click()
    expect(menu).not_to_have_attribute("open", "")


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


# Of elements alike in all classes above them, one. Pseudo-elements too.
COMPARE = """() => {
  document.querySelector('#pst-search-dialog').show();
  const names = [...getComputedStyle(document.body)];
  const looks = () => {
    const paths = new Map(), found = new Map();
    const path = (e) => !e ? '' : paths.get(e) ?? paths.set(e, path(
      e.parentElement) + ` ${e.tagName}#${e.id && 1}.${e.className}`).get(e);
    for (const e of document.querySelectorAll('html, body, body *')) {
      if (e.closest('svg, math') || !e.checkVisibility()) continue;
      for (const part of ['', '::before', '::after']) {
        const kind = `${path(e)} ${part}`;
        if (found.has(kind)) continue;
        const style = getComputedStyle(e, part);
        const there = !part || style.content !== 'none';
        found.set(kind, there ? names.map((n) => style[n]) : []);
      }
    }
    return found;
  };
  const [cut, whole] = document.querySelectorAll('link[rel=stylesheet]');
  const [now, then] = [[cut, whole], [whole, cut]].map(([on, off]) => {
    on.media = 'all';
    off.media = 'not all';
    return looks();
  });
  const wrong = [];
  for (const [kind, values] of now)
    names.forEach((name, n) => {
      const other = then.get(kind)?.[n];
      if (values[n] !== other)
        wrong.push(`${kind} ${name}: ${other} became ${values[n]}`);
    });
  return { wrong: wrong.slice(0, 9), count: now.size };
}"""
# What a reader can open, all at once; what scripts do to it, in their words.
OPEN = """() => new Promise((done) => {
  for (const fold of document.querySelectorAll('details')) fold.open = true;
  for (const button of document.querySelectorAll('.toggle-button-hidden'))
    button.click();
  for (const form of document.querySelectorAll('.question'))
    form.requestSubmit();
  document.querySelector('.copybtn')?.classList.add('success');
  document.body.classList.add('scrolled');
  const cut = document.querySelector('link[rel=stylesheet]');
  const whole = cut.cloneNode();
  whole.href = new URL('uncut.css', cut.href);
  whole.onload = done;
  cut.after(whole);
})"""


@pytest.fixture(scope="module")
def uncut(built_book: Path) -> str:
    """Make the stylesheet of the book without the cut."""
    folder = ROOT / "book" / "_ext"
    sys.path.insert(0, str(folder))
    from cut import cut
    from icons import masked

    sys.path.remove(str(folder))
    static = built_book / "_static"
    state = json.loads((built_book.parent / "slim.json").read_text("utf8"))

    def text(name: str) -> str:
        return (static / name).read_text("utf8")

    sheets = [(name, text(name)) for name in state["styles"]]
    return masked(cut(sheets, None, text), text("scripts/fontawesome.js"))


@pytest.mark.parametrize(
    "name", halves([PAGES[0], SHORT, CHAPTERS[-1], "search"])
)
def test_cut_stylesheet_changes_no_look(browser, site, uncut, name):
    """Each element looks as without the cut, at all widths, in both themes."""
    context = open_context(browser, reduced_motion="reduce")
    context.route("**/uncut.css", lambda route: route.fulfill(body=uncut))
    tab = context.new_page()
    tab.goto(f"{site}{name}.html?q=process", wait_until="networkidle")
    tab.evaluate(OPEN)
    for width, scheme in itertools.product(WIDTHS[1:], ("light", "dark")):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(tab.locator("html")).to_have_attribute("data-theme", scheme)
        for one in ("primary", "secondary") if width < WIDTHS[-1] else ():
            button = tab.locator(f".{one}-toggle:visible")
            button.evaluate_all("(all) => all.map((one) => one.click())")
        found = tab.evaluate(COMPARE)
        assert found["wrong"] == []
        assert found["count"] > 100
        tab.evaluate(
            "for (const d of document.querySelectorAll('dialog')) d.close()"
        )
    context.close()


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


@pytest.mark.parametrize("name", halves(table_of_contents()))
def test_search_finds_a_word_of_each_page(opened, words, name):
    tab = opened.tab
    tab.goto(f"{opened.site}{PAGES[0]}.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type(words[name])
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=*")
    link = tab.locator(f"#search-results a[href*='{name}.html']").first
    expect(link).to_be_visible()


def test_search_finds_a_word_of_a_listing(opened, built_book):
    """A name that stands in code alone."""
    name = CHAPTERS[0]
    article = soup(built_book, name).article
    code = " ".join(pre.get_text() for pre in article.select(".listing pre"))
    prose = " ".join(p.get_text() for p in article.select("p"))
    names = set(re.findall(r"\b[a-z]+_[a-z_]{6,}\b", code))
    word = min(names - set(re.findall(r"\w+", prose)))
    opened.tab.goto(f"{opened.site}search.html?q={word}")
    link = opened.tab.locator(f"#search-results a[href*='{name}.html']")
    expect(link.first).to_be_visible()


def test_search_is_fetched_when_a_reader_begins_to_type(fresh):
    """Not before: the index is larger than a page."""
    fresh.tab.goto(fresh.address, wait_until="networkidle")
    index = [url for url in fresh.log.requests if "searchindex" in url]
    assert index == []
    with fresh.tab.expect_request("**/searchindex.js"):
        fresh.tab.keyboard.press("Control+k")


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
def test_a_chapter_has_questions_of_several_kinds_and_exercises(
    name, built_book
):
    tree = soup(built_book, name)
    forms = tree.select(".quiz .question")
    kinds = {form["data-kind"] for form in forms}
    assert len(forms) >= 4
    assert "options" in kinds
    assert len(kinds) > 1
    coding, tasks = tree.select(".coding"), tree.select(".exercise")
    assert len(coding) >= 2
    assert len(coding) + len(tasks) >= 3
    for one in coding:
        folds = [s.get_text() for s in one.select("summary")]
        assert folds[0].startswith("Hint")


def test_right_answers_are_kept_in_this_browser(fresh):
    """Also shown on the map; forgotten when the reader says so."""
    tab, name = fresh.tab, CHAPTERS[0]
    tab.goto(f"{fresh.site}{name}.html")
    question = questions(tab, "options")[0]
    right, wrongs = right_and_wrong(question)
    kept = tab.locator(".quiz-kept")
    choose(question, wrongs[0])
    expect(kept).to_have_count(0)
    choose(question, right)
    count = tab.locator(".quiz .question").count()
    expect(kept).to_contain_text(f"1 of {count} answered right")
    tab.reload()
    expect(kept).to_contain_text(f"1 of {count} answered right")
    expect(tab.locator(".question.done")).to_have_count(1)
    tab.goto(fresh.address)
    link = tab.locator(f".route a[href$='{name.removeprefix('book/')}.html']")
    expect(link).to_have_attribute("data-answered", f"1/{count}")
    expect(tab.locator("[data-answered]")).to_have_count(1)
    tab.go_back()
    kept.get_by_role("button", name="Forget").click()
    expect(kept).to_have_count(0)
    tab.reload()
    expect(tab.locator(".question.done")).to_have_count(0)
    assert fresh.log.complaints == []
    assert all(url.startswith(fresh.site) for url in fresh.log.requests)


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
    names = folds.locator("> summary").all_text_contents()
    assert len(names) == folds.count()
    assert all(name.strip() for name in names)
    for fold in folds.all()[-SOME:]:
        fold.locator("> summary").focus()
        visit.tab.keyboard.press("Enter")
        expect(fold).to_have_attribute("open", "")
        visit.tab.keyboard.press("Enter")
        expect(fold).not_to_have_attribute("open", "")


@every_source
def test_links_inside_the_book_lead_somewhere(name, built_book):
    broken = []
    for link in soup(built_book, name).select("a[href]"):
        target = link["href"]
        if urlsplit(target).scheme:
            continue
        address, anchor = urldefrag(urljoin(f"/{name}.html", target))
        path = built_book / unquote(urlsplit(address).path).lstrip("/")
        if not path.is_file():
            broken.append(target)
        elif anchor and path.suffix == ".html":
            page = path.relative_to(built_book).with_suffix("").as_posix()
            if unquote(anchor) not in identities(built_book, page):
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
# What is in sight and scrolls is a stop of the Tab key a moment after
# resizing; the sidebar slides into its place meanwhile.
# Chromium lists for ever a transition that ended after its fold was closed.
NOTHING_MOVES = """() => document.getAnimations().every(
  (one) => one.playState !== 'running')"""
STOPS_ARE_SET = """() => [...document.querySelectorAll('pre')].every(
  (pre) => !pre.checkVisibility() || pre.scrollWidth <= pre.clientWidth
    || pre.tabIndex === 0)"""
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
    tab.wait_for_function(NOTHING_MOVES)
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


@pytest.mark.parametrize("name", halves(table_of_contents()))
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


@pytest.mark.parametrize("name", halves(CHAPTERS))
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


@pytest.fixture(scope="module")
def unpacked(built_book: Path, tmp_path_factory) -> Path:
    """Folder of the offline edition, as a reader unpacks it."""
    folder = tmp_path_factory.mktemp("offline")
    path = folder / "book.zip"
    pages.archive(built_book, path)
    shutil.unpack_archive(path, folder)
    return path.with_suffix("")


def test_offline_edition_works_from_a_folder(fresh, unpacked, words):
    """Without a server: figures, mathematics, quiz, search, results."""
    tab, name = fresh.tab, CHAPTERS[0]
    tab.goto((unpacked / f"{name}.html").as_uri())
    question = questions(tab, "options")[0]
    choose(question, right_and_wrong(question)[0])
    expect(question.locator(".verdict")).to_contain_text("Right.")
    tab.evaluate(LOAD_PICTURES)
    missing = (
        "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
    )
    assert tab.evaluate(missing) == []
    tab.keyboard.press("Control+k")
    tab.keyboard.type(words[name])
    tab.keyboard.press("Enter")
    link = tab.locator(f"#search-results a[href*='{name}.html']").first
    link.click()
    expect(tab.locator("article h1")).to_be_visible()
    assert fresh.log.complaints == []
    assert all(url.startswith("file:") for url in fresh.log.requests)


CUT_OFF = """() => {
  const svg = document.querySelector('svg'), all = svg.viewBox.baseVal;
  return [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBBox();
    return box.x < all.x || box.x + box.width > all.x + all.width
      || box.y < all.y || box.y + box.height > all.y + all.height;
  }).map(text => text.textContent);
}"""
DRAWINGS = sorted((ROOT / "book").glob("**/figures/*.svg"))


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_the_words_of_a_drawing_are_inside_it(browser: Browser, path: Path):
    """In a wide letter, too: DejaVu Sans, which many a Linux shows."""
    tab = browser.new_page()
    try:
        tab.set_content(path.read_text("utf-8"))
        assert tab.evaluate(CUT_OFF) == []
    finally:
        tab.close()
