import json
import os
import subprocess
import sys
from functools import cache
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.records import Record, RecordError, read, write

plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), inner
        )
    ),
    max_leaves=10,
)


# What takes long and is the same each time is asked for once.
@mock.patch.object(records, "_versions", cache(records._versions))
@mock.patch.object(records, "_commit", cache(records._commit))
@given(data=plain_json)
def test_what_is_written_is_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("recorded")
    path = write("a-topic", data, "make it", folder)
    [record] = read("a-topic", folder)
    assert record.data == data
    assert record.command == "make it"
    assert record.hardware == machine.describe()
    assert path.name.startswith("a-topic_")


def test_lines_to_draw_are_kept_with_the_data(tmp_path):
    def drawing(data, hardware):
        return {"double": 2 * data, "cpus": hardware["cpus"]}

    path = write("t", 4, "c", tmp_path, drawing)
    [record] = read("t", tmp_path)
    assert record.curves == {"double": 8, "cpus": machine.cpus()}
    path.write_text(break_it(curves=[])(json.loads(path.read_text("utf8"))))
    with pytest.raises(RecordError, match="curves is not a table"):
        read("t", tmp_path)
    write("t", 4, "c", tmp_path)
    assert read("t", tmp_path)[0].curves is None


def test_lines_that_cannot_be_drawn_lose_no_measurement(tmp_path):
    def drawing(data, hardware):
        raise ValueError("nothing to draw")

    with pytest.raises(RecordError, match="is written, but without lines"):
        write("t", 5, "c", tmp_path, drawing)
    [record] = read("t", tmp_path)
    assert (record.data, record.curves) == (5, None)


def test_versions_of_what_was_loaded(tmp_path):
    write("t", 1, "c", tmp_path)
    [record] = read("t", tmp_path)
    assert record.versions["numpy"] == np.__version__
    assert "jupyter-book" not in record.versions


def test_a_second_record_of_this_machine_replaces_the_first(tmp_path):
    write("t", "old", "c", tmp_path)
    write("t", "new", "c", tmp_path)
    assert [r.data for r in read("t", tmp_path)] == ["new"]
    assert len(list(tmp_path.iterdir())) == 1


def test_topics_that_begin_alike_are_told_apart(tmp_path):
    write("scaling", 1, "c", tmp_path)
    write("scaling-weak", 2, "c", tmp_path)
    assert [r.data for r in read("scaling", tmp_path)] == [1]
    assert read("nothing", tmp_path) == []


def test_records_of_other_machines_have_their_label(tmp_path):
    write("t", 1, "c", tmp_path)
    [here] = tmp_path.iterdir()
    raw = json.loads(here.read_text())
    del raw["sha256"]  # as in records of before there was one
    raw["hardware"] |= {"cpu": "Other", "cpus": 1}
    (tmp_path / "t_other-1-cpu.json").write_text(json.dumps(raw))
    labels = {record.label for record in read("t", tmp_path)}
    assert "Other, 1 CPU" in labels
    assert len(labels) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": np.float32(1)}, "not JSON"),
        (float("nan"), "not JSON"),
        ({1, 2}, "not JSON"),
    ],
)
def test_data_that_is_no_json_leaves_the_old_record(tmp_path, data, message):
    write("t", "good", "c", tmp_path)
    with pytest.raises(RecordError, match=message):
        write("t", data, "c", tmp_path)
    assert [r.data for r in read("t", tmp_path)] == ["good"]


def test_a_write_that_fails_halfway_leaves_the_old_record(
    tmp_path, monkeypatch
):
    write("t", "good", "c", tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write("t", "bad", "c", tmp_path)
    assert [r.data for r in read("t", tmp_path)] == ["good"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("topic", ["", "A", "two words", "under_score", "a/b"])
def test_a_topic_is_a_plain_word(tmp_path, topic):
    with pytest.raises(RecordError, match="lower-case"):
        write(topic, 1, "c", tmp_path)
    with pytest.raises(RecordError, match="lower-case"):
        read(topic, tmp_path)


def break_it(**changes):
    def change(raw):
        raw.update(changes)
        return json.dumps(raw)

    return change


def without(name):
    def change(raw):
        del raw[name]
        return json.dumps(raw)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: "{", "not JSON"),
        (lambda raw: "[]", "missing"),
        (lambda raw: json.dumps(raw)[:-20], "not JSON"),
        (without("data"), r"missing \['data'\]"),
        (break_it(extra=1), r"unknown \['extra'\]"),
        (break_it(date="yesterday"), "date"),
        (break_it(date=5), "date is not a text"),
        (break_it(hardware="fast"), "hardware is not a table"),
        (break_it(hardware={}), "hardware lacks"),
        (break_it(versions=[]), "versions is not a table"),
        (break_it(topic="other"), "is a record of 'other'"),
    ],
)
def test_a_malformed_record_is_named(tmp_path, change, reason):
    path = write("t", 1, "c", tmp_path)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(RecordError, match=reason) as error:
        read("t", tmp_path)
    assert str(path) in str(error.value)


