"""Pictures of graphs: what autograd keeps, and a file in Netron."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SERVER = """
import sys, netron
print(netron.start(sys.argv[1], ("127.0.0.1", 0), browse=False)[1])
sys.stdout.flush()
netron.wait()
"""
WAIT = 20_000  # milliseconds


class NotInstalledError(RuntimeError):
    """A program that no Python package brings; the message says which."""


def backward_graph(model: nn.Module, example: torch.Tensor) -> str:
    """Draw what autograd would walk back through, as SVG.

    Raises
    ------
    NotInstalledError
        Without Graphviz's program `dot`.
    """
    if shutil.which("dot") is None:
        raise NotInstalledError(
            "torchviz draws with Graphviz's program dot, which is not "
            "installed here, or not on PATH. Debian and Ubuntu: apt install "
            "graphviz; conda: conda install graphviz; macOS: brew install "
            "graphviz. The Python package graphviz only calls it."
        )
    named = dict(model.named_parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of distutils
        import torchviz

        dot = torchviz.make_dot(model(example).sum(), params=named)
    dot.attr(bgcolor="transparent", size="6,9")
    return dot.pipe(format="svg", encoding="utf-8")


@contextmanager
def served(file: Path) -> Iterator[str]:
    """Serve a model's file to Netron's page; yields the address.

    On a free port of this machine's loopback, by a process of its own.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    RuntimeError
        Netron did not start.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no model to show: {file}")
    with subprocess.Popen(  # noqa: S603 - our own source
        [sys.executable, "-c", SERVER, str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None  # noqa: S101 - for mypy
            port = server.stdout.readline().strip()
            if not port.isdigit():
                raise RuntimeError("netron did not start: pip install netron")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@dataclass(frozen=True)
class Picture:
    """What Netron shows of a file.

    Attributes
    ----------
    svg : str
        The graph, as Netron's own "Export as SVG" writes it.
    png : bytes
        The window, with the properties of the first operation.
    refused : list of str
        Other hosts that the page asked for, in vain.
    """

    svg: str
    png: bytes
    refused: list[str]

    @property
    def labels(self) -> list[str]:
        """What stands in the drawing: operations, weights, shapes."""
        return re.findall(r">([^<>]+)<", self.svg)


def photographed(file: Path) -> Picture:
    """Open a file in Netron, in a browser without a window; take pictures.

    Raises
    ------
    NotInstalledError
        Without Playwright, or without Chromium.
    """
    try:
        from playwright.sync_api import Route, sync_playwright
    except ImportError as error:
        raise NotInstalledError(
            "pip install playwright, which drives the browser"
        ) from error
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise NotInstalledError(f"none of {', '.join(BROWSERS)} is installed")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = [*FLAGS, *(["--no-sandbox"] if root else [])]
    refused: list[str] = []
    with served(file) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=flags
        )
        context = browser.new_context(
            viewport={"width": 620, "height": 1060},
            device_scale_factor=1.5,
            color_scheme="light",
        )

        def only_here(route: Route) -> None:
            if route.request.url.startswith((address, "blob:", "data:")):
                route.continue_()
            else:
                refused.append(route.request.url)
                route.abort()

        context.route("**/*", only_here)
        # Without it the page first asks another host where you are.
        context.add_cookies(
            [{"name": "consent", "value": "1", "url": address}]
        )
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.locator(".node-item").first.wait_for()
        with page.expect_download() as download:
            page.keyboard.press("Control+Alt+KeyE")
        svg = download.value.path().read_text(encoding="utf8")
        page.locator(".node-item-type").first.click()
        page.locator("#sidebar-content .sidebar-item").nth(3).wait_for()
        page.wait_for_timeout(500)  # the panel slides in
        png = page.screenshot()
        browser.close()
    return Picture(svg, png, refused)
