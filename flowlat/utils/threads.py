"""How many CPU threads to use."""

import math
from collections.abc import Sequence

import torch

#: PyTorch's number before :func:`set_threads` set one, and the one that it set last
_before = _own = 0


def set_threads(threads: int | None, shape: Sequence[int], batch_size: int) -> None:
    """Use so many CPU threads; None: one where there is too little to share, else all.

    Below 2^20 sites a batch a second thread gains little on an idle machine, and on one that does
    something else besides it makes everything several times slower. All are as many as there were
    before the first call: a large job of a multirun is not held to what a small one before it took.
    """
    global _before, _own
    if (now := torch.get_num_threads()) != _own:  # not by the last call
        _before = now
    if threads is None:
        threads = 1 if math.prod(shape) * batch_size < 2**20 else _before
    torch.set_num_threads(threads)
    _own = threads
