"""The functions of the package, from their docstrings, linked with the pages.

``{reference} one_machine`` lists what is public in a part of the package,
with links to where it is taught; every listing leads to its entry. An anchor
is a full name, as in other references, and Sphinx's Python domain knows all:
search finds them, and other books can link to them.

Nothing is imported: torch and Ray have no place in a build. Of the libraries
that read sources instead, sphinx-autoapi parses all of them in every build,
changed or not (its issue 380), and writes pages among ours; sphinx-autodoc2
has waited for a release since 2023; griffe is well kept, but writes nothing
for Sphinx. What is left to do beside ``ast`` and docutils is little (see
`docstrings`). A page is read again when a file of its part changed, came or
went, and otherwise never.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from docstrings import Public, read
from entries import Places, Writer
from fingerprint import digest
from listing import PACKAGE, dotted, files, root
from tags import element


class contents(nodes.General, nodes.Element):
    """Place of what a module holds: ``contents(path=…, page=…)``.

    Filled when the page is written: thousands of nodes that lay in the
    environment would be read again by every build that numbers figures.
    """


class Reference(SphinxDirective):
    """``{reference} part``: all that is public in a part of the package."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """List the part's modules, one chapter after the other."""
        part = self.arguments[0]
        if not (root() / part).is_dir():
            raise self.error(f"{PACKAGE} has no part {part!r}")
        for path in files(root() / part):
            self.env.note_dependency(str(path))
        kept = vars(self.env).setdefault("reference_pages", {})
        kept[self.env.docname] = {"part": part, "files": file_names(part)}
        order = list(getattr(self.config, "external_site_map", ()))
        return [self._chapter(part, name) for name in chapters(part, order)]

    def _chapter(self, part: str, name: str) -> nodes.section:
        """Head the modules of a chapter, or one of the tools."""
        group = section(name, name)
        for path in files(root() / part / name):
            if path.stem == "__main__":
                continue
            module = dotted(path)
            self._note(read(path)[1], module)
            below = module.removeprefix(f"{PACKAGE}.{part}.{name}")[1:]
            if below:
                group += section(below, f"{name}.{below}")
                group[-1] += contents(path=str(path), page="")
            else:
                page = f"book/{part}/{name}"
                group += contents(path=str(path), page=page)
        return group

    def _note(self, public: Iterable[Public], module: str) -> None:
        """Tell Sphinx where each name is, for search and other books."""
        domain: Any = self.env.get_domain("py")
        for one in public:
            full = f"{module}.{one.name}"
            domain.note_object(full, one.kind, full)
            self._note(one.methods, module)


def section(title: str, name: str) -> nodes.section:
    """Make a section headed by the name of a module."""
    head = nodes.title(
        "", "", element("code", text=title)
    )  # bare: see entries
    identity = name.replace(".", "-").replace("_", "-")
    return nodes.section("", head, ids=[identity], names=[name])


def chapters(part: str, order: list[str]) -> list[str]:
    """Modules and packages of a part, in the order of the book's pages."""
    folder = root() / part
    names = {
        path.relative_to(folder).parts[0].removesuffix(".py")
        for path in files(folder)
    } - {"__init__", "__main__"}
    place = {page: at for at, page in enumerate(order)}
    return sorted(
        names, key=lambda n: (place.get(f"book/{part}/{n}", len(order)), n)
    )


def file_names(part: str) -> list[str]:
    """Names of a part's files, within the package."""
    folder = root()
    return [p.relative_to(folder).as_posix() for p in files(folder / part)]


# ------------------------------------------------------- what the pages show


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Give the listings of a page anchors, and keep what they show."""
    shown: dict[str, str] = {}
    for listing in doctree.findall(nodes.container):
        for full in listing.get("shows", ()):
            if full not in shown:
                shown[full] = anchor(listing, full, set(shown.values()))
    kept = vars(app.env).setdefault("reference_shown", {})
    kept[app.env.docname] = shown


def anchor(listing: nodes.Element, full: str, taken: set[str]) -> str:
    """Identity of a listing; of its exercise, if it is a folded solution."""
    node: nodes.Element = listing
    while node.parent is not None and node.get("name") != "section":
        node = node.parent
    node = listing if node.parent is None else node
    if not node["ids"]:
        short = f"listing-{full.rpartition('.')[2]}"
        long = f"listing-{full.replace('.', '-')}"
        node["ids"] = [long if short in taken else short]
    return node["ids"][0]


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Drop what is known of a page that is read again or gone."""
    for name in ("reference_pages", "reference_shown"):
        getattr(env, name, {}).pop(docname, None)


def grown(
    app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set
) -> list[str]:
    """Name the pages of parts in which a file came or went."""
    pages = getattr(env, "reference_pages", {})
    return [
        page for page, kept in pages.items()
        if kept["files"] != file_names(kept["part"])
    ]  # fmt: skip


def places(env: BuildEnvironment) -> dict[str, Places]:
    """Where each function is shown: its own chapter first, then by name."""
    found: dict[str, Places] = {}
    for page, shown in sorted(getattr(env, "reference_shown", {}).items()):
        chapter = page.removeprefix("book/").replace("/", ".")
        for full, identity in shown.items():
            own = f"{full}.".startswith(f"{PACKAGE}.{chapter}.")
            at = 0 if own else len(found.get(full, ()))
            found.setdefault(full, []).insert(at, (page, identity))
    return found


def retaught(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name the reference's pages if a chapter now shows other functions."""
    pages = getattr(env, "reference_pages", {})
    if not pages:
        return set()
    found = places(env)
    names = {
        p: env.titles[p].astext() for one in found.values() for p, _ in one
    }
    now = digest([found, names])
    before = getattr(env, "reference_digest", None)
    env.reference_digest = now  # type: ignore[attr-defined]
    return set() if now == before else set(pages)


def link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead from listings to their entries, and from entries to listings."""
    uri = app.builder.get_relative_uri
    objects = app.env.get_domain("py").objects  # type: ignore[attr-defined]
    for listing in doctree.findall(nodes.container):
        entry = objects.get(listing.get("shows", [""])[0])
        if entry:
            address = f"{uri(docname, entry.docname)}#{entry.node_id}"
            listing[0] += nodes.reference(
                "", "reference", refuri=address, internal=True,
                classes=["listing-reference"],
            )  # fmt: skip
    if docname in getattr(app.env, "reference_pages", {}):
        writer = Writer(app, docname, doctree.settings, places(app.env))
        for place in list(doctree.findall(contents)):
            made = writer.module(Path(place["path"]), place["page"])
            place.parent.replace(place, made)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("listing")
    app.add_node(contents)
    app.add_directive("reference", Reference)
    app.add_css_file("reference.css")  # `slim` joins the styles of all pages
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", collect)
    app.connect("env-get-outdated", grown)
    app.connect("env-updated", retaught)
    app.connect("doctree-resolved", link)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}
