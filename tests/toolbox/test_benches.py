"""Comparisons: found without an import, run side by side, kept as a record."""

import importlib
import json
import os
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox import records
from parallel_ai.toolbox.benches import (
    as_json,
    changed,
    from_json,
    main,
    ratio,
    ratios,
    share_of_limit,
    table,
    written,
)
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


@pytest.mark.parametrize(
    ("times", "said"),
    [(1, "1.00"), (0.1, "0.10"), (0.00123, "0.0012"), (1234.5, "1,234")],
)
def test_a_small_ratio_keeps_its_digits(times, said):
    assert written(times) == said


def test_json_tells_limits_from_measurements():
    found = as_json({"ours": FAST, "limit": 0.5}, "pretend.chapter")
    assert found["module"] == "pretend.chapter"
    assert found["ways"] == [
        {"name": "ours", "seconds": [1.0, 2.0, 4.0], "limit": False},
        {"name": "limit", "seconds": [0.5], "limit": True},
    ]
    json.dumps(found)


times = st.floats(1e-9, 1e3)
ways = st.dictionaries(
    st.text(min_size=1),
    st.lists(times, min_size=1).map(lambda s: Timing(tuple(s))) | times,
    min_size=1,
)


@given(results=st.dictionaries(st.text(), ways))
def test_what_was_written_is_read(results):
    written = {title: as_json(w, "m") for title, w in results.items()}
    assert from_json(json.loads(json.dumps(written))) == results


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"a": 1},
        {"a": {"ways": [{"name": "x"}]}},
        {"a": {"ways": [{"name": "x", "seconds": [], "limit": True}]}},
        {"a": {"ways": [{"name": "x", "seconds": ["?"], "limit": False}]}},
        {"a": {"ways": []}},
        {"a": {"ways": [{"name": "x", "seconds": [], "limit": False}]}},
        {"a": {"ways": [{"name": "x", "seconds": [0], "limit": True}]}},
        {"a": {"ways": [{"name": "x", "seconds": [10**400], "limit": 1}]}},
    ],
)
def test_a_record_of_something_else_is_said(wrong):
    with pytest.raises(records.RecordError, match="make bench"):
        from_json(wrong)


def test_lost_is_what_is_slower_beyond_the_spread():
    results = {
        "sums": {
            "naive": Timing((2.0, 2.0, 2.0)),
            "as fast": Timing((1.9, 2.0, 2.2)),
            "slower": Timing((4.0, 4.0, 5.0)),
            "limit": 8.0,
        }
    }
    assert {r.name: r.lost for r in ratios(results)} == {
        "as fast": False,
        "slower": True,
        "limit": False,
    }


def test_share_is_of_the_limit_that_binds():
    ways = {"naive": SLOW, "ours": FAST, "compute": 0.5, "memory": 1.0}
    assert share_of_limit(ways) == 0.5
    assert share_of_limit({"naive": SLOW}) is None
    assert share_of_limit({"limit": 1.0}) is None


def test_what_changed_is_beyond_both_spreads():
    def results(seconds):
        return {"sums": {"naive": SLOW, "ours": Timing(seconds)}}

    old = results((1.0, 1.1, 1.2))
    assert changed(old, old) == []
    assert changed(old, results((1.0, 1.2, 1.4))) == []
    [(was, now)] = changed(old, results((2.0, 2.0, 2.0)))
    assert (round(was.times, 2), now.times) == (3.64, 2)
    slower = {"sums": {"naive": Timing((8.0,)), "ours": Timing((2.2,))}}
    assert changed(old, slower) == []  # all ways took twice as long


def test_two_records_are_compared_on_the_terminal(capsys, tmp_path):
    kept = {"a": as_json({"naive": SLOW, "ours": FAST, "bound": 0.5}, "m")}
    gone = {"b": as_json({"naive": SLOW}, "m")}
    faster = {"a": as_json({"naive": SLOW, "ours": FAST, "bound": 0.25}, "m")}
    paths = [
        records.write("bench", data, "c", tmp_path / name)
        for name, data in (("old", kept | gone), ("new", faster))
    ]
    assert main(["--compare", *map(str, paths)]) == 0
    said = capsys.readouterr().out
    assert "faster  a: bound" in said
    assert "8.00 × (8.00–8.00) before, 16.00 ×" in said
    assert "gone    b" in said
    assert "1 of 2 ratios changed" in said


def test_a_file_that_is_no_record_is_an_error_of_use(capsys, tmp_path):
    path = tmp_path / "old.json"
    with pytest.raises(SystemExit):
        main(["--compare", str(path), str(path)])
    assert "old.json" in capsys.readouterr().err


def test_one_that_fails_is_named_and_the_others_are_kept(
    chapter, capsys, tmp_path
):
    assert main(["--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "a broken one: RuntimeError: no compiler" in said
    [record] = records.read("bench", tmp_path)
    assert set(record.data) == {"counting words"}


def test_a_record_keeps_what_is_not_measured_again(chapter, capsys, tmp_path):
    folder = tmp_path / "bench"
    main(["counting", "--folder", str(folder)])
    [path] = folder.iterdir()
    record = json.loads(path.read_text())
    del record["sha256"]
    old = record["data"]["counting words"] | {"date": "2000-01-01"}
    record["data"] = {"a broken one": old, "gone": old}
    path.write_text(json.dumps(record))
    main(["counting", "--folder", str(folder)])
    [after] = records.read("bench", folder)
    assert list(after.data) == ["a broken one", "counting words"]
    assert after.data["a broken one"] == old
    assert after.data["counting words"]["date"] == after.date
    record["hardware"]["cpu"] = "another"
    path.write_text(json.dumps(record))
    main(["counting", "--folder", str(folder)])
    assert "a broken one" not in json.loads(path.read_text())["data"]
    path.write_text("{")
    with pytest.raises(SystemExit):
        main(["counting", "--folder", str(folder)])
    assert f"{path}: not JSON" in capsys.readouterr().err


def test_what_has_no_date_of_its_own_has_that_of_its_record(chapter, tmp_path):
    folder = tmp_path / "bench"
    main(["counting", "--folder", str(folder)])
    [path] = folder.iterdir()
    record = json.loads(path.read_text())
    del record["sha256"]
    one = record["data"].pop("counting words")
    del one["date"], one["commit"]
    record |= {"date": "2000-01-01", "commit": "an-old-one"}
    record["data"]["a broken one"] = one
    path.write_text(json.dumps(record))
    main(["counting", "--folder", str(folder)])
    [after] = records.read("bench", folder)
    kept = after.data["a broken one"]
    assert (kept["date"], kept["commit"]) == ("2000-01-01", "an-old-one")
    assert after.date != "2000-01-01"


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
    with mock.patch.dict(os.environ):  # Ray and PyTorch set some
        for title, name in records.declared("COMPARISONS").items():
            module = importlib.import_module(name)
            assert callable(module.COMPARISONS[title])