def test_what_a_file_holds_can_be_checked_without_a_file(tmp_path):
    raw = json.loads(write("t", [1], "c", tmp_path).read_text())
    assert records.check(raw).data == [1]
    for wrong in ([], None, raw | {"more": 1}, raw | {"date": "2026-02-30"}):
        with pytest.raises(RecordError):
            records.check(wrong)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"data": 1', '"data": 2'), ('"command": "c"', '"command": "d"')],
)
def test_a_record_that_was_changed_is_refused(tmp_path, old, new):
    path = write("t", 1, "c", tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecordError, match="was changed"):
        read("t", tmp_path)


def test_a_record_may_be_laid_out_otherwise(tmp_path):
    path = write("t", {"b": [1.5e-7, "naïve"], "a": 10**20}, "c", tmp_path)
    [before] = read("t", tmp_path)
    record = json.loads(path.read_text("utf8"))
    path.write_text(json.dumps(record, indent=3))
    assert read("t", tmp_path) == [before]


def test_deep_nesting_is_an_error_with_words(tmp_path):
    path = tmp_path / "t_here.json"
    path.write_text("[" * 200_000)
    with pytest.raises(RecordError, match="t_here.json: not JSON"):
        records.parse(path)


def test_committed_records_are_well_formed():
    names = {p.name.split("_")[0] for p in records.FOLDER.glob("*.json")}
    assert names <= records.topics().keys() | {"bench", "faults"}
    for name in names:
        assert all(isinstance(r, Record) for r in read(name))


def test_topics_are_found_without_importing_their_modules():
    script = (
        "import sys; from parallel_ai.toolbox import records;"
        "records.topics(); print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_topics_of_a_package(tmp_path):
    package = tmp_path / "book"
    (package / "part").mkdir(parents=True)
    (package / "part" / "__init__.py").write_text('RECORDS = {"a": f}\n')
    (package / "one.py").write_text('x = 1\nRECORDS = {"b": f, "c": g}\n')
    (package / "two.py").write_text("RECORDS = make()\n")
    assert records.topics(package) == {
        "a": "book.part",
        "b": "book.one",
        "c": "book.one",
    }
    (package / "three.py").write_text('RECORDS = {"a": h}\n')
    with pytest.raises(RecordError, match="'a' stands in"):
        records.topics(package)


@pytest.fixture
def chapters(tmp_path, monkeypatch):
    """Two topics, one of which fails."""
    (tmp_path / "made_up_chapter.py").write_text(
        "def good():\n    return [1, 2]\n"
        "def bad():\n    raise ZeroDivisionError('by zero')\n"
        "RECORDS = {'bad': bad, 'good': good}\n"
    )
    monkeypatch.setattr(
        "tqdm.tqdm.monitor_interval", 0
    )  # no thread of its own
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        records,
        "topics",
        lambda: dict.fromkeys(["bad", "good"], "made_up_chapter"),
    )
    yield
    sys.modules.pop("made_up_chapter", None)


def test_the_command_measures_what_is_named(tmp_path, chapters, capsys):
    assert records.main(["good", "--folder", str(tmp_path)]) == 0
    [record] = read("good", tmp_path)
    assert record.data == [1, 2]
    assert record.command == "python -m parallel_ai.toolbox.records good"


def test_a_topic_that_fails_does_not_stop_the_others(
    tmp_path, chapters, capsys
):
    assert records.main(["--folder", str(tmp_path)]) == 1
    assert [r.data for r in read("good", tmp_path)] == [[1, 2]]
    assert read("bad", tmp_path) == []
    assert "bad: ZeroDivisionError: by zero" in capsys.readouterr().out


def test_an_unknown_topic_is_refused(chapters, capsys):
    with pytest.raises(SystemExit) as error:
        records.main(["nonsense"])
    assert error.value.code == 2
    assert "there are ['bad', 'good']" in capsys.readouterr().err


def test_commit_of_a_file_outside_any_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "__file__", str(tmp_path / "records.py"))
    assert records._commit() == ""


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_commit_of_a_repository(tmp_path, monkeypatch):
    file = tmp_path / "records.py"
    file.write_text("1")
    monkeypatch.setattr(records, "__file__", str(file))
    git(tmp_path, "init")
    assert records._commit() == ""  # not yet under its care
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "m")
    clean = records._commit()
    assert len(clean) >= 7
    file.write_text("2")
    assert records._commit() == clean + "-dirty"


def test_a_record_written_before_makes_no_commit_dirty(tmp_path, monkeypatch):
    toolbox, folder = tmp_path / "code/toolbox", tmp_path / "code/recorded"
    toolbox.mkdir(parents=True)
    folder.mkdir()
    monkeypatch.setattr(records, "__file__", str(toolbox / "records.py"))
    files = [toolbox / "records.py", folder / "a.json", tmp_path / "other"]
    for file in files:
        file.write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "m")
    clean = records._commit()
    files[1].write_text("2")
    assert records._commit() == clean
    files[2].write_text("2")
    assert records._commit() == clean + "-dirty"
