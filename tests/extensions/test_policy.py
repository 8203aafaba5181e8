"""A page's policy: it runs what was built into it, and nothing else."""

import base64
import hashlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).parents[2]
EXTENSIONS = str(ROOT / "book" / "_ext")
HELLO = 'document.body.dataset.hello = "1 < 2";'
CALL = "document.body.dataset.called = this.name"
CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
project = html_title = "Small"
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_togglebutton",
              "sphinx_design", "slim"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"navbar_persistent": []}}
html_context = {{"default_mode": "auto"}}
html_static_path = [{str(ROOT / "book" / "_static")!r}]
html_css_files = ["book.css"]
html_favicon = {str(ROOT / "book" / "_static" / "favicon.svg")!r}
templates_path = [{str(ROOT / "book" / "_templates")!r}]
"""
PLAIN = "# Plain\n\nWords.\n"
# What outputs of cells have in them: scripts, data, styles, pictures.
OUTPUT = f"""# Output

```{{raw}} html
<script type="module">{HELLO}</script>
<script type="application/json">{{"no": "code"}}</script>
<p id="styled" style="text-indent: 7px">Words.</p>
<style>#styled {{ border-spacing: 8px }}</style>
<input type="button" name="b" value="Call" onclick="{CALL}">
<img id="dot" alt="a dot" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
```

```{{admonition}} Fold
:class: dropdown
Inside.
```

```python
print(1)
```
"""
# What may not happen, and the rule that each would break.
FORBIDDEN = {
    "inline script": (
        "script-src-elem",
        """() => {
        const script = document.createElement('script');
        script.textContent = 'document.body.dataset.broken = 1';
        document.body.append(script);
    }""",
    ),
    "attribute": (
        "script-src-attr",
        """() => {
        const button = document.createElement('button');
        button.setAttribute('onclick', 'document.body.dataset.broken = 1');
        document.body.append(button);
        button.click();
    }""",
    ),
    "eval": (
        "script-src",
        """() => setTimeout(() => {
        eval('document.body.dataset.broken = 1')
    })""",
    ),
    "address that is code": (
        "script-src-elem",
        """() => {
        const link = document.createElement('a');
        link.href = 'javascript:document.body.dataset.broken = 1';
        document.body.append(link);
        link.click();
    }""",
    ),
    "script of another host": (
        "script-src-elem",
        """() => {
        const script = document.createElement('script');
        script.src = 'https://example.org/a.js';
        document.body.append(script);
    }""",
    ),
    "picture of another host": (
        "img-src",
        """() => {
        new Image().src = 'https://example.org/a.gif';
    }""",
    ),
    "request to another host": (
        "connect-src",
        """() => {
        fetch('https://example.org/').catch(() => 0);
    }""",
    ),
    "other base": (
        "base-uri",
        """() => {
        const base = document.createElement('base');
        base.href = 'https://example.org/';
        document.head.append(base);
    }""",
    ),
    "frame": (
        "frame-src",
        """() => {
        const frame = document.createElement('iframe');
        frame.src = 'https://example.org/';
        document.body.append(frame);
    }""",
    ),
}


@pytest.fixture(scope="module")
def book(sphinx_book):
    toctree = "\n```{toctree}\nplain\nparts/output\n```\n"
    sphinx_book.write("conf.py", CONF)
    sphinx_book.write("index.md", f"# Index\n{toctree}")
    sphinx_book.write("plain.md", PLAIN)
    sphinx_book.write("parts/output.md", OUTPUT)
    sphinx_book.build()
    return sphinx_book


def rules(book, name: str) -> dict[str, list[str]]:
    """Sources that a page's policy allows, by kind."""
    metas = book.html(name).select("meta[http-equiv=Content-Security-Policy]")
    assert len(metas) == 1
    parts = [part.split() for part in metas[0]["content"].split(";")]
    return {kind: sources for kind, *sources in parts}


def hashed(text: str) -> str:
    seen = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(seen).decode()}'"


NAMES = ["index", "plain", "parts/output", "search"]


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_allows_the_page_alone(book, name):
    found = rules(book, name)
    assert found["default-src"] == ["'self'"]
    assert found["object-src"] == found["base-uri"] == ["'none'"]
    everything = " ".join(source for kind in found.values() for source in kind)
    for absent in ("unsafe-eval", "*", "http", "://", "blob:"):
        assert absent not in everything
    assert "'unsafe-inline'" not in found["script-src"]


@pytest.mark.parametrize("name", NAMES)
def test_scripts_are_allowed_by_hashes_of_what_the_page_has(book, name):
    tree = book.html(name)
    inline = {
        hashed(script.string)
        for script in tree.select("script:not([src])")
        if script.get("type") != "application/json"
    }
    called = {hashed(tag["onclick"]) for tag in tree.select("[onclick]")}
    extra = {"'unsafe-hashes'"} if called else set()
    assert set(rules(book, name)["script-src"]) == {
        "'self'",
        *inline,
        *called,
        *extra,
    }
    assert inline
    assert bool(called) == (name == "parts/output")


