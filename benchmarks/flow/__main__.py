"""Time of a training step and of sampling with the continuous flow, fused and in plain PyTorch.

    python -m benchmarks.flow                      the whole table, into benchmarks/results/
    python -m benchmarks.flow --before CHECKOUT    an earlier version, in the same process, too
    python -m benchmarks.flow --cases 2d_L8 --rounds 5
    python -m benchmarks.flow --threads 2          sampling alone, with one thread and with two
    python -m benchmarks.flow --transforms         Fourier transforms by each, on many lattices
    python -m benchmarks.flow --rounding CKPT ...  float32 against float64 of trained flows

A train step is the default recipe's: 64 configurations, path gradient, Adam. The weights are those
of a shipped checkpoint, on the case's lattice, or of a short training, the same for all contenders.
Sampling is in evaluation mode: of an earlier version as it is, of this one with the fewest steps
whose systematic error of log Z (in float64, against a fine solution) is no larger than that of the
earlier version, once the offset of its calibration is taken off, as every sampler does. They run in
turn, round after round; the figures are medians of the CPU time of one thread, so that others on
the machine disturb them little. The memory is what a step keeps for its backward and what it
computes with at its peak: of a process of its own for each.

GFLOP/s count what the fused solver does in a solution, additions and multiplications apart: those
of its transforms, of the nonlinearity, of the tables and of the sums over stages; that a radix step
has few multiplications to go with its additions lowers the share. "As matrices" counts for the same
seconds what matrices for the even and the odd part of every ring would take in place of radix
steps. The peak is that of a matrix product (1024 x 1024) of one thread, in the same process.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.flow.cases import CASES
from benchmarks.flow.contender import BEFORE, FUSED, SAMPLES, TORCH, contender, weights_of
from benchmarks.flow.errors import errors_of
from benchmarks.flow.memory import memory, own_memory
from benchmarks.flow.operations import (
    matrix_product_gflops,
    of_matrices,
    of_radix,
    operations,
)
from benchmarks.flow.rounding import markdown_rounding, measure_rounding
from benchmarks.flow.threads import markdown_threads, measure_threads
from benchmarks.flow.transforms import SHAPES, markdown_transforms, measure_transforms
from benchmarks.report import save


def measure(case: str, names: Sequence[str], rounds: int, before: Path | None) -> list[Any]:
    """A row for each contender."""
    shape, weights = CASES[case].shape, weights_of(CASES[case])
    contenders = {name: contender(name, CASES[case], weights, before) for name in names}
    errors = errors_of(contenders)
    seconds: dict[tuple[str, str], list[float]] = {}
    for mode in ("train", "sample", "solve"):
        for number in range(rounds + 1):
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
            rate = 1e-9 * row["velocities"] * SAMPLES / median[name, "solve"]
            solver = contenders[name].solver
            method, _ = solver._method()
            row["gflops"] = rate * operations(shape, method, of_radix, solver.odd)
            row["gflops_of_matrices"] = rate * operations(shape, method, of_matrices, solver.odd)
            row["peak_gflops"] = matrix_product_gflops()
            row["share_of_peak"] = row["gflops"] / row["peak_gflops"]
            row["share_of_matrices"] = row["gflops_of_matrices"] / row["peak_gflops"]
        rows.append(row)
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| case | solver | train, ms | ratio | velocities | error of log Z "
        "| 256 samples, ms | ratio | MB | GFLOP/s | share | as matrices |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        cells = [row["case"], row["solver"], f"{row['train_ms']:.1f}", f"{row['train_ratio']:.1f}"]
        cells += [str(row["velocities"]), f"{row['error']:.1e}"]
        cells += [f"{row['sample_ms']:.1f}", f"{row['sample_ratio']:.1f}"]
        cells.append("-" if row["memory_mb"] is None else f"{row['memory_mb']:.0f}")
        has = "gflops" in row
        keys = "share_of_peak", "share_of_matrices"
        cells += [f"{row['gflops']:.0f}", *(f"{row[k]:.0%}" for k in keys)] if has else [""] * 3
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def finish(
    name: str, rows: list[dict[str, Any]], table: str, output: Path | None
) -> list[dict[str, Any]]:
    """Print a table and keep it with its rows."""
    print(table)
    print(f"\nwritten to {save(name, rows, table, output)}")
    return rows


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flow", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="time sampling alone, with one and so many")
    parser.add_argument("--transforms", action="store_true", help="time Fourier transforms alone")
    parser.add_argument("--rounding", nargs="+", type=Path, metavar="CKPT", help="measure it alone")
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
        return finish("flow_threads", rows, markdown_threads(rows), options.output)
    if options.transforms:
        rows = [measure_transforms(shape, options.rounds) for shape in SHAPES]
        return finish("flow_transforms", rows, markdown_transforms(rows), options.output)
    if options.rounding:
        rows = [measure_rounding(path) for path in options.rounding]
        return finish("flow_rounding", rows, markdown_rounding(rows), options.output)
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
