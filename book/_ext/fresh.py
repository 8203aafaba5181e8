"""Executes exactly the pages whose fingerprint changed, before Sphinx reads them.

Plain ``jupyter-book build .`` is all that it takes.  The fingerprint goes into
the page's ``kernelspec`` metadata, which jupyter-cache hashes, so the stock
cache finds outputs only while everything that they depend on is unchanged.
Executing beforehand gives an order, progress on the terminal, one page at a
time (they measure), and a cache that keeps every page that finished.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import zmq
from filelock import FileLock, Timeout
from myst_nb.core.read import MystMetadataParsingError, create_nb_reader
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ExtensionError
from traitlets.config import Config

from fingerprint import (
    Reader,
    UnknownDependency,
    digest,
    installed,
    text_of,
)
from kept import code_cells, entries, open_cache, recall, say, store
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.memory import ChildrenPeak
from parallel_ai.toolbox.stopwatch import readable_bytes

LOCK_SECONDS = 3600
SHOWN_SECONDS = 0.5
GARBAGE = (200_000, 10, 10)  # new objects, and rounds, before a collection
SOCKET_PATH = 80
ANSI = re.compile(r"\x1b\[[0-9;]*m")
KERNELSPEC = re.compile(r"^kernelspec:\n +name: (\S+)$", re.MULTILINE)
SETTINGS = (
    "nb_execution_allow_errors",
    "nb_execution_in_temp",
    "nb_execution_timeout",
)
TAGS = {"raises-exception", "skip-execution"}  # those that change what runs
EXECUTION_ERRORS = (CellExecutionError, CellTimeoutError, DeadKernelError)


class CellFailure(Exception):
    """A cell that raised, ran out of time or killed its kernel."""


@dataclass
class Page:
    """A page with code cells, and its outputs in the cache, if they are there."""

    docname: str
    notebook: NotebookNode
    inputs: dict[str, Any]
    executed: dict[str, Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Digest of everything that the outputs depend on."""
        return digest([self.docname, self.inputs])

    @property
    def key(self) -> list[str | None]:
        """Which execution the page shows."""
        return [self.fingerprint, (self.executed or {}).get("when")]


@dataclass
class Book:
    """What the extension knows during one build."""

    lock: FileLock
    started: float = field(default_factory=time.monotonic)
    pages: dict[str, Page] = field(default_factory=dict)
    ran: dict[str, float] = field(default_factory=dict)


def lock_build(app: Sphinx, config: Any) -> None:
    """Let one build at a time work in a folder; a killed one leaves no lock."""
    folder = Path(app.outdir).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another build works in {folder}: waiting for it to finish …")
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as error:
            raise ExtensionError(
                f"another build has worked in {folder} for {LOCK_SECONDS} s:"
                " end it, then build again"
            ) from error
    app.fresh = Book(lock)  # type: ignore[attr-defined]


def execute_stale(app: Sphinx) -> None:
    """Bring the cache up to date with every page of the table of contents."""
    settings = {name: app.config[name] for name in SETTINGS}
    reader = Reader(app.config.fresh_package, settings)
    book: Book = app.fresh  # type: ignore[attr-defined]
    cache = open_cache(app)
    records = entries(cache)
    for docname, notebook in read_notebooks(app).items():
        page = read_page(app, reader, docname, notebook)
        if page:
            recall(cache, page, records)
            book.pages[docname] = page
    stale = [page for page in book.pages.values() if page.executed is None]
    failures = []
    for number, page in enumerate(stale, 1):
        label = f"[{number}/{len(stale)}] {page.docname}"
        try:
            page.executed = execute(app, page, label)
        except CellFailure as failure:
            failures.append(str(failure))
            continue
        store(cache, page)
        book.ran[page.docname] = page.executed["seconds"]
        taken = readable_bytes(page.executed["memory"])
        say(f"{label}: {page.executed['seconds']:.1f} s, {taken} at most")
    report = Path(app.outdir).parent / "failures.txt"
    report.write_text("\n".join(failures), encoding="utf8")
    if failures:
        raise ExtensionError(
            f"{len(failures)} of {len(book.pages)} pages failed; the outputs of all"
            " others are kept.\n" + "\n".join(failures)
        )


def docnames(app: Sphinx) -> list[str]:
    """Pages in the order of the table of contents."""
    suffix = re.compile(r"\.md$")
    names = [suffix.sub("", name) for name in app.config.external_site_map]
    return [
        name for name in names if (Path(app.srcdir) / f"{name}.md").exists()
    ]


