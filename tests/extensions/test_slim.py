"""A small book with the slim frame: whole, changed, interrupted, offline."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
SECONDS = 120
SITE = "https://example.org/book/"
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
project = html_title = "Small"
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_togglebutton",
              "sphinx_design", "quiz", "slim", "found", "overview"]
myst_enable_extensions = ["colon_fence"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": "https://github.com/a/b",
                       "use_repository_button": True}}
html_static_path = [{str(ROOT / "book" / "_static")!r}, "own"]
html_css_files = ["book.css", "own.css"]
html_baseurl = {SITE!r}
templates_path = [{str(ROOT / "book" / "_templates")!r}]
"""
WORDS = (
    "A first paragraph with **words** enough to say what the page is about."
)
DRAWING = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 32.4"
 ><rect width="9" height="9"/></svg>"""
PAGES = {
    "index": f"# Index\n\n{WORDS}\n\n```{{toctree}}\nparts/rich\nplain\n```\n",
    "plain": "# Plain\n\nFew.\n\n- a point in a list, which begins somewhere\n",
    "parts/rich": f"""# Rich *page*

:::{{container}} rare-deep
Words.
:::

```{{overview}}
:question: Why is *this* slow?
:minutes: 15
:needs: nothing
- do it.
```

{WORDS} {WORDS} {WORDS}

```{{image}} drawn.svg
:alt: a drawing of a part
```

## Below

```{{image}} drawn.svg
:alt: a drawing of a part
:width: 50%
```

```{{image}} sized.svg
:alt: a drawing with a size
```

```{{admonition}} Fold
:class: dropdown
Inside.
```

```python
print(1)  # said
```

