"""Reads the pages that may hold cells; what was read stays in a file.

Parsing Markdown takes a third of a build that executes nothing. Of a page
whose text, and the book's settings, are as they were, the notebook is taken
from the file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.read import MystMetadataParsingError, create_nb_reader
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from fingerprint import digest, installed, text_of
from kept import say


def docnames(app: Sphinx) -> list[str]:
    """Pages in the order of the table of contents."""
    suffix = re.compile(r"\.md$")
    names = [suffix.sub("", name) for name in app.config.external_site_map]
    return [
        name for name in names if (Path(app.srcdir) / f"{name}.md").exists()
    ]


def read_notebooks(app: Any) -> dict[str, NotebookNode]:
    """Read the pages that may hold cells, in order."""
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


def extensions() -> str:
    """Digest of our extensions: an edit of one renders every page again."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest([[path.name, text_of(path)] for path in files])
