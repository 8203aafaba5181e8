"""The whole book on paper: every built page, printed into one PDF.

On the command line::

    python -m parallel_ai.toolbox.paper      # or: make pdf

Chromium prints each page as a reader would, with its folds open, and
`binding` joins them, behind the sheets that it writes: title, contents and numbers.
Each page has a tab of its own, whose memory is given back when it is printed,
and a line on the terminal.
"""

import argparse
import posixpath
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from html import unescape
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import yaml
from playwright.sync_api import Browser, Error, Page, sync_playwright

from parallel_ai.toolbox.binding import (
    PdfReader,
    Printed,
    bound,
    contents_sheets,
    number_sheets,
    title_sheet,
)
from parallel_ai.toolbox.files import whole
from parallel_ai.toolbox.pages import BROWSERS, FOLDER, TITLE, served

CONTENTS = Path("_toc.yml")
CITATION = Path("CITATION.cff")
COVER = "_images/cover.svg"
SECONDS = 120  # for one page
SCALE = 0.8  # with which a listing's 79 columns fit on a line
# In a book the contents of a chapter stand in front, and how to cite it too.
ONCE = """#jb-print-toc, .cite { display: none !important; }
    .bd-main .bd-content { margin-left: 0 !important; }"""
# A browser fetches pictures when they come into sight; paper needs all.
PICTURES = """async () => {
    const all = [...document.images];
    for (const one of all) one.loading = 'eager';
    await Promise.allSettled(all.map((one) => one.decode()));
    return all.filter((one) => !one.naturalWidth).map((one) => one.src);
}"""
# It notes the place of an anchor only if the same page has a link to it.
ANCHORS = """(names) => {
    const box = document.createElement('p');
    box.hidden = true;
    for (const name of names)
        box.append(Object.assign(document.createElement('a'), {
            href: `#${name}` }));
    document.body.append(box);
}"""
LINK = re.compile(r'href="([^":#]*)\.html#([^"]+)"')
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage")  # small in a container
STYLE = """
    @page { size: A4; margin: 0; }
    body { margin: 0; font: 11pt/1.5 system-ui, "DejaVu Sans", sans-serif; }
    .sheet { box-sizing: border-box; position: relative; height: 296mm;
        padding: 30mm 24mm; break-after: page; overflow: hidden; }
    .sheet:last-child { break-after: auto; }
    .number { position: absolute; left: 16mm; right: 16mm; bottom: 7mm;
        display: flex; justify-content: space-between;
        font-size: 8.5pt; color: #555; }
    h1 { margin: 45mm 0 0; font-size: 30pt; line-height: 1.2; }
    .subtitle { font-size: 16pt; color: #555; }
    img { width: 100%; margin: 15mm 0; }
    h2 { margin: 0 0 6mm; font-size: 18pt; }
    .line { display: flex; justify-content: space-between;
        color: inherit; text-decoration: none; }
    .part { margin-top: 3mm; font-weight: 700; }
    .line:not(.part) { padding-left: 6mm; }
"""


def order(contents: Path) -> Iterator[tuple[str, str]]:
    """Yield part and name of each page, as the table of contents has them.

    The first page belongs to no part.
    """
    found = yaml.safe_load(contents.read_text(encoding="utf8"))
    yield "", found["root"]
    for part in found.get("parts", []):
        for chapter in part["chapters"]:
            yield part["caption"], chapter["file"]


def anchors(folder: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """Find to which places of each page the other pages have links."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for name in found:
        text = (folder / f"{name}.html").read_text(encoding="utf8")
        for target, anchor in LINK.findall(text):
            path = posixpath.join(posixpath.dirname(name), target)
            page = found.get(posixpath.normpath(path))
            if page is not None:
                page.add(unquote(unescape(anchor)))
    return found


# ------------------------------------------------------------------ printing


@contextmanager
def printer() -> Iterator[Browser]:
    """Open a Chromium in which pages are printed.

    Raises
    ------
    RuntimeError
        If there is no Chromium.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise RuntimeError("make pdf needs Chromium: it is not installed here")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=[*FLAGS]
        )
        yield opened
        opened.close()


def pdf_of(tab: Page, scale: float = 1) -> PdfReader:
    """Print what a tab shows."""
    made = tab.pdf(
        format="A4",
        prefer_css_page_size=True,
        print_background=True,
        outline=True,
        tagged=True,
        scale=scale,
    )
    return PdfReader(BytesIO(made))


