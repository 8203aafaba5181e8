"""A performance report: the dashboard, for who comes later."""

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Client, performance_report
from IPython.display import HTML

# Parts that a browser fetches by itself, from another host, with a page.
FETCHED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)\s*=\s*[\"']?"
    r"(?:https?:)?//([^/\"'>\s]+)[^>]*>",
    re.IGNORECASE,
)
ICON = re.compile(r"<link\b[^>]*\bicon\b[^>]*>")


def fetches_from(page: str) -> set[str]:
    """Hosts from which a browser fetches parts of a page."""
    return set(FETCHED.findall(page))


def report(
    client: Client, path: Path, job: Callable[[], Any], mode: str = "inline"
) -> Any:
    """Do a job on a cluster, and write Dask's report on it, on its own.

    Dask's default is ``mode="cdn"``: a report's scripts come from another
    host, whenever somebody opens it. Inline they are inside. The icon, which
    is of another host in any case, is taken out.
    """
    with client.as_current(), performance_report(path, mode=mode):
        result = job()
    page = path.read_text(encoding="utf-8")
    path.write_text(ICON.sub("", page), encoding="utf-8")
    return result


def link_to(page: str, text: str) -> HTML:
    """Show a page as a link; the book keeps it as a file of its own."""
    data = b64encode(page.encode()).decode()
    return HTML(
        f'<a class="attached" download="report.html" '
        f'href="data:text/html;base64,{data}">{text}</a>'
    )
