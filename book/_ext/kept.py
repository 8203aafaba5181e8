"""Outputs of executed pages, kept in jupyter-cache, and what may befall them.

A disk flips a bit, a build is killed while it writes, a disk is full. What is
damaged is noticed by its digest, told, removed and executed again; trouble
that passes, such as a full disk, costs nothing that is kept.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord
from nbformat import NotebookNode
from sphinx.errors import ExtensionError
from sqlalchemy.exc import SQLAlchemyError

from fingerprint import digest

if TYPE_CHECKING:
    from fresh import Page

HASH = re.compile(r"[0-9a-f]{32}")  # what jupyter-cache calls a page by
# Trouble with the disk or with rights, not with what stands in the cache.
PASSING = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
# What the foot tells; outputs from before one of these was told are stale.
PROVENANCE = {"when", "seconds", "memory", "machine", "versions"}


def say(text: str) -> None:
    """Tell on the terminal, also when Sphinx is quiet."""
    print(text, flush=True)


def open_cache(app: Any) -> Any:
    """Open jupyter-cache's folder; one that cannot be read is set aside."""
    folder = Path(
        app.env.mystnb_config.execution_cache_path or ".jupyter_cache"
    )
    try:
        cache = get_cache(str(folder))
        cache.list_cache_records()
        with cache.db.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check")
            if (word := found.scalar()) != "ok":
                raise ValueError(word)
    except Exception as error:
        if passing(error):
            raise ExtensionError(
                f"the cache {folder} cannot be used: {reason(error)}."
                " It is kept as it is: see to the disk and build again"
            ) from error
        say(
            f"The cache {folder} is damaged ({reason(error)}): starting a new one"
        )
        aside = folder.with_name(f"{folder.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        cache = get_cache(str(folder))
        cache.list_cache_records()
    return cache


def reason(error: BaseException) -> str:
    """Say in one line what is at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0] or type(error).__name__


def passing(error: BaseException) -> bool:
    """Tell trouble that passes, such as a full disk, from a damaged file."""
    while error.__cause__ is not None:
        error = error.__cause__
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return isinstance(error, OSError) or code & 0xFF in PASSING


def entries(cache: Any) -> dict[str, NbCacheRecord]:
    """List the cache by fingerprint; damaged entries are removed from it."""
    found = {}
    for record in cache.list_cache_records():
        if not sound(record):
            forget(cache, record)
        elif "fingerprint" in record.data:  # else it is not ours
            found[record.data["fingerprint"]] = record
    return found


def sound(record: NbCacheRecord) -> bool:
    """Tell if an entry holds together; SQLite itself keeps no checksums."""
    data = record.data
    if not isinstance(data, dict) or not HASH.fullmatch(record.hashkey or ""):
        return False
    if "fingerprint" not in data:
        return True
    kinds = isinstance(data.get("executed"), dict) and "digest" in data
    return kinds and data.get("seal", seal(data)) == seal(data)


def seal(data: dict[str, Any]) -> str:
    """Digest of what an entry says of its page."""
    names = ("fingerprint", "executed", "digest")
    return digest([data.get(name) for name in names])


def forget(cache: Any, record: NbCacheRecord) -> None:
    """Remove a damaged entry, so that its page is executed again."""
    say(f"{record.uri}: its outputs in the cache are damaged and not used")
    NbCacheRecord.remove_records([record.pk], cache.db)
    if HASH.fullmatch(record.hashkey or ""):
        folder = cache.path / "executed" / record.hashkey
        shutil.rmtree(folder, ignore_errors=True)


def recall(cache: Any, page: Page, records: dict[str, NbCacheRecord]) -> None:
    """Take a page's outputs from the cache; damaged ones are removed from it.

    The cache's own key covers captions and alternative texts too. Outputs
    that differ in those alone are filed again under the new key.
    """
    record = records.get(page.fingerprint)
    if record is None or PROVENANCE - record.data["executed"].keys():
        return
    folder = cache.path / "executed" / record.hashkey
    try:
        text = (folder / "base.ipynb").read_text(encoding="utf8")
        if digest(text) != record.data["digest"]:
            raise ValueError("damaged")
    except (OSError, ValueError):
        forget(cache, record)
        return
    page.executed = record.data["executed"]
    if cache.create_hashed_notebook(page.notebook)[1] != record.hashkey:
        before = nbformat.reads(text, nbformat.NO_CONVERT)
        # Which language the kernel spoke: cells are coloured by it.
        page.notebook.metadata["language_info"] = before.metadata.language_info
        cells = code_cells(page.notebook)
        for cell, old in zip(cells, before.cells, strict=True):
            cell.outputs = old.outputs
            cell.execution_count = old.execution_count
        store(cache, page)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Cells that the kernel executes."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def store(cache: Any, page: Page) -> None:
    """Put a page's outputs into the cache, with digests that detect damage."""
    stored, _ = cache.create_hashed_notebook(page.notebook)
    data = {
        "fingerprint": page.fingerprint,
        "execution_seconds": page.executed["seconds"],  # type: ignore[index]
        "executed": page.executed,
        "digest": digest(nbformat.writes(stored, nbformat.NO_CONVERT)),
    }
    data["seal"] = seal(data)
    bundle = CacheBundleIn(stored, page.docname, data=data)
    try:
        cache.cache_notebook_bundle(
            bundle, check_validity=False, overwrite=True
        )
    except (OSError, RuntimeError, SQLAlchemyError) as error:
        raise ExtensionError(
            f"the outputs of {page.docname} could not be stored:"
            f" {reason(error)}. All earlier pages are kept: make room and"
            " build again"
        ) from error
