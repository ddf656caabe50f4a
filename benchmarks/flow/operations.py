"""What the fused solver computes in a velocity, and the most that a core can."""

import math
import statistics
import time
from collections.abc import Sequence
from functools import lru_cache

import torch

#: operations of the nonlinearity and the tables, a site, channel and velocity; counted in the code
VALUE, TABLES = 28, 5
CHANNELS = 4


def operations(shape: Sequence[int]) -> float:
    """Of one velocity, a configuration."""
    volume = math.prod(shape)
    transform = sum(volume / side * of_ring(side) for side in shape)
    return CHANNELS * (2 * transform + (VALUE + TABLES) * volume)


def of_ring(side: int) -> int:
    """Additions and multiplications of fourier.h for a ring of a power of 2."""
    if side < 4:
        return 2 * (side - 1)
    quarter = side // 4
    turn, join = 6 * (quarter - 1), 4 * ((quarter - 1) // 2)
    return side + turn + join + of_ring(side // 2) + 2 * of_ring(quarter)


@lru_cache(maxsize=1)
def matrix_product_gflops() -> float:
    a, b = torch.randn(2, 1024, 1024)
    torch.mm(a, b)
    times = []
    for _ in range(10):
        start = time.process_time()
        torch.mm(a, b)
        times.append(time.process_time() - start)
    return 1e-9 * 2 * 1024**3 / statistics.median(times)
