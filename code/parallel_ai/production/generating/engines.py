"""Who computes for the scheduler: a model, or nobody at all."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.texts import END, VOCABULARY


class Engine(Protocol):
    """What the scheduler needs of whoever computes."""

    slots: int

    def clock(self) -> float:
        """Return seconds, from any start."""

    def prefill(self, slot: int, tokens: Sequence[int]) -> torch.Tensor:
        """Take tokens into a slot; logits of the next one, (1, vocabulary)."""

    def decode(self, last: Mapping[int, int]) -> torch.Tensor:
        """Take a token into each slot; logits, (slots given, vocabulary)."""

    def free(self, slot: int) -> None:
        """Forget what is in a slot."""


class ModelEngine:
    """A model with a cache of so many rows, one for each slot."""

    def __init__(
        self, model: Decoder, slots: int, room: int | None = None
    ) -> None:
        self.model, self.slots = model, slots
        self.cache = model.cache(slots, room)
        self.device = model.head.weight.device

    def clock(self) -> float:
        """Read the wall clock."""
        return time.perf_counter()

    @torch.inference_mode()
    def prefill(self, slot: int, tokens: Sequence[int]) -> torch.Tensor:
        """Compute tokens of one prompt side by side."""
        row = self.cache.rows(slice(slot, slot + 1))
        new = torch.tensor([tokens], device=self.device)
        return self.model(new, row)[:, -1].cpu()

    @torch.inference_mode()
    def decode(self, last: Mapping[int, int]) -> torch.Tensor:
        """Compute a token of every slot up to the highest that is used.

        Empty rows between them are computed as well: a product with a few
        rows more reads the same weights.
        """
        rows = max(last) + 1
        tokens = torch.zeros(rows, 1, dtype=torch.int64)
        counts = torch.zeros(rows, dtype=torch.int64)
        for slot, token in last.items():
            tokens[slot], counts[slot] = token, 1
        logits = self.model(
            tokens.to(self.device), self.cache.rows(slice(rows)), counts
        )
        return logits[list(last), -1].cpu()

    def free(self, slot: int) -> None:
        """Forget: what is behind the length of a row is never read."""
        self.cache.lengths[slot] = 0


class PretendEngine:
    """Computes nothing: each answer is as long as it may be.

    Parameters
    ----------
    seconds : callable
        Of a pass with so many tokens; by default a prefill takes no time
        and a step of decoding 1.
    """

    def __init__(
        self,
        slots: int,
        seconds: Callable[[int, bool], float] = lambda tokens, prefill: float(
            not prefill
        ),
    ) -> None:
        self.slots, self.seconds, self.now = slots, seconds, 0.0
        self._logits = torch.nn.functional.one_hot(
            torch.tensor(END + 1), VOCABULARY
        ).float()

    def clock(self) -> float:
        """Return the seconds that were pretended."""
        return self.now

    def prefill(self, slot: int, tokens: Sequence[int]) -> torch.Tensor:
        """Let the time pass."""
        self.now += self.seconds(len(tokens), True)
        return self._logits[None]

    def decode(self, last: Mapping[int, int]) -> torch.Tensor:
        """Let the time pass."""
        self.now += self.seconds(len(last), False)
        return self._logits.expand(len(last), -1)

    def free(self, slot: int) -> None:
        """Do nothing."""
