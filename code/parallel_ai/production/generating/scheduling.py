"""Who is computed next: static and continuous batches, prompts in chunks."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.decoding import check_length
from parallel_ai.production.generating.engines import Engine, ModelEngine
from parallel_ai.production.generating.sampling import (
    GREEDY,
    Sampling,
    choose,
    uniforms,
)
from parallel_ai.production.generating.texts import END


@dataclass(frozen=True)
class Request:
    """A prompt, how many tokens at most, how to choose them, when it came."""

    prompt: tuple[int, ...]
    most: int
    how: Sampling = GREEDY
    seed: int = 0
    arrives: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be answered."""
        if not self.prompt or self.most < 1:
            raise ValueError("a request has a prompt and wants one token")


@dataclass
class Answer:
    """What a request got.

    Attributes
    ----------
    tokens : list of int
    times : list of float
        Second at which each token was there.
    slot : int
        Row of the cache that it had.
    steps : list of int
        Step in which each token was computed.
    """

    request: Request
    tokens: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    slot: int = -1
    steps: list[int] = field(default_factory=list)
    fed: int = 0

    def __post_init__(self) -> None:
        """Draw the numbers by which tokens will be chosen."""
        self.numbers = uniforms(self.request.seed, self.request.most)

    @property
    def prefilled(self) -> bool:
        """Whether the whole prompt is in the cache."""
        return self.fed == len(self.request.prompt)

    @property
    def done(self) -> bool:
        """Whether it said END, or all that it may say."""
        said = len(self.tokens)
        return said == self.request.most or END in self.tokens[-1:]

    @property
    def first(self) -> float:
        """Seconds from its arrival to its first token."""
        return self.times[0] - self.request.arrives

    @property
    def gaps(self) -> np.ndarray:
        """Seconds between its tokens."""
        return np.diff(self.times)


@dataclass(frozen=True)
class Step:
    """One turn of the scheduler: when it ended, and what it computed."""

    end: float
    prompt_tokens: int
    decoded: int


@dataclass(frozen=True)
class Served:
    """Answers in the order of the requests, and all steps."""

    answers: list[Answer]
    steps: list[Step]
    slots: int

    @property
    def tokens(self) -> int:
        """Count the tokens of all answers."""
        return sum(len(answer.tokens) for answer in self.answers)

    @property
    def seconds(self) -> float:
        """Return the seconds from the first arrival to the last token."""
        return max(a.times[-1] for a in self.answers) - min(
            a.request.arrives for a in self.answers
        )

    @property
    def used(self) -> float:
        """Share of the slots that decoded, in the steps that decoded."""
        decoded = [step.decoded for step in self.steps if step.decoded]
        return float(np.mean(decoded)) / self.slots


def serve(
    requests: Iterable[Request],
    engine: Engine,
    continuous: bool = True,
    chunk: int | None = None,
) -> Served:
    """Answer requests, several at a time.

    Parameters
    ----------
    continuous : bool
        Whoever waits takes a slot as soon as one is free; otherwise only
        when all of them are (a static batch).
    chunk : int, optional
        Most tokens of prompts in a step; by default whole prompts.

    Returns
    -------
    Served

    Raises
    ------
    ValueError
        A chunk would have no token.

    Notes
    -----
    Continuous batches are those of Orca (Yu et al. 2022), chunks those of
    Sarathi (Agrawal et al. 2024). The clock is the engine's. While nobody is
    there it jumps to the next arrival: nothing sleeps.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"a chunk has at least one token, not {chunk}")
    answers = [Answer(request) for request in requests]
    waiting = deque(sorted(answers, key=lambda a: a.request.arrives))
    seats: dict[int, Answer] = {}
    steps: list[Step] = []
    ahead = -engine.clock()
    while waiting or seats:
        now = engine.clock() + ahead
        if not seats and waiting[0].request.arrives > now:
            ahead += waiting[0].request.arrives - now
            now = waiting[0].request.arrives
        if continuous or not seats:
            _admit(waiting, seats, engine.slots, now)
        fed = _prefill(seats, engine, chunk, ahead, len(steps))
        decoded = _decode(seats, engine, ahead, len(steps))
        steps.append(Step(engine.clock() + ahead, fed, decoded))
    return Served(answers, steps, engine.slots)


def _admit(
    waiting: deque[Answer], seats: dict[int, Answer], slots: int, now: float
) -> None:
    """Give free slots, the lowest first, to those who have come."""
    for slot in range(slots):
        if not waiting or waiting[0].request.arrives > now:
            return
        if slot not in seats:
            seats[slot] = waiting.popleft()
            seats[slot].slot = slot


def _prefill(
    seats: dict[int, Answer],
    engine: Engine,
    chunk: int | None,
    ahead: float,
    step: int,
) -> int:
    """Compute prompts, in the order of their arrival; tokens computed."""
    new = [answer for answer in seats.values() if not answer.prefilled]
    left = sum(len(a.request.prompt) for a in new) if chunk is None else chunk
    begun = left
    for answer in sorted(new, key=lambda a: a.request.arrives):
        part = answer.request.prompt[answer.fed :][:left]
        if not part:
            break
        logits = engine.prefill(answer.slot, part)
        answer.fed += len(part)
        left -= len(part)
        if answer.prefilled:
            _say([answer], logits, seats, engine, ahead, step)
    return begun - left


def _decode(
    seats: dict[int, Answer], engine: Engine, ahead: float, step: int
) -> int:
    """Compute a token of each who has one already; how many."""
    last = {s: a.tokens[-1] for s, a in seats.items() if a.tokens}
    if last:
        speakers = [seats[slot] for slot in last]
        _say(speakers, engine.decode(last), seats, engine, ahead, step)
    return len(last)


def _say(
    answers: Sequence[Answer],
    logits: torch.Tensor,
    seats: dict[int, Answer],
    engine: Engine,
    ahead: float,
    step: int,
) -> None:
    """Choose the next token of each; free the slot after the last one."""
    hows = [answer.request.how for answer in answers]
    numbers = [answer.numbers[len(answer.tokens)] for answer in answers]
    tokens = choose(logits, hows, numbers)
    now = engine.clock() + ahead
    for answer, token in zip(answers, tokens, strict=True):
        answer.tokens.append(token)
        answer.times.append(now)
        answer.steps.append(step)
        if answer.done:
            engine.free(answer.slot)
            del seats[answer.slot]


def serve_model(
    model: Decoder,
    requests: Sequence[Request],
    slots: int = 8,
    continuous: bool = True,
    chunk: int | None = None,
) -> Served:
    """Check requests, and answer them with a model; see `serve`."""
    for request in requests:
        check_length(model, request.prompt, request.most)
    room = max((len(r.prompt) + r.most for r in requests), default=1)
    return serve(requests, ModelEngine(model, slots, room), continuous, chunk)


def one_by_one(model: Decoder, requests: Sequence[Request]) -> Served:
    """Answer requests one after the other: a batch of one."""
    return serve_model(model, requests, slots=1)
