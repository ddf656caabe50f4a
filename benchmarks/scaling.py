"""Time and memory of a training step against volume, depth, batch and ranks.

    python -m benchmarks.scaling

The default training (path gradient, float32, one thread a process) of d = 4, k = 1 flows. Every row
is a process of its own, or as many as it has ranks; a step is the noise, forward, backward, the
mean of the gradients over the ranks, and Adam. The time is the least of all rounds, since
whatever else runs on the machine only adds to it.

The model that is fitted to the rows of one rank, with least squares of the relative differences
(the CPU kernel works on vectors of configurations, so a batch of one is left out):

    seconds = a n + b n V B        n couplings, V sites, B configurations a rank
    bytes   = c n V B              peak, above what the process had before
"""

import argparse
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.machine import peak_memory_mb, reset_peak_memory
from benchmarks.report import save
from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.objectives import path_gradient
from flowlat.runs.ranks.processes import spawn_ranks

#: after which a case of long steps has had rounds enough
SECONDS = 20.0


@dataclass(frozen=True)
class Case:
    """batch: over all ranks."""

    shape: tuple[int, ...]
    n_couplings: int
    batch: int
    ranks: int = 1
    recompute: bool = False

    @property
    def work(self) -> float:
        """n V B, of a rank."""
        return self.n_couplings * math.prod(self.shape) * self.batch / self.ranks


CASES = (
    *(Case((4, 4, 4, 4), 8, batch) for batch in (1, 16, 64, 256)),
    *(Case((4, 4, 4, 4), n, 64) for n in (2, 4, 16)),
    *(Case(shape, 8, 16) for shape in ((4, 4, 8, 8), (8, 8, 8, 8))),
    *(Case((16, 16, 16, 16), 2, batch) for batch in (1, 16)),
    Case((8, 8, 8, 8), 8, 16, recompute=True),
    *(Case((4, 4, 4, 4), 8, batch, ranks=2) for batch in (32, 128)),
)


class Loss(nn.Module):
    """noise -> what a training step differentiates."""

    def __init__(self, case: Case):
        super().__init__()
        names = [
            *("lattice=4d", "arch=combconv_k1", f"lattice.shape={list(case.shape)}"),
            *(f"arch.n_couplings={case.n_couplings}", f"arch.recompute={case.recompute}"),
        ]
        self.flow = build_flow(compose(names))
        self.action = Phi4(m2=-4.0, lam=5.113)

    def forward(self, noise: Tensor) -> Tensor:
        return path_gradient(self.flow, self.action, noise)[0]


def measure(case: Case, rounds: int) -> dict[str, float | None]:
    """Least seconds of up to so many steps, and the peak memory of one."""
    torch.set_num_threads(1)
    module = Loss(case)
    loss: nn.Module = module
    if case.ranks > 1:
        rank = int(os.environ["RANK"])
        dist.init_process_group("gloo", rank=rank, world_size=case.ranks)
        loss = DistributedDataParallel(module)
    optimizer = torch.optim.Adam(loss.parameters(), fused=True)

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        loss(module.flow.noise(case.batch // case.ranks)).backward()
        optimizer.step()
        return time.perf_counter() - started

    reset_peak_memory()
    before = peak_memory_mb()
    step()  # the kernel may be compiled here
    after = peak_memory_mb()
    mb = None if before is None or after is None else after - before
    seconds: list[float] = []
    while len(seconds) < rounds and (len(seconds) < 3 or sum(seconds) < SECONDS):
        seconds.append(step())
    return {"seconds": min(seconds), "mb": mb}


def fit(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """a and b in seconds, c in bytes, and the greatest relative difference of the seconds."""
    rows = [row for row in rows if row["ranks"] == 1 and row["batch"] > 1 and not row["recompute"]]
    seconds = np.array([row["seconds"] for row in rows])
    columns = np.array([[row["n_couplings"], row["work"]] for row in rows])
    (a, b), *_ = np.linalg.lstsq(columns / seconds[:, None], np.ones(len(rows)), rcond=None)
    largest = max(rows, key=lambda row: row["work"])
    worst = float(abs(columns @ [a, b] / seconds - 1).max())
    c = math.nan if largest["mb"] is None else 1e6 * largest["mb"] / largest["work"]
    return {"a": float(a), "b": float(b), "c": c, "worst": worst}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table, with the time per coupling, site and configuration."""
    lines = [
        "| lattice | couplings | batch | ranks | ms | MB a rank | ns / (n V B) |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        lattice = "x".join(map(str, row["shape"])) + ", recomputed" * row["recompute"]
        mb = "-" if row["mb"] is None else f"{row['mb']:.0f}"
        lines.append(
            f"| {lattice} | {row['n_couplings']} | {row['batch']} | {row['ranks']} "
            f"| {1e3 * row['seconds']:.1f} | {mb} | {1e9 * row['seconds'] / row['work']:.0f} |"
        )
    model = fit(rows)
    a, b, c, worst = (model[name] for name in ("a", "b", "c", "worst"))
    constants = f"a = {1e3 * a:.2f} ms, b = {1e9 * b:.0f} ns, c = {c:.0f} bytes"
    return "\n".join([*lines, "", f"{constants}; the seconds of one rank within {worst:.0%}."])


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--cases", type=int, help="so many of the first only")
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results/)")
    options = parser.parse_args(arguments)
    rows = []
    for case in CASES[: options.cases]:
        found = spawn_ranks(case.ranks, measure, case, options.rounds)
        rows.append({**asdict(case), "work": case.work, **found})
        print(rows[-1], flush=True)
    written = save("scaling", rows, markdown(rows), options.output)
    print(f"{markdown(rows)}\n\nwritten to {written}")
    return rows


if __name__ == "__main__":
    main()
