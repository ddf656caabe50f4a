"""Gaussian numbers of a key: the same on every machine, with a compiler and without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from flowlat.kernels.first_use import Comparison, sound
from flowlat.kernels.library import WITHOUT, call
from flowlat.kernels.select import choose

#: multipliers of the two halves of the counter, increments of the two halves of the key
MULTIPLIERS, INCREMENTS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
ROUNDS, WORD = 10, 0xFFFFFFFF
#: counters whose numbers lie together, first all cosines, then all sines
PAIRS = 8


def normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Independent N(0, 1), float64, where the generator is.

    On the CPU number i is a function of i and of a key of 63 bits that is drawn from the generator:
    Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC11), then Box and Muller, by a compiled kernel
    where there is one. On other devices it is what PyTorch has there, Philox as well.
    """
    if generator.device.type != "cpu":
        return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
    key = int(torch.randint(2**63 - 1, (), generator=generator))
    n = math.prod(shape)
    numbers = normal_fused if compiled() else normal_reference
    return numbers(key, n).reshape(*shape)


@cache
def compiled() -> bool:
    """Whether the kernel is there and does what PyTorch does."""
    if choose("cpu", torch.float64) != "cpu":
        return False
    key, n, like = 2**62 + 2**31 + 1, 999, torch.zeros(1, dtype=torch.float64)
    fast, plain = (lambda _: normal_fused(key, n)), (lambda _: normal_reference(key, n))
    compared = Comparison("normal", None, like, fast, plain, lambda: {"x": like}, gradients=False)
    return sound(compared, WITHOUT)


def normal_fused(key: int, n: int) -> Tensor:
    """n numbers of a key, by the compiled kernel."""
    out = torch.empty(n, dtype=torch.float64)
    call("normal", out.dtype, key, n, out)
    return out


def normal_reference(key: int, n: int) -> Tensor:
    """The same in plain PyTorch.

    Of the words (w, v) of a counter: r = sqrt(-2 log u), u = 1 - (w >> 12) / 2^52, and the angle
    (v >> 12) / 2^52 - 1/2 in units of pi / 2, with the last two bits of v for the quadrant.
    """
    blocks = -(-n // (2 * PAIRS))
    first, second = philox(key, torch.arange(blocks * PAIRS))
    r = (-2 * (1 - fraction(first)).log()).sqrt()
    angle = (fraction(second) - 0.5 + (second[0] & 3)) * (math.pi / 2)
    pairs = torch.stack([r * angle.cos(), r * angle.sin()]).reshape(2, blocks, PAIRS)
    return pairs.transpose(0, 1).flatten()[:n]


def fraction(word: tuple[Tensor, Tensor]) -> Tensor:
    """The upper 52 of the 64 bits (lower half, upper half) as a number in [0, 1)."""
    low, high = word
    return (low >> 12).double() * 2.0**-52 + high.double() * 2.0**-32


def philox(
    key: int, counter: Tensor, stream: int = 0
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Philox4x32-10 of counters below 2^63: its four words of 32 bits, as two of 64 in halves.

    The stream is the upper half of the counter.
    """
    zero = torch.zeros_like(counter)
    c = [counter & WORD, counter >> 32, zero + (stream & WORD), zero + (stream >> 32)]
    k = [key & WORD, key >> 32]
    for _ in range(ROUNDS):
        (a_low, a_high), (b_low, b_high) = (
            product(c[0], MULTIPLIERS[0]),
            product(c[2], MULTIPLIERS[1]),
        )
        c = [b_high ^ c[1] ^ k[0], b_low, a_high ^ c[3] ^ k[1], a_low]
        k = [(word + step) & WORD for word, step in zip(k, INCREMENTS, strict=True)]
    return (c[0], c[1]), (c[2], c[3])


def product(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """The lower and the upper 32 bits of a b, both below 2^32; PyTorch's 64 bits have a sign."""
    low, high = a * (b & 0xFFFF), a * (b >> 16)
    middle = (low >> 16) + (high & 0xFFFF_FFFF_FFFF)
    return ((middle << 16) | (low & 0xFFFF)) & WORD, middle >> 16
