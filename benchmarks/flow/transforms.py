"""Fourier transforms: of the fused solver, as products with small matrices, and by FFT."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from flowlat.bijections import Continuous
from flowlat.kernels import Tables, solve, solve_plainly
from flowlat.kernels.continuous.runge_kutta import CLASSICAL, RungeKutta
from flowlat.lattice import Fourier, Lattice, shell_of

#: powers of 2, what has factors of 3 and 5, and odd sides, of which a prime number is the worst
SIDES = {
    2: (8, 16, 32, 64, 128, 256, 96, 100, 27, 127),
    3: (8, 16, 32),
    4: (4, 8, 16),
}
SHAPES = tuple((side,) * d for d, sides in SIDES.items() for side in sides)
CHANNELS = 4
#: that a classical step takes: one for each channel and velocity
PAIRS = CHANNELS * len(CLASSICAL.stages)
#: fields at once: as many as have so many sites in all, from one tile of the fused solver to 64
SITES, LEAST, MOST = 2**20, 16, 64
FUSED, MATRICES, FFT = "fused", "matrices", "fft"

#: of dx/dt = 0 for want of a stage: from sites to modes and back, and nothing between
STILL = RungeKutta(nodes=(0, 1), stages=(), weights=())


def batch_of(shape: tuple[int, ...]) -> int:
    return max(LEAST, min(MOST, SITES // math.prod(shape)))


def pairs(shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """From the sites to the modes and back, by each.

    Each gets the fields as it wants them: the FFT as rows, the matrices sites first, the fused
    solver as rows, which it turns round on the way in and out.
    """
    rows = torch.randn(batch_of(shape), *shape)
    sites_first, axes = rows.flatten(1).T.contiguous(), tuple(range(1, rows.dim()))
    matrices = Fourier(Lattice(shape), longest_dense=max(shape))
    tables = Continuous(Lattice(shape), 1, 1, odd=True)._tables(1)
    still = Tables(*(table[:2].detach() for table in tables))
    return {
        FUSED: lambda: solve(rows, still, STILL, 1, 1, True),
        MATRICES: lambda: matrices.to_sites(matrices.to_modes(sites_first)),
        FFT: lambda: torch.fft.irfftn(torch.fft.rfftn(rows, dim=axes), s=shape, dim=axes),
    }


def solutions(shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """One classical step of the continuous flow, forward, with the transforms of each."""
    lattice = Lattice(shape)
    flow, phi = Continuous(lattice, 1, CHANNELS, odd=True), torch.randn(batch_of(shape), *shape)
    tables = Tables(*(table.detach() for table in flow._tables(1)))
    how = CLASSICAL, 1, 1, True

    def plainly(longest_dense: int) -> Callable[[], tuple[Tensor, Tensor]]:
        fourier = Fourier(lattice, longest_dense)
        shell = shell_of(fourier.khat2, shape)
        return lambda: solve_plainly(phi, tables, *how, fourier, shell)

    return {
        FUSED: lambda: solve(phi, tables, *how),
        MATRICES: plainly(max(shape)),
        FFT: plainly(0),
    }


@torch.no_grad()
def measure_transforms(shape: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Median CPU milliseconds of all contenders, which run in turn."""
    row: dict[str, Any] = {"shape": shape, "batch": batch_of(shape)}
    for what, contenders in (("pair", pairs(shape)), ("solution", solutions(shape))):
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        # small lattices several times in a go: the clock has a resolution
        times = max(1, 2**14 // math.prod(shape)) if what == "pair" else 1
        for number in range(rounds + 1):
            for name, run in contenders.items():
                start = time.process_time()
                for _ in range(times):
                    run()
                if number:  # the first is a warm-up
                    seconds[name].append((time.process_time() - start) / times)
        row |= {f"{what}_{name}_ms": 1e3 * statistics.median(s) for name, s in seconds.items()}
    return row


def markdown_transforms(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of :func:`measure_transforms` as a table; ratios are to the fused solver."""
    lines = [
        "| lattice | fields | fused pair, ms | matrices | FFT | fused step, ms | matrices | FFT "
        "| FFTs alone |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        cells = [f"{row['shape'][0]}^{len(row['shape'])}", str(row["batch"])]
        for what in ("pair", "solution"):
            fused = row[f"{what}_{FUSED}_ms"]
            cells.append(f"{fused:.2f}")
            cells += [f"{row[f'{what}_{name}_ms'] / fused:.1f}" for name in (MATRICES, FFT)]
        cells.append(f"{PAIRS * row[f'pair_{FFT}_ms'] / row[f'solution_{FUSED}_ms']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
