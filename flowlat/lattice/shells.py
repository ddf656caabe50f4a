"""Modes with the same khat^2, for which a function of it has to be computed once."""

from functools import lru_cache

import torch
from torch import Tensor

from flowlat.lattice.geometry import Lattice

#: khat^2 that differ by less are the same
SAME = 1e-9


@lru_cache(maxsize=32)
def shells(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(the distinct values of khat^2, ascending, float64 ``(S,)``; how many modes each has).

    S is far below the volume: 15 of 64 on 8^2, 561 of 4096 on 64^2, 70 of 4096 on 8^4.
    """
    khat2 = Lattice(shape).khat2().flatten().sort().values
    new = khat2.diff(prepend=khat2[:1] - 1) > SAME
    return khat2[new], torch.bincount(new.cumsum(0) - 1)


def shell_of(khat2: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The shell that each of these khat^2 is in, int64."""
    return torch.searchsorted(shells(shape)[0], khat2 - SAME)
