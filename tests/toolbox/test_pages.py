"""The pages as one archive, and served compressed."""

import gzip
import urllib.request
import zipfile

import pytest

from parallel_ai.toolbox import pages
from parallel_ai.toolbox.pages import (
    archive,
    main,
    page_names,
    served,
)

FILES = {
    "index.html": "<p>",
    "book/a.html": "<p>words " * 100,
    "book/b.html": "<b>",
    "search.html": "<i>",
    "_static/slim.css": "p{}",
    "_static/slim.css.map": "{}",
    "_static/vendor/font.woff2": "f",
    "_static/scripts/fontawesome.js": "f",
    "_images/a.webp": "picture",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "html" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")
    return tmp_path / "html"


def test_archive_has_what_readers_need_and_is_always_the_same(folder):
    first = folder.parent / "book-1.0.zip"
    second = folder.parent / "again" / first.name
    second.parent.mkdir()
    assert archive(folder, first) == 6
    (folder / "search.html").touch()
    archive(folder, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as pack:
        names = pack.namelist()
        assert pack.read("book-1.0/search.html") == b"<i>"
    assert names == sorted(names)
    assert "book-1.0/_static/slim.css" in names
    assert not any("vendor" in n or n.endswith((".map", ".js")) for n in names)


def test_archive_of_nothing_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make book"):
        archive(tmp_path, tmp_path / "a.zip")


def ask(address: str, **headers: str):
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers, answer.read()


@pytest.mark.parametrize("packed", [True, False])
def test_server_compresses_texts_where_it_may(folder, packed):
    name = "book/a.html"
    with served(folder, packed) as site:
        head, body = ask(site + name, **{"Accept-Encoding": "gzip, br"})
        assert (head["Content-Encoding"] == "gzip") == packed
        assert len(body) == int(head["Content-Length"])
        text = gzip.decompress(body) if packed else body
        assert text.decode() == FILES[name]
        head, body = ask(site + name)
        assert head["Content-Encoding"] is None
        assert body.decode() == FILES[name]
        head, _ = ask(f"{site}_images/a.webp", **{"Accept-Encoding": "gzip"})
        assert head["Content-Encoding"] is None
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(f"{site}absent.html")


def test_pages_are_those_that_readers_see(folder):
    (folder / "attached").mkdir()
    (folder / "attached" / "report.html").write_text("of another program")
    names = page_names(folder)
    assert names == ["book/a.html", "book/b.html", "search.html"]
    assert page_names(folder, ["search", "/b"]) == names[1:]


def test_main_packs(folder, capsys):
    assert main(["archive", "--folder", str(folder)]) == 0
    assert "6 files" in capsys.readouterr().out
    assert (folder.parent / f"{pages.TITLE}.zip").is_file()


def test_the_archive_is_named_with_the_version_of_its_pages(folder, capsys):
    head = "# Sphinx inventory version 2\n# Project: a\n# Version: 1.2.3\n"
    (folder / "objects.inv").write_bytes(head.encode() + bytes(range(256)))
    assert main(["archive", "--folder", str(folder)]) == 0
    path = folder.parent / f"{pages.TITLE}-1.2.3.zip"
    assert str(path) in capsys.readouterr().out
    with zipfile.ZipFile(path) as pack:
        tops = {name.partition("/")[0] for name in pack.namelist()}
    assert tops == {path.stem}
