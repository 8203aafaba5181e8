"""The built pages as a whole: a list of them, an archive, a server.

On the command line::

    python -m parallel_ai.toolbox.pages archive      # or: make offline
"""

import argparse
import gzip
import re
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from parallel_ai.toolbox.files import whole

FOLDER = Path("_build/html")
TITLE = "parallel-python-for-ai"
APART = ("_", "attached/")  # no pages of the book
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that an archive can tell
TEXTS = {".html", ".css", ".js", ".svg", ".json", ".xml", ".txt"}
# What the theme brings and no page loads.
UNUSED = (
    "_static/vendor/",
    "_static/locales/",
    "_static/scripts/bootstrap.js",
    "_static/scripts/fontawesome.js",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


# ------------------------------------------------------------- the archive


def archive(folder: Path, path: Path) -> int:
    """Write all that readers need into one archive.

    The same pages give the same archive, to the byte. It unpacks to a folder
    of its own name, so that versions can lie side by side.

    Parameters
    ----------
    folder : Path
        The built pages.
    path : Path
        The archive, which appears whole or not at all.

    Returns
    -------
    int
        How many files are in it.

    Raises
    ------
    FileNotFoundError
        Nothing has been built.
    """
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".map"
    )
    names = [name for name in names if not name.startswith(UNUSED)]
    if "index.html" not in names:
        raise FileNotFoundError(f"no built pages in {folder}: make book")
    with (
        whole(path) as draft,
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as pack,
    ):
        for name in names:
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, (folder / name).read_bytes())
    return len(names)


def titled(folder: Path) -> str:
    """Name the archive: with the version that the inventory of pages tells."""
    inventory = folder / "objects.inv"
    head = inventory.read_bytes()[:500] if inventory.exists() else b""
    found = re.search(rb"^# Version: ([\w.+-]+)$", head, re.MULTILINE)
    return f"{TITLE}-{found[1].decode()}" if found else TITLE


# -------------------------------------------------------------- the server


class Handler(SimpleHTTPRequestHandler):
    """Serves files, texts compressed if asked for and allowed to."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, packed: bool, **named: Any) -> None:
        self.packed = packed
        super().__init__(*arguments, **named)

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Send the head of an answer, and give its body."""
        path = Path(self.translate_path(self.path))
        accepted = self.headers.get("Accept-Encoding", "")
        if (
            not self.packed
            or "gzip" not in accepted
            or path.suffix not in TEXTS
            or not path.is_file()
        ):
            return super().send_head()
        body = gzip.compress(path.read_bytes(), mtime=0)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return BytesIO(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Does not complain of a browser that went away."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong, unless the other side did."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def served(folder: Path, packed: bool = True) -> Iterator[str]:
    """Serve a folder on a free port of loopback; gives its address.

    Parameters
    ----------
    folder : Path
        What is served.
    packed : bool
        Compress texts, as nearly every host of pages does.
    """
    handler = partial(Handler, directory=str(folder), packed=packed)
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


# ------------------------------------------------------------- the list


def page_names(folder: Path, words: Iterable[str] = ()) -> list[str]:
    """List the pages whose names hold one of the words, or all.

    Not what lies beside them: sources, and what other programs have drawn.
    """
    wanted = list(words)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.html")
        if not path.relative_to(folder).as_posix().startswith(APART)
    )
    return [
        name
        for name in names
        if name not in ("index.html", "genindex.html")  # leads to the first
        and (not wanted or any(word in name for word in wanted))
    ]


def main(arguments: list[str] | None = None) -> int:
    """Pack the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.pages", description=__doc__
    )
    parser.add_argument("what", choices=["archive"])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    wanted = parser.parse_args(arguments)
    path = wanted.folder.parent / f"{titled(wanted.folder)}.zip"
    count = archive(wanted.folder, path)
    print(f"{path}: {count} files, {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