```{{quiz}}
- {{question: "How many?", kind: number, answer: 1, tolerance: 0, why: So.}}
```
""",
}
FILES = {f"{name}.md": text for name, text in PAGES.items()} | {
    "conf.py": CONF,
    "own/own.css": "@import 'deep/own.css';"
    ".rare-one { color: red } .rare-none { color: blue }"
    ".rare-added { color: green }",
    "own/deep/own.css": ".rare-deep { color: teal }",
    "own/adds.js": 'element.classList.add("rare-added")',
    "parts/drawn.svg": DRAWING,
    "parts/sized.svg": DRAWING.replace(
        "view", "width='9pt' height='6.4pt' view"
    ),
}


@dataclass
class Small:
    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")

    def build(self) -> None:
        options = ["-q", "-W", "-d", "_build/doctrees", "-b", "html"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *options, ".", "_build/html"],
            cwd=self.root,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def text(self, name: str) -> str:
        return (self.root / "_build/html" / name).read_text("utf8")

    def page(self, name: str) -> BeautifulSoup:
        return BeautifulSoup(self.text(f"{name}.html"), "html.parser")

    @property
    def sheet(self) -> str:
        return self.text("_static/slim.css")

    def links(self) -> set[str]:
        """With what digests do the pages name the stylesheet?"""
        names = [*PAGES, "search"]
        texts = [self.text(f"{name}.html") for name in names]
        return {re.search(r"slim\.css\?v=(\w*)", text)[1] for text in texts}

    def stamps(self) -> dict[str, int]:
        files = (self.root / "_build/html").rglob("*.html")
        return {str(path): path.stat().st_mtime_ns for path in files}

    def result(self) -> dict[str, str]:
        """All that was built and does not name this folder."""
        names = [f"{name}.html" for name in [*PAGES, "search"]]
        names += ["_static/slim.css", "robots.txt", "sitemap.xml"]
        return {name: self.text(name) for name in names}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    book = Small(tmp_path_factory.mktemp("slim"))
    for name, text in FILES.items():
        book.write(name, text)
    book.build()
    return book


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_a_page_loads_one_stylesheet_and_waiting_scripts(small, name):
    page = small.page(name)
    sheets = [tag["href"] for tag in page.select("link[rel=stylesheet]")]
    assert len(sheets) == 1
    assert "_static/slim.css?v=" in sheets[0]
    scripts = page.select("script[src]")
    assert all(script.has_attr("defer") for script in scripts)
    loaded = " ".join(script["src"] for script in scripts)
    assert "bootstrap" not in loaded
    assert "fontawesome" not in loaded
    assert ("searchtools.js" in loaded) == (name == "search")
    assert "searchindex.js" not in loaded
    for part in ("quiz.js", "togglebutton.js"):
        assert (part in loaded) == (name == "parts/rich"), part
    for replaced in ("copybutton.js", "clipboard"):
        assert replaced not in loaded
    folder = small.root / "_build/html"
    for address in [*sheets, *(script["src"] for script in scripts)]:
        path = folder / name / ".." / address.partition("?")[0]
        assert path.resolve().is_file(), address


def test_a_script_comes_after_what_it_uses(small):
    loaded = [tag["src"] for tag in small.page("search").select("[defer]")]
    names = [Path(address.partition("?")[0]).name for address in loaded]
    first = names.index("documentation_options.js")
    wanted = ["doctools.js", "frame.js", "searchtools.js"]
    places = [first, *map(names.index, wanted)]
    assert places == sorted(places)


def test_menus_open_without_a_script(small):
    menu = small.page("plain").select_one("details.book-menu")
    assert menu.summary["aria-label"]
    assert menu.select("ul > li > a.btn[href]")
    assert 'data-bs-toggle="dropdown' not in small.text("plain.html")


def test_stylesheet_has_what_pages_and_scripts_need(small):
    for needed in (".bd-article", ".fa-bars{--icon:url(", ".highlight .c{"):
        assert needed in small.sheet
    for added_by_scripts in (".success", ".toggle-hidden", ".rare-added"):
        assert added_by_scripts in small.sheet
    assert ".rare-deep{color:teal}" in small.sheet, "imported"
    for absent in (".carousel", ".rare-none", ".rare-one", "woff2", "@import"):
        assert absent not in small.sheet
    assert len(small.sheet) < 120_000


def test_code_has_its_button_which_answers_no_question(small):
    """In a form a button without a type would send the answer."""
    [button] = small.page("parts/rich").select("div.highlight > pre + button")
    assert button["type"] == "button"
    assert button["aria-label"] == "Copy"


def test_no_element_around_code_that_looks_like_text(small):
    """Names and brackets have the colour of text, numbers have not."""
    code = small.page("parts/rich").select_one("div.highlight pre")
    spans = [span.get_text() for span in code.select("span[class]")]
    assert spans == ["print", "1", "# said"]


def test_pictures_tell_their_size_and_wait(small):
    first, scaled, sized = small.page("parts/rich").select("article img")
    assert (first["width"], first["height"]) == ("64", "32")
    assert first["style"] == "width: 100%"
    assert not first.has_attr("loading")
    assert scaled["loading"] == sized["loading"] == "lazy"
    assert scaled["style"] == "width: 50%;"
    assert scaled["width"] == "64"
    assert (sized["width"], sized["height"]) == ("12", "9")
    assert not sized.has_attr("style")


def test_engines_find_title_description_and_address(small):
    for name in [*PAGES, "search"]:
        page = small.page(name)
        said = page.select_one("meta[name=description]")["content"]
        assert 0 < len(said) <= 158
        assert page.html["lang"] == "en"
        address = f"{SITE}{name}.html"
        assert page.select_one("link[rel=canonical]")["href"] == address
        og = {t["property"]: t["content"] for t in page.select("[property]")}
        assert og["og:url"] == address
        assert og["og:description"] == said
        assert og["og:image"] == f"{SITE}_static/page.webp"
    rich = small.page("parts/rich")
    assert rich.select_one("[property='og:title']")["content"] == "Rich page"
    said = rich.select_one("meta[name=description]")["content"]
    assert said.startswith("Why is this slow? A first paragraph with words")
    assert said.endswith(" …")


def test_engines_find_all_pages(small):
    sitemap = small.text("sitemap.xml")
    assert re.findall("<loc>(.*)</loc>", sitemap) == [
        f"{SITE}{name}.html" for name in sorted(PAGES)
    ]
    assert f"Sitemap: {SITE}sitemap.xml" in small.text("robots.txt")


# --------------------------------------------- one after the other, in order


def test_nothing_changes_without_a_change(small):
    before = small.stamps()
    small.build()
    assert small.stamps() == before


def test_a_page_with_a_new_name_changes_the_stylesheet_of_all(small):
    old = small.links()
    small.write(
        "plain.md",
        "# Plain\n\n:::{container} rare-one\nWords.\n:::\n\n"
        "```{note}\nA note.\n```\n",
    )
    small.build()
    assert ".rare-one{color:red}" in small.sheet
    assert ".admonition" in small.sheet
    assert len(small.links()) == 1
    assert small.links() != old


def test_a_page_without_a_new_name_changes_itself_alone(small):
    before = small.stamps()
    text = (small.root / "plain.md").read_text("utf8")
    small.write("plain.md", f"{text}\n## Another heading\n\nAnd more.\n")
    small.build()
    after = small.stamps()
    changed = {Path(p).name for p in after if after[p] != before[p]}
    assert changed <= {
        "plain.html",
        "index.html",
        "search.html",
        "genindex.html",
    }
    assert "plain.html" in changed


@pytest.mark.parametrize("lost", ["all", "state", "sheet", "names"])
def test_an_interrupted_build_ends_as_a_whole_one(small, lost, tmp_path):
    """What one build wrote, and what the next one made of it."""
    copy = Small(tmp_path / "copy")
    shutil.copytree(small.root, copy.root)
    state = copy.root / "_build/slim.json"
    if lost == "all":
        shutil.rmtree(copy.root / "_build")
    elif lost == "state":  # ended before it was written; pages name no sheet
        state.unlink()
        for page in (copy.root / "_build/html").rglob("*.html"):
            text = page.read_text("utf8")
            page.write_text(re.sub(r"css\?v=\w+", "css?v=", text), "utf8")
    elif lost == "sheet":
        (copy.root / "_build/html/_static/slim.css").unlink()
    else:
        state.write_text('{"link": "a", "other": 1}', encoding="utf8")
    copy.build()
    assert copy.result() == small.result()


def test_a_page_that_goes_takes_its_names_along(small):
    (small.root / "plain.md").unlink()
    small.write("index.md", PAGES["index"].replace("plain\n", ""))
    (small.root / "_build/html/plain.html").unlink()
    small.build()
    assert ".rare-one" not in small.sheet
    state = json.loads((small.root / "_build/slim.json").read_text("utf8"))
    assert set(state["pages"]) == {"index", "parts/rich", "search", "genindex"}
