"""Time of a training step and of sampling with the continuous flow, fused and in plain PyTorch.

    python -m benchmarks.flow                      the whole table, into benchmarks/results/
    python -m benchmarks.flow --before CHECKOUT    an earlier version, in the same process, too
    python -m benchmarks.flow --cases 2d_L8 --rounds 5

A train step is the default recipe's: 64 configurations, path gradient, Adam. Sampling is in
evaluation mode, with as many steps as in training, so that all contenders solve the same equation
by the same method. They run in turn, round after round; the figures are medians of the CPU time of
one thread, so that others on the machine disturb them little. The memory is what a step keeps for
its backward and what it computes with at its peak: of a process of its own for each.

GFLOP/s count what the fused solver does in a solution, additions and multiplications apart: those
of its transforms, of the nonlinearity and of the tables; that a radix step has few multiplications
to go with its additions lowers the share. The peak is that of a matrix product (1024 x 1024) of one
thread, measured in the same process.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import peak_memory_mb, reset_peak_memory
from benchmarks.report import save

BATCH, SAMPLES = 64, 256
CASES = {
    "2d_L8": (8, 8),
    "2d_L32": (32, 32),
    "2d_L64": (64, 64),
    "3d_L8": (8, 8, 8),
    "4d_L4": (4, 4, 4, 4),
    "4d_L8": (8, 8, 8, 8),
}
#: operations of the nonlinearity and the tables, a site, channel and velocity; counted in the code
VALUE, TABLES = 28, 5
STAGES, CHANNELS = {"train": 16, "sample": 44}, 4
BEFORE, TORCH, FUSED = "before", "torch", "fused"


@dataclass
class Contender:
    """One call is a training step, or ``SAMPLES`` samples, or a solution of the ODE alone."""

    train: Callable[[], None]
    sample: Callable[[], None]
    solve: Callable[[], None]


def contender(name: str, shape: tuple[int, ...], before: Path | None = None) -> Contender:
    """The default flow with weights away from the identity."""
    with package(before if name == BEFORE else None) as get:
        lattice = get("flowlat.lattice").Lattice(shape)
        torch.manual_seed(1)
        bijection = get("flowlat.archs").continuous(lattice)
        flow = get("flowlat.flows").PushforwardFlow(
            get("flowlat.priors").Normal(lattice), bijection
        )
        action = get("flowlat.actions").Phi4(m2=-4.0, lam=5.113)
        path_gradient = get("flowlat.objectives").path_gradient
        solver = bijection.bijections[1]
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    if name == TORCH:
        solver._solve = lambda x, sign: solver._solve_plainly(x, solver._tables(), sign)
        # the score by the inverse, as any bijection has it
        solver.with_score = lambda x, score: super(type(solver), solver).with_score(x, score)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, fused=True)
    noise = torch.randn(SAMPLES, *shape)

    def train() -> None:
        flow.train()
        optimizer.zero_grad()
        path_gradient(flow, action, noise[:BATCH])[0].backward()
        optimizer.step()

    @torch.no_grad()
    def sample() -> None:
        flow.eval()
        flow(noise)

    @torch.no_grad()
    def solve() -> None:
        flow.eval()
        solver(noise)

    return Contender(train, sample, solve)


@contextmanager
def package(folder: Path | None) -> Any:
    """``get(module)`` of this flowlat, or of the one in another folder beside it."""
    if folder is None:
        yield import_module
        return
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
    sys.path.insert(0, str(folder))
    try:
        yield import_module
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "flowlat"


def measure(case: str, names: Sequence[str], rounds: int, before: Path | None) -> list[Any]:
    """A row for each contender."""
    shape = CASES[case]
    contenders = {name: contender(name, shape, before) for name in names}
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for mode in ("train", "sample", "solve"):
            for name in names:
                start = time.process_time()
                getattr(contenders[name], mode)()
                if number:  # the first is a warm-up
                    taken = time.process_time() - start
                    seconds.setdefault((name, mode), []).append(taken)
    median = {key: statistics.median(times) for key, times in seconds.items()}
    rows: list[dict[str, Any]] = []
    for name in names:
        row: dict[str, Any] = {"case": case, "shape": shape, "solver": name}
        for mode in ("train", "sample"):
            row[f"{mode}_ms"] = 1e3 * median[name, mode]
            row[f"{mode}_ratio"] = median[names[0], mode] / median[name, mode]
        row["memory_mb"] = memory(case, name, before)
        if name == FUSED:
            row["gflops"] = 1e-9 * operations(shape) * SAMPLES / median[name, "solve"]
            row["peak_gflops"] = matrix_product_gflops()
            row["share_of_peak"] = row["gflops"] / row["peak_gflops"]
        rows.append(row)
    return rows


def operations(shape: tuple[int, ...]) -> float:
    """Of one solution in evaluation mode, a configuration."""
    volume = math.prod(shape)
    transform = sum(volume / side * of_ring(side) for side in shape)
    return STAGES["sample"] * CHANNELS * (2 * transform + (VALUE + TABLES) * volume)


def of_ring(side: int) -> int:
    """Additions and multiplications of fourier.h for a ring of a power of 2."""
    if side < 4:
        return 2 * (side - 1)
    quarter = side // 4
    turn, join = 6 * (quarter - 1), 4 * ((quarter - 1) // 2)
    return side + turn + join + of_ring(side // 2) + 2 * of_ring(quarter)


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


def memory(case: str, name: str, before: Path | None) -> float | None:
    """Peak MB of a training step above what its process held before, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.flow", "--memory", case, name]
    command += ["--before", str(before)] if before else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: float | None = json.loads(done.stdout)
    return result


def own_memory(case: str, name: str, before: Path | None) -> float | None:
    train = contender(name, CASES[case], before).train
    small = contender(name, (2,) * len(CASES[case]), before).train
    small()  # what is loaded at a first step
    reset_peak_memory()
    held = peak_memory_mb()
    train()
    peak = peak_memory_mb()
    return None if held is None or peak is None else peak - held


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| case | solver | train, ms | ratio | 256 samples, ms | ratio | MB | GFLOP/s | share |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        cells = [row["case"], row["solver"]]
        for mode in ("train", "sample"):
            cells += [f"{row[f'{mode}_ms']:.1f}", f"{row[f'{mode}_ratio']:.1f}"]
        cells.append("-" if row["memory_mb"] is None else f"{row['memory_mb']:.0f}")
        has = "gflops" in row
        cells += [f"{row['gflops']:.0f}", f"{row['share_of_peak']:.0%}"] if has else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flow", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "SOLVER"), help="that alone, in MB")
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results/)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.memory:
        case, name = options.memory
        print(json.dumps(own_memory(case, name, options.before)))
        return []
    names = [*([BEFORE] if options.before else []), TORCH, FUSED]
    rows: list[dict[str, Any]] = []
    for case in options.cases:
        rows += measure(case, names, options.rounds, options.before)
        print(markdown(rows[-len(names) :]), flush=True)
        # after every case, so that an interrupted run leaves what it has
        written = save("flow", rows, markdown(rows), options.output)
    print(f"\nwritten to {written}")
    return rows


if __name__ == "__main__":
    main()
