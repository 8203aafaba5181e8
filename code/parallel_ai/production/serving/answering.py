"""The service: requests on one side, queues of models on the other."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

import numpy as np
from aiohttp import web

from parallel_ai.production.serving.batching import (
    Batcher,
    Design,
    FullError,
)
from parallel_ai.production.serving.checking import (
    Limits,
    RefusedError,
    pixels_from,
)
from parallel_ai.production.serving.counting import OTHER, STATUSES, Metrics
from parallel_ai.production.serving.packed import PIXELS, Model

LOG = logging.getLogger("parallel_ai.serving")


class Service:
    """Answers for some models, within limits.

    Parameters
    ----------
    models : list of Model
        Of several with one name the last is the one that answers if a
        client asks for no version.
    warm : bool
        Call each model in the threads that will answer, before anybody is
        let in.
    """

    def __init__(
        self,
        models: list[Model],
        design: Design,
        limits: Limits,
        metrics: Metrics,
        warm: bool = True,
    ) -> None:
        self.models, self.design, self.limits = models, design, limits
        self.metrics, self.warm = metrics, warm
        self.batchers: dict[tuple[str, str], Batcher] = {}
        self.current = {model.name: model.version for model in models}
        self.draining = False

    async def __aenter__(self) -> Self:
        """Open a queue for each model, with threads that have called it."""
        async with AsyncExitStack() as stack:
            for m in self.models:
                note = partial(self.metrics.batch, m.name)
                waiting = partial(self.metrics.waiting, m.name)
                batcher = Batcher(m.predict, self.design, note, waiting)
                await stack.enter_async_context(batcher)
                self.batchers[m.name, m.version] = batcher
                if self.warm:
                    full = max(1, self.design.max_batch)
                    await batcher.warm(np.zeros((full, PIXELS), np.uint8))
            self.stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the queues."""
        await self.stack.aclose()

    def drain(self) -> None:
        """From now on close each connection with its answer."""
        self.draining = True
        for batcher in self.batchers.values():
            batcher.hurry()

    def application(self) -> web.Application:
        """Put handlers to their paths."""
        app = web.Application(
            middlewares=[self.watched], client_max_size=self.limits.body
        )
        app.router.add_post("/models/{name}", self.predict)
        app.router.add_post("/models/{name}/{version}", self.predict)
        app.router.add_get("/models", self.list_models)
        app.router.add_get("/health/live", self.live)
        app.router.add_get("/health/ready", self.ready)
        app.router.add_get("/metrics", self.tell)
        return app

    @web.middleware
    async def watched(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Turn what is raised into an answer with a reason; count it."""
        begun = time.perf_counter()
        try:
            answer = await handler(request)
        except RefusedError as error:
            answer = refusal(error.status, str(error))
        except FullError as error:
            answer = refusal(503, str(error))
            answer.headers["Retry-After"] = str(error.retry_after)
        except TimeoutError:
            answer = refusal(504, f"no answer in {self.design.seconds:g} s")
        except web.HTTPException as error:
            answer = refusal(error.status, error.reason)
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            LOG.exception("%s %s", request.method, request.path)
            answer = refusal(500, type(error).__name__)
        if answer.status in (408, 413) or self.draining:
            answer.force_close()
        if request.method == "POST":
            name = request.match_info.get("name", OTHER)
            known = name if name in self.current else OTHER
            status = answer.status if answer.status in STATUSES else 400
            self.metrics.answered(known, status, time.perf_counter() - begun)
        return answer

    async def predict(self, request: web.Request) -> web.Response:
        """Answer ``POST /models/cnn`` with labels and probabilities."""
        name, version, batcher = self.find(request)
        body = await self.body_of(request)
        pixels = pixels_from(request.content_type, body, self.limits)
        found = await batcher.ask(pixels)
        return web.json_response(
            {
                "model": name,
                "version": version,
                "labels": found.argmax(1).tolist(),
                "probabilities": np.asarray(found).tolist(),
            }
        )

    def find(self, request: web.Request) -> tuple[str, str, Batcher]:
        """Find the queue of a model, by its name and perhaps its version.

        Raises
        ------
        RefusedError
            404, with those that there are.
        """
        name = request.match_info["name"]
        version = request.match_info.get("version", self.current.get(name))
        batcher = self.batchers.get((name, str(version)))
        if batcher is None:
            known = [f"{n}/{v}" for n, v in self.batchers]
            raise RefusedError(404, f"no such model; there are {known}")
        return name, str(version), batcher

    async def body_of(self, request: web.Request) -> bytes:
        """Read a body: not too long, not too slowly, not packed.

        Raises
        ------
        RefusedError
            400, 408, 413 or 415, with the reason.
        """
        for header in ("Content-Type", "Content-Length", "Host"):
            if len(request.headers.getall(header, ())) > 1:
                raise RefusedError(400, f"{header} twice")
        if "Content-Encoding" in request.headers:
            raise RefusedError(415, "Content-Encoding: send it unpacked")
        if (request.content_length or 0) > self.limits.body:
            raise RefusedError(413, f"more than {self.limits.body} bytes")
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                return await request.read()
        except TimeoutError:
            raise RefusedError(
                408, f"no body within {self.limits.body_seconds:g} s"
            ) from None
        except web.RequestPayloadError as error:
            raise RefusedError(400, f"body: {error}") from None

    async def list_models(self, _: web.Request) -> web.Response:
        """Answer ``GET /models``: versions of each, the current one last."""
        found: dict[str, list[str]] = {}
        for name, version in self.batchers:
            found.setdefault(name, []).append(version)
        return web.json_response(found)

    async def live(self, _: web.Request) -> web.Response:
        """Say that this process is no corpse: who cannot is to be replaced."""
        return web.Response(text="live\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Say whether requests should be sent here just now."""
        full = any(b.rows >= b.design.room for b in self.batchers.values())
        if self.draining or full:
            return refusal(503, "draining" if self.draining else "full")
        return web.Response(text="ready\n")

    async def tell(self, _: web.Request) -> web.Response:
        """Answer ``GET /metrics``, for all workers, whichever is asked."""
        return web.Response(
            text=self.metrics.text(),
            headers={"Content-Type": "text/plain; version=0.0.4"},
        )


def refusal(status: int, reason: str) -> web.Response:
    """Make an answer that says why not."""
    return web.json_response({"error": reason}, status=status)
