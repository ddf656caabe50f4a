"""Site updates a second of HMC: the compiled kernels, plain PyTorch, one chain after another.

    python -m benchmarks.hmc                     the whole table, into benchmarks/results/
    python -m benchmarks.hmc --cases d4_L4 --replicas 64 --rounds 5

A site update is one leapfrog step of one site. All run trajectories of the same length with the
same step size, in float64, with momenta and accept test. ``PyTorch`` is the sampler without its
kernels and with momenta of torch.randn; the loop, written below, uses nothing of flowlat. The
contenders run in turn in one process, round after round; the figures are medians over CPU seconds.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import save
from benchmarks.step import interleave
from flowlat.actions import Phi4
from flowlat.lattice import Lattice
from flowlat.samplers import HMC
from flowlat.samplers.dynamics.trajectory import Momenta

CASES = {"d2_L8": (8, 8), "d3_L8": (8, 8, 8), "d4_L4": (4, 4, 4, 4)}
M2, LAM = -4.0, 5.113
#: a trajectory of length 2, the default of the sampler
N_LEAPFROG, STEP_SIZE = 20, 0.1

#: chains of the loop that are timed: each costs the same
LOOP_CHAINS = 4


def loop_action(phi: Tensor) -> Tensor:
    """S of one configuration ``(*shape)``."""
    density = (2 * phi.dim() + M2) * phi**2 + LAM * phi**4
    for axis in range(phi.dim()):
        density = density - 2 * phi * torch.roll(phi, -1, axis)
    return density.sum()


def loop_force(phi: Tensor) -> Tensor:
    """-dS/dphi of one configuration."""
    force = -2 * (2 * phi.dim() + M2) * phi - 4 * LAM * phi**3
    for axis in range(phi.dim()):
        force = force + 2 * torch.roll(phi, -1, axis) + 2 * torch.roll(phi, 1, axis)
    return force


def loop_trajectory(phi: Tensor) -> Tensor:
    """HMC of one chain, as one writes it down."""
    pi = torch.randn_like(phi)
    before = loop_action(phi) + 0.5 * (pi**2).sum()
    new = phi.clone()
    pi = pi + 0.5 * STEP_SIZE * loop_force(new)
    for _ in range(N_LEAPFROG - 1):
        new = new + STEP_SIZE * pi
        pi = pi + STEP_SIZE * loop_force(new)
    new = new + STEP_SIZE * pi
    pi = pi + 0.5 * STEP_SIZE * loop_force(new)
    after = loop_action(new) + 0.5 * (pi**2).sum()
    return new if torch.rand(()) < torch.exp(before - after) else phi


def chain_by_chain(shape: tuple[int, ...]) -> Callable[[], None]:
    """A trajectory of ``LOOP_CHAINS`` chains, one after another."""
    chains = [0.5 * torch.randn(shape, dtype=torch.float64) for _ in range(LOOP_CHAINS)]

    def call() -> None:
        for i, phi in enumerate(chains):
            chains[i] = loop_trajectory(phi)

    return call


class Uncompiled(Phi4):
    """The same theory; no kernel knows a force that is not that of Phi4 itself."""

    def force(self, phi: Tensor) -> Tensor:
        return super().force(phi)


class FromPyTorch(Momenta):
    """Momenta of PyTorch's Mersenne Twister."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        pi = torch.randn((*self.shape, n), generator=generator, dtype=torch.float64)
        return pi.movedim(-1, 0)


def batched(shape: tuple[int, ...], replicas: int, fused: bool) -> Callable[[], None]:
    """A trajectory of all replicas of flowlat's sampler."""
    sampler = HMC(
        Lattice(shape),
        (Phi4 if fused else Uncompiled)(M2, LAM),
        replicas=replicas,
        integrator="leapfrog",
        randomize_length=False,
        thermalization=1,
    )
    if not fused:
        sampler.trajectory.momenta = FromPyTorch(sampler.lattice)
    generator = torch.Generator().manual_seed(0)
    state = sampler.start(generator)
    state = state._replace(
        step_size=torch.tensor(STEP_SIZE, dtype=torch.float64),
        n_leapfrog=torch.tensor(N_LEAPFROG),
    )

    def call() -> None:
        nonlocal state
        state, _ = sampler.advance(state, generator)

    return call


@torch.no_grad()
def measure(case: str, replicas: Sequence[int], rounds: int) -> Iterator[dict[str, Any]]:
    """One row for the loop, and two for each number of replicas."""
    shape = CASES[case]
    contenders = {"loop": chain_by_chain(shape)}
    chains = {"loop": LOOP_CHAINS}
    for n, fused in product(replicas, [False, True]):
        name = f"batch of {n}" if fused else f"batch of {n}, PyTorch"
        contenders[name], chains[name] = batched(shape, n, fused), n
    for call in contenders.values():
        call()
    rates = {
        name: [chains[name] * math.prod(shape) * N_LEAPFROG / t for t in seconds]
        for name, seconds in interleave(contenders, rounds, "cpu", time.process_time).items()
    }
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        median, plain = medians[name], f"{name}, PyTorch"
        quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [median] * 3
        yield {
            "case": case,
            "shape": shape,
            "contender": name,
            "dtype": "float64",
            "threads": torch.get_num_threads(),
            "updates_per_second": median,
            "spread": (quartiles[2] - quartiles[0]) / 2,
            "ratio": median / medians["loop"],
            "to_pytorch": median / medians[plain] if plain in medians else None,
        }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| case | threads | chains | million site updates / s | to the loop | to PyTorch |",
        "| --- | --: | --- | --: | --: | --: |",
    ]
    for r in rows:
        rate, spread = r["updates_per_second"] / 1e6, r["spread"] / 1e6
        to_pytorch = "" if r["to_pytorch"] is None else f"{r['to_pytorch']:.1f}"
        lines.append(
            f"| {r['case']} | {r['threads']} | {r['contender']} | {rate:.2f} ± {spread:.2f} "
            f"| {r['ratio']:.1f} | {to_pytorch} |"
        )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hmc", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--replicas", nargs="+", type=int, default=[16, 32, 64, 128])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results/)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    options = parse(arguments)
    rows: list[dict[str, Any]] = []
    for case, threads in product(options.cases, options.threads):
        torch.set_num_threads(threads)
        rows += measure(case, options.replicas, options.rounds)
    written = save("hmc", rows, markdown(rows), options.output)
    print(f"{markdown(rows)}\n\nwritten to {written}")
    return rows


if __name__ == "__main__":
    main()