def test_the_policy_comes_before_all_that_it_is_for(book):
    head = (book.root / "_build/plain.html").read_text("utf8")
    place = head.index("Content-Security-Policy")
    assert place < re.search("<script|<link|<style", head).start()


def test_a_changed_page_has_the_policy_of_what_it_has_now(book):
    before = rules(book, "plain")
    book.write(
        "plain.md", f"{PLAIN}\n```{{raw}} html\n<script>7</script>\n```\n"
    )
    book.build()
    now = rules(book, "plain")
    assert set(now["script-src"]) - set(before["script-src"]) == {hashed("7")}
    book.write("plain.md", PLAIN)
    book.build()
    assert rules(book, "plain") == before


@pytest.fixture
def rooted(tmp_path, monkeypatch):
    """A finished build of a book that begins at ``book/index``."""
    monkeypatch.syspath_prepend(EXTENSIONS)
    found = importlib.import_module("found")
    builder = SimpleNamespace(format="html", get_target_uri="{}.html".format)
    config = SimpleNamespace(
        root_doc="book/index", html_title="", project="A <book>"
    )
    app = SimpleNamespace(builder=builder, config=config, outdir=tmp_path)
    return found.lead_inside, app, tmp_path / "index.html"


def test_the_page_at_the_root_has_the_policy_too(rooted, browser):
    lead, app, path = rooted
    path.write_text("<p>of another extension", "utf8")
    lead(app, None)
    tree = BeautifulSoup(path.read_text("utf8"), "html.parser")
    policy = tree.select_one("meta[http-equiv=Content-Security-Policy]")
    assert policy["content"].startswith(
        "default-src 'self'; script-src 'self';"
    )
    assert tree.html["lang"] == "en"
    assert tree.title.string == tree.a.string == "A <book>"
    assert tree.a["href"] == "book/index.html"
    (path.parent / "book").mkdir()
    (path.parent / "book/index.html").write_text("<h1>First", "utf8")
    page = browser.new_page()
    page.goto(path.as_uri())
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    page.close()


def test_the_page_at_the_root_is_left_alone_where_it_is_the_first(rooted):
    lead, app, path = rooted
    app.config.root_doc = "index"
    lead(app, None)
    app.config.root_doc = "book/index"
    lead(app, ValueError("the build failed"))
    assert not path.exists()


# -------------------------------------------- in a browser, served and opened


@pytest.fixture(scope="module")
def built_book(book) -> Path:
    """What `site` serves."""
    return book.root / "_build"


@pytest.fixture(scope="module", params=["served", "opened"])
def place(request, built_book, site) -> str:
    """Start of the pages' addresses: on a server, or in a folder."""
    return site if request.param == "served" else f"{built_book.as_uri()}/"


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """An empty tab that keeps what the browser complains of."""
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.said = []

    def note(kind: str, what: object) -> None:
        if kind != "log":
            page.said.append(f"{kind}: {what}")

    page.on("console", lambda m: note(m.type, m.text))
    page.on("pageerror", lambda error: note("error", error))
    page.on("requestfailed", lambda request: note("failed", request.url))
    yield page
    context.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_needs_nothing_that_its_policy_forbids(place, tab, name):
    tab.goto(f"{place}{name}.html?q=plain", wait_until="networkidle")
    assert tab.said == []
    expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
    if name == "search":
        expect(tab.locator("#search-results a").first).to_be_visible()


def test_outputs_look_and_act_as_they_were_made(place, tab):
    tab.goto(f"{place}parts/output.html")
    body = tab.locator("body")
    expect(body).to_have_attribute("data-hello", "1 < 2")
    tab.get_by_role("button", name="Call").click()
    expect(body).to_have_attribute("data-called", "b")
    expect(tab.locator("#styled")).to_have_css("text-indent", "7px")
    expect(tab.locator("#styled")).to_have_css("border-spacing", "8px")
    assert tab.evaluate("document.querySelector('#dot').naturalWidth") == 1
    fold = tab.get_by_text("Inside.")
    expect(fold).not_to_be_visible()
    tab.locator(".admonition-title").click()
    expect(fold).to_be_visible()
    assert tab.said == []


def test_buttons_of_the_head_call_what_they_name(place, tab):
    tab.add_init_script("window.print = () => { window.printed = true; }")
    tab.goto(f"{place}plain.html")
    tab.locator("details.book-menu summary").last.click()
    tab.get_by_role("button", name=".pdf").click()
    assert tab.evaluate("window.printed") is True
    tab.get_by_role("button", name="Fullscreen").click()
    tab.wait_for_function("() => document.fullscreenElement !== null")
    assert tab.said == []


LISTEN = """() => { window.violated = new Promise((done) => addEventListener(
    'securitypolicyviolation', done, { once: true })) }"""


def test_what_was_not_built_in_is_forbidden(place, tab):
    tab.goto(f"{place}plain.html", wait_until="networkidle")
    for rule, attempt in FORBIDDEN.values():
        tab.evaluate(LISTEN)
        tab.evaluate(attempt)
        broken = tab.evaluate("violated.then((one) => one.effectiveDirective)")
        assert broken == rule, attempt
    assert tab.evaluate("document.body.dataset.broken") is None
