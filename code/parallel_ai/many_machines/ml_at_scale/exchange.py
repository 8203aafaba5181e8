"""How workers exchange blocks of bytes with each other, privately.

LightGBM and XGBoost have networks of their own, which listen on every
address of a machine. LightGBM also takes two functions in their place. These
are ours: they listen where the Dask worker does, know each other by a
secret, and count what they send.
"""

import hmac
import socket
import struct
from collections.abc import Sequence
from typing import Any, Self

from distributed.comm import get_address_host

SECONDS = 60  # without a byte from a peer
_LENGTH = struct.Struct("!q")
Address = tuple[str, int]
_listeners: dict[tuple[bytes, Address], socket.socket] = {}


def listen(secret: bytes, dask_worker: Any) -> Address:
    """Open a socket where this worker has its own; tell where that is.

    For ``client.run(listen, secret)``, which fills in the worker.
    """
    host = get_address_host(dask_worker.address)
    server = socket.create_server((host, 0))
    server.settimeout(SECONDS)
    address: Address = server.getsockname()[:2]
    _listeners[secret, address] = server
    return address


def hush(secret: bytes) -> None:
    """Close what was opened for a secret and is open still."""
    for key in [key for key in _listeners if key[0] == secret]:
        _listeners.pop(key).close()


class Exchange:
    """Connections of one of several workers to all others.

    Parameters
    ----------
    rank : int
        Of this worker.
    addresses : sequence of (host, port)
        Of the listening sockets of all workers, by rank.
    secret : bytes
        Whoever connects must know it.

    Attributes
    ----------
    bytes, messages : int
        That this worker has sent, without the eight bytes of each length.

    Raises
    ------
    TimeoutError
        A peer did not come, or said nothing for `SECONDS`.
    ConnectionError
        A peer has gone, or did not know the secret.
    """

    def __init__(
        self, rank: int, addresses: Sequence[Address], secret: bytes
    ) -> None:
        self.rank, self.world = rank, len(addresses)
        self.bytes = self.messages = 0  # sent so far
        self._peers: dict[int, socket.socket] = {}
        self._secret = secret
        with _listeners.pop((secret, addresses[rank])) as server:
            try:
                self._connect(addresses, server)
            except BaseException:
                self.close()
                raise

    def _connect(
        self, addresses: Sequence[Address], server: socket.socket
    ) -> None:
        for peer in range(self.rank):
            host, port = addresses[peer]
            link = socket.create_connection((host, port), SECONDS)
            self._peers[peer] = link
            link.sendall(self._secret + _LENGTH.pack(self.rank))
        while len(self._peers) < self.world - 1:
            link, _ = server.accept()
            link.settimeout(SECONDS)
            told = _receive(link, len(self._secret) + _LENGTH.size)
            if not hmac.compare_digest(told[: -_LENGTH.size], self._secret):
                link.close()
                raise ConnectionError("a stranger came to the exchange")
            (peer,) = _LENGTH.unpack(told[-_LENGTH.size :])
            self._peers[peer] = link
        for link in self._peers.values():
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        """Use the connections in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for link in self._peers.values():
            link.close()
        self._peers.clear()

    def swap(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Send a block to each worker, and receive one from each.

        Parameters
        ----------
        blocks : sequence of bytes
            By rank; the one for this worker itself is not sent.

        Returns
        -------
        list of bytes
            By the rank that sent it.
        """
        received = list(blocks)
        for peer in sorted(self._peers):
            link = self._peers[peer]
            # One of the two sends first, or both might wait for each other.
            if self.rank < peer:
                self._send(link, blocks[peer])
            received[peer] = _message(link)
            if self.rank > peer:
                self._send(link, blocks[peer])
        return received

    def _send(self, link: socket.socket, block: bytes) -> None:
        link.sendall(_LENGTH.pack(len(block)) + block)
        self.bytes += len(block)
        self.messages += 1


def _message(link: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_receive(link, _LENGTH.size))
    return _receive(link, length)


def _receive(link: socket.socket, length: int) -> bytes:
    block = bytearray(length)
    view = memoryview(block)
    while view:
        count = link.recv_into(view)
        if not count:
            raise ConnectionError("a worker has left the exchange")
        view = view[count:]
    return bytes(block)
