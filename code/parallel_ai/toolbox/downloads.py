"""Downloads that go on where they stopped, one process at a time.

Claim: whatever happens in the middle (a cut line, Ctrl-C, a full disk, a
second process), a file is whole and verified or it is not there, and nothing
but a last piece of 64 KiB is fetched twice.

pooch has the rest: addresses, checksums, retries, and moving a new file into
place whole. Its downloaders start anew each time; this one does not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

RETRIES = 2  # after the first attempt; pooch waits one second, then two
WAIT = 1800.0  # seconds for another process that fills the same folder
Downloader = Callable[[str, str, Any], None]


class DatasetError(RuntimeError):
    """Data are missing, damaged or out of reach; the message has the cure."""


class ResumingDownloader:
    """A downloader for pooch that asks only for the bytes not yet here.

    They are kept beside the target, as ``<last part of the address>.part``,
    until the server has no more. pooch then compares the checksum and deletes
    a file that fails, so that the next attempt starts anew. Where the server
    knows no ranges (RFC 9110, section 14), the whole is fetched again.

    Parameters
    ----------
    schemes
        Schemes that an address or a redirection may have; tests add http.
    progressbar
        True for tqdm's bar, False for none, or an object as pooch takes one.
    timeout
        Seconds to connect, and between two pieces.
    """

    def __init__(
        self,
        schemes: tuple[str, ...] = ("https",),
        progressbar: Any = True,
        timeout: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        self.schemes, self.progressbar = schemes, progressbar
        self.options = {"timeout": timeout, "chunk_size": 1 << 16}

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download `url` to the path `output_file`, as pooch asks for it."""
        from pooch import HTTPDownloader

        self._allow(url)
        part = partial_file(Path(output_file).parent, url)
        with part.open("ab") as stream:
            # A range counts the file's own bytes: no compression on the way.
            headers = {"Accept-Encoding": "identity"}
            if stream.tell():
                headers["Range"] = f"bytes={stream.tell()}-"
            hooks = {
                "response": lambda reply, **_: self._resume(reply, stream)
            }
            bar = _bar() if self.progressbar is True else self.progressbar
            get = HTTPDownloader(
                bar, headers=headers, hooks=hooks, **self.options
            )
            with contextlib.suppress(_NothingLeftError):
                get(url, stream, pooch)
        os.replace(part, output_file)

    def _resume(self, reply: Any, stream: IO[bytes]) -> None:
        self._allow(urljoin(reply.url, reply.headers.get("location", "")))
        if reply.status_code == 416:  # we have all, or more than all
            raise _NothingLeftError
        if reply.status_code == 200:  # the whole, whatever was asked for
            stream.truncate(0)

    def _allow(self, url: str) -> None:
        if urlsplit(url).scheme not in self.schemes:
            allowed = ", ".join(self.schemes)
            raise DatasetError(f"{url} is refused: it is not {allowed}.")


def _bar(delay: float = 0.2) -> Any:
    """Make tqdm's bar without its thread, which would outlive the download.

    A chapter that forks afterwards should do so with one thread. Nothing is
    shown in the first `delay` seconds: not for small files, nor for failures.
    """
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0

        def __bool__(self) -> bool:  # pooch asks whether there is a bar
            return True

        def reset(self, total: float | None = None) -> None:
            self.n = 0  # pooch then adds all; tqdm's own would print a 0 %

    return Bar(unit="B", unit_scale=True, ncols=79, delay=delay)


class _NothingLeftError(Exception):
    """The server has no byte after those that the partial file holds."""


def fetch(
    path: Path,
    url: str,
    checksum: str,
    *,
    downloader: Downloader | None = None,
    otherwise: str = "",
) -> None:
    """Download a file, unless it is there and has the checksum.

    Parameters
    ----------
    path
        Where to; the folder is made.
    url
        Where from.
    checksum
        SHA-256 in hexadecimal, or "md5:" and an MD5.
    downloader
        A `ResumingDownloader` if None.
    otherwise
        What else a reader without a network can do, for the error.

    Raises
    ------
    DatasetError
        No answer, a cut line (what arrived is kept), another file than
        expected (it is deleted), no space, no permission.
    """
    import pooch
    import requests

    name = path.name
    keeper = pooch.create(
        path.parent,
        base_url="",
        registry={name: checksum},
        urls={name: url},
        retry_if_failed=RETRIES,
    )
    try:
        with explained(path):
            keeper.fetch(name, downloader=downloader or ResumingDownloader())
    except requests.RequestException as error:
        part = partial_file(path.parent, url)
        size = part.stat().st_size if part.exists() else 0
        kept = f" {size:,} bytes are kept in {part}." if size else ""
        raise DatasetError(
            f"{url} did not arrive ({_cause(error)}).{kept} Call again with a "
            f"network{otherwise}."
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"{url} sends another file than expected: {error} Try again later, "
            "or from another network. If that does not help, the file was "
            "changed at its address: please report it."
        ) from error


def _cause(error: Any) -> str:
    """Put in a few words why a request failed."""
    if error.response is not None:
        return f"the server answers {error.response.status_code}"
    return type(error).__name__


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, or wait until they are done.

    Raises
    ------
    DatasetError
        Another process kept the folder for too long.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=WAIT)
    try:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout as error:
        raise DatasetError(
            f"Waited {WAIT:.0f} s for another process that downloads to "
            f"{folder}. Find and end it, then call again."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn trouble with the disk into an error that says what to do.

    Raises
    ------
    DatasetError
        Instead of an `OSError` of the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the disk: the network, a lock
            raise
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DatasetError(
                f"{path} cannot be written: {error}. Give yourself the right "
                "to, or free the name."
            ) from error
        folder = next(p for p in (path, *path.parents) if p.is_dir())
        free = shutil.disk_usage(folder).free
        raise DatasetError(
            f"No space for {path}: {error.strerror}, {free:,} bytes free. Make "
            "room and call again; what arrived is kept."
        ) from error


def partial_file(folder: Path, url: str) -> Path:
    """Name the file that holds what has arrived of an address so far."""
    return folder / (Path(urlsplit(url).path).name + ".part")
