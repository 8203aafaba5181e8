"""Printed pages bound into a book: numbers, bookmarks, links that lead inside.

Each page of the book comes as a PDF of its own, as Chromium prints it. pypdf
joins them. What no page can know by itself is added here: on which sheet of
the whole book something stands, and the sheets that say so.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import unquote

try:
    from pypdf import PdfReader, PdfWriter
    from pypdf.constants import PageLabelStyle
    from pypdf.generic import (
        ArrayObject,
        DictionaryObject,
        NameObject,
        NullObject,
        TextStringObject,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "make pdf needs pypdf: pip install -r requirements.txt"
    ) from error

LINES = 36  # of the contents, on a sheet


@dataclass(frozen=True)
class Printed:
    """A page of the book, printed."""

    part: str
    name: str
    title: str
    pdf: PdfReader

    @property
    def sheets(self) -> int:
        """How many sheets of paper it fills."""
        return len(self.pdf.pages)


# ---------------------------------------------------- sheets that are written


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


def contents_sheets(printed: Iterable[Printed], site: str) -> list[str]:
    """Write the contents: each part and page, with the number of its sheet."""
    lines, at, part = [], 1, ""
    for one in printed:
        if one.part != part:
            part = one.part
            lines.append(f'<div class="line part">{escape(part)}</div>')
        lines.append(
            f'<a class="line" href="{site}{one.name}.html">'
            f"<span>{escape(one.title)}</span><span>{at}</span></a>"
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


# ------------------------------------------------------------------- binding


def sections(pdf: PdfReader) -> Iterator[tuple[str, int]]:
    """Yield heading and sheet of each section, below the page's own title."""
    for below in pdf.outline:
        if isinstance(below, list):
            for one in below:
                if not isinstance(one, list):
                    at = pdf.get_destination_page_number(one)
                    yield str(one.title), at or 0


def add_bookmarks(
    writer: PdfWriter, printed: Iterable[Printed], at: int
) -> None:
    """Add a bookmark for each part, page and section, from sheet `at` on."""
    above, part = None, ""
    for one in printed:
        if one.part != part:
            part = one.part
            above = writer.add_outline_item(
                title=part, page_number=at, is_open=False
            )
        item = writer.add_outline_item(
            title=one.title, page_number=at, parent=above, is_open=False
        )
        for title, number in sections(one.pdf):
            writer.add_outline_item(
                title=title, page_number=at + number, parent=item
            )
        at += one.sheets


def links(pdf: PdfReader | PdfWriter) -> Iterator[DictionaryObject]:
    """Yield every link of a PDF."""
    for page in pdf.pages:
        for reference in page.get("/Annots", ()):
            note = reference.get_object()
            if note.get("/Subtype") == "/Link":
                yield note


def as_addresses(one: Printed, site: str) -> None:
    """Write links within a page as those to other pages are written.

    Two pages may have an anchor of the same name.
    """
    for link in links(one.pdf):
        if isinstance(name := link.get("/Dest"), str):
            del link["/Dest"]
            address = f"{site}{one.name}.html#{name.removeprefix('/')}"
            link[NameObject("/A")] = DictionaryObject(
                {
                    NameObject("/S"): NameObject("/URI"),
                    NameObject("/URI"): TextStringObject(address),
                }
            )


def lead_inside(
    writer: PdfWriter, printed: Iterable[Printed], at: int, site: str
) -> None:
    """Let links to pages of the book lead to their sheets, from `at` on.

    A link to an anchor that its page did not print leads to the page's
    beginning; one to a file that is no page leads nowhere.
    """
    places: dict[str, tuple[int, Any]] = {}
    for one in printed:
        places[f"{one.name}.html"] = at, NullObject()
        for name, there in one.pdf.named_destinations.items():
            number = one.pdf.get_destination_page_number(there) or 0
            address = f"{one.name}.html#{unquote(name.removeprefix('/'))}"
            places[address] = at + number, there.top or NullObject()
        at += one.sheets
    for link in links(writer):
        address = str(link.get("/A", {}).get("/URI", ""))
        if address.startswith(site):
            name = unquote(address.removeprefix(site))
            page, _, _ = name.partition("#")
            del link["/A"]
            if found := places.get(name) or places.get(page):
                number, top = found
                to = writer.pages[number].indirect_reference
                where = [
                    to,
                    NameObject("/XYZ"),
                    NullObject(),
                    top,
                    NullObject(),
                ]
                link[NameObject("/Dest")] = ArrayObject(where)


def bound(
    printed: list[Printed], front: PdfReader, numbers: PdfReader, site: str
) -> PdfWriter:
    """Join the printed pages into a book.

    Parameters
    ----------
    printed : list of Printed
        In the order of the book.
    front : PdfReader
        What comes before them, numbered i, ii, iii.
    numbers : PdfReader
        What goes to the foot of each of their sheets.
    site : str
        Address from which they were printed.
    """
    writer = PdfWriter()
    writer.append(front, import_outline=False)
    first = len(writer.pages)
    for one in printed:
        as_addresses(one, site)
        writer.append(one.pdf, import_outline=False)
    for page, foot in zip(writer.pages[first:], numbers.pages, strict=True):
        page.merge_page(foot)
        page.compress_content_streams()  # merged, they are plain text
    lead_inside(writer, printed, first, site)
    add_bookmarks(writer, printed, first)
    roman, decimal = PageLabelStyle.LOWERCASE_ROMAN, PageLabelStyle.DECIMAL
    writer.set_page_label(0, first - 1, style=roman)
    writer.set_page_label(first, len(writer.pages) - 1, style=decimal)
    writer.page_mode = "/UseOutlines"
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    writer.compress_identical_objects()  # each page brought its own fonts
    return writer
