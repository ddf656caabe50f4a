"""What the fused solver computes in a velocity, and the most that a core can."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain

import torch

from flowlat.kernels.continuous.runge_kutta import RungeKutta

#: operations of the nonlinearity, of a flow that is odd or not, and of the tables, a site, channel
#: and velocity; counted in the code
VALUE, TABLES = {True: 28, False: 40}, 5
CHANNELS = 4

#: of a side
OfRing = Callable[[int], int]


def operations(
    shape: Sequence[int], method: RungeKutta, of_ring: OfRing, odd: bool = True
) -> float:
    """Of one velocity, a configuration, and of its share of the sums over stages."""
    volume = math.prod(shape)
    transform = sum(volume / side * of_ring(side) for side in shape)
    rows = [row for _, row in method.stages] + [method.weights]
    sums = 2 * sum(map(bool, chain(*rows))) / len(method.stages)
    return CHANNELS * (2 * transform + (VALUE[odd] + TABLES) * volume) + sums * volume


def of_matrices(side: int) -> int:
    """Of a matrix for the even and one for the odd part of a ring."""
    return side + side * side


def of_radix(side: int) -> int:
    """Additions and multiplications of fourier.h for a ring of a power of 2."""
    if side < 4:
        return 2 * (side - 1)
    quarter = side // 4
    turn, join = 6 * (quarter - 1), 4 * ((quarter - 1) // 2)
    return side + turn + join + of_radix(side // 2) + 2 * of_radix(quarter)


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
