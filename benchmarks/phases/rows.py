"""The commands: what each says beyond ``python train.py``, and what it is to reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A command. Each goal is for the worst seed; None: none is set.

    Args:
        overrides: beyond ``python train.py``; no rate, and no option of the recipe.
        ess, acceptance: at least.
        cpu_seconds: of the training, at most.
    """

    overrides: str
    ess: float | None = None
    acceptance: float | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Group:
    """Rows, the seeds that each is trained with, and how many samples are drawn from each."""

    rows: dict[str, Row]
    seeds: tuple[int, ...]
    samples: int


def command(shape: tuple[int, ...], lam: float, more: str = "") -> str:
    """A point of m2 = -4, the default, on a lattice of this shape."""
    sides = ",".join(map(str, shape))
    return f"lattice={len(shape)}d lattice.shape=[{sides}] action.lam={lam:g} {more}".strip()


#: the CPU seconds of combconv_k1 in d = 4 before phases were found
BEFORE = 112
POINTS = {
    "4d_k1": Row("lattice=4d arch=combconv_k1", ess=0.85, acceptance=0.8, cpu_seconds=BEFORE),
    "4d_lam8": Row("lattice=4d", ess=0.95, acceptance=0.9),
    **{f"4d_lam{x:g}": Row(f"lattice=4d action.lam={x:g}", ess=0.9) for x in (5.113, 11, 13, 16)},
    "4d_m2_1_lam8": Row("lattice=4d action.m2=1 action.lam=8", ess=0.9),
    **{f"3d_lam{x:g}": Row(command((8,) * 3, x), ess=0.9) for x in (5.113, 7, 8, 10)},
    **{f"2d_lam{x:g}": Row(command((12,) * 2, x), ess=0.9) for x in (3.5, 4.25, 4.6, 5.276, 8)},
    **{f"1d_lam{x:g}": Row(f"lattice=1d action.lam={x:g}", ess=0.95) for x in (0.5, 2, 8)},
}

#: a small lattice of each dimension, and a coupling of either phase (of d = 1: one with two modes)
SMALL = {(16,): (0.5, 8), (8, 8): (3.5, 8), (4, 4, 4): (5.113, 10), (4, 4, 4, 4): (5.113, 13)}
ARCHITECTURES = {
    f"{len(shape)}d_lam{lam:g}_{arch}": Row(command(shape, lam, f"arch={arch}"))
    for shape, couplings in SMALL.items()
    for lam in couplings
    for arch in ("continuous", "conv", "combconv_k1", "combconv_k2", "combconv_k3", "spline")
    # over all axes at once it is conv
    if not arch.startswith("combconv") or int(arch[-1]) < len(shape)
}

GROUPS = {
    "points": Group(POINTS, (0, 1, 2), 100_000),
    "architectures": Group(ARCHITECTURES, (0,), 10_000),
}
