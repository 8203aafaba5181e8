"""What the model reads: the book's own code, one definition a document.

The sources of five chapters before this one. Its page imports all of them,
so it is executed again when one of them changes, and for no other reason;
and whoever has the package, in Colab too, has the text.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

PACKAGE = Path(__file__).parents[2]
CHAPTERS = (
    "accelerators/devices",
    "accelerators/vision",
    "accelerators/architectures",
    "training/collectives",
    "training/model_parallel",
)
VOCABULARY = 128  # ASCII
END = 0  # a character of no text: begins and ends a document
HELD = 10  # each tenth document is kept from training


def files() -> list[Path]:
    """Find the sources, in an order that is the same everywhere."""
    return [
        file
        for chapter in CHAPTERS
        for file in sorted((PACKAGE / chapter).glob("*.py"))
        if not file.name.startswith("__")
    ]


def documents() -> list[str]:
    """Cut the sources where two empty lines are: functions, classes."""
    pieces = (
        piece.strip("\n")
        for file in files()
        for piece in file.read_text(encoding="utf8").split("\n\n\n")
    )
    return [piece for piece in pieces if piece]


def encode(text: str) -> list[int]:
    """Write a text as numbers, a character each; not ASCII becomes "?"."""
    return list(text.encode("ascii", "replace"))


def decode(tokens: Iterable[int]) -> str:
    """Write numbers as a text, without the ends of documents."""
    return bytes(t for t in tokens if t != END).decode("ascii")


def prompt_of(text: str) -> tuple[int, ...]:
    """Begin a document with a text."""
    return (END, *encode(text))


def stream(texts: Sequence[str]) -> torch.Tensor:
    """Write documents one after the other, an end between them; (n,)."""
    tokens = [END]
    for text in texts:
        tokens += [*encode(text), END]
    return torch.tensor(tokens)


def corpus() -> tuple[torch.Tensor, torch.Tensor]:
    """Divide the documents: to learn from, and held out.

    Returns
    -------
    tuple of tensor of int64
        Two streams of tokens.
    """
    texts = documents()
    held = texts[::HELD]
    kept = [text for i, text in enumerate(texts) if i % HELD]
    return stream(kept), stream(held)


def unigram(tokens: torch.Tensor) -> torch.Tensor:
    """Foretell each character by how often it is, whatever came before.

    Returns
    -------
    tensor, (VOCABULARY, VOCABULARY)
        Probability of the next character (column) after each (row); no
        probability is 0.
    """
    counts = torch.bincount(tokens, minlength=VOCABULARY) + 1.0
    return (counts / counts.sum()).expand(VOCABULARY, VOCABULARY)


def bigram(tokens: torch.Tensor) -> torch.Tensor:
    """Foretell each character by the one before it; as `unigram`.

    To the pairs that were counted, one is added in the proportions of the
    unigram: pairs that never came have a little probability.
    """
    pairs = tokens[:-1] * VOCABULARY + tokens[1:]
    counts = torch.bincount(pairs, minlength=VOCABULARY**2)
    counts = counts.view(VOCABULARY, VOCABULARY) + unigram(tokens)
    return counts / counts.sum(1, keepdim=True)


def table_loss(table: torch.Tensor, tokens: torch.Tensor) -> float:
    """Mean surprise of a stream, in nats a character, under a table."""
    return -table[tokens[:-1], tokens[1:]].log().mean().item()
