"""Thirty ways to ask badly, and what must come of each."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from parallel_ai.production.serving.checking import BYTES, JSON, Limits
from parallel_ai.production.serving.packed import PIXELS

HOST = "127.0.0.1"
LIMIT = 30.0  # seconds that nothing here lasts longer than
CLOSED = 0  # in place of a status: no answer, but the connection was closed
Part = bytes | float  # to send, or seconds to wait


@dataclass(frozen=True)
class Misuse:
    """A bad request.

    Attributes
    ----------
    name : str
        What is bad about it.
    parts : callable
        Makes what is to be sent, and waits between.
    expected : tuple of int
        Statuses that are right; `CLOSED` for a closed connection.
    """

    name: str
    parts: Callable[[], Iterator[Part]]
    expected: tuple[int, ...]


def post(
    body: bytes,
    path: str = "/models/linear",
    kind: str = JSON,
    method: str = "POST",
    extra: str = "",
) -> Callable[[], Iterator[Part]]:
    """Make a whole request, to be sent at once."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{extra}\r\n"
    )
    return lambda: iter([head.encode("latin-1") + body])


def pictures(value: object, count: int = 1, size: int = PIXELS) -> bytes:
    """Write JSON with the same value everywhere."""
    return json.dumps({"pixels": [[value] * size] * count}).encode()


def raw(*parts: Part) -> Callable[[], Iterator[Part]]:
    """Make a request of given parts."""
    return lambda: iter(parts)


def drip(head: bytes, gap: float) -> Callable[[], Iterator[Part]]:
    """Send a byte, wait, send a byte: a slow client, or a malicious one."""

    def parts() -> Iterator[Part]:
        yield head
        for _ in range(int(LIMIT / gap)):
            yield gap
            yield b"x"

    return parts


HEAD = f"POST /models/linear HTTP/1.1\r\nHost: {HOST}\r\n".encode()


def misuses(limits: Limits) -> list[Misuse]:
    """List the ways; some depend on the limits."""
    good = pictures(0)
    deep = b'{"pixels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    row = json.dumps([0] * PIXELS).encode()
    half = f"Content-Type: {JSON}\r\nContent-Length: 5000\r\n\r\n".encode()
    twice = f"Content-Type: {BYTES}\r\n"
    gap = limits.body_seconds / 10
    cases = [
        ("text for numbers", post(pictures("7")), 422),
        ("true and false for numbers", post(pictures(True)), 422),
        ("null for numbers", post(pictures(None)), 422),
        ("lists for numbers", post(pictures([1])), 422),
        ("NaN", post(pictures(float("nan"))), 400),
        ("infinite numbers", post(pictures(0).replace(b"0", b"1e999")), 422),
        ("numbers below 0", post(pictures(-1)), 422),
        ("numbers beyond a byte", post(pictures(256)), 422),
        ("parts of a grey level", post(pictures(0.5)), 422),
        ("a number of 5,000 digits",
         post(b'{"pixels": [[' + b"9" * 5000 + b"]]}"), 400),
        ("a number of 400 digits",
         post(pictures(0).replace(b"0", b"9" * 400, 1)), 422),
        ("a pixel too few", post(pictures(0, size=PIXELS - 1)), 422),
        ("rows of different lengths",
         post(b'{"pixels": [' + row + b", [0, 0]]}"), 422),
        ("no picture", post(b'{"pixels": []}'), 422),
        ("too many pictures", post(pictures(0, limits.rows + 1)), 422),
        ("a picture that is no list", post(b'{"pixels": {"0": 1}}'), 422),
        ("another key", post(b'{"pixel": [[0]]}'), 422),
        ("the same key twice",
         post(b'{"pixels": [], "pixels": [' + row + b"]}"), 400),
        ("JSON cut off", post(good[:-10]), 400),
        ("no body at all", post(b""), 400),
        ("bytes that are no text", post(b"\xff\xfe\x00"), 400),
        ("a hundred thousand brackets", post(deep), 400),
        ("half a picture in bytes", post(b"\0" * 1000, kind=BYTES), 422),
        ("another type of content", post(good, kind="text/plain"), 415),
        ("a packed body", post(good, extra="Content-Encoding: gzip\r\n"), 415),
        ("a type given twice", post(good, extra=twice), 400),
        ("an unknown model", post(good, "/models/resnet"), 404),
        ("an unknown version", post(good, "/models/linear/0"), 404),
        ("a path out of the folder", post(good, "/models/../../passwd"), 404),
        ("another method", post(good, method="DELETE"), 405),
        ("a body beyond the limit",
         post(b" " * (limits.body + 1)), (413, CLOSED)),
        ("a body announced as huge",
         raw(HEAD + b"Content-Length: 9999999999\r\n\r\n" + b"x"), 413),
        ("an endless body in pieces",
         raw(HEAD + b"Content-Type: application/json\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n",
             *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 40), (413, CLOSED)),
        ("pieces of no length",
         raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nmany\r\nx"), 400),
        ("two lengths", post(good, extra="Content-Length: 3\r\n"), 400),
        ("a length below zero", raw(HEAD + b"Content-Length: -1\r\n\r\n"), 400),
        ("a header of a megabyte",
         raw(HEAD + b"X: " + b"x" * 1_000_000), (400, 431, CLOSED)),
        ("a thousand headers",
         raw(HEAD + b"".join(b"X%d: 1\r\n" % i for i in range(1000)) +
             b"\r\n"), (400, 431, CLOSED)),
        ("no HTTP", raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), 400),
        ("nothing", raw(LIMIT), (408, CLOSED)),
        ("a head, byte by byte", drip(HEAD + b"X: ", gap), (408, CLOSED)),
        ("a body, byte by byte", drip(HEAD + half, gap), 408),
        ("half a body, then silence",
         raw(HEAD + half + good[:1000], LIMIT), 408),
    ]  # fmt: skip
    return [
        Misuse(n, p, e if isinstance(e, tuple) else (e,)) for n, p, e in cases
    ]


@dataclass(frozen=True)
class Outcome:
    """How the service took it.

    Attributes
    ----------
    status : int
        Of its answer, or `CLOSED`.
    reason : str
        Its body.
    seconds : float
        Until the answer, or the end.
    """

    status: int
    reason: str
    seconds: float


def misuse(port: int, parts: Iterator[Part]) -> Outcome:
    """Send what is bad, until there is an answer or the connection ends.

    Raises
    ------
    TimeoutError
        Neither comes.
    """
    begun = time.perf_counter()
    with socket.create_connection((HOST, port), LIMIT) as connection:
        answer = b""
        try:
            for part in parts:
                connection.settimeout(LIMIT)
                if isinstance(part, bytes):
                    connection.sendall(part)
                    continue
                connection.settimeout(part)
                try:
                    answer = connection.recv(65536)
                    break
                except TimeoutError:
                    continue
        except ConnectionError:
            pass  # it has heard enough; perhaps its answer is here, though
        answer += rest_of(connection, answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head else CLOSED
    seconds = time.perf_counter() - begun
    return Outcome(status, body.decode(errors="replace"), seconds)


def rest_of(connection: socket.socket, answer: bytes) -> bytes:
    """Read until an answer is whole or nothing more comes."""
    found = b""
    connection.settimeout(LIMIT)
    while True:
        head, mark, body = (answer + found).partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2]
        if mark and len(body) >= int(length.partition(b"\r\n")[0] or 0):
            return found
        try:
            block = connection.recv(65536)
        except ConnectionError:
            return found
        if not block:
            return found
        found += block
