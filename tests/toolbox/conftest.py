"""A real server on loopback that can misbehave on demand."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

WAIT = 30  # seconds: a limit on hangs, not a pause


class FileServer(ThreadingHTTPServer):
    """Serves `files`, with or without ranges, and counts what it sent."""

    daemon_threads = False  # server_close waits for them

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if context else "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}  # redirections
        self.ranges = True
        self.cuts: list[int] = []  # bytes after which to hang up, in turn
        self.gate: threading.Event | None = None  # holds each reply half-way
        self.requests: list[str | None] = []  # the Range of each request
        self.sent = 0

    def url(self, name: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    timeout = WAIT

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        server, name = self.server, self.path.lstrip("/")
        asked = self.headers["Range"]
        server.requests.append(asked)
        if name in server.moved:
            self._head(302, 0, Location=server.moved[name])
            return
        if name not in server.files:
            self._head(404, 0)
            return
        content = server.files[name]
        start = 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._head(416, 0)
                return
        body = content[start:]
        end = server.cuts.pop(0) if server.cuts else len(body)
        self._head(206 if start else 200, len(body))
        half = min(end, len(body) // 2)
        self._send(body[:half])
        if server.gate:
            server.gate.wait(WAIT)
        self._send(body[half:end])
        self.close_connection = True

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.server.sent += len(body)  # first: the client may be done sooner
        self.wfile.write(body)


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None):
    server = FileServer(context)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        if server.gate:
            server.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(WAIT)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def tls_server(tmp_path: Path):
    """The same with a certificate of its own, which nobody trusts yet."""
    pem = tmp_path / "certificate.pem"
    _make_certificate(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(context) as server:
        server.certificate = pem
        yield server


def _make_certificate(pem: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl makes the certificate")
    key = pem.with_suffix(".key")
    subprocess.run(
        [
            *[openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes"],
            *["-days", "2", "-subj", "/CN=127.0.0.1"],
            *["-addext", "subjectAltName=IP:127.0.0.1"],
            *["-keyout", str(key), "-out", str(pem)],
        ],
        check=True,
        capture_output=True,
        timeout=WAIT,
    )
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
