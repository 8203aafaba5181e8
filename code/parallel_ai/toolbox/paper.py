"""The whole book on paper: every built page, printed into one PDF.

On the command line::

    python -m parallel_ai.toolbox.paper      # or: make pdf

Chromium prints each page as a reader would, with its folds open, and
`binding` joins them, behind a title page and contents that are written here.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page, sync_playwright

from parallel_ai.toolbox.binding import PdfReader, Printed, bound
from parallel_ai.toolbox.pages import BROWSERS, FOLDER, TITLE, served

CONTENTS = Path("_toc.yml")
CITATION = Path("CITATION.cff")
COVER = "_images/cover.svg"
SECONDS = 120  # for one page
LINES = 36  # of the contents, on a sheet
SCALE = 0.8  # with which a listing's 79 columns fit on a line
# In a book the contents of a chapter stand in front, and how to cite it too.
ONCE = """#jb-print-toc, .cite { display: none !important; }
    .bd-main .bd-content { margin-left: 0 !important; }"""
# A browser fetches pictures when they come into sight; paper needs all.
PICTURES = """() => Promise.all([...document.images].map((one) => {
    one.loading = 'eager';
    return one.decode();
}))"""
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
    .line { display: flex; justify-content: space-between; }
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


# ------------------------------------------------------------------ printing


@contextmanager
def printer() -> Iterator[Page]:
    """Open a tab of Chromium in which pages are printed.

    Raises
    ------
    RuntimeError
        If there is no Chromium.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RuntimeError("make pdf needs Chromium: it is not installed here")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"]
        )
        tab = opened.new_page()
        tab.set_default_timeout(1000 * SECONDS)
        yield tab
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


def print_page(tab: Page, site: str, part: str, name: str) -> Printed:
    """Print one page of the book."""
    tab.goto(f"{site}{name}.html", wait_until="networkidle")
    tab.add_style_tag(content=ONCE)
    tab.evaluate(PICTURES)
    title = tab.locator("article h1").first.evaluate(
        """(h1) => [...h1.childNodes]
            .filter((one) => !one.matches?.('.headerlink'))
            .map((one) => one.textContent).join('').trim()"""
    )
    return Printed(part, name, title, pdf_of(tab, SCALE))


def made_of(tab: Page, sheets: Iterable[str]) -> PdfReader:
    """Print sheets that are written here, one on each sheet of paper."""
    body = "".join(f'<div class="sheet">{sheet}</div>' for sheet in sheets)
    tab.set_content(
        f'<html lang="en"><style>{STYLE}</style>{body}</html>',
        wait_until="load",
    )
    return pdf_of(tab)


# ------------------------------------------------------ what is written here


def title_sheet(citation: Mapping[str, Any], picture: str) -> str:
    """Write the first sheet: who wrote what, when, under which licences."""
    title, _, subtitle = citation["title"].partition(": ")
    who = ", ".join(
        one.get("name") or f"{one['given-names']} {one['family-names']}"
        for one in citation["authors"]
    )
    said = [
        f"Version {citation['version']}, {citation['date-released']}",
        " · ".join(citation["license"]),
    ]
    below = "".join(f"<p>{escape(line)}</p>" for line in (who, *said))
    drawn = f'<img src="{escape(picture)}" alt="">' if picture else ""
    return (
        f'<h1>{escape(title)}</h1><p class="subtitle">{escape(subtitle)}</p>'
        f"{drawn}{below}"
    )


def contents_sheets(printed: Iterable[Printed]) -> list[str]:
    """Write the contents: each part and page, with the number of its sheet."""
    lines, at, part = [], 1, ""
    for one in printed:
        if one.part != part:
            part = one.part
            lines.append(f'<div class="line part">{escape(part)}</div>')
        lines.append(
            f'<div class="line"><span>{escape(one.title)}</span>'
            f"<span>{at}</span></div>"
        )
        at += one.sheets
    parts = [lines[n : n + LINES] for n in range(0, len(lines), LINES)]
    return [f"<h2>Contents</h2>{''.join(part)}" for part in parts]


def number_sheets(printed: Iterable[Printed]) -> Iterator[str]:
    """Write what goes to the foot of each sheet: title and number."""
    titles = [one.title for one in printed for _ in range(one.sheets)]
    for number, title in enumerate(titles, 1):
        yield (
            f'<div class="number"><span>{escape(title)}</span>'
            f"<span>{number}</span></div>"
        )


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
    """
    wanted = list(order(contents))
    for _, name in wanted:
        if not (folder / f"{name}.html").exists():
            raise FileNotFoundError(f"{name} is not built: make book")
    said = yaml.safe_load(citation.read_text(encoding="utf8"))
    with served(folder) as site, printer() as tab:
        printed = [print_page(tab, site, *page) for page in wanted]
        picture = f"{site}{COVER}" if (folder / COVER).exists() else ""
        sheets = [title_sheet(said, picture), *contents_sheets(printed)]
        front = made_of(tab, sheets)
        numbers = made_of(tab, number_sheets(printed))
        writer = bound(printed, front, numbers, site)
    writer.add_metadata({"/Title": said["title"], "/Creator": "Chromium"})
    part = path.with_suffix(".part")
    writer.write(part)
    os.replace(part, path)
    return len(writer.pages)


def main(arguments: list[str] | None = None) -> int:
    """Print the book."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.paper", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    wanted = parser.parse_args(arguments)
    path = wanted.folder.parent / f"{TITLE}.pdf"
    count = make(wanted.folder, path)
    print(f"{path}: {count} sheets, {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