def print_page(
    browser: Browser, site: str, part: str, name: str, places: Iterable[str]
) -> Printed:
    """Print one page of the book.

    Parameters
    ----------
    browser : Browser
        Where the page is opened, in a tab of its own.
    site : str
        Address of the book.
    part, name : str
        Which page it is.
    places : iterable of str
        Anchors to which other pages lead.

    Raises
    ------
    RuntimeError
        If a picture is not there, or the browser fails; it names the page.
    """
    try:
        with closing(browser.new_page()) as tab:
            tab.set_default_timeout(1000 * SECONDS)
            tab.goto(f"{site}{name}.html", wait_until="networkidle")
            tab.add_style_tag(content=ONCE)
            if missing := tab.evaluate(PICTURES):
                raise RuntimeError(f"{name}: no picture {', '.join(missing)}")
            tab.evaluate(ANCHORS, sorted(places))
            title = tab.locator("article h1").first.evaluate(
                """(h1) => [...h1.childNodes]
                    .filter((one) => !one.matches?.('.headerlink'))
                    .map((one) => one.textContent).join('').trim()"""
            )
            return Printed(part, name, title, pdf_of(tab, SCALE))
    except Error as error:
        raise RuntimeError(f"{name} was not printed: {error}") from error


def print_all(
    browser: Browser, site: str, folder: Path, wanted: list[tuple[str, str]]
) -> list[Printed]:
    """Print pages, and say of each that it is done."""
    places = anchors(folder, [name for _, name in wanted])
    printed = []
    for number, (part, name) in enumerate(wanted, 1):
        start = time.perf_counter()
        one = print_page(browser, site, part, name, places[name])
        printed.append(one)
        seconds = time.perf_counter() - start
        label = f"[{number}/{len(wanted)}] {name}"
        print(f"{label}: {one.sheets} sheets, {seconds:.1f} s", flush=True)
    return printed


def made_of(browser: Browser, sheets: Iterable[str]) -> PdfReader:
    """Print sheets that are written here, one on each sheet of paper."""
    body = "".join(f'<div class="sheet">{sheet}</div>' for sheet in sheets)
    with closing(browser.new_page()) as tab:
        tab.set_default_timeout(1000 * SECONDS)
        tab.set_content(
            f'<html lang="en"><style>{STYLE}</style>{body}</html>',
            wait_until="load",
        )
        return pdf_of(tab)


# ----------------------------------------------------------------- the book


def make(
    folder: Path,
    path: Path,
    contents: Path = CONTENTS,
    citation: Path = CITATION,
) -> int:
    """Print all built pages into one PDF.

    Parameters
    ----------
    folder : Path
        The built pages.
    path : Path
        The PDF, which appears whole or not at all.
    contents, citation : Path
        Table of contents, and who wrote the book.

    Returns
    -------
    int
        How many sheets it has.

    Raises
    ------
    FileNotFoundError
        If a page of the table of contents is not built.
    RuntimeError
        If a page cannot be printed whole.
    """
    wanted = list(order(contents))
    for _, name in wanted:
        if not (folder / f"{name}.html").exists():
            raise FileNotFoundError(f"{name} is not built: make book")
    said = yaml.safe_load(citation.read_text(encoding="utf8"))
    with served(folder) as site, printer() as browser:
        printed = print_all(browser, site, folder, wanted)
        picture = f"{site}{COVER}" if (folder / COVER).exists() else ""
        contents_of = contents_sheets(printed, site)
        front = made_of(browser, [title_sheet(said, picture), *contents_of])
        numbers = made_of(browser, number_sheets(printed))
    print(f"Binding {len(numbers.pages)} sheets …", flush=True)
    writer = bound(printed, front, numbers, site)
    writer.add_metadata({"/Title": said["title"], "/Creator": "Chromium"})
    with whole(path) as draft:
        writer.write(draft)
    return len(writer.pages)


def main(arguments: list[str] | None = None) -> int:
    """Print the book."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.paper", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    wanted = parser.parse_args(arguments)
    path = wanted.folder.parent / f"{TITLE}.pdf"
    try:
        count = make(wanted.folder, path)
    except (FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{path}: {count} sheets, {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
