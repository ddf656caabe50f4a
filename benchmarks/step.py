"""Time of a training step and of sampling: the published form against flowlat's kernels.

    python -m benchmarks.step                     the whole table, into benchmarks/results/
    python -m benchmarks.step --cases d4_L4_k1 --kernels cpu torch --rounds 5
    python -m benchmarks.step --device cuda       the default where there is a CUDA device

All contenders of a case run in turn in one process, round after round, so that a noisy machine
slows all of them; the figures are medians, the spread is half the range of the middle half.

On a CUDA device the batch is 1024, the published form runs eagerly, and the Triton kernels run with
and without CUDA graphs. Times are between events of the device. The traffic is what a computation
layer by layer cannot do without: a layer reads its input and writes its output, and its backward
reads its input and the gradient of its output and writes the gradient of its input. Peaks are
measured: a large copy, a large matrix product.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch

from benchmarks import cuda, transcription
from benchmarks.machine import peak_gflops, peak_memory_mb, reset_peak_memory
from benchmarks.report import FOLDER, save
from flowlat.actions import Phi4
from flowlat.archs import combconv
from flowlat.flows.flow import PushforwardFlow
from flowlat.kernels import available_kernels
from flowlat.lattice import Lattice
from flowlat.objectives import reverse_kl
from flowlat.objectives.cuda_graphs import GraphedObjective
from flowlat.priors import Normal

HIDDEN = (8, 8)
PUBLISHED = "published"
GRAPHS = "+graphs"  # after the name of a kernel: a train step as one CUDA graph
BATCH = {"cpu": 64, "cuda": 1024}


@dataclass(frozen=True)
class Case:
    """A flow of the published architecture, 1 -> 8 -> 8 -> 2, kernel 3."""

    name: str
    shape: tuple[int, ...]
    k: int
    n_couplings: int = 16

    @property
    def sites(self) -> int:
        return math.prod(self.shape)

    def gflop(self, batch: int, training: bool) -> float:
        """2 operations a multiply-add of the convolutions; a gradient costs two forwards more."""
        channels = (1, *HIDDEN, 2)
        pairs = sum(a * b for a, b in pairwise(channels))
        per_site = 2 * math.comb(len(self.shape), self.k) * 3**self.k * pairs
        return 1e-9 * per_site * self.sites * batch * self.n_couplings * (3 if training else 1)

    def gbyte(self, batch: int, training: bool, dtype: torch.dtype) -> float:
        """Least traffic of the convolutions, layer by layer."""
        channels = (1, *HIDDEN, 2)
        fields = sum(a + b + (2 * a + b if training else 0) for a, b in pairwise(channels))
        return 1e-9 * fields * self.sites * batch * self.n_couplings * dtype.itemsize


CASES = (
    Case("d2_L8_conv", (8, 8), 2),
    Case("d2_L32_k1", (32, 32), 1),
    Case("d3_L8_k1", (8, 8, 8), 1),
    Case("d3_L8_k2", (8, 8, 8), 2),
    Case("d3_L8_k3", (8, 8, 8), 3),
    Case("d4_L4_k1", (4, 4, 4, 4), 1),
    Case("d4_L4_k2", (4, 4, 4, 4), 2),
    Case("d4_L4_k3", (4, 4, 4, 4), 3),
    Case("d4_L8_k1", (8, 8, 8, 8), 1, n_couplings=4),
)


@dataclass
class Contender:
    """Something to time: one call is one training step, or one batch of samples."""

    train: Callable[[], None]
    sample: Callable[[], None]


def published(case: Case, batch: int, dtype: torch.dtype, device: str) -> Contender:
    """The plain transcription."""
    flow = transcription.Flow(case.shape, case.k, case.n_couplings).to(device, dtype)

    def loss() -> torch.Tensor:
        phi, log_q = flow(torch.randn(batch, *case.shape, dtype=dtype, device=device))
        return (log_q + transcription.action(phi)).mean()

    return _contender(flow, loss)


def ours(
    case: Case, kernel: str, batch: int, dtype: torch.dtype, device: str, recompute: bool = False
) -> Contender:
    """flowlat with the same architecture and a given kernel, by CUDA graphs if its name says so."""
    lattice = Lattice(case.shape)
    bijection = combconv(
        lattice,
        k=case.k,
        n_couplings=case.n_couplings,
        block=None,
        hidden=HIDDEN,
        final_tanh=True,
        identity_start=False,
        recompute=recompute,
        kernel=kernel.removesuffix(GRAPHS),
    )
    flow = PushforwardFlow(Normal(lattice), bijection).to(device, dtype)
    action = Phi4(m2=-4.0, lam=5.113)
    objective = GraphedObjective(reverse_kl) if kernel.endswith(GRAPHS) else reverse_kl
    return _contender(flow, lambda: objective(flow, action, flow.noise(batch))[0])


def _contender(flow: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Contender:
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=True)

    def train() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def sample() -> None:
        with torch.no_grad():
            loss()

    return Contender(train, sample)


def measure(
    case: Case,
    kernels: Sequence[str],
    batch: int,
    dtype: torch.dtype,
    threads: int,
    rounds: int,
    device: str,
) -> Iterator[dict[str, Any]]:
    """One row for each contender and mode."""
    torch.set_num_threads(threads)
    contenders = {PUBLISHED: published(case, batch, dtype, device)}
    contenders |= {kernel: ours(case, kernel, batch, dtype, device) for kernel in kernels}
    peak = cuda.peak_gflops(dtype) if device == "cuda" else peak_gflops(dtype)
    for mode in ("train", "sample"):
        calls = {name: getattr(contender, mode) for name, contender in contenders.items()}
        if mode == "sample":  # without graphs
            calls = {name: call for name, call in calls.items() if not name.endswith(GRAPHS)}
        memory = {name: _memory_of(call) for name, call in calls.items()}
        times = interleave(calls, rounds, device)
        base = statistics.median(times[PUBLISHED])
        gflop = case.gflop(batch, training=mode == "train")
        for name, seconds in times.items():
            median = statistics.median(seconds)
            row = {
                "case": case.name,
                **{k: v for k, v in asdict(case).items() if k != "name"},
                "mode": mode,
                "kernel": name,
                "dtype": str(dtype).removeprefix("torch."),
                "threads": threads,
                "batch": batch,
                "ms": 1e3 * median,
                "spread_ms": 1e3 * _spread(seconds),
                "ratio": base / median,
                "gflops": gflop / median,
                "share_of_peak": gflop / median / (peak * threads) if peak else None,
                "peak_memory_mb": memory[name],
                "ns_per_site_coupling": 1e9 * median / (case.sites * batch * case.n_couplings),
            }
            if device == "cuda":
                row["gbytes"] = case.gbyte(batch, mode == "train", dtype) / median
                row["share_of_bandwidth"] = row["gbytes"] / cuda.peak_gbytes()
                row["peak_gflops"], row["peak_gbytes"] = peak, cuda.peak_gbytes()
            yield row


def interleave(
    calls: dict[str, Callable[[], None]],
    rounds: int,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call in each round; every round runs all of them in turn.

    ``clock`` is that of a call on the CPU; ``time.process_time`` does not see other processes.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    seconds = cuda.seconds if device == "cuda" else partial(_seconds, clock=clock)
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def _seconds(call: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def _memory_of(call: Callable[[], None]) -> float | None:
    call()  # warm: allocations that stay, compilation
    reset_peak_memory()
    call()
    return peak_memory_mb()


def _spread(seconds: list[float]) -> float:
    if len(seconds) < 4:
        return (max(seconds) - min(seconds)) / 2
    quartiles = statistics.quantiles(seconds, n=4)
    return (quartiles[2] - quartiles[0]) / 2


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table; with the bandwidth where it was measured."""
    names = ["case", "mode", "dtype", "threads", "kernel", "ms", "ratio", "GFLOP/s", "of peak"]
    names += ["GB/s", "of bandwidth"] * ("gbytes" in rows[0]) + ["MB"]
    lines = [
        f"| {' | '.join(names)} |",
        "| --- | --- | --- | --: | --- |" + " --: |" * len(names[5:]),
    ]
    for r in rows:
        cells = [r["case"], r["mode"], r["dtype"], str(r["threads"]), r["kernel"]]
        cells += [f"{r['ms']:.2f} ± {r['spread_ms']:.2f}", f"{r['ratio']:.1f}"]
        cells += [f"{r['gflops']:.1f}", _share(r["share_of_peak"])]
        if "gbytes" in r:
            cells += [f"{r['gbytes']:.0f}", _share(r["share_of_bandwidth"])]
        memory = r["peak_memory_mb"]
        cells.append(f"{memory:.0f}" if memory is not None else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return f"{value:.0%}" if value is not None else "-"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    parser.add_argument("--kernels", nargs="+", help="default: all that run on the device")
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default_device)
    parser.add_argument("--batch", type=int, help=f"default: {BATCH}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--threads", nargs="+", type=int, help="of the CPU; default: one, and all")
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results/)")
    options = parser.parse_args(arguments)
    on_cpu = options.device == "cpu"
    options.kernels = options.kernels or kernels_of(options.device)
    options.batch = options.batch or BATCH[options.device]
    options.threads = options.threads or (sorted({1, torch.get_num_threads()}) if on_cpu else [1])
    if not on_cpu:  # a file of its own, and the table of the README is the CPU's
        options.output = options.output or FOLDER / "results" / "step_cuda.json"
    return options


def kernels_of(device: str) -> list[str]:
    """The fast kernels that run on a device; on a CUDA device also by CUDA graphs."""
    if device == "cuda":
        fast = [name for name in ("torch", "triton") if name in available_kernels()][-1]
        return [fast, fast + GRAPHS]
    return [name for name in available_kernels() if name in ("torch", "cpu")]


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    options = parse(arguments)
    rows: list[dict[str, Any]] = []
    cases = [case for case in CASES if case.name in options.cases]
    for case, dtype, threads in product(cases, options.dtypes, options.threads):
        kind, batch, rounds = getattr(torch, dtype), options.batch, options.rounds
        new = list(measure(case, options.kernels, batch, kind, threads, rounds, options.device))
        rows += new
        print(markdown(new), flush=True)
        # after every case, so that an interrupted run leaves what it has
        written = save("step", rows, markdown(rows), options.output)
    print(f"\nwritten to {written}")
    return rows


if __name__ == "__main__":
    main()
