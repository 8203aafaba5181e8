"""The shape of a decoder: all that its costs follow from."""

from dataclasses import dataclass

from parallel_ai.production.generating.texts import VOCABULARY


@dataclass(frozen=True)
class Config:
    """The shape of a model.

    Attributes
    ----------
    width, depth, heads : int
        Of the vectors; blocks; heads of queries.
    shared : int
        Heads of queries that share one head of keys and values: 1 is
        multi-head, `heads` is multi-query, between them is grouped-query
        attention.
    context : int
        Most tokens of a sequence.
    vocabulary : int
        Different tokens.
    """

    width: int = 96
    depth: int = 3
    heads: int = 4
    shared: int = 1
    context: int = 256
    vocabulary: int = VOCABULARY

    def __post_init__(self) -> None:
        """Refuse widths that cannot be divided."""
        if self.width % (2 * self.heads) or self.heads % self.shared:
            raise ValueError(
                f"{self.heads} heads must divide the width {self.width}, "
                f"into even parts, and {self.shared} must divide the heads"
            )

    @property
    def each(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def pairs(self) -> int:
        """Heads of keys and values."""
        return self.heads // self.shared

    @property
    def matrices(self) -> int:
        """Parameters that each token is multiplied with."""
        attention = 2 * self.width * (self.width + self.pairs * self.each)
        block = attention + 8 * self.width**2
        return self.depth * block + self.width * self.vocabulary
