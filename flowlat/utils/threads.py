"""How many CPU threads to use."""

import math
from collections.abc import Sequence

import torch


def set_threads(threads: int | None, shape: Sequence[int], batch_size: int) -> None:
    """Use so many CPU threads; None: one where there is too little to share, else all.

    Below 2^20 sites a batch a second thread gains little on an idle machine, and on one that does
    something else besides it makes everything several times slower.
    """
    if threads is None and math.prod(shape) * batch_size < 2**20:
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)
