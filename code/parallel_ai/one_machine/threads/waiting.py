"""The same code for work that waits and for work that computes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
LIMIT = 60.0  # seconds: no wait in this chapter lasts longer


def map_serial(
    function: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    """Apply a function to all items, one after the other."""
    return [function(item) for item in items]


def map_by_hand(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    threads: int = 2,
) -> list[Result | None]:
    """Apply a function to all items, every `threads`-th in one thread.

    No result is sent anywhere: each thread writes into the list that the
    caller reads. But where `function` raises, nobody is told: that thread
    ends, and what it had not reached yet stays None.
    """
    results: list[Result | None] = [None] * len(items)

    def work(first: int) -> None:
        for i in range(first, len(items), threads):
            results[i] = function(items[i])

    team = [
        threading.Thread(target=work, args=(first,))
        for first in range(threads)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return results


def map_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    threads: int = 2,
) -> list[Result]:
    """Apply a function to all items by a pool of threads.

    Raises
    ------
    Exception
        The first that `function` raised, in the order of the items. Items
        that no thread had begun by then are dropped.
    """
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(function, items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def label_service(labels: Sequence[int], seconds: float) -> Iterator[int]:
    """Run an HTTP service on loopback that answers in a set time.

    It stands for a model or a database elsewhere: ``GET /17`` is answered
    with label 17, after `seconds` of waiting, in which it needs no CPU.

    Yields
    ------
    int
        The port, a free one.
    """
    closing = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            closing.wait(seconds)
            body = str(int(labels[int(self.path[1:])])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    class Service(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = False  # so that closing waits for the last answer

    with Service(("127.0.0.1", 0), Answer) as service:
        loop = threading.Thread(target=service.serve_forever, args=(0.05,))
        loop.start()
        try:
            yield service.server_port
        finally:
            closing.set()
            service.shutdown()
            loop.join()


def ask(port: int, number: int) -> int:
    """Ask the service for one label, and wait for it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request(
            "GET", f"/{number}", headers={"Connection": "close"}
        )
        return int(connection.getresponse().read())
    finally:
        connection.close()
