"""What Lighthouse and axe say of pages, as a table."""

import json
import shutil
import stat
import sys

import pytest

from parallel_ai.toolbox.marks import main, shortcomings, summary
from parallel_ai.toolbox.pages import BROWSERS

REPORT = {
    "categories": {
        "performance": {"score": 0.99},
        "seo": {
            "score": 0.5,
            "auditRefs": [
                {"id": "described", "weight": 1},
                {"id": "titled", "weight": 1},
                {"id": "not-for-this-page", "weight": 1},
                {"id": "hint", "weight": 0},
            ],
        },
    },
    "audits": {
        "described": {"title": "No description", "score": 0},
        "titled": {"title": "A title", "score": 1},
        "not-for-this-page": {"title": "?", "score": None},
        "hint": {"title": "A hint", "score": 0},
        "largest-contentful-paint": {"numericValue": 1234.0},
        "total-blocking-time": {"numericValue": 5.0},
        "cumulative-layout-shift": {"numericValue": 0.25},
        "network-requests": {
            "details": {"items": [{"transferSize": 1024}, {"url": "data:"}]}
        },
    },
}
NPX = """#!{python}
import json, os, sys
open({log!r}, "a").write(" ".join(sys.argv[1:]) + os.environ["CHROME_PATH"])
print({answer!r})
"""
FRAME = """<!doctype html><html lang="en" data-theme="light"><title>A</title>
<script>const dark = matchMedia("(prefers-color-scheme: dark)");
dark.onchange = () => document.documentElement.dataset.theme =
  dark.matches ? "dark" : "light";</script>
<style>html[data-theme=dark] p { color: #777; background: #666 }</style>
<main><h1>A</h1><p>Words.</p>%s</main>"""


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        path = tmp_path / "html/book" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<p>words", encoding="utf8")
    return tmp_path / "html"


def test_a_report_in_short():
    assert summary(REPORT) == {
        "performance": 99,
        "seo": 50,
        "paint": 1.234,
        "blocked": 5,
        "shift": 0.25,
        "KiB": 1,
    }
    assert shortcomings(REPORT) == ["No description"]


def install(folder, monkeypatch, answer: str) -> None:
    """Put programs in the way that only note what they are asked."""
    programs = folder.parent / "bin"
    programs.mkdir()
    log = str(folder.parent / "asked")
    for name in ("npx", "chromium"):
        path = programs / name
        path.write_text(
            NPX.format(python=sys.executable, log=log, answer=answer)
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs))


def test_lighthouse_judges_each_page(folder, monkeypatch, capsys):
    install(folder, monkeypatch, json.dumps(REPORT))
    assert main(["lighthouse", "book/", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "book/a.html" in said
    assert "1.23 s" in said
    assert "    No description" in said
    assert "2 pages, median 1 KiB, largest 1 KiB" in said
    asked = (folder.parent / "asked").read_text()
    assert "book/b.html --quiet --output=json" in asked
    assert asked.endswith("chromium")
    found = json.loads((folder.parent / "lighthouse.json").read_text())
    assert set(found) == {"book/a.html", "book/b.html"}


def test_lighthouse_without_a_report_says_so(folder, monkeypatch):
    install(folder, monkeypatch, "no")
    with pytest.raises(RuntimeError, match="no report on http"):
        main(["lighthouse", "--plain", "a.html", "--folder", str(folder)])


@pytest.mark.parametrize("there", [[], ["npx"], ["chromium"]])
def test_lighthouse_says_what_it_lacks(folder, monkeypatch, capsys, there):
    install(folder, monkeypatch, "")
    for name in {"npx", "chromium"} - set(there):
        (folder.parent / "bin" / name).unlink()
    assert main(["lighthouse", "--folder", str(folder)]) == 0
    lacks = "Chromium" if "npx" in there else "npx"
    assert f"Lighthouse needs {lacks}" in capsys.readouterr().out


def test_axe_looks_at_each_page_at_all_widths_by_day_and_by_night(
    folder, capsys
):
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium is installed")
    for name, more in (("a", ""), ("b", "<img src='data:,'>")):
        path = folder / "book" / f"{name}.html"
        path.write_text(FRAME % more, encoding="utf8")
    assert main(["axe", "--folder", str(folder)]) == 1
    found = json.loads((folder.parent / "axe.json").read_text("utf8"))
    assert set(found) == {"book/a.html", "book/b.html"}
    for view, said in found["book/a.html"].items():
        rules = [one.partition(":")[0] for one in said]
        assert rules == ["color-contrast"] * view.endswith("dark")
    assert len(found["book/b.html"]) == 6
    for said in found["book/b.html"].values():
        assert 'image-alt: <img src="data:,">' in said
    said = capsys.readouterr().out.splitlines()
    views = [f"{w} {t}" for w in (390, 768, 1280) for t in ("light", "dark")]
    assert " ".join(said[0].split()) == " ".join(["page", *views])
    assert said[1].split() == ["book/a.html", *"010101"]


def test_axe_has_nothing_to_say_of_a_good_page(folder):
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium is installed")
    text = FRAME.replace("#777", "#fff") % ""
    (folder / "book/a.html").write_text(text, encoding="utf8")
    assert main(["axe", "a.html", "--folder", str(folder)]) == 0
