"""What a page may load and run: a Content-Security-Policy in its head.

A page loads what lies beside it, and nothing of another host. It runs the
scripts that stood in it when it was built, each known by its hash, and makes
no code of texts (no ``unsafe-eval``). So what somebody manages to put into a
page later is shown, and not executed.

Styles may stand in the text (``unsafe-inline``): drawings by Matplotlib and
tables in the outputs of cells have ``style`` attributes, of which there are
as many as cells, and which no hash of a stylesheet covers.

What is a page's own if it was opened from a folder is not specified (issue 459
of the standard). Chromium takes every file for it, which a test makes sure of:
the offline edition has the same policy.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from html import unescape

from cut import ATTRIBUTE, TAG

RULES = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",  # icons in the stylesheet, pictures in outputs
    "object-src": "'none'",
    "frame-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",  # the search
}
SCRIPT = re.compile(
    r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE
)
META = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>')


def meta(scripts: str = "") -> str:
    """Write the policy; `scripts` are more sources of scripts."""
    rules = dict(RULES)
    rules["script-src"] += scripts
    said = "; ".join(f"{name} {sources}" for name, sources in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{said}" />'


def inline_scripts(html: str) -> Iterator[str]:
    """Yield the scripts that stand in a page; JSON is data and runs not."""
    for attributes, text in SCRIPT.findall(html):
        given = {
            name.lower(): double or single
            for name, double, single in ATTRIBUTE.findall(attributes)
        }
        if "src" not in given and "json" not in given.get("type", ""):
            yield text


def handlers(html: str) -> Iterator[str]:
    """Yield what attributes such as ``onclick`` run.

    The book's pages have none; scikit-learn's drawings of models do.
    """
    for _, attributes in TAG.findall(html):
        if " on" in attributes.lower():
            for name, double, single in ATTRIBUTE.findall(attributes):
                if name.lower().startswith("on") and double + single:
                    yield unescape(double or single)


def hashes(texts: Iterator[str]) -> str:
    """Write the sources that allow these scripts and no others."""
    digests = {hashlib.sha256(text.encode()).digest() for text in texts}
    return "".join(
        f" 'sha256-{b64encode(d).decode()}'" for d in sorted(digests)
    )


def secured(html: str) -> str:
    """Let a page's policy allow the scripts that are in the page."""
    scripts = hashes(inline_scripts(html))
    if called := hashes(handlers(html)):
        scripts += " 'unsafe-hashes'" + called
    return META.sub(meta(scripts), html, count=1)