def read_notebooks(app: Any) -> dict[str, NotebookNode]:
    """Read the pages that may hold cells, in order.

    Parsing Markdown takes a third of a build that executes nothing, so what
    was read stays in a file: of a page whose text, and the book's settings,
    are as they were, the notebook is taken from there.
    """
    memory = Path(app.outdir).parent / "read.json"
    before = remembered(memory)
    settings = [extensions(), text_of(Path(app.confdir) / "_config.yml")]
    settings += [installed(name)[0] for name in ("myst-nb", "myst-parser")]
    now = {}
    for docname in docnames(app):
        path = Path(app.srcdir) / f"{docname}.md"
        text = path.read_text(encoding="utf8")
        key = digest([text, settings])
        if before.get(docname, {}).get("key") == key:
            now[docname] = before[docname]
            continue
        parser = create_nb_reader(
            str(path), app.env.myst_config, app.env.mystnb_config, text
        )
        try:
            read = parser and parser.read(text)
        except MystMetadataParsingError as error:
            raise ExtensionError(f"{path}: {error}") from None
        now[docname] = {"key": key, "read": read, "sum": digest([key, read])}
    if now != before:
        part = memory.with_suffix(".part")
        part.write_text(json.dumps(now), encoding="utf8")
        part.replace(memory)
    return {
        docname: nbformat.from_dict(one["read"])
        for docname, one in now.items()
        if one["read"]
    }


def remembered(memory: Path) -> dict[str, dict[str, Any]]:
    """Take from a file what was read, without what was damaged since."""
    try:
        pages = json.loads(memory.read_text(encoding="utf8"))
        return {
            docname: one
            for docname, one in pages.items()
            if one.get("sum") == digest([one["key"], one["read"]])
        }
    except FileNotFoundError:
        return {}
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        say(f"{memory} is damaged: all pages are read again")
        return {}


def read_page(
    app: Any, reader: Reader, docname: str, notebook: NotebookNode
) -> Page | None:
    """Find a page's cells and fingerprint; None if it executes nothing."""
    cells = [
        (cell.source, sorted(TAGS.intersection(cell.metadata.get("tags", []))))
        for cell in code_cells(notebook)
    ]
    if not cells:
        return None
    try:
        depends = notebook.metadata.get("depends", [])
        page = Page(
            docname,
            notebook,
            reader.read(cells, depends, (Path(app.srcdir) / docname).parent),
        )
    except UnknownDependency as error:
        raise ExtensionError(f"{docname}: {error}") from error
    notebook.metadata.setdefault("kernelspec", {})["fingerprint"] = (
        page.fingerprint
    )
    return page


def execute(app: Sphinx, page: Page, label: str) -> dict[str, Any]:
    """Run a page's cells in a fresh kernel; returns the provenance."""
    start = time.perf_counter()
    progress = Progress(label, page)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            page.notebook,
            config=kernel_settings(folder),
            kernel_name=page.notebook.metadata.kernelspec.get(
                "name", "python3"
            ),
            timeout=app.config.nb_execution_timeout,
            allow_errors=app.config.nb_execution_allow_errors,
            resources={
                "metadata": {"path": working_folder(app, page, folder)}
            },
            record_timing=False,  # part of the cache's key, were it there
            on_cell_start=progress.start,
            on_cell_executed=progress.executed,
        )
        witness = nbformat.v4.new_code_cell(LOADED % app.config.fresh_package)
        page.notebook.cells.append(witness)
        try:
            with ChildrenPeak() as memory:
                client.execute()
        except EXECUTION_ERRORS as error:
            raise CellFailure(progress.describe(error)) from error
        finally:
            page.notebook.cells.remove(witness)
    check_loaded(page, json.loads(witness.outputs[0].text))
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - start, 1),
        "memory": memory.bytes,
        "machine": machine.describe(),
        "versions": {
            name: installed(name)[0] for name in page.inputs["imports"]
        },
    }


def kernel_settings(folder: str) -> Config:
    """Kernels talk through sockets in a private folder, not through open ports."""
    ipc = zmq.has("ipc") and len(folder) < SOCKET_PATH
    manager = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
    return Config({"KernelManager": manager if ipc else {}})


def working_folder(app: Sphinx, page: Page, folder: str) -> str:
    """Where the kernel runs: an empty folder, unless the settings say otherwise."""
    if not app.config.nb_execution_in_temp:
        return str((Path(app.srcdir) / page.docname).parent)
    path = Path(folder) / "work"
    path.mkdir()
    return str(path)


# Executed after a page's last cell: the modules that were really imported.
LOADED = """
import json, sys
print(json.dumps(sorted(n for n in sys.modules if (n + ".").startswith("%s."))))
"""


def check_loaded(page: Page, loaded: list[str]) -> None:
    """Refuse a page that imported a module which its fingerprint does not cover."""
    missed = sorted(set(loaded) - set(page.inputs["modules"]))
    if missed:
        raise CellFailure(
            f"{page.docname}: imports {', '.join(missed)} in a way that reading the"
            " source does not show: name it under `depends:` in the front matter"
        )


