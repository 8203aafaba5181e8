"""Real data for every chapter: one table of datasets, one `load(name)`.

Claim: data come from the folder that ``PARALLEL_AI_DATA`` names, if it names
one (then no network is needed and nothing is written there), else from a cache
that is filled from the official addresses; verified at every call, and never a
stand-in without a note. Fill the cache, which is laid out as such a folder::

    python -m parallel_ai.toolbox.datasets [NAME ...]

A row of ``datasets.toml`` says by its ``format`` how it is read: this module
knows no dataset by name.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
import sys
import tarfile
import tomllib
import warnings
import zipfile
from pathlib import Path
from typing import Any

from parallel_ai.toolbox.downloads import (
    DatasetError,
    Downloader,
    explained,
    fetch,
    locked,
)
from parallel_ai.toolbox.files import write_whole
from parallel_ai.toolbox.formats import (
    DAMAGE,
    READERS,
    Row,
    members,
    packages,
)

TABLE = Path(__file__).with_suffix(".toml")
OFFLINE = "PARALLEL_AI_DATA"


def table() -> dict[str, Row]:
    """Read the rows of ``datasets.toml``, whose head explains their keys."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def cache() -> Path:
    """Name the folder of downloaded data, in this user's cache folder."""
    import pooch

    return Path(pooch.os_cache("parallel_ai"))


def load(name: str, *, downloader: Downloader | None = None) -> Any:
    """Load one dataset, verified.

    Parameters
    ----------
    name
        A row of `table`.
    downloader
        As in `paths`.

    Returns
    -------
    Any
        By the row's ``format``:

        - idx: ``train_images`` (60000, 28, 28), ``train_labels`` (60000,),
          ``test_images`` and ``test_labels``, arrays of uint8;
        - npz: the same with colours (n, 28, 28, 3) and a ``val`` split; also
          ``labels``, the classes' names, and ``source``, which file it is;
        - parquet: a frame a year, fields as text, for columns change;
        - jpeg: ``images``, pairs of path and class; ``labels``, the ImageNet
          indices of a class; ``class_index``, pairs of WordNet id and name;
        - csv: one frame; `paths` has the monthly files.

    Raises
    ------
    DatasetError
        As in `paths`, or if a package that reads the format is missing.
    """
    paths(name, downloader=downloader)
    row = _row(name)
    folder, files, _ = _choose(row)
    with packages():
        return READERS[row["format"]](row, folder, files)


def paths(
    name: str, *, downloader: Downloader | None = None
) -> dict[str, Path]:
    """List the files of a dataset, downloaded if need be, and verified.

    Every call reads and hashes every file, which takes less time than to
    unpack it: 0.03 s for 35 MB on a processor with SHA instructions.

    Parameters
    ----------
    name
        A row of `table`.
    downloader
        Called as pooch calls one, ``downloader(url, file, pooch)``; None for
        a `ResumingDownloader`.

    Returns
    -------
    dict of str to Path
        By name below the dataset's folder, in the table's order.

    Raises
    ------
    DatasetError
        An unknown name, a file of the offline folder that is missing or
        damaged, a download that failed.
    """
    row = _row(name)
    folder, files, _ = _choose(row)
    if not files:
        raise DatasetError(row["absent"])
    bad = [(file, fault) for file in files if (fault := _fault(folder, file))]
    if bad and os.environ.get(OFFLINE):
        file, fault = bad[0]
        origin = {**row, **row.get("archive", {}), **file}
        raise DatasetError(
            f"{fault}. The folder that {OFFLINE} names is only read: put a "
            f"good copy there (from {origin.get('url', row['home'])}), or "
            f"unset {OFFLINE} to download."
        )
    if bad:
        with packages():
            _fill(row, folder, files, downloader)
    return {
        path.relative_to(folder).as_posix(): path
        for file in files
        for path in members(folder, file)
    }


def note(name: str) -> str | None:
    """Say what a page that shows a stand-in must print, or None."""
    return _choose(_row(name))[2]


def torchvision_root(name: str, folder: Path) -> Path:
    """Unpack the files as torchvision expects them below its ``root``.

    ``FashionMNIST(torchvision_root(name, folder), download=False)`` works.

    Raises
    ------
    DatasetError
        torchvision has no class for these data.
    """
    row = _row(name)
    if "torchvision" not in row:
        raise DatasetError(f"torchvision has no class that reads {name!r}.")
    for key, path in paths(name).items():
        target = folder / row["torchvision"] / "raw" / Path(key).stem
        if not target.exists():
            write_whole(target, gzip.decompress(path.read_bytes()))
    return folder


# --- choosing and verifying -------------------------------------------------


