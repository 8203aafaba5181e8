"""One training loop with a switch for each rung of the ladder."""

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.speed.quick import ByteDropout, quicken
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices


@dataclass(frozen=True)
class Settings:
    """What the loop does. The default is the ordinary one.

    Attributes
    ----------
    replicas : int
        Threads that each compute a share of the batch on one core; 0 for
        one computation that PyTorch divides among all cores.
    """

    batch_size: int = 128
    learning_rate: float = 0.004
    channels_last: bool = False
    quick: bool = False
    fused: bool = False
    bfloat16: bool = False
    compiled: bool = False
    replicas: int = 0


class Loop:
    """A model in training; use it as a context, so that threads end.

    Parameters
    ----------
    build : callable
        Makes the model; `seed` decides its first weights, and dropout.
    """

    def __init__(
        self,
        settings: Settings,
        device: torch.device | None = None,
        build: Callable[[], nn.Module] = vision.cnn,
        seed: int = 0,
    ) -> None:
        if settings.replicas and device and device.type != "cpu":
            raise ValueError("replicas are threads on a CPU: set replicas=0")
        self.settings = settings
        self.device = device or torch.device("cpu")
        model = vision.seeded(build, seed)
        if settings.quick and isinstance(model, nn.Sequential):
            model = quicken(model)
        if settings.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = model.to(self.device)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, fused=settings.fused
        )
        self.models = [
            self.model,
            *(share_weights(model) for _ in range(settings.replicas - 1)),
        ]
        for number, one in enumerate(self.models):
            _give_chance(one, self.device, 1000 * seed + number)
        self.run: Callable[..., Any] = self.model
        if settings.compiled:
            self.run = torch.compile(self.model)
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Start the threads of the replicas."""
        self._before = torch.get_num_threads()
        if self.settings.replicas:
            self._threads = ThreadPoolExecutor(
                self.settings.replicas,
                initializer=torch.set_num_threads,
                initargs=(1,),
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
            torch.set_num_threads(self._before)

    def step(self, batch: Part) -> torch.Tensor:
        """Take one step; return the loss, still on its device."""
        if self._threads:
            return self._step_together(batch)
        self.optimizer.zero_grad()
        loss = self.loss(self.run, batch)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def loss(self, model: Callable[..., Any], batch: Part) -> torch.Tensor:
        """Compute the loss; its logits in float32, whatever the layers'."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.bfloat16
        ):
            logits = model(batch.images)
        return F.cross_entropy(logits.float(), batch.labels)

    def _step_together(self, batch: Part) -> torch.Tensor:
        """Each thread has a share; their gradients' mean is the batch's."""
        assert self._threads  # noqa: S101 - for mypy
        shares = [
            Part(images, labels)
            for images, labels in zip(
                batch.images.tensor_split(self.settings.replicas),
                batch.labels.tensor_split(self.settings.replicas),
                strict=True,
            )
            if len(labels)
        ]
        # Weighted by their pictures: shares may differ by one.
        weights = [len(share) / len(batch) for share in shares]
        found = list(
            self._threads.map(self._gradients, self.models, shares, weights)
        )
        total = found[0][1]
        for _, gradients in found[1:]:
            torch._foreach_add_(total, gradients)
        for parameter, gradient in zip(self.parameters, total, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return torch.stack([loss for loss, _ in found]).sum()

    def _gradients(
        self, model: nn.Module, share: Part, weight: float
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        loss = self.loss(model, share) * weight
        return loss.detach(), list(torch.autograd.grad(loss, self.parameters))


def share_weights(model: nn.Module) -> nn.Module:
    """Copy a model's buffers, not its parameters: those are the same."""
    same = {id(p): p for p in model.parameters()}
    return copy.deepcopy(model, same)


def _give_chance(model: nn.Module, device: torch.device, seed: int) -> None:
    """Give each replica's dropout a generator of its own."""
    if device.type != "cpu":
        return  # the device's generator, which a CUDA graph can follow
    for layer in model.modules():
        if isinstance(layer, ByteDropout):
            layer.generator = torch.Generator().manual_seed(seed)


def epoch_of(
    part: Part, settings: Settings, seed: int = 0, epoch: int = 0
) -> Iterator[Part]:
    """Give the batches of an epoch, in the memory order of the model."""
    order = vision.shuffled(len(part), seed, epoch)
    for batch in vision.batches(part, settings.batch_size, order):
        if settings.channels_last:
            images = batch.images.to(memory_format=torch.channels_last)
            yield Part(images, batch.labels)
        else:
            yield batch


@dataclass(frozen=True)
class Outcome:
    """Where a training ended, and after how many seconds of training."""

    seconds: float
    images: int
    accuracy: float
    loss: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def learn(
    settings: Settings,
    part: Part,
    judged_by: Part,
    epochs: int = 1,
    seed: int = 0,
    device: torch.device | None = None,
    build: Callable[[], nn.Module] = vision.cnn,
) -> Outcome:
    """Train whole, one cycle of the learning rate; evaluate at the end.

    Raises
    ------
    vision.NotFiniteError
        A loss was no number; the message names the step.
    """
    device = device or torch.device("cpu")
    part = part.to(device)
    length = epochs * math.ceil(len(part) / settings.batch_size)
    losses: list[torch.Tensor] = []
    own = [] if device.type == "cpu" else [device]
    with (
        torch.random.fork_rng(own),
        devices.room_for(
            f"a batch of {settings.batch_size:,} pictures",
            "a smaller batch_size needs less",
        ),
        Loop(settings, device, build, seed) as loop,
    ):
        torch.manual_seed(seed)
        loop.model.train()
        begun = time.perf_counter()
        for batch in itertools.chain.from_iterable(
            epoch_of(part, settings, seed, epoch) for epoch in range(epochs)
        ):
            rate = vision.one_cycle(len(losses) / length)
            for group in loop.optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate
            losses.append(loop.step(batch))
        devices.finish(device)
        seconds = time.perf_counter() - begun
    found = torch.stack(losses).isfinite()
    if not found.all():
        raise vision.NotFiniteError(
            f"The loss is no number in step {int(found.int().argmin()) + 1}: "
            f"try a lower learning_rate than {settings.learning_rate}."
        )
    score = vision.evaluate(loop.model, judged_by)
    return Outcome(seconds, epochs * len(part), score.accuracy, score.loss)