class Progress:
    """Tells page, cell and seconds while a page executes."""

    def __init__(self, label: str, page: Page) -> None:
        self.label, self.page = label, page
        cells = [
            i
            for i, c in enumerate(page.notebook.cells)
            if c.cell_type == "code"
        ]
        self.number = {index: n for n, index in enumerate(cells, 1)}
        self.at = 0

    def start(self, cell: NotebookNode, cell_index: int) -> None:
        """Note the cell that begins, and show it on a terminal."""
        self.at = cell_index
        self.began = time.perf_counter()
        if sys.stdout.isatty() and cell_index in self.number:
            print(f"\r{self.where()} …\033[K", end="", flush=True)

    def executed(self, cell: NotebookNode, cell_index: int, **_: Any) -> None:
        """Say how long the cell took, unless that was a moment."""
        seconds = time.perf_counter() - self.began
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)
        if seconds >= SHOWN_SECONDS and cell_index in self.number:
            say(f"{self.where()}: {seconds:.1f} s")

    def where(self) -> str:
        """Page and cell."""
        return (
            f"{self.label}: cell {self.number[self.at]} of {len(self.number)}"
        )

    def describe(self, error: Exception) -> str:
        """Chapter, cell and error, with the end of the traceback."""
        cell = self.page.notebook.cells[self.at]
        place = f"{self.page.docname}, cell {self.number.get(self.at, '?')}"
        if not isinstance(error, CellExecutionError):
            first = cell.source.strip().partition("\n")[0]
            return f"{place} ({first}): {type(error).__name__}: {error}"
        output = next(o for o in cell.outputs if o.output_type == "error")
        trace = ANSI.sub("", "\n".join(output.traceback))
        return f"{place}: {output.ename}: {output.evalue}\n{trace}"


def changed_outputs(
    app: Any, env: Any, added: set, changed: set, removed: set
) -> list[str]:
    """Pages that Sphinx must read again: their outputs are others than before."""
    pages = app.fresh.pages  # type: ignore[attr-defined]
    before = getattr(env, "fresh_read", {})
    env.fresh_read = {name: page.key for name, page in pages.items()}  # type: ignore
    return [
        n for n in {*before, *pages} if before.get(n) != env.fresh_read.get(n)
    ]


def keep_numbers(app: Sphinx, env: Any, docnames: list[str]) -> None:
    """Neither number figures nor format references anew if no page is read.

    Both lie in the environment, with the pages. A table of contents or a
    bibliography that changed makes the pages that show it read anew.
    """
    if docnames:
        return
    cite = env.domains.get("cite")
    if cite and cite.citations:
        cite.env_updated = list  # called once a build; changes no page
    listeners = app.events.listeners["env-get-updated"]
    listeners[:] = [
        one
        for one in listeners
        if not isinstance(
            getattr(one.handler, "__self__", None), TocTreeCollector
        )
    ]


def insert_fingerprint(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the fingerprint to the kernelspec; no line changes its number."""
    page = app.fresh.pages.get(docname)  # type: ignore[attr-defined]
    if page:
        key = f"{{name: \\1, fingerprint: {page.fingerprint}}}"
        new = rf"kernelspec:\n  {key}"
        source[0], found = KERNELSPEC.subn(new, source[0], count=1)
        if not found:
            raise ExtensionError(
                f"{docname}: the front matter needs `kernelspec:` and, in the"
                " next line and indented, `name: python3`"
            )


def summarise(app: Sphinx, error: Exception | None) -> None:
    """Leave one line for `make book` to print last, and release the lock."""
    book: Book | None = getattr(app, "fresh", None)
    if book is None:
        return
    if error is None:
        ran = book.ran
        slowest = max(ran, key=ran.__getitem__, default=None)
        line = (
            f"{len(app.env.found_docs)} pages, {len(ran)} executed,"
            f" {len(book.pages) - len(ran)} from cache,"
            f" {time.monotonic() - book.started:.1f} s"
            + (
                f", slowest {slowest} ({ran[slowest]:.1f} s)"
                if slowest
                else ""
            )
        )
        Path(app.outdir).parent.joinpath("summary.txt").write_text(
            line + "\n", encoding="utf8"
        )
    book.lock.release()


def extensions() -> str:
    """Digest of our extensions: an edit of one renders every page again."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest([[path.name, text_of(path)] for path in files])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; needs ``fresh_package``, the package of the book."""
    # A build makes millions of small objects and keeps most: looking for
    # garbage after every 700 of them takes a quarter of a build's time.
    gc.enable()  # `make book` starts without, for the imports
    gc.set_threshold(*GARBAGE)
    app.setup_extension("steady")
    app.add_config_value("fresh_package", "parallel_ai", "env", str)
    app.add_config_value("fresh_extensions", extensions(), "env", str)
    app.connect("config-inited", lock_build, priority=100)
    app.connect("builder-inited", execute_stale, priority=900)
    app.connect("env-get-outdated", changed_outputs)
    app.connect("env-before-read-docs", keep_numbers)
    app.connect("source-read", insert_fingerprint)
    app.connect("build-finished", summarise, priority=900)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True}
