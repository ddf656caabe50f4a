"""The modes of a lattice in the order of the compiled kernels."""

import torch
from torch import Tensor

from flowlat.lattice import shell_of
from flowlat.lattice.geometry import outer_sum


def shell_of_modes(shape: tuple[int, ...]) -> Tensor:
    """The shell of each mode in the order of fourier.h, int32 ``(V,)``."""
    squares = []
    for side in shape:
        k = torch.tensor([*range(side // 2 + 1), *range(1, (side + 1) // 2)], dtype=torch.float64)
        squares.append(4 * torch.sin(torch.pi * k / side) ** 2)
    return shell_of(outer_sum(squares).flatten(), shape).int()
