"""The modes of a lattice in the order of the compiled kernels."""

from functools import lru_cache

import torch
from torch import Tensor

from flowlat.lattice import shell_of
from flowlat.lattice.geometry import outer_sum


@lru_cache(maxsize=64)
def modes_of(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The sides, int64 ``(d,)``, and the shell of each mode of fourier.h, int32 ``(V,)``."""
    squares = []
    for side in shape:
        k = torch.tensor([*range(side // 2 + 1), *range(1, (side + 1) // 2)], dtype=torch.float64)
        squares.append(4 * torch.sin(torch.pi * k / side) ** 2)
    return torch.tensor(shape), shell_of(outer_sum(squares).flatten(), shape).int()
