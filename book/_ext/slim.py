"""One small stylesheet, and scripts that wait: what a page shows, it loads.

The stock theme loads 500 KiB of styles and 1.6 MiB of scripts, most of them
for what this book does not show. Here a page names one stylesheet, cut down
to what the pages of the book can show (`cut`), with its icons inside
(`icons`), and only the scripts that it needs, all of them deferred; `policy` says what it
may load and run. What is in the text is made light by `light`.

The stylesheet depends on all pages. It is made anew when a build is finished
and only if a page then has a name that no page had, or lost one; the pages
name it with a digest of its text, so that no browser keeps an old one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from cut import WORD, Names, cut, moved, names_in, names_in_script
from fingerprint import digest, text_of
from icons import masked
from policy import meta, secured

CODE = ("cut.py", "icons.py", "policy.py", "slim.py")
SHEET = "slim.css"
IMPORT = re.compile(r"""@import\s+(?:url\()?["']([^"']+)""")
TABLE = re.compile(
    '<div class="(pst-scrollable-table-container|output text_html)">'
)
# The head of a page is painted whole, so that nothing moves in it: what it
# waits for stands before the text of every page but the search.
WHOLE = '<link rel="expect" href="#searchbox" blocking="render" />'
LINK = re.compile(rf"{SHEET}\?v=\w*")
FIRST = ("styles/theme.css", "styles/pydata-sphinx-theme.css")
ICONS = "scripts/fontawesome.js"
THEME = "scripts/pydata-sphinx-theme.js"
SEARCH = ("searchtools.js", "language_data.js")
# What the theme's scripts add where there are versions to choose from, an
# announcement or a sidebar that folds: a page here has none of these.
ABSENT = {
    f".{name}"
    for name in [
        "bd-header-announcement",
        "dropdown-item",
        "dropdown-menu",
        "dropdown-menu-dark",
        "list-group-item",
        "list-group-item-action",
        "pst-squeeze",
        "tooltip",
        "pst-button-link-to-stable-version",
        "pst-expand-sidebar-label",
        "version-switcher__button",
        "version-switcher__menu",
    ]
}
REPLACED = ("clipboard.min.js", "copybutton.js")  # by `light`, `frame.js`
# A script that only some pages need, and what the text of those has in it.
NEEDED = {
    "design-tabs.js": "sd-tab-set",
    "quiz.js": 'class="(quiz"|routes )',  # and the map, which shows progress
    "togglebutton.js": "toggle|dropdown",
}
SETTINGS = {"toggle": NEEDED["togglebutton.js"]}


@dataclass
class State:
    """What the last build left, in a file beside the pages."""

    link: str = ""  # the digest with which all pages name the stylesheet
    inputs: str = ""  # of everything that the stylesheet depends on
    sources: str = ""  # of the stylesheets and scripts alone
    styles: list[str] = field(default_factory=list)  # which were joined
    pages: dict[str, list[Any]] = field(default_factory=dict)


def recall(app: Sphinx) -> None:
    """Read what the last build left."""
    try:
        kept = json.loads(state_file(app).read_text(encoding="utf8"))
        app.slim = State(**kept)  # type: ignore[attr-defined]
    except (OSError, ValueError, TypeError):  # none, broken, or another form
        app.slim = State()  # type: ignore[attr-defined]


def state_file(app: Sphinx) -> Path:
    """Where a build leaves what the next one wants to know."""
    return Path(app.outdir).parent / "slim.json"


def write(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf8", newline="")
    os.replace(part, path)


# ------------------------------------------------------------- a page's head


def choose(
    app: Sphinx, pagename: str, templatename: str, context: Any, doctree: Any
) -> None:
    """Give the page one stylesheet, and the scripts that it needs."""
    joined = set(styles(app))
    context["css_files"] = [
        one for one in context["css_files"] if local(one) not in joined
    ]
    context["slim_sheet"] = f"_static/{SHEET}"
    context["slim_link"] = app.slim.link  # type: ignore[attr-defined]
    tags = meta() + (WHOLE if pagename != "search" else "")
    context["metatags"] = f"\n    {tags}{context.get('metatags', '')}"
    scripts = [
        deferred(one)
        for one in context["script_files"]
        if needed(one, context.get("body", ""))
    ]
    context["script_files"] = list(dict.fromkeys(scripts))
    if "body" in context:  # what a telephone may have to scroll
        stop = r'<div class="\1" tabindex="0">'
        context["body"] = TABLE.sub(stop, context["body"])


def styles(app: Sphinx) -> list[str]:
    """Paths of the stylesheets of every page, in the order of loading."""
    files = sorted(app.builder._css_files, key=lambda one: one.priority)  # type: ignore[attr-defined]
    sheets = [one for one in files if one.attributes["rel"] == "stylesheet"]
    return list(dict.fromkeys([*FIRST, *map(local, sheets)]))


def local(asset: Any) -> str:
    """Path of a stylesheet or script, below ``_static``."""
    return os.fspath(asset.filename).removeprefix("_static/")


def deferred(script: Any) -> Any:
    """Let a script wait until the page is there."""
    if not script.filename:
        return script
    late = {**script.attributes, "defer": "defer"}
    return type(script)(script.filename, priority=script.priority, **late)


def needed(script: Any, body: str) -> bool:
    """Tell if a page with this text needs the script."""
    if script.filename:
        if local(script) in REPLACED:
            return False
        mark = NEEDED.get(local(script))
    else:  # settings of another script
        setting = script.attributes["body"]
        if "DOCUMENTATION_OPTIONS." in setting:  # which comes later, unused
            return False
        mark = next((m for n, m in SETTINGS.items() if n in setting), None)
    return mark is None or re.search(mark, body) is not None


# ----------------------------------------------------------- the stylesheet


def finish(app: Sphinx, error: Exception | None) -> None:
    """Make the stylesheet if it must be another, and name it in all pages."""
    if error or app.builder.format != "html":
        return
    state: State = app.slim  # type: ignore[attr-defined]
    before = json.dumps(asdict(state))
    pages = written_pages(app)
    changed = read_changed(state, pages)
    sheet = Path(app.outdir) / "_static" / SHEET
    made = make(app, state, fresh=not changed and sheet.exists())
    if made is not None:
        write(sheet, made)
        state.link = digest(made)[:8]
    for name, path in pages.items():
        if made is not None or name in changed:
            link(state, name, path)
    if (now := json.dumps(asdict(state))) != before:
        write(state_file(app), now)


def written_pages(app: Sphinx) -> dict[str, Path]:
    """All pages that there are, by name."""
    paths = {
        name: Path(app.builder.get_outfilename(name))  # type: ignore[attr-defined]
        for name in sorted({*app.env.found_docs, "search", "genindex"})
    }
    return {name: path for name, path in paths.items() if path.exists()}


def stamp(path: Path) -> list[int]:
    """Time and size of a file: another one has others."""
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]


def read_changed(state: State, pages: dict[str, Path]) -> set[str]:
    """Read the names in all pages that are not as they were left."""
    known, state.pages = state.pages, {}
    changed = known.keys() - pages.keys()
    for name, path in pages.items():
        old = known.get(name)
        if old and old[:2] == stamp(path):
            state.pages[name] = old
        else:
            names = sorted(names_in(path.read_text(encoding="utf8")))
            state.pages[name] = [*stamp(path), names]
            changed.add(name)
    return changed


def make(app: Sphinx, state: State, fresh: bool) -> str | None:
    """Cut the stylesheet, or None if it would be the same.

    Most changes of a page add a name that no selector asks for.
    """
    static = Path(app.outdir) / "_static"
    order = state.styles = styles(app)
    texts = sources(app, static, order)
    code = [text_of(Path(__file__).with_name(name)) for name in CODE]
    before, state.sources = state.sources, digest([order, texts, code])
    if fresh and before == state.sources:
        return None
    names: Names = set().union(*(page[2] for page in state.pages.values()))
    asked = set().union(
        *(WORD.findall(t) for name, t in texts.items() if is_style(name))
    )
    names = {name for name in names if name.lstrip(".#[") in asked}
    inputs = digest([state.sources, sorted(names)])
    if (static / SHEET).exists() and inputs == state.inputs:
        return None
    state.inputs = inputs
    for name, text in texts.items():
        if not is_style(name):
            names |= names_in_script(text) - ABSENT
    sheets = [(name, texts[name]) for name in order]
    icons = static / ICONS
    script = icons.read_text(encoding="utf8") if icons.exists() else ""
    return masked(cut(sheets, names, texts.__getitem__), script)


def sources(
    app: Sphinx, static: Path, sheets: Iterable[str]
) -> dict[str, str]:
    """Read the stylesheets, and the scripts that may add names to a page."""
    own = [Path(app.confdir) / f for f in app.config.html_static_path]
    scripts = {
        path.relative_to(folder).as_posix()
        for folder in own
        for path in folder.rglob("*.js")
    }
    scripts |= {local(one) for one in app.builder._js_files if one.filename}  # type: ignore[attr-defined]
    texts = {}
    waiting = [*sheets, *sorted(scripts | {THEME, *SEARCH})]
    for name in waiting:
        if name not in texts and (static / name).exists():
            texts[name] = (static / name).read_text(encoding="utf8")
            if is_style(name):  # what it imports comes to the end
                found = IMPORT.findall(texts[name])
                waiting += [moved(address, name) for address in found]
    return texts


def is_style(name: str) -> bool:
    """Tell a stylesheet from a script."""
    return name.endswith(".css")


def link(state: State, name: str, path: Path) -> None:
    """Let a page name the stylesheet that there is now, and what it runs."""
    text = path.read_text(encoding="utf8")
    linked = LINK.sub(f"{SHEET}?v={state.link}", text, count=1)
    linked = secured(linked)
    if linked != text:
        write(path, linked)
        state.pages[name][:2] = stamp(path)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; the templates in ``_templates`` name the sheet."""
    app.setup_extension("light")
    app.connect("builder-inited", recall)
    app.connect("html-page-context", choose, priority=900)
    app.connect("build-finished", finish, priority=800)  # the theme's before
    app.add_js_file("frame.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
