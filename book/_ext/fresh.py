"""Executes exactly the pages whose fingerprint changed, before Sphinx reads them.

Plain ``jupyter-book build .`` is all that it takes.  The fingerprint goes into
the page's ``kernelspec`` metadata, which jupyter-cache hashes, so the stock
cache finds outputs only while everything that they depend on is unchanged.
Executing beforehand gives an order, progress on the terminal, one page at a
time (they measure), and a cache that keeps every page that finished.
With ``execute_notebooks: off`` nothing is executed: pages show what the cache
has of them as they are now, or no outputs.
"""

from __future__ import annotations

import gc
import glob
import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ExtensionError

from fingerprint import Reader, UnknownDependency, digest
from kept import code_cells, entries, open_cache, recall, say, store
from parallel_ai.toolbox.stopwatch import readable_bytes
from reading import extensions, read_notebooks
from running import CellFailure, execute

LOCK_SECONDS = 3600
GARBAGE = (200_000, 10, 10)  # new objects, and rounds, before a collection
KERNELSPEC = re.compile(r"^kernelspec:\n +name: (\S+)$", re.MULTILINE)
SETTINGS = (
    "nb_execution_allow_errors",
    "nb_execution_in_temp",
    "nb_execution_timeout",
)
TAGS = {"raises-exception", "skip-execution"}  # those that change what runs


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
    cache: Any = None
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
    """Bring the cache up to date with the book, unless execution is off."""
    settings = {name: app.config[name] for name in SETTINGS}
    reader = Reader(app.config.fresh_package, settings)
    book: Book = app.fresh  # type: ignore[attr-defined]
    book.cache = cache = open_cache(app)
    records = entries(cache)
    for docname, notebook in read_notebooks(app).items():
        page = read_page(app, reader, docname, notebook)
        if page:
            recall(cache, page, records)
            book.pages[docname] = page
    stale = [page for page in book.pages.values() if page.executed is None]
    off = app.config.nb_execution_mode == "off"
    failures = leave(app, stale) if off else execute_all(app, stale)
    report = Path(app.outdir).parent / "failures.txt"
    report.write_text("\n".join(failures), encoding="utf8")
    if failures:
        raise ExtensionError(
            f"{len(failures)} of {len(book.pages)} pages failed; the outputs of all"
            " others are kept.\n" + "\n".join(failures)
        )


def execute_all(app: Any, pages: list[Page]) -> list[str]:
    """Execute pages one after the other; returns what went wrong."""
    failures = []
    for number, page in enumerate(pages, 1):
        label = f"[{number}/{len(pages)}] {page.docname}"
        try:
            page.executed = execute(app, page, label)
        except CellFailure as failure:
            failures.append(str(failure))
            continue
        store(app.fresh.cache, page)
        app.fresh.ran[page.docname] = page.executed["seconds"]
        taken = readable_bytes(page.executed["memory"])
        say(f"{label}: {page.executed['seconds']:.1f} s, {taken} at most")
    return failures


def leave(app: Any, pages: list[Page]) -> list[str]:
    """Show pages without outputs; all others are shown with what is cached.

    MyST-NB shows no outputs at all where execution is off, and executes what
    the cache does not have where it is not. So it is told to use the cache,
    and from which pages to keep its hands.
    """
    config = app.env.mystnb_config
    apart = [glob.escape(app.env.doc2path(page.docname)) for page in pages]
    app.env.mystnb_config = config.copy(
        execution_mode="cache",
        execution_excludepatterns=[*config.execution_excludepatterns, *apart],
    )
    if pages:
        names = ", ".join(page.docname for page in pages)
        say(f"Execution is off. Shown without outputs: {names}")
    return []


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
        shown = [page for page in book.pages.values() if page.executed]
        slowest = max(ran, key=ran.__getitem__, default=None)
        line = (
            f"{len(app.env.found_docs)} pages, {len(ran)} executed,"
            f" {len(shown) - len(ran)} from cache,"
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