def _row(name: str) -> Row:
    rows = table()
    if name in rows:
        return rows[name]
    near = difflib.get_close_matches(str(name), rows, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DatasetError(
        f"There is no dataset {name!r}.{hint} There are {', '.join(rows)}."
    )


def _choose(row: Row) -> tuple[Path, list[Row], str | None]:
    """Choose the form of a dataset that is read: folder, files, note."""
    official = row.get("files", [])
    if not os.environ.get(OFFLINE):
        return cache() / row["folder"], official, None
    root = Path(os.environ[OFFLINE]).expanduser()
    if not root.is_dir():
        raise DatasetError(
            f"{OFFLINE} names {root}, which is no folder: correct it, or "
            "unset it to download."
        )
    folder, other = root / row["folder"], row.get("stand_in")
    if other and not (
        official and all((folder / file["name"]).exists() for file in official)
    ):
        return folder, other["files"], other["note"]
    return folder, official, None


def _fault(folder: Path, file: Row) -> str | None:
    """Say what is wrong with a file, or with a folder of images."""
    path, found = folder / file["name"], members(folder, file)
    for member in found:
        if not member.is_file():
            return f"{member} is missing"
    kind = "sha256" if "sha256" in file else "md5"
    size, hasher = 0, hashlib.new(kind, usedforsecurity=False)
    reader = gzip.open if file.get("unpacked") else open
    try:
        for member in found:
            with reader(member, "rb") as stream:
                while block := stream.read(1 << 20):
                    size += len(block)
                    hasher.update(block)
    except DAMAGE as error:
        return f"{path} is truncated or damaged: {error}"
    if size < file.get("bytes", 0):
        return f"{path} is truncated: {size:,} of {file['bytes']:,} bytes"
    if hasher.hexdigest() != file[kind]:
        return f"{path} is damaged: its {kind} is not {file[kind]}"
    return None


# --- filling the cache ------------------------------------------------------


def _fill(
    row: Row, folder: Path, files: list[Row], downloader: Downloader | None
) -> None:
    """Fetch what is missing or damaged, while other processes wait."""

    def get(file: Row) -> Path:
        path = folder / file["name"]
        checksum = file.get("sha256") or f"md5:{file['md5']}"
        instead = (
            f", or set {OFFLINE} to a folder that holds "
            f"{row['folder']}/{files[0]['name']}"
        )
        fetch(
            path,
            file["url"],
            checksum,
            downloader=downloader,
            otherwise=instead,
        )
        return path

    with locked(folder):
        for file in files:
            fault = _fault(folder, file)
            if fault and not fault.endswith("is missing"):
                warnings.warn(f"{fault}; it is fetched again", stacklevel=4)
            if fault and "url" in file:
                get(file)
        if "archive" in row and any(_fault(folder, file) for file in files):
            archive = get(row["archive"])
            with explained(folder):
                _UNPACKERS[row["archive"]["unpack"]](archive, folder, files)
            for file in files:
                if fault := _fault(folder, file):
                    raise DatasetError(f"{fault} in {archive}: report it.")
            archive.unlink()


def _unpack_nested(archive: Path, folder: Path, files: list[Row]) -> None:
    """Take a few images out of a .tar.gz inside of a .zip."""
    wanted = {
        path.relative_to(path.parent.parent).as_posix(): path
        for file in files
        if "images" in file
        for path in members(folder, file)
    }
    with zipfile.ZipFile(archive) as outer:
        (inner,) = (
            n for n in outer.namelist() if n.endswith("Categories.tar.gz")
        )
        with (
            outer.open(inner) as stream,
            tarfile.open(fileobj=stream, mode="r|gz") as tar,
        ):
            for member in tar:
                path = wanted.get("/".join(Path(member.name).parts[-2:]))
                if path and (content := tar.extractfile(member)):
                    write_whole(path, content.read())


def _unpack_rda(archive: Path, folder: Path, files: list[Row]) -> None:
    """Write a frame in R's own format as one .csv.gz a month."""
    import rdata

    with warnings.catch_warnings(action="ignore"):  # R's classes of a frame
        (frame,) = rdata.read_rda(archive).values()
    months = frame.convert_dtypes().groupby("month")
    for file, (_, month) in zip(files, months, strict=True):
        text = month.to_csv(index=False, lineterminator="\n")
        write_whole(
            folder / file["name"], gzip.compress(text.encode(), mtime=0)
        )


_UNPACKERS = {"nested": _unpack_nested, "rda": _unpack_rda}


def main(names: list[str]) -> int:
    """Fetch and verify the datasets named, or all; return 1 if one failed."""
    failed = 0
    for name in names or table():
        try:
            count = len(paths(name))
            print(f"{name}: {count} verified in {_choose(_row(name))[0]}")
        except DatasetError as error:
            failed = 1
            print(f"{name}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
