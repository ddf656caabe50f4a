"""Effective samples a CPU second of the samplers that need no flow: hmc against cluster.

    python -m benchmarks.chains                  the whole table, into benchmarks/results/
    python -m benchmarks.chains --cases d2_L64 --updates 400

Both with the options of conf/sampler, so that hmc has tuned its trajectories, and 64 replicas; one
thread. They take turns, some updates each, in one process; seconds are those of the CPU, without
the thermalisation, which has a column of its own. A chain of n configurations has
n / (2 tau_int) effective ones.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import save
from flowlat.actions import Phi4
from flowlat.analysis.gamma_method import Estimate, gamma_method
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, Cluster
from flowlat.samplers.base import MarkovChain

M2 = -4.0
#: lattice, lam, updates of each sampler
CASES: dict[str, tuple[tuple[int, ...], float, int]] = {
    "d2_L8": ((8, 8), 8.0, 1000),
    "d2_L32": ((32, 32), 4.572, 1000),
    "d2_L64": ((64, 64), 4.398, 500),
    "d3_L8": ((8, 8, 8), 8.0, 1000),
    "d4_L4": ((4, 4, 4, 4), 5.113, 1000),
}
#: updates of one sampler before it is the other's turn
TURN = 20


class Run:
    """A sampler, its chains so far and what they took."""

    def __init__(self, sampler: MarkovChain, seed: int):
        self.sampler, self.generator = sampler, torch.Generator().manual_seed(seed)
        begin = time.process_time()
        self.state = sampler.start(self.generator)
        self.start, self.seconds = time.process_time() - begin, 0.0
        self.series: list[torch.Tensor] = []

    def turn(self, updates: int) -> None:
        """So many updates; what is measured on them is not timed."""
        for _ in range(updates):
            begin = time.process_time()
            self.state, _ = self.sampler.advance(self.state, self.generator)
            self.seconds += time.process_time() - begin
            field = self.state.phi.flatten(1)
            m = field.mean(1)
            phi2 = field.square().mean(1)
            self.series.append(torch.stack([m.abs(), field.shape[1] * m**2, phi2]))

    def estimates(self) -> list[Estimate]:
        """<|M|>, chi2 and <phi^2>."""
        series = torch.stack(self.series).numpy()
        replicas = range(series.shape[2])
        names = ("abs_magnetization", "chi2", "phi2")
        return [gamma_method([series[:, i, r] for r in replicas], n) for i, n in enumerate(names)]


@torch.no_grad()
def measure(case: str, updates: int | None, thermalization: int | None) -> list[dict[str, Any]]:
    """One row for each sampler."""
    shape, lam, n = CASES[case]
    options: dict[str, Any] = {}
    if thermalization is not None:
        options["thermalization"] = thermalization
    theory = Lattice(shape), Phi4(M2, lam)
    samplers = {"hmc": HMC(*theory, **options), "cluster": Cluster(*theory, **options)}
    runs = {name: Run(sampler, seed) for seed, (name, sampler) in enumerate(samplers.items())}
    n = updates or n
    for done in range(0, n, TURN):
        for run in runs.values():
            run.turn(min(TURN, n - done))
    return [row(case, name, run) for name, run in runs.items()]


def row(case: str, name: str, run: Run) -> dict[str, Any]:
    """The figures of a run."""
    found = run.estimates()
    n = len(run.series) * run.sampler.replicas
    taus = [estimate.tau_int for estimate in found]
    return {
        "case": case,
        "sampler": name,
        "abs_magnetization": found[0][:2],
        "chi2": found[1][:2],
        "phi2": found[2][:2],
        "tau_int": taus,
        "tau_int_error": [estimate.tau_int_error for estimate in found],
        "microseconds": 1e6 * run.seconds / n,
        "chi2_per_second": n / (2 * taus[1]) / run.seconds,
        "slowest_per_second": n / (2 * max(taus)) / run.seconds,
        "start_seconds": run.start,
        "tuned": run.sampler.info(run.state),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| case | sampler | tau_int of \\|M\\| | chi2 | phi2 | µs an update | effective samples of "
        "chi2 / s | of the slowest / s | thermalisation, s |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for r in rows:
        pairs = zip(r["tau_int"], r["tau_int_error"], strict=True)
        taus = [f"{tau:.2f} ± {error:.2f}" for tau, error in pairs]
        rates = [f"{r[key]:.0f}" for key in ("chi2_per_second", "slowest_per_second")]
        cells = [r["case"], r["sampler"], *taus, f"{r['microseconds']:.1f}", *rates]
        lines.append(f"| {' | '.join(cells)} | {r['start_seconds']:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chains", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--updates", type=int, help="default: the case's own")
    parser.add_argument("--thermalization", type=int, help="default: the sampler's own")
    parser.add_argument("--output", type=Path, help="JSON; default: in results/, and the README")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for case in options.cases:
        rows += measure(case, options.updates, options.thermalization)
    text = table(rows)
    print(f"{text}\n\nwritten to {save('chains', rows, text, options.output)}")
    return rows


if __name__ == "__main__":
    main()
