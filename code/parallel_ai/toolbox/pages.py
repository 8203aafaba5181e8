"""The built pages as a whole: an archive to read offline, and their marks.

On the command line::

    python -m parallel_ai.toolbox.pages archive      # or: make offline
    python -m parallel_ai.toolbox.pages lighthouse   # or: make lighthouse
    python -m parallel_ai.toolbox.pages lighthouse threads processes

Lighthouse loads each page in a browser as a telephone on a slow network
would, and gives marks from 0 to 100. It comes with Node, through ``npx``;
neither is needed for anything else, so both are asked for only here.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

FOLDER = Path("_build/html")
TITLE = "parallel-python-for-ai"
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
LIGHTHOUSE = "lighthouse@13.5.0"
SECONDS = 180  # for one page
MARKS = ("performance", "accessibility", "best-practices", "seo")


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
    part = path.with_name(f"{path.name}.part")
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".map"
    )
    names = [name for name in names if not name.startswith(UNUSED)]
    if "index.html" not in names:
        raise FileNotFoundError(f"no built pages in {folder}: make book")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as pack:
        for name in names:
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, (folder / name).read_bytes())
    os.replace(part, path)
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


# ------------------------------------------------------------ the marks


def page_names(folder: Path, words: Iterable[str] = ()) -> list[str]:
    """List the pages whose names hold one of the words, or all."""
    wanted = list(words)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.html")
        if not path.relative_to(folder).as_posix().startswith("_")
    )
    return [
        name
        for name in names
        if name not in ("index.html", "genindex.html")  # leads to the first
        and (not wanted or any(word in name for word in wanted))
    ]


def marked(address: str, npx: str, browser: str, only: str = "") -> dict:
    """Let Lighthouse judge one page.

    Returns
    -------
    dict
        Lighthouse's report.

    Raises
    ------
    RuntimeError
        If it gave none, with what it said.
    """
    flags = "--headless --no-sandbox --disable-gpu"
    command = [npx, "--yes", LIGHTHOUSE, address, "--quiet"]
    command += ["--output=json", f"--chrome-flags={flags}"]
    command += [f"--only-categories={only}"] if only else []
    done = subprocess.run(  # noqa: S603 - found on the path, named above
        command,
        env={**os.environ, "CHROME_PATH": browser},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(
            f"Lighthouse gave no report on {address}: {done.stderr[-2000:]}"
        ) from None


def summary(report: Mapping[str, Any]) -> dict[str, float]:
    """Take from a report what the table shows.

    Returns
    -------
    dict
        Marks from 0 to 100; seconds until the largest part was painted;
        milliseconds of blocking; sum of layout shifts; KiB transferred.
    """
    audits = report["audits"]
    marks = {
        name: round(100 * (report["categories"][name]["score"] or 0))
        for name in MARKS
        if name in report["categories"]
    }
    sizes = audits["network-requests"]["details"]["items"]
    return marks | {
        "paint": audits["largest-contentful-paint"]["numericValue"] / 1000,
        "blocked": audits["total-blocking-time"]["numericValue"],
        "shift": audits["cumulative-layout-shift"]["numericValue"],
        "KiB": sum(item.get("transferSize", 0) for item in sizes) / 1024,
    }


def shortcomings(report: Mapping[str, Any]) -> list[str]:
    """Name the audits that cost a page marks."""
    audits = report["audits"]
    return [
        audits[part["id"]]["title"]
        for name in MARKS[1:]
        for part in report["categories"].get(name, {}).get("auditRefs", [])
        if part["weight"] and audits[part["id"]]["score"] not in (1, None)
    ]


def row(name: str, values: Mapping[str, float]) -> str:
    """Write a line of the table."""
    marks = "".join(f"{values.get(mark, ''):>5}" for mark in MARKS)
    return (
        f"{name:46}{marks} {values['paint']:6.2f} s"
        f" {values['blocked']:5.0f} ms {values['shift']:6.3f}"
        f" {values['KiB']:5.0f} KiB"
    )


HEAD = f"{'page':46} perf  a11y best  seo    paint  blocked  shift     size"


def judge(folder: Path, words: Iterable[str], packed: bool) -> dict[str, dict]:
    """Print and give the marks of pages; says so if a program is missing."""
    npx = shutil.which("npx")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not npx or not browser:
        missing = "npx (it comes with Node)" if not npx else "Chromium"
        print(f"Lighthouse needs {missing}: it is not installed here.")
        return {}
    print(f"{'with' if packed else 'without'} gzip\n{HEAD}", flush=True)
    found = {}
    with served(folder, packed) as site:
        for name in page_names(folder, words):
            only = "" if packed else "performance"
            report = marked(site + name, npx, browser, only)
            found[name] = summary(report)
            print(row(name, found[name]), flush=True)
            for audit in shortcomings(report):
                print(f"    {audit}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Pack the pages, or let Lighthouse judge them."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.pages", description=__doc__
    )
    parser.add_argument("what", choices=["archive", "lighthouse"])
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--plain", action="store_true", help="without gzip")
    wanted = parser.parse_intermixed_args(arguments)
    if wanted.what == "archive":
        path = wanted.folder.parent / f"{titled(wanted.folder)}.zip"
        count = archive(wanted.folder, path)
        print(f"{path}: {count} files, {path.stat().st_size / 2**20:.1f} MiB")
        return 0
    found = judge(wanted.folder, wanted.words, packed=not wanted.plain)
    if found:
        name = "lighthouse_plain.json" if wanted.plain else "lighthouse.json"
        path = wanted.folder.parent / name
        path.write_text(json.dumps(found, indent=1), encoding="utf8")
        sizes = sorted(values["KiB"] for values in found.values())
        print(
            f"{len(found)} pages, median {sizes[len(sizes) // 2]:.0f} KiB,"
            f" largest {sizes[-1]:.0f} KiB; {path}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
