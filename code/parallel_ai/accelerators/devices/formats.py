"""Number formats: what they hold, what they round, where they break."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Format:
    """A floating-point format: one sign, an exponent, a fraction.

    Attributes
    ----------
    dtype : torch.dtype or None
        PyTorch's type; None for TF32, which is stored as float32.
    largest, smallest : float
        Largest finite number; smallest positive one, which is subnormal.
    """

    name: str
    exponent: int
    fraction: int
    dtype: torch.dtype | None
    largest: float

    @property
    def bits(self) -> int:
        """Bits that carry information."""
        return 1 + self.exponent + self.fraction

    @property
    def step(self) -> float:
        """Distance from 1 to the next number above it, ε."""
        return 2.0**-self.fraction

    @property
    def smallest(self) -> float:
        """Smallest positive number."""
        return 2.0 ** (2 - 2 ** (self.exponent - 1) - self.fraction)


def _format(name: str, exponent: int, fraction: int) -> Format:
    dtype = None if name == "tf32" else getattr(torch, name)
    # What lies above the last finite exponent is infinity and NaN. e4m3
    # gives up infinity, and one pattern of 256 is NaN, so it reaches 448.
    largest = (2 - 2.0**-fraction) * 2.0 ** (2 ** (exponent - 1) - 1)
    if dtype is not None:
        largest = torch.finfo(dtype).max
    return Format(name, exponent, fraction, dtype, largest)


FORMATS = {
    name: _format(name, exponent, fraction)
    for name, exponent, fraction in (
        ("float64", 11, 52),
        ("float32", 8, 23),
        ("tf32", 8, 10),
        ("bfloat16", 8, 7),
        ("float16", 5, 10),
        ("float8_e4m3fn", 4, 3),
        ("float8_e5m2", 5, 2),
    )
}


def rounded(values: torch.Tensor, kind: str) -> torch.Tensor:
    """Round numbers to a format, and return them in their own type."""
    if kind == "tf32":
        return _to_tf32(values)
    return values.to(FORMATS[kind].dtype).to(values.dtype)


def _to_tf32(values: torch.Tensor) -> torch.Tensor:
    """Drop 13 of the 23 bits of the fraction, to nearest, ties to even."""
    whole = values.float().contiguous().view(torch.int32)
    last = (whole >> 13) & 1
    near = ((whole + 0x0FFF + last) & ~0x1FFF).view(torch.float32)
    return torch.where(torch.isfinite(values), near, values).to(values.dtype)


def stops_counting(kind: str) -> int:
    """Find the first number to which one can be added in vain.

    A power of two: from there on the numbers of the format lie two apart.
    """
    number = 1.0
    while rounded(torch.tensor(number + 1, dtype=torch.float64), kind) > (
        number
    ):
        number *= 2
    return int(number)


def running_sum(values: torch.Tensor, kind: str) -> float:
    """Add numbers one by one, and round the sum each time."""
    total = torch.zeros((), dtype=torch.float32)
    for value in rounded(values, kind):
        total = rounded(total + value, kind)
    return total.item()


def product_error(
    inner: int, kind: str, sums: str = "float32", size: int = 48
) -> float:
    """Measure how far a product of rounded matrices is from the exact one.

    Parameters
    ----------
    inner : int
        Numbers in each inner product.
    kind : str
        Format to which the inputs are rounded.
    sums : str
        Format of the running sums, which are rounded after each addition;
        float32 leaves them to the library, as matrix units do.

    Returns
    -------
    float
        Relative error in the Frobenius norm, against float64 throughout.
    """
    generator = torch.Generator().manual_seed(inner)
    a = torch.randn(size, inner, generator=generator)
    b = torch.randn(inner, size, generator=generator)
    exact = a.double() @ b.double()
    a, b = rounded(a, kind), rounded(b, kind)
    if sums == "float32":
        found = a @ b
    else:
        found = torch.zeros(size, size)
        for k in range(inner):
            found = rounded(found + a[:, k, None] * b[None, k], sums)
    return float((found.double() - exact).norm() / exact.norm())


def expected_error(kind: str) -> float:
    """Foretell `product_error` from the width of the fraction alone.

    Rounding changes a number by at most half a step of its binade, any
    amount being as likely as another; relative to the number, whose leading
    digits are spread as logarithms are, the root mean square is
    ε √((1 - 1/4) / (2 ln 2) / 12). Both factors of each term have one.
    """
    spread = (1 - 1 / 4) / (2 * math.log(2))
    return math.sqrt(2 * spread / 12) * FORMATS[kind].step


def to_scale(values: torch.Tensor, kind: str) -> tuple[torch.Tensor, float]:
    """Round after scaling by a power of two, so that the largest just fits.

    Returns
    -------
    tuple
        Rounded numbers, already divided by the scale again, and the scale.
        A power of two costs no accuracy: it changes the exponent alone.

    Raises
    ------
    ValueError
        All numbers are 0, or one is not finite.
    """
    most = float(values.abs().max())
    if not 0 < most < math.inf:
        raise ValueError(f"cannot scale: the largest magnitude is {most}")
    scale = 2.0 ** math.floor(math.log2(FORMATS[kind].largest / most))
    scaled = rounded(values.double() * scale, kind)
    return (scaled / scale).to(values.dtype), scale


def lost(values: torch.Tensor, kind: str) -> float:
    """Share of the numbers other than zero that a format turns into zero."""
    some = values[values != 0]
    return float((rounded(some, kind) == 0).float().mean())


def gradients(images: np.ndarray, labels: np.ndarray) -> list[torch.Tensor]:
    """Compute the gradients of a small untrained network, flat, by tensor.

    Parameters
    ----------
    images : array of uint8, (n, 28, 28)
    labels : array of int, (n,)
    """
    state = torch.get_rng_state()
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 128)]
    for _ in range(6):
        layers += [nn.Sigmoid(), nn.Linear(128, 128)]
    model = nn.Sequential(*layers, nn.Sigmoid(), nn.Linear(128, 10))
    torch.set_rng_state(state)
    pixels = torch.as_tensor(images).float() / 255
    wanted = torch.as_tensor(labels).long()
    F.cross_entropy(model(pixels), wanted).backward()
    every = (p.grad for p in model.parameters())
    return [g.flatten() for g in every if g is not None]
