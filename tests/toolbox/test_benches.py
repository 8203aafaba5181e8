"""Comparisons: found without an import, run side by side, kept as a record."""

import json

import pytest

from parallel_ai.toolbox import records
from parallel_ai.toolbox.benches import as_json, main, ratio, table
from parallel_ai.toolbox.stopwatch import Timing

SLOW = Timing((4.0, 4.0, 4.0))
FAST = Timing((1.0, 2.0, 4.0))
MODULE = """
from parallel_ai.toolbox.stopwatch import Timing

def counting():
    return {"naive": Timing((2.0,)), "ours": Timing((1.0,)), "limit": 0.5}

def broken():
    raise RuntimeError("no compiler")

COMPARISONS = {"counting words": counting, "a broken one": broken}
"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A package with two comparisons, one of which fails."""
    package = tmp_path / "pretend_book"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "chapter.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = records.declared("COMPARISONS", package)
    assert set(found.values()) == {"pretend_book.chapter"}
    monkeypatch.setattr(records, "declared", lambda _: found)


def test_ratio_is_how_many_times_as_fast():
    times, least, most = ratio(SLOW, FAST)
    assert times == 2
    assert (least, most) == (4 / 3, 4 / 1.5)
    assert ratio(FAST, 1.0) == (2, 1.5, 3)


def test_the_reference_is_one_in_the_table():
    lines = table({"naive": SLOW, "limit: memory": 0.5}).splitlines()
    assert [line.split()[0] for line in lines] == ["naive", "limit:"]
    assert "1.00 ×" in lines[0]
    assert "8.00 ×" in lines[1]


def test_json_tells_limits_from_measurements():
    ways = as_json({"ours": FAST, "limit": 0.5})
    assert ways == [
        {"name": "ours", "seconds": [1.0, 2.0, 4.0], "limit": False},
        {"name": "limit", "seconds": [0.5], "limit": True},
    ]
    json.dumps(ways)


def test_one_that_fails_is_named_and_the_others_are_kept(
    chapter, capsys, tmp_path
):
    assert main(["--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "a broken one: RuntimeError: no compiler" in said
    [record] = records.read("bench", tmp_path)
    assert set(record.data) == {"counting words"}


def test_words_choose(chapter, capsys):
    assert main(["counting"]) == 0
    said = capsys.readouterr().out
    assert "counting words" in said
    assert "broken" not in said


def test_a_word_that_fits_nothing_lists_what_there_is(chapter, capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "counting words" in capsys.readouterr().err


def test_every_declared_comparison_is_a_function_of_its_module():
    import importlib

    for title, name in records.declared("COMPARISONS").items():
        module = importlib.import_module(name)
        assert callable(module.COMPARISONS[title])
