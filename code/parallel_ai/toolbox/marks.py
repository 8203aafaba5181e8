"""Marks of every page: Lighthouse's, and what axe finds at each width.

On the command line::

    python -m parallel_ai.toolbox.marks lighthouse   # or: make lighthouse
    python -m parallel_ai.toolbox.marks lighthouse threads processes
    python -m parallel_ai.toolbox.marks axe          # or: make axe

Lighthouse loads each page in a browser as a telephone on a slow network
would, and gives marks from 0 to 100. It comes with Node, through ``npx``;
neither is needed for anything else, so both are asked for only here. Axe
looks for what shuts readers out, on a telephone, a tablet and a desk, by day
and by night.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from parallel_ai.toolbox.pages import BROWSERS, FOLDER, page_names, served

LIGHTHOUSE = "lighthouse@13.5.0"
SECONDS = 180  # for one page
MARKS = ("performance", "accessibility", "best-practices", "seo")
WIDTHS = (390, 768, 1280)
THEMES = ("light", "dark")


# ----------------------------------------------------------- Lighthouse


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


# ------------------------------------------------------------------ axe


def violations(
    folder: Path, words: Iterable[str] = ()
) -> dict[str, dict[str, list[str]]]:
    """Print and give what axe finds on pages, at each width and theme.

    Parameters
    ----------
    folder : Path
        The built pages.
    words : iterable of str
        Of which one must be in the name of a page; none for all pages.

    Returns
    -------
    dict
        For each page and each view, such as "390 dark", what is violated:
        the rule and the first element that breaks it.
    """
    from axe_playwright_python.sync_playwright import Axe

    from parallel_ai.toolbox.paper import printer

    views = [f"{width} {theme}" for width, theme in product(WIDTHS, THEMES)]
    print(f"{'page':46}{''.join(f'{view:>12}' for view in views)}")
    found: dict[str, dict[str, list[str]]] = {}
    with served(folder) as site, printer() as browser:
        for name in page_names(folder, words):
            tab = browser.new_page(reduced_motion="reduce")
            tab.goto(site + name, wait_until="networkidle")
            tab.keyboard.press("Shift")  # lays out what is far from sight
            found[name] = {}
            for view, (width, theme) in zip(
                views, product(WIDTHS, THEMES), strict=True
            ):
                tab.set_viewport_size({"width": width, "height": 900})
                tab.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                tab.wait_for_selector(f"html[data-theme={theme}]")
                options = {"resultTypes": ["violations"]}
                broken = Axe().run(tab, options=options).response
                found[name][view] = [
                    f"{one['id']}: {one['nodes'][0]['html'][:200]}"
                    for one in broken["violations"]
                ]
            tab.close()
            counts = [f"{len(found[name][view]):>12}" for view in views]
            print(f"{name:46}{''.join(counts)}", flush=True)
            for said in sorted({s for v in found[name].values() for s in v}):
                print(f"    {said}")
    return found


# -------------------------------------------------------------- command


def main(arguments: list[str] | None = None) -> int:
    """Let Lighthouse or axe judge the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.marks", description=__doc__
    )
    parser.add_argument("what", choices=["lighthouse", "axe"])
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--plain", action="store_true", help="without gzip")
    wanted = parser.parse_intermixed_args(arguments)
    if wanted.what == "axe":
        broken = violations(wanted.folder, wanted.words)
        keep(wanted.folder, "axe", broken)
        return int(
            any(said for views in broken.values() for said in views.values())
        )
    found = judge(wanted.folder, wanted.words, packed=not wanted.plain)
    if found:
        name = "lighthouse_plain" if wanted.plain else "lighthouse"
        path = keep(wanted.folder, name, found)
        sizes = sorted(values["KiB"] for values in found.values())
        print(
            f"{len(found)} pages, median {sizes[len(sizes) // 2]:.0f} KiB,"
            f" largest {sizes[-1]:.0f} KiB; {path}"
        )
    return 0


def keep(folder: Path, name: str, found: Mapping[str, Any]) -> Path:
    """Write what was found beside the pages."""
    path = folder.parent / f"{name}.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf8")
    return path


if __name__ == "__main__":
    sys.exit(main())
