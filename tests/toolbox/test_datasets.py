"""Data are verified, wherever they come from, or an error says what to do."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import textwrap
import threading
import zipfile
from pathlib import Path

import numpy as np
import pooch.core  # noqa: F401  before any capture: its logger keeps stderr
import pytest

from parallel_ai.toolbox import datasets, downloads
from parallel_ai.toolbox.datasets import DatasetError
from parallel_ai.toolbox.downloads import ResumingDownloader

HTTP = ResumingDownloader(schemes=("http",), progressbar=False)
DATA = os.environ.get(datasets.OFFLINE)
WAIT = 60


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    head = b"\0\0\x08" + bytes([array.ndim])
    return gzip.compress(head + shape + array.tobytes(), mtime=0)


PIXELS = np.arange(200_000, dtype=np.uint8).reshape(500, 20, 20)
LABELS = np.arange(500, dtype=np.uint8) % 10


@pytest.fixture
def rows(tmp_path, monkeypatch, server):
    """A table of two small datasets, of which a server has one.

    No offline folder is set, and the cache is below `tmp_path`.
    """
    files = {"images.gz": idx(PIXELS), "labels.gz": idx(LABELS)}
    table = ["[shirts]", 'folder = "shirts"', 'format = "idx"']
    table += ['home = "https://example.org"', 'torchvision = "Shirts"']
    for name, content in files.items():
        server.files[name] = content
        table += ["[[shirts.files]]", f"key = {json.dumps(name[:-3])}"]
        table += [f"name = {json.dumps(name)}", f"bytes = {len(content)}"]
        table += [f"url = {json.dumps(server.url(name))}"]
        table += [f'sha256 = "{sha256(content)}"']
    other = b"a stand-in"
    table += ["[cells]", 'folder = "cells"', 'format = "npz"', "files = []"]
    table += ['absent = "Ask the author."', 'home = "https://example.org"']
    table += ["[cells.stand_in]", 'note = "Not the real ones."']
    table += ["[[cells.stand_in.files]]", 'name = "other.npz"']
    table += [f"bytes = {len(other)}", f'sha256 = "{sha256(other)}"']
    toml = tmp_path / "table.toml"
    toml.write_text("\n".join(table))
    monkeypatch.setattr(datasets, "TABLE", toml)
    monkeypatch.setattr(datasets, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(downloads, "RETRIES", 0)
    monkeypatch.delenv(datasets.OFFLINE, raising=False)
    return files


@pytest.fixture
def offline(rows, tmp_path, monkeypatch):
    """The same files in the folder that PARALLEL_AI_DATA names."""
    folder = tmp_path / "offline" / "shirts"
    folder.mkdir(parents=True)
    for name, content in rows.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv(datasets.OFFLINE, str(folder.parent))
    return folder


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- the cache --------------------------------------------------------------


def test_downloads_once_and_then_asks_nobody(rows, server, tmp_path):
    for _ in range(2):
        data = datasets.load("shirts", downloader=HTTP)
        np.testing.assert_array_equal(data["images"], PIXELS)
        np.testing.assert_array_equal(data["labels"], LABELS)
    assert len(server.requests) == len(rows)
    assert datasets.note("shirts") is None
    cached = datasets.paths("shirts", downloader=HTTP)
    assert cached == {n: tmp_path / "cache" / "shirts" / n for n in rows}


def test_an_empty_variable_is_no_folder(rows, server, monkeypatch):
    monkeypatch.setenv(datasets.OFFLINE, "")
    assert len(datasets.load("shirts", downloader=HTTP)) == 2
    assert len(server.requests) == 2


def test_a_copy_of_the_cache_is_an_offline_folder(
    rows, server, tmp_path, monkeypatch
):
    datasets.paths("shirts", downloader=HTTP)
    (tmp_path / "cache").rename(tmp_path / "copy")
    server.files.clear()
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path / "copy"))
    np.testing.assert_array_equal(datasets.load("shirts")["images"], PIXELS)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], "is truncated"),
        (lambda content: content[:50] + b"?" + content[51:], "is damaged"),
    ],
)
def test_a_damaged_cache_is_reported_and_fetched_again(
    rows, server, tmp_path, damage, words
):
    path = datasets.paths("shirts", downloader=HTTP)["images.gz"]
    path.write_bytes(damage(rows["images.gz"]))
    message = f"{re.escape(str(path))} {words}.*it is fetched again"
    with pytest.warns(UserWarning, match=message):
        data = datasets.load("shirts", downloader=HTTP)
    np.testing.assert_array_equal(data["images"], PIXELS)
    assert len(server.requests) == 3


def test_a_damaged_cache_without_a_network(rows, server):
    path = datasets.paths("shirts", downloader=HTTP)["images.gz"]
    path.write_bytes(b"?")
    server.files.clear()
    with (
        pytest.warns(UserWarning, match="is truncated: 1 of"),
        pytest.raises(DatasetError, match="Call again with a network, or set"),
    ):
        datasets.load("shirts", downloader=HTTP)


def test_two_processes_at_once(rows, server, tmp_path):
    server.gate = threading.Event()
    code = """
        import sys
        from pathlib import Path
        from parallel_ai.toolbox import datasets, downloads, formats
        datasets.TABLE = Path(sys.argv[1])
        datasets.cache = lambda: Path(sys.argv[2])
        print("ready", flush=True)
        http = downloads.ResumingDownloader(("http",), False)
        print(datasets.load("shirts", downloader=http)["images"].sum())
    """
    args = [datasets.TABLE, tmp_path / "cache"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        server.gate.set()  # until here, the first was held half-way
        for process in processes:
            out, err = process.communicate(timeout=WAIT)
            assert process.returncode == 0, err
            assert int(out) == PIXELS.sum()
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=WAIT)
    assert server.requests == [None] * len(rows)  # each file once
    names = {p.name for p in (tmp_path / "cache" / "shirts").iterdir()}
    assert names - {".lock"} == set(rows)


def test_not_to_be_downloaded(rows):
    with pytest.raises(DatasetError, match="Ask the author"):
        datasets.load("cells")


# --- the offline folder -----------------------------------------------------


def test_offline_needs_no_network_and_writes_nothing(
    offline, server, tmp_path
):
    before = listing(offline.parent)
    offline.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        data = datasets.load("shirts")
    finally:
        offline.chmod(stat.S_IRWXU)
    np.testing.assert_array_equal(data["images"], PIXELS)
    assert server.requests == []
    assert listing(offline.parent) == before
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:9]), ": 9 of"),
        (lambda path: path.write_bytes(bytes(len(idx(LABELS)))), "is damaged"),
    ],
)
def test_offline_is_verified_and_left_alone(offline, server, damage, words):
    damage(offline / "labels.gz")
    before = listing(offline)
    with pytest.raises(DatasetError) as caught:
        datasets.load("shirts", downloader=HTTP)
    message = str(caught.value)
    assert message.startswith(str(offline / "labels.gz"))
    assert words in message
    assert f"put a good copy there (from {server.url('labels.gz')})" in message
    assert "unset PARALLEL_AI_DATA" in message
    assert server.requests == []
    assert listing(offline) == before


def test_offline_folder_that_is_not_there(rows, monkeypatch, tmp_path):
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path / "nowhere"))
    for function in (datasets.load, datasets.paths, datasets.note):
        with pytest.raises(DatasetError, match="nowhere, which is no folder"):
            function("shirts")


def test_a_stand_in_is_used_but_never_silently(offline):
    folder = offline.parent / "cells"
    folder.mkdir()
    assert datasets.note("cells") == "Not the real ones."
    with pytest.raises(DatasetError, match=r"other\.npz is missing"):
        datasets.paths("cells")
    (folder / "other.npz").write_bytes(b"a stand-in")
    assert datasets.paths("cells") == {"other.npz": folder / "other.npz"}
    (folder / "other.npz").write_bytes(b"a stand_in")
    with pytest.raises(DatasetError, match="is damaged"):
        datasets.paths("cells")


def test_official_files_win_over_a_stand_in(monkeypatch, tmp_path):
    """Of the real table: bloodmnist.npz, where somebody has it."""
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path))
    assert "rebuilt set" in datasets.note("blood-cells")
    official = tmp_path / "blood-cells" / "bloodmnist.npz"
    official.parent.mkdir()
    official.write_bytes(b"some other file")
    assert datasets.note("blood-cells") is None
    with pytest.raises(DatasetError, match=r"bloodmnist\.npz is damaged"):
        datasets.load("blood-cells")


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(DatasetError, match="Did you mean 'fashion-mnist'"):
        datasets.load("fashon_mnist")
    with pytest.raises(DatasetError, match="There are fashion-mnist, blood"):
        datasets.paths("?")


def test_command_line(offline, capsys):
    assert datasets.main(["shirts"]) == 0
    assert capsys.readouterr().out.startswith("shirts: 2 verified in ")
    assert datasets.main(["shirts", "skirts"]) == 1
    captured = capsys.readouterr()
    assert "shirts: 2 verified" in captured.out
    assert "Did you mean 'shirts'" in captured.err


# --- formats ----------------------------------------------------------------


def photographs() -> dict[str, bytes]:
    return {
        f"{thing}/image_{number:04}.jpg": f"{thing} {number}".encode()
        for thing in ("cat", "dog")
        for number in (3, 14)
    }


def nested_archive() -> bytes:
    """An archive built as Caltech's is: a .tar.gz inside of a .zip."""
    inner, outer = io.BytesIO(), io.BytesIO()
    extra = {"cat/image_0001.jpg": b"not wanted", "cow/image_0003.jpg": b"no"}
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name, content in (photographs() | extra).items():
            info = tarfile.TarInfo(f"101_ObjectCategories/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("caltech-101/Annotations.tar", b"other")
        archive.writestr(
            "caltech-101/101_ObjectCategories.tar.gz", inner.getvalue()
        )
    return outer.getvalue()


@pytest.fixture
def archive(rows, server, monkeypatch):
    """A dataset that is unpacked from an archive with an MD5."""
    content = nested_archive()
    index = json.dumps({"0": ["n0", "lion"], "1": ["n1", "wolf"]}).encode()
    server.files |= {"all.zip": content, "index.json": index}

    def folder(thing: str) -> dict:
        both = [v for k, v in photographs().items() if k.startswith(thing)]
        return {
            "name": f"subset/{thing}",
            "images": [3, 14],
            "imagenet": [0, 1] if thing == "cat" else [1],
            "bytes": sum(map(len, both)),
            "sha256": sha256(b"".join(both)),
        }

    row = {
        "folder": "animals",
        "format": "jpeg",
        "home": "https://example.org",
        "archive": {
            "name": "all.zip",
            "url": server.url("all.zip"),
            "md5": hashlib.md5(content).hexdigest(),
            "unpack": "nested",
        },
        "files": [
            {
                "name": "index.json",
                "url": server.url("index.json"),
                "sha256": sha256(index),
            },
            folder("cat"),
            folder("dog"),
        ],
    }
    monkeypatch.setattr(datasets, "table", lambda: {"animals": row})
    return row


def test_images_of_an_archive(archive, server, tmp_path):
    folder = tmp_path / "cache" / "animals"
    for _ in range(2):
        data = datasets.load("animals", downloader=HTTP)
        assert len(server.requests) == 2
    assert {
        f"{thing}/{path.name}": path.read_bytes()
        for path, thing in data["images"]
    } == photographs()
    assert data["labels"] == {"cat": (0, 1), "dog": (1,)}
    assert data["class_index"] == [("n0", "lion"), ("n1", "wolf")]
    names = {str(p.relative_to(folder)) for p in folder.rglob("*.*")}
    kept = {f"subset/{name}" for name in photographs()} | {"index.json"}
    assert names - {".lock"} == kept  # the archive is gone, and the rest of it


def test_one_image_lost_and_one_changed(archive, server, tmp_path):
    images = datasets.load("animals", downloader=HTTP)["images"]
    images[0][0].unlink()
    images[3][0].write_bytes(b"dog 15")
    with pytest.warns(UserWarning, match="subset/dog is damaged"):
        datasets.load("animals", downloader=HTTP)
    assert images[0][0].read_bytes() == b"cat 3"
    assert images[3][0].read_bytes() == b"dog 14"


def test_no_archive_for_a_file_with_its_own_address(archive, server):
    path = datasets.paths("animals", downloader=HTTP)["index.json"]
    path.unlink()
    datasets.paths("animals", downloader=HTTP)
    assert len(server.requests) == 3


def test_an_archive_with_another_content(archive):
    archive["files"][1]["sha256"] = sha256(b"something else")
    with pytest.raises(
        DatasetError, match=r"subset/cat is damaged.*report it"
    ):
        datasets.load("animals", downloader=HTTP)


def test_images_offline(archive, server, tmp_path, monkeypatch):
    datasets.paths("animals", downloader=HTTP)
    monkeypatch.setenv(datasets.OFFLINE, str(tmp_path / "cache"))
    lost = tmp_path / "cache" / "animals" / "subset" / "dog" / "image_0014.jpg"
    lost.unlink()
    with pytest.raises(
        DatasetError, match=r"image_0014\.jpg is missing.*all.zip"
    ):
        datasets.load("animals")


def test_months_from_the_file_of_r(rows, server, tmp_path, monkeypatch):
    pd = pytest.importorskip("pandas")
    rdata = pytest.importorskip("rdata")
    frame = pd.DataFrame(
        {
            "month": np.array([1, 1, 2], np.int32),
            "delay": [2.0, np.nan, -1.5],
            "carrier": np.array(["UA", "AA", None], object),
        },
        dtype=object,
    ).astype({"month": "int32", "delay": "float64"})
    rda = tmp_path / "frame.rda"
    rdata.write_rda(rda, {"frame": frame})
    server.files["frame.rda"] = rda.read_bytes()
    months = [b"month,delay,carrier\n1,2.0,UA\n1,,AA\n"]
    months += [b"month,delay,carrier\n2,-1.5,\n"]
    row = {
        "folder": "trips",
        "format": "csv",
        "files": [
            {
                "name": f"{number}.csv.gz",
                "unpacked": True,
                "bytes": len(month),
                "sha256": sha256(month),
            }
            for number, month in enumerate(months, 1)
        ],
        "archive": {
            "name": "frame.rda",
            "url": server.url("frame.rda"),
            "sha256": sha256(rda.read_bytes()),
            "unpack": "rda",
        },
    }
    monkeypatch.setattr(datasets, "table", lambda: {"trips": row})
    again = datasets.load("trips", downloader=HTTP)
    assert again["delay"].tolist()[::2] == [2.0, -1.5]
    assert again["carrier"].tolist()[:2] == ["UA", "AA"]


def test_a_package_that_is_not_installed(offline, monkeypatch):
    def needs(*args):
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    monkeypatch.setitem(datasets.READERS, "idx", needs)
    with pytest.raises(
        DatasetError, match=r"pandas.*pip install 'parallel-ai"
    ):
        datasets.load("shirts")


# --- the table --------------------------------------------------------------


def files_of(row: dict) -> list[dict]:
    archive = [row["archive"]] if "archive" in row else []
    return [*row.get("files", []), *archive]


@pytest.mark.parametrize("name", datasets.table())
def test_a_row_is_complete(name):
    row = datasets.table()[name]
    for key in ("title", "task", "licence", "credit", "note", "home"):
        assert row[key].strip(), key
    assert row["home"].startswith("https://")
    assert isinstance(row["verified"], bool)
    assert row["format"] in datasets.READERS
    assert row.get("files") or row["absent"]
    stand_in = row.get("stand_in", {"files": [], "note": "none"})
    assert stand_in["note"].strip()
    for file in [*files_of(row), *stand_in["files"]]:
        assert re.fullmatch("[0-9a-f]{64}", file.get("sha256", 64 * "0"))
        assert re.fullmatch("[0-9a-f]{32}", file.get("md5", 32 * "0"))
        assert "sha256" in file or "md5" in file
        assert file.get("url", "https://").startswith("https://")
        path = Path(file["name"])
        assert not path.is_absolute()
        assert ".." not in path.parts
    for file in row.get("files", []):
        assert "url" in file or "archive" in row
    assert "stand_in" not in row or row["stand_in"]["files"]


def test_a_rebuilt_set_never_has_the_official_name():
    row = datasets.table()["blood-cells"]
    (official,), (other,) = row["files"], row["stand_in"]["files"]
    assert official["name"] == "bloodmnist.npz" != other["name"]
    assert official["md5"] == "7053d0359d879ad8a5505303e11de1dc"
    assert official["sha256"] != other["sha256"]


def test_the_toolbox_knows_no_dataset_by_name():
    """A page's fingerprint finds its datasets by such constants."""
    names = set(datasets.table())
    for path in Path(datasets.__file__).parent.glob("*.py"):
        constants = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not names & constants, path.name


# --- the real data, where they are ------------------------------------------

real = pytest.mark.skipif(
    not DATA, reason=f"{datasets.OFFLINE} names no folder of real data"
)


@real
def test_fashion_mnist():
    data = datasets.load("fashion-mnist")
    assert data["train_images"].shape == (60_000, 28, 28)
    assert data["test_images"].shape == (10_000, 28, 28)
    for split, each in (("train", 6_000), ("test", 1_000)):
        assert data[f"{split}_images"].dtype == np.uint8
        assert (np.bincount(data[f"{split}_labels"]) == each).all()
    assert datasets.note("fashion-mnist") is None
    x = data["train_images"].reshape(60_000, -1).astype(np.float32)
    centroids = x.reshape(60_000, -1)[
        np.argsort(data["train_labels"], kind="stable")
    ]
    centroids = centroids.reshape(10, 6_000, -1).mean(axis=1)
    test = data["test_images"].reshape(10_000, -1).astype(np.float32)
    distances = (centroids**2).sum(1) - 2 * test @ centroids.T
    accuracy = (distances.argmin(1) == data["test_labels"]).mean()
    assert accuracy == pytest.approx(0.677, abs=0.0015)


@real
def test_torchvision_takes_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # torch sets it
    vision = pytest.importorskip("torchvision")
    root = datasets.torchvision_root("fashion-mnist", tmp_path)
    data = datasets.load("fashion-mnist")
    for train, split in ((True, "train"), (False, "test")):
        theirs = vision.datasets.FashionMNIST(
            root, train=train, download=False
        )
        assert (theirs.data.numpy() == data[f"{split}_images"]).all()
        assert (theirs.targets.numpy() == data[f"{split}_labels"]).all()
    row = datasets.table()["fashion-mnist"]
    assert vision.datasets.FashionMNIST.classes == row["labels"]
    theirs = dict(vision.datasets.FashionMNIST.resources)
    assert {f["name"]: f["md5"] for f in row["files"]} == theirs
    with pytest.raises(DatasetError, match="torchvision has no class"):
        datasets.torchvision_root("photos", tmp_path)


@real
def test_blood_cells():
    data = datasets.load("blood-cells")
    counts = {
        "train": [852, 2181, 1085, 2026, 849, 993, 2330, 1643],
        "val": [122, 312, 155, 290, 122, 143, 333, 235],
        "test": [244, 624, 311, 579, 243, 284, 666, 470],
    }
    for split, count in counts.items():
        images, labels = data[f"{split}_images"], data[f"{split}_labels"]
        assert images.shape == (sum(count), 28, 28, 3)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(labels), count)
    assert sum(map(sum, counts.values())) == 17_092
    assert len(data["labels"]) == 8
    official = "bloodmnist.npz" in datasets.paths("blood-cells")
    assert official == (datasets.note("blood-cells") is None)
    assert data["source"].startswith("BloodMNIST" if official else "rebuilt")


