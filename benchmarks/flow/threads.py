"""Sampling with one thread and with more, by the clock."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.flow.cases import CASES
from benchmarks.flow.contender import FUSED, contender, weights_of

#: configurations at once, and calls one after another with a number of threads, as a run has them:
#: the other threads sleep meanwhile, and have to be woken
SAMPLES_OF_THREADS, IN_A_ROW = 1024, 5


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
                for _ in range(IN_A_ROW):
                    made.flow(noise)
                if number:
                    taken.append((time.perf_counter() - start) / IN_A_ROW)
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
