"""What the axes of an array are: steps of a chain, replicas, and directions of the lattice."""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import numpy as np

from flowlat.utils.errors import ConfigError

STEP, REPLICA = "step", "replica"


def sites(d: int) -> list[str]:
    """The names of the axes of a lattice, x0, x1, ..."""
    return [f"x{axis}" for axis in range(d)]


def default_axes(d: int) -> list[str]:
    """Those of ``(n, *shape)``."""
    return [STEP, *sites(d)]


def arrange(
    values: np.ndarray, axes: Sequence[str], shape: Sequence[int], replicas: int | None = None
) -> np.ndarray:
    """An array as ``(steps, replicas, *shape)``, without a copy where it lies in C order.

    It may have its axes apart, or several of them in one, in C order (the last axis the fastest):
    rows of V numbers, or one number a line. Axes of length 1 beyond those that are named, such as a
    channel, count for nothing.

    Args:
        axes: "step", "x0", ..., and "replica" if there is one, in the order in which they lie.
        replicas: how many there are, where the array does not show it.

    Raises:
        ConfigError: axes that are misnamed, or numbers that do not fit them.
    """
    names, own = ",".join(axes), default_axes(len(shape))
    if sorted(axes) not in (sorted(own), sorted([*own, REPLICA])):
        raise ConfigError(
            f"axes={names}: has to name {', '.join(own)}, and replica if there is one, each once"
        )
    if REPLICA not in axes and replicas not in (None, 1):
        raise ConfigError(f"replicas={replicas}: axes={names} has no replica; say where it is")
    if values.ndim > len(axes):
        values = values.squeeze()
    sizes = dict(zip(sites(len(shape)), shape, strict=True))
    if replicas is not None and REPLICA in axes:
        sizes[REPLICA] = replicas
    if values.ndim != len(axes):
        values = _split(values, axes, sizes)
    found = dict(zip(axes, values.shape, strict=True))
    for name, size in sizes.items():
        if found[name] != size:
            raise ConfigError(
                f"axes={names}: {name} is {found[name]} long in an array of {list(values.shape)}, "
                f"and not {size}"
            )
    order = [STEP, *([REPLICA] if REPLICA in axes else []), *sites(len(shape))]
    values = values.transpose([axes.index(name) for name in order])
    return values if REPLICA in axes else values[:, None]


def _split(values: np.ndarray, axes: Sequence[str], sizes: dict[str, int]) -> np.ndarray:
    """The axes apart, of an array that has several in one, or one in several."""
    names = ",".join(axes)
    if REPLICA in axes and REPLICA not in sizes:
        raise ConfigError(f"axes={names}: replicas=N has to say how many, the array does not")
    others = int(np.prod([sizes[name] for name in axes if name != STEP], dtype=object))
    steps, rest = divmod(values.size, others)
    whole = [steps if name == STEP else sizes[name] for name in axes]
    # every axis of the array has to end where one of those named does
    ends, own = (set(accumulate(reversed(sides), mul)) for sides in (whole, values.shape))
    if rest or not own - {1} <= ends:
        raise ConfigError(
            f"axes={names}: an array of {list(values.shape)} does not fall into "
            f"{' x '.join(str(sizes.get(name, 'n')) for name in axes)}"
        )
    return values.reshape(whole)