@real
def test_admissions():
    pytest.importorskip("pyarrow")
    frames = datasets.load("admissions")
    assert sum(map(len, frames.values())) == 60_231
    assert sorted(frames) == [*range(2008, 2022), 2024]
    columns = {year: frame.shape[1] for year, frame in frames.items()}
    assert [columns[y] for y in (2008, 2010, 2011, 2013, 2014, 2024)] == [
        *[86, 86, 93, 95, 113, 113]
    ]
    assert set().union(*(set(f["SEXO"]) for f in frames.values())) == {
        "1",
        "3",
    }
    assert "Only aggregates" in datasets.note("admissions")
    assert "rd_schema.csv" in datasets.paths("admissions")


@real
def test_photos():
    image = pytest.importorskip("PIL.Image")
    data = datasets.load("photos")
    assert len(data["images"]) == 296
    assert len(data["labels"]) == 37
    assert {thing for _, thing in data["images"]} == set(data["labels"])
    assert len(data["class_index"]) == 1000
    assert data["labels"]["elephant"] == (385, 386)
    assert data["class_index"][385][1] == "Indian_elephant"
    for path, thing in data["images"]:
        with image.open(path) as photograph:
            photograph.verify()
        assert path.parent.name == thing
    assert datasets.note("photos") is None


@real
def test_flights():
    pytest.importorskip("pandas")
    frame = datasets.load("flights")
    assert frame.shape == (336_776, 16)
    assert frame["dep_delay"].mean() == pytest.approx(12.63907, abs=5e-6)
    assert frame["dep_delay"].isna().sum() == 8_255
    months = datasets.paths("flights")
    assert list(months) == [
        f"flights-2013-{m:02}.csv.gz" for m in range(1, 13)
    ]
    assert sorted(frame["month"].unique()) == list(range(1, 13))
    assert datasets.note("flights") is None
