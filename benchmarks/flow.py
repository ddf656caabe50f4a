"""Time of a training step and of sampling with the continuous flow, fused and in plain PyTorch.

    python -m benchmarks.flow                      the whole table, into benchmarks/results/
    python -m benchmarks.flow --before CHECKOUT    an earlier version, in the same process, too
    python -m benchmarks.flow --cases 2d_L8 --rounds 5
    python -m benchmarks.flow --threads 2          sampling alone, with one thread and with two

A train step is the default recipe's: 64 configurations, path gradient, Adam. The weights are those
of a shipped checkpoint, on the case's lattice, or of a short training, the same for all contenders.
Sampling is in evaluation mode: of an earlier version as it is, of this one with the fewest steps
whose systematic error of log Z (:func:`flowlat.flows.calibration.shift`, in float64, against a fine
solution) is no larger than that of the earlier version. They run in turn, round after round; the
figures are medians of the CPU time of one thread, so that others on the machine disturb them
little. The memory is what a step keeps for its backward and what it computes with at its peak: of a
process of its own for each.

GFLOP/s count what the fused solver does in a solution, additions and multiplications apart: those
of its transforms, of the nonlinearity and of the tables; that a radix step has few multiplications
to go with its additions lowers the share. The peak is that of a matrix product (1024 x 1024) of one
thread, measured in the same process.
"""

import argparse
import copy
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.machine import peak_memory_mb, reset_peak_memory
from benchmarks.report import save
from flowlat.flows.calibration import shift
from flowlat.objectives import path_gradient

BATCH, SAMPLES = 64, 256
#: with more threads than one, so many configurations
SAMPLES_OF_THREADS = 1024
#: configurations that an error is measured on, and steps of the fine solution
MEASURED, FINE = 256, 12
#: steps and rate of a short training
TRAINING, RATE = 300, 1e-2


class Case(NamedTuple):
    """A lattice, a coupling at m2 = -4, and the shipped checkpoint that starts it, if one does."""

    shape: tuple[int, ...]
    lam: float
    checkpoint: str | None
    shift: float | None = None  # of the prior; with one, the flow is not odd


CASES = {
    "2d_L8": Case((8, 8), 8.0, "tutorial"),
    "2d_L32": Case((32, 32), 4.572, "xi_32"),
    "2d_L64": Case((64, 64), 4.572, "xi_32"),
    "3d_L8": Case((8, 8, 8), 8.0, None),
    "4d_L4": Case((4, 4, 4, 4), 5.113, "4d_L4_ordered", 0.5),
    "4d_L8": Case((8, 8, 8, 8), 5.113, "4d_L4_ordered", 0.5),
}
CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"
#: operations of the nonlinearity and the tables, a site, channel and velocity; counted in the code
VALUE, TABLES = 28, 5
CHANNELS = 4
BEFORE, TORCH, FUSED = "before", "torch", "fused"


@dataclass
class Contender:
    """One call is a training step, or ``SAMPLES`` samples, or a solution of the ODE alone."""

    flow: Any
    action: Any
    train: Callable[[], None]
    sample: Callable[[], None]
    solve: Callable[[], None]

    @property
    def solver(self) -> Any:
        return self.flow.bijection.bijections[1]

    @property
    def velocities(self) -> int:
        """Evaluations of a solution in evaluation mode."""
        if hasattr(self.solver, "evaluation_steps"):
            method, steps = self.solver._method()
            return steps * len(method.stages)
        return 4 * (len(self.solver._velocities()) // 2)  # of the classical method

    @torch.no_grad()
    def log_weights(self, noise: torch.Tensor) -> torch.Tensor:
        """In float64."""
        phi, log_q = copy.deepcopy(self.flow).double().eval()(noise)
        weights: torch.Tensor = -self.action(phi) - log_q
        return weights


def contender(
    name: str, case: Case, weights: Mapping[str, torch.Tensor], before: Path | None = None
) -> Contender:
    """The default flow of a version, with these weights."""
    with package(before if name == BEFORE else None) as get:
        lattice = get("flowlat.lattice").Lattice(case.shape)
        bijection = get("flowlat.archs").continuous(lattice, equivariant=case.shift is None)
        prior = get("flowlat.priors").FreeField(lattice, shift=case.shift)
        # the module of the flows had another name once
        flows = "flowlat.flow" + "s" * (find_spec("flowlat.flows") is not None)
        flow = get(flows).PushforwardFlow(prior, bijection)
        action = get("flowlat.actions").Phi4(m2=-4.0, lam=case.lam)
        objective = get("flowlat.objectives").path_gradient
        solver = bijection.bijections[1]
        flow(torch.randn(1, *case.shape))  # what is imported at a first call
    missing, _ = flow.load_state_dict(weights, strict=False)
    assert not missing or not weights, missing
    if name == TORCH:
        solver._solve = lambda x, sign: solver._solve_plainly(x, solver._tables(), sign)
        # the score by the inverse, as any bijection has it
        solver.with_score = lambda x, score: super(type(solver), solver).with_score(x, score)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, fused=True)
    noise = torch.randn(SAMPLES, *case.shape)

    def train() -> None:
        flow.train()
        optimizer.zero_grad()
        objective(flow, action, noise[:BATCH])[0].backward()
        optimizer.step()

    @torch.no_grad()
    def sample() -> None:
        flow.eval()
        flow(noise)

    @torch.no_grad()
    def solve() -> None:
        flow.eval()
        solver(noise)

    return Contender(flow, action, train, sample, solve)


