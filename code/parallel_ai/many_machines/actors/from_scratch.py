"""An actor from scratch: a process, an object in it, and messages."""

import pickle
import threading
import traceback
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self

from parallel_ai.toolbox.workers import LIMIT, SAFE, start_context


class ActorDiedError(RuntimeError):
    """The actor's process ended, or was told to, before it answered."""


def live(requests: Any, answers: Any, cls: type, args: tuple) -> None:
    """Be an actor: make the object, then do one message after another.

    Parameters
    ----------
    requests, answers : multiprocessing.connection.Connection
        ``(method, arguments)`` come from one, ``(worked, result)`` go into
        the other, in the same order. The actor ends when `requests` does.
    """
    state = cls(*args)
    while True:
        try:
            method, arguments = requests.recv()
        except EOFError:
            return
        try:
            result = getattr(state, method)(*arguments)
            answer = pickle.dumps((True, result))
        except Exception as error:  # noqa: BLE001 - the caller's to handle
            trace = traceback.format_exc().rstrip()
            error.add_note(f"In the actor:\n{trace}")  # a note can travel
            answer = pickle.dumps((False, error))
        answers.send_bytes(answer)


class Actor:
    """A handle: what the owner of an actor holds of it.

    The object lives in a process of its own; ``ask("method", ...)`` sends it
    a message and returns a future. At the end of a ``with`` block the actor
    does what is still in its mailbox, and ends.

    Parameters
    ----------
    cls : type
        Of the object; it must be importable in the actor's process.
    *args
        With which the object is made there.
    """

    def __init__(self, cls: type, *args: Any) -> None:
        context: Any = start_context(SAFE)
        theirs, self._requests = context.Pipe(duplex=False)
        self._answers, back = context.Pipe(duplex=False)
        self.process = context.Process(
            target=live, args=(theirs, back, cls, args), daemon=True
        )
        self.process.start()
        theirs.close()
        back.close()  # the only copy is the actor's: it closes as that ends
        self._waiting: deque[Future[Any]] = deque()
        self._lock, self._ended = threading.Lock(), False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(self, method: str, *args: Any) -> Future[Any]:
        """Send a message; the future will hold the answer, or the error.

        Waits while the pipe is full (64 kB on Linux), until the actor has
        taken a message out: all the backpressure that there is.

        Raises
        ------
        ActorDiedError
            It has ended already.
        """
        message = pickle.dumps((method, args))
        future: Future[Any] = Future()
        with self._lock:
            if self._ended:
                raise ActorDiedError("this actor has ended")
            self._waiting.append(future)
            with suppress(OSError):  # it has just ended: `_listen` will tell
                self._requests.send_bytes(message)
        return future

    def stop(self) -> None:
        """Send no more messages, and wait for the end of those sent."""
        with self._lock:
            self._ended = True
            self._requests.close()
        self._listener.join(LIMIT)
        self.process.join(LIMIT)

    def __enter__(self) -> Self:
        """Return the handle itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the actor."""
        self.stop()

    def _listen(self) -> None:
        """Give each answer to the future that has waited longest."""
        while True:
            try:
                worked, result = self._answers.recv()
            except (EOFError, OSError):
                break
            future = self._waiting.popleft()
            if worked:
                future.set_result(result)
            else:
                future.set_exception(result)
        with self._lock:
            self._ended = True
        for future in self._waiting:
            future.set_exception(ActorDiedError("no answer: it has ended"))
        self._answers.close()
