"""A performance report: the dashboard, for who comes later."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Client, performance_report

# Parts that a browser fetches by itself, from another host, with a page.
FETCHED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)\s*=\s*[\"']?"
    r"(?:https?:)?//([^/\"'>\s]+)[^>]*>",
    re.IGNORECASE,
)


def fetches_from(page: str) -> set[str]:
    """Hosts from which a browser fetches parts of a page."""
    return set(FETCHED.findall(page))


def report(client: Client, path: Path, job: Callable[[], Any]) -> Any:
    """Do a job on a cluster, and write Dask's report on it, on its own.

    By default a report's scripts come from another host, whenever somebody
    opens it. With ``mode="inline"`` they are inside; an icon is left, which
    is taken out.
    """
    with client.as_current(), performance_report(path, mode="inline"):
        result = job()
    page = path.read_text(encoding="utf-8")
    path.write_text(FETCHED.sub("", page), encoding="utf-8")
    return result
