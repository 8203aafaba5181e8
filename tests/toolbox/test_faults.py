"""Faults: a few of each kind, for real, and a count that can be trusted."""

import json
import random
from functools import partial

import pytest

from parallel_ai.toolbox import faults, records
from parallel_ai.toolbox.faults import (
    building,
    disks,
    fuzzing,
    running,
    trials,
)

FEW = {
    "build killed at a random moment": 1,
    "disk full during a build": 1,
    "cache file damaged": 1,
    "one bit of a record flipped": 50,
    "record cut off": 20,
    "one bit of a data file flipped": 2,
    "data file cut off": 2,
    "worker killed (process pool)": 1,
    "any file as a record": 30,
    "any JSON as a record": 30,
    "any JSON as comparisons": 30,
    "any file as images": 30,
    "any address, checksum and content": 30,
    "any source of a quiz": 60,
}
# They take too long for a test, or start a cluster; the nearest one is there.
ELSEWHERE = {
    "build interrupted (Ctrl-C)": "extensions/test_fresh.py",
    "files limited in size during a build": "toolbox/test_downloads.py",
    "clock set back a day before an edit": "extensions/test_fresh.py",
    "two builds at once": "extensions/test_fresh.py",
    "worker killed (Dask)": "toolbox/test_cluster.py",
    "rank killed (gloo)": "toolbox/test_ranks.py",
    "port taken": "toolbox/test_cluster.py",
    "any inputs of a figure": "extensions/test_explore.py",
}


def test_every_kind_is_tried_here_or_elsewhere():
    assert running.KINDS.keys() == FEW.keys() | ELSEWHERE.keys()
    tests = trials.builds.ROOT / "tests"
    assert all((tests / name).exists() for name in ELSEWHERE.values())


@pytest.mark.parametrize("kind", FEW)
def test_nothing_is_lost(kind):
    inject, _ = running.KINDS[kind]
    if kind in building.KINDS | disks.KINDS:
        inject = partial(inject, pages=1)
    found = faults.counted(kind, inject, FEW[kind], seed=1)
    if found.skipped:
        pytest.skip(found.skipped)
    assert found.lost == ()
    assert found.injected == FEW[kind]
    assert found.noticed + found.survived >= FEW[kind]


def test_what_is_neither_noticed_nor_survived_is_lost():
    assert faults.outcome("a", True, False).lost == ""
    assert faults.outcome("a", False, True).lost == ""
    assert faults.outcome("a", False, True, ["", "b"]).lost == "a: b"
    silent = faults.outcome("a", False, False)
    assert silent.lost == "a: neither noticed nor survived"


def raised(error):
    raise error


@pytest.mark.parametrize(
    ("call", "noticed", "survived", "lost"),
    [
        (lambda: 1, False, True, ""),
        (lambda: 2, False, False, "neither noticed nor survived"),
        (lambda: raised(ValueError("x.csv: cut")), True, False, ""),
        (lambda: raised(ValueError("cut")), False, False, "said: 'cut'"),
        (lambda: raised(ValueError()), False, False, "said: ''"),
        (lambda: raised(KeyError("x.csv")), False, False, "KeyError"),
    ],
)
def test_a_call_is_right_or_says_what_is_wrong(call, noticed, survived, lost):
    found = faults.asked("f", call, lambda x: x == 1, ValueError, "x.csv")
    assert (found.noticed, found.survived) == (noticed, survived)
    assert lost in found.lost
    assert bool(lost) == bool(found.lost)


@pytest.mark.parametrize("how", ["cut", "flipped", "garbage"])
def test_harm_is_done_and_can_be_repeated(how):
    data = bytes(range(100))
    first, again = (
        faults.harmed(data, how, random.Random(3)) for _ in range(2)
    )
    assert first == again != data
    if how == "flipped":
        bits = [(a ^ b).bit_count() for a, b in zip(first, data, strict=True)]
        assert sum(bits) == 1
    with pytest.raises(ValueError, match="how is 'gently'"):
        faults.harmed(data, "gently", random.Random(3))


def losing(times, seed):
    yield faults.outcome("first", False, True)
    yield faults.outcome("second", False, False)


def missing(times, seed):
    raise faults.UnavailableError("no such disk")
    yield


def broken(times, seed):
    yield faults.outcome("first", True, True)
    raise RuntimeError("the book did not build")


KINDS = {"losing": (losing, 2), "missing": (missing, 1), "broken": (broken, 1)}


def test_the_table_and_the_record_tell_what_was_lost(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(running, "KINDS", KINDS)
    assert running.main(["--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "LOST  second: neither noticed nor survived" in said
    assert "LOST  broken: RuntimeError: the book did not build" in said
    assert "skipped: no such disk" in said
    [record] = records.read("faults", tmp_path)
    rows = {row["kind"]: row for row in record.data["counts"]}
    assert [rows["losing"][n] for n in ("injected", "survived")] == [2, 1]
    assert [len(rows[kind]["lost"]) for kind in KINDS] == [1, 0, 1]
    assert running.main(["missing"]) == 0


def test_a_word_that_fits_nothing_lists_the_kinds(capsys):
    with pytest.raises(SystemExit):
        running.main(["nonsense"])
    assert "cache file damaged" in capsys.readouterr().err


def test_without_a_checkout_builds_are_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(trials.builds, "ROOT", tmp_path)
    found = faults.counted("kill", building.killed, 1)
    assert found.skipped == "there is no checkout of the repository"
    assert found.lost == ()


def test_a_reader_that_crashes_is_found():
    """The count would be worth nothing if it could not be other than 0."""
    reader = fuzzing.Reader(json.loads, fuzzing.spoilt(b'{"a": 1}'), ())
    found = list(fuzzing.fuzzed(50, 1, lambda: reader))
    assert len(found) == 50
    assert any("JSONDecodeError" in one.lost for one in found)
