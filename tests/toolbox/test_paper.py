"""A small book on paper: printed by Chromium, bound, and read again."""

import re
import shutil
from pathlib import Path

import pytest
from pypdf import PdfReader

from parallel_ai.toolbox import paper
from parallel_ai.toolbox.binding import Printed
from parallel_ai.toolbox.pages import BROWSERS

ROOT = Path(__file__).parents[2]
TOC = """root: book/index
parts:
  - caption: One machine
    chapters:
      - file: book/one/threads
"""
CITATION = """title: "A Small Book: With Care"
authors: [{name: The authors}]
version: 0.1.0
date-released: 2026-01-02
license: [BSD-3-Clause, CC-BY-4.0]
"""
FRAME = """<!doctype html><html lang="en" data-theme="light"><head>
<meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'self';
 style-src 'self' 'unsafe-inline'">
<link rel="stylesheet" href="{up}_static/book.css">
<script defer src="{up}_static/frame.js"></script></head><body>
<article class="bd-article"><h1>{title}<a class="headerlink">#</a></h1>
{body}</article></body></html>"""
INDEX = """<p>Begin with <a href="one/threads.html#two">threads</a>, or
<a href="one/threads.html#al%C3%B6ne">later</a>.</p>"""
THREADS = """<h2 id="one">First part</h2><p>To the <a href="#two">second</a>.</p>
<details><summary>Answer</summary><p>Folded away.</p></details>
<button class="copybtn">Copy</button>
<details class="cite"><summary>Cite</summary><p>Only online.</p></details>
<p style="height: 500mm">High.</p><img alt="" loading="lazy" src="../../dot.svg">
<h2 id="two">Second part</h2>
<div class="listing"><div class="highlight"><pre>def mean_serial(values):
    return sum(values) / len(values)</pre></div></div>
<p id="alöne">No link of this page leads here.</p>"""
DOT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20">'
    '<text y="15">Drawn</text></svg>'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a build leaves, of two pages."""
    html = tmp_path_factory.mktemp("paper") / "html"
    shutil.copytree(ROOT / "book/_static", html / "_static")
    files = {
        "book/index.html": FRAME.format(title="Index", up="../", body=INDEX),
        "book/one/threads.html": FRAME.format(
            title="Threads & co".replace("&", "&amp;"),
            up="../../",
            body=THREADS,
        ),
        "dot.svg": DOT,
        "../_toc.yml": TOC,
        "../CITATION.cff": CITATION,
    }
    for name, text in files.items():
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).write_text(text, encoding="utf8")
    return html


@pytest.fixture(scope="module")
def book(folder) -> PdfReader:
    """The PDF of the small book."""
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium is installed")
    path = folder.parent / "book.pdf"
    count = paper.make(
        folder,
        path,
        folder.parent / "_toc.yml",
        folder.parent / "CITATION.cff",
    )
    made = PdfReader(path)
    assert count == len(made.pages)
    return made


def texts(book: PdfReader) -> list[str]:
    return [page.extract_text() for page in book.pages]


def test_the_first_sheet_says_what_it_is(book):
    first = texts(book)[0]
    for said in ("A Small Book", "With Care", "The authors", "Version 0.1.0"):
        assert said in first
    assert "2026-01-02" in first
    assert book.metadata.title == "A Small Book: With Care"


def test_contents_name_the_sheet_of_each_page(book):
    lines = [" ".join(line.split()) for line in texts(book)[1].splitlines()]
    assert "One machine" in lines
    said = " ".join(lines)
    assert re.search(r"Index ?1 One machine Threads & co ?2$", said)
    assert book.page_labels[2:4] == ["1", "2"]


def test_each_sheet_has_title_and_number(book):
    for number, text in enumerate(texts(book)[2:], 1):
        assert re.search(rf"(Index|Threads & co)\s*{number}\b", text)


def test_bookmarks_lead_to_page_and_sections(book):
    index, part, [chapter, [first, second]] = book.outline
    titles = [index.title, part.title, chapter.title]
    assert titles == ["Index", "One machine", "Threads & co"]
    assert [first.title, second.title] == ["First part", "Second part"]
    at = book.get_destination_page_number
    assert at(part) == at(chapter) == at(first) == 3
    assert "Second part" in texts(book)[at(second)]
    assert at(second) > 3


def test_a_listing_is_text_and_a_fold_is_open(book):
    said = " ".join(" ".join(texts(book)).split())
    assert "def mean_serial(values): return sum(values)" in said
    assert "Folded away." in said


def test_what_is_of_no_use_on_paper_is_left_out(book):
    said = " ".join(texts(book))
    assert "Copy" not in said
    assert "Only online." not in said


def test_what_is_printed_is_packed_and_stored_once(book):
    """A content merged with its foot is plain text, unless it is packed."""
    filters = {
        page["/Contents"].get_object()["/Filter"] for page in book.pages[2:]
    }
    assert filters == {"/FlateDecode"}
    fonts = [
        bytes(
            font["/DescendantFonts"][0]["/FontDescriptor"]["/FontFile2"]._data
        )
        for page in book.pages
        for font in page["/Resources"].get("/Font", {}).values()
    ]
    seen = {
        font["/DescendantFonts"][0]["/FontDescriptor"]
        .raw_get("/FontFile2")
        .idnum
        for page in book.pages
        for font in page["/Resources"].get("/Font", {}).values()
    }
    assert len(seen) == len(set(fonts))


def test_a_picture_below_what_is_in_sight_is_printed(book):
    assert "Drawn" in " ".join(texts(book))


def test_links_lead_to_sheets(book):
    """From the contents, to the second part, and to what others alone name."""
    sheets = {p.indirect_reference.idnum: n for n, p in enumerate(book.pages)}
    found = [
        sheets[link.get_object()["/Dest"][0].idnum]
        for page in book.pages
        for link in page.get("/Annots", ())
    ]
    second, alone = (
        next(n for n, text in enumerate(texts(book)) if words in text)
        for words in ("Second part", "No link of this page")
    )
    assert found == [2, 3, second, alone, second]
    assert alone > 3  # not the beginning of its page


def test_each_page_is_told(folder, tmp_path, capsys, browser):
    with paper.served(folder) as site:
        wanted = [("", "book/index"), ("One", "book/one/threads")]
        printed = paper.print_all(browser, site, folder, wanted)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("[1/2] book/index: 1 sheets, ")
    assert said[1].startswith(f"[2/2] book/one/threads: {printed[1].sheets} ")


def test_a_page_without_its_picture_is_no_page(folder, browser):
    path = folder / "book/broken.html"
    body = '<img alt="" loading="lazy" src="../absent.svg">'
    path.write_text(FRAME.format(title="B", up="../", body=body), "utf8")
    with (
        paper.served(folder) as site,
        pytest.raises(RuntimeError, match=r"book/broken: no .*/absent\.svg"),
    ):
        paper.print_page(browser, site, "", "book/broken", [])
    assert browser.contexts == []  # its tab is closed


def test_a_page_that_is_gone_is_named(folder, browser):
    with (
        paper.served(folder) as site,
        pytest.raises(RuntimeError, match="^book/none was not printed: "),
    ):
        paper.print_page(
            browser, site.replace("http:", "no:"), "", "book/none", []
        )


def test_a_page_that_is_not_built_is_named(folder, tmp_path):
    (tmp_path / "toc.yml").write_text("root: book/absent\n", "utf8")
    with pytest.raises(FileNotFoundError, match="book/absent .* make book"):
        paper.make(folder, tmp_path / "a.pdf", tmp_path / "toc.yml")
    assert not (tmp_path / "a.pdf").exists()


def test_without_chromium_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(RuntimeError, match="Chromium"),
        paper.printer(),
    ):
        pass


def test_long_contents_go_on_on_the_next_sheet(book):
    one = Printed("", "a", "A", book)
    sheets = paper.contents_sheets([one] * 100, "http://a/")
    assert len(sheets) == 3
    assert sum(sheet.count('class="line"') for sheet in sheets) == 100


def test_main_says_what_is_missing(tmp_path, capsys):
    assert paper.main(["--folder", str(tmp_path)]) == 1
    assert "book/index is not built: make book" in capsys.readouterr().err