def weights_of(case: Case) -> dict[str, torch.Tensor]:
    """Of the shipped checkpoint, averaged, or of a short training."""
    if case.checkpoint:
        path = CHECKPOINTS / f"{case.checkpoint}.ckpt"
        state = torch.load(path, weights_only=True)["state_dict"]
        prefix = "averaged.module."
        return {
            key.removeprefix(prefix).removeprefix("flow."): value
            for key, value in state.items()
            if key.startswith(prefix)
        }
    made = contender(FUSED, case, {})
    optimizer = torch.optim.Adam(made.flow.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, TRAINING)
    generator = torch.Generator().manual_seed(1)
    for _ in range(TRAINING):
        optimizer.zero_grad()
        noise = made.flow.noise(BATCH, generator)
        path_gradient(made.flow, made.action, noise)[0].backward()
        optimizer.step()
        schedule.step()
    state_dict: dict[str, torch.Tensor] = made.flow.state_dict()
    return state_dict


def errors_of(contenders: Mapping[str, Contender]) -> dict[str, float]:
    """Systematic errors of log Z; those of this version in as few steps as that before allows."""
    shape = contenders[FUSED].flow.lattice.shape
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(MEASURED, *shape, generator=generator, dtype=torch.float64)

    def in_steps(steps: int) -> torch.Tensor:
        for name in (TORCH, FUSED):
            contenders[name].solver.evaluation_steps = steps
        return contenders[FUSED].log_weights(noise)

    fine, steps = in_steps(FINE), contenders[FUSED].solver.n_steps
    errors = {}
    if BEFORE in contenders:
        limit = errors[BEFORE] = math.hypot(*shift(contenders[BEFORE].log_weights(noise), fine))
        steps = next(
            n for n in range(1, FINE + 1) if math.hypot(*shift(in_steps(n), fine)) <= limit
        )
    errors[TORCH] = errors[FUSED] = math.hypot(*shift(in_steps(steps), fine))
    return errors


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
    shape, weights = CASES[case].shape, weights_of(CASES[case])
    contenders = {name: contender(name, CASES[case], weights, before) for name in names}
    errors = errors_of(contenders)
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
        row |= {"velocities": contenders[name].velocities, "error": errors[name]}
        row["memory_mb"] = memory(case, name, before)
        if name == FUSED:
            velocities = row["velocities"]
            row["gflops"] = 1e-9 * velocities * operations(shape) * SAMPLES / median[name, "solve"]
            row["peak_gflops"] = matrix_product_gflops()
            row["share_of_peak"] = row["gflops"] / row["peak_gflops"]
        rows.append(row)
    return rows


def operations(shape: tuple[int, ...]) -> float:
    """Of one velocity, a configuration."""
    volume = math.prod(shape)
    transform = sum(volume / side * of_ring(side) for side in shape)
    return CHANNELS * (2 * transform + (VALUE + TABLES) * volume)


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
    train = contender(name, CASES[case], {}, before).train
    tiny = CASES[case]._replace(shape=(2,) * len(CASES[case].shape))
    small = contender(name, tiny, {}, before).train
    small()  # what is loaded at a first step
    reset_peak_memory()
    held = peak_memory_mb()
    train()
    peak = peak_memory_mb()
    return None if held is None or peak is None else peak - held


def measure_threads(case: str, rounds: int, threads: int) -> dict[str, Any]:
    """Seconds by the clock of sampling with one thread and with more: needs a quiet machine."""
    made = contender(FUSED, CASES[case], weights_of(CASES[case]))
    made.flow.eval()
    noise = torch.randn(SAMPLES_OF_THREADS, *CASES[case].shape)
    seconds: dict[int, list[float]] = {1: [], threads: []}
    with torch.no_grad():
        for number in range(rounds + 1):
            for n, taken in seconds.items():
                torch.set_num_threads(n)
                start = time.perf_counter()
                made.flow(noise)
                if number:
                    taken.append(time.perf_counter() - start)
    torch.set_num_threads(1)
    one, more = (1e3 * statistics.median(taken) for taken in seconds.values())
    return {"case": case, "threads": threads, "one_ms": one, "more_ms": more, "ratio": one / more}


def markdown_threads(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of :func:`measure_threads` as a table."""
    lines = [
        "| case | threads | 1024 samples with one, ms | with so many, ms | ratio |",
        "| --- | --: | --: | --: | --: |",
    ]
    for row in rows:
        times = f"{row['one_ms']:.1f} | {row['more_ms']:.1f} | {row['ratio']:.2f}"
        lines.append(f"| {row['case']} | {row['threads']} | {times} |")
    return "\n".join(lines)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| case | solver | train, ms | ratio | velocities | error of log Z "
        "| 256 samples, ms | ratio | MB | GFLOP/s | share |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        cells = [row["case"], row["solver"], f"{row['train_ms']:.1f}", f"{row['train_ratio']:.1f}"]
        cells += [str(row["velocities"]), f"{row['error']:.1e}"]
        cells += [f"{row['sample_ms']:.1f}", f"{row['sample_ratio']:.1f}"]
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
    parser.add_argument("--threads", type=int, help="time sampling alone, with one and so many")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "SOLVER"), help="that alone, in MB")
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results/)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.memory:
        case, name = options.memory
        print(json.dumps(own_memory(case, name, options.before)))
        return []
    if options.threads:
        rows = [measure_threads(case, options.rounds, options.threads) for case in options.cases]
        print(markdown_threads(rows))
        written = save("flow_threads", rows, markdown_threads(rows), options.output)
        print(f"\nwritten to {written}")
        return rows
    names = [*([BEFORE] if options.before else []), TORCH, FUSED]
    rows = []
    for case in options.cases:
        rows += measure(case, names, options.rounds, options.before)
        print(markdown(rows[-len(names) :]), flush=True)
        # after every case, so that an interrupted run leaves what it has
        written = save("flow", rows, markdown(rows), options.output)
    print(f"\nwritten to {written}")
    return rows


if __name__ == "__main__":
    main()
