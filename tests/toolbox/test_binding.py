"""A book bound of blank sheets: what leads where, and how it is numbered."""

from io import BytesIO

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NullObject,
    TextStringObject,
)

from parallel_ai.toolbox.binding import Printed, bound, links, sections

SITE = "http://127.0.0.1:1/"
WHOLE = (0, 0, 9, 9)


def page(sheets: int, *targets: str, anchors: dict[str, int]) -> PdfReader:
    """Print blank sheets whose first one has links; anchors lie on others."""
    writer = PdfWriter()
    for _ in range(sheets):
        writer.add_blank_page(100, 200)
    top = writer.add_outline_item(title="Title", page_number=0)
    for name, number in anchors.items():
        section = writer.add_outline_item(
            title=f"Section {name}", page_number=number, parent=top
        )
        writer.add_outline_item(
            title="Deeper", page_number=number, parent=section
        )
    known = {
        NameObject(f"/{name}"): ArrayObject(
            [
                writer.pages[number].indirect_reference,
                NameObject("/XYZ"),
                NullObject(),
                FloatObject(150),
                NullObject(),
            ]
        )
        for name, number in anchors.items()
    }
    writer.root_object[NameObject("/Dests")] = DictionaryObject(known)
    for target in targets:
        link = writer.add_annotation(0, Link(rect=WHOLE, url=target))
        if not target.startswith("http"):  # within a page, as Chromium does
            del link["/A"]
            link[NameObject("/Dest")] = NameObject(f"/{target}")
    made = BytesIO()
    writer.write(made)
    return PdfReader(made)


@pytest.fixture
def book() -> PdfReader:
    """Two sheets in front, and two pages with an anchor of one name."""
    printed = [
        Printed("", "index", "Index", page(1, f"{SITE}a/x.html", anchors={})),
        Printed(
            "Part",
            "a/x",
            "X",
            page(
                3,
                "here",
                f"{SITE}a/y.html#here",
                f"{SITE}a/y.html#unknown",
                f"{SITE}notebooks/x.ipynb",
                "https://example.org/",
                anchors={"here": 2},
            ),
        ),
        Printed("Part", "a/y", "Y", page(2, "here", anchors={"here": 1})),
    ]
    front = page(2, anchors={})
    numbers = page(6, anchors={})
    made = BytesIO()
    bound(printed, front, numbers, SITE).write(made)
    return PdfReader(made)


def targets(book: PdfReader) -> list:
    """Sheet and height to which each link leads, or its address."""
    sheets = {
        sheet.indirect_reference.idnum: number
        for number, sheet in enumerate(book.pages)
    }
    found = []
    for link in links(book):
        if "/Dest" in link:
            top = link["/Dest"][3]
            high = None if isinstance(top, NullObject) else float(top)
            number = link["/Dest"][0].idnum
            found.append((sheets[number], high))
        else:
            found.append(link.get("/A", {}).get("/URI"))
    return found


def test_links_lead_to_sheets_of_the_book(book):
    assert targets(book) == [
        (3, None),  # from the first page to the beginning of the second
        (5, 150.0),  # within it
        (7, 150.0),  # to the anchor of the same name in the third
        (6, None),  # where no such anchor was printed: to its beginning
        None,  # a file that is no page
        "https://example.org/",
        (7, 150.0),
    ]


def test_no_address_of_the_printing_server_is_left(book):
    made = BytesIO()
    PdfWriter(clone_from=book).write(made)
    assert SITE.encode() not in made.getvalue()


def outline(book: PdfReader, entries: list, depth: int = 0) -> list[str]:
    found = []
    for entry in entries:
        if isinstance(entry, list):
            found += outline(book, entry, depth + 1)
        else:
            number = book.get_destination_page_number(entry)
            found.append(f"{'  ' * depth}{entry.title} {number}")
    return found


def test_bookmarks_are_parts_pages_and_sections(book):
    assert outline(book, book.outline) == [
        "Index 2",
        "Part 3",
        "  X 3",
        "    Section here 5",
        "  Y 6",
        "    Section here 7",
    ]


def test_sheets_in_front_have_roman_numbers(book):
    assert book.page_labels == ["i", "ii", "1", "2", "3", "4", "5", "6"]


def test_deeper_headings_are_no_sections():
    found = sections(page(2, anchors={"a": 0, "b": 1}))
    assert list(found) == [("Section a", 0), ("Section b", 1)]


def test_each_sheet_has_its_number():
    with pytest.raises(ValueError, match="zip"):
        bound(
            [Printed("", "i", "I", page(2, anchors={}))],
            page(1, anchors={}),
            page(1, anchors={}),
            SITE,
        )


def test_a_title_is_text(book):
    assert book.trailer["/Root"]["/Lang"] == TextStringObject("en")
