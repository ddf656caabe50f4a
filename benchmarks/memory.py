"""Peak memory of a training step against the depth, with and without recomputation.

    python -m benchmarks.memory

d = 4, L = 8, k = 1, batch 64, float32, the published network. Each figure comes from a process of
its own: the peak of the resident memory above what the process held before the first step.
"""

import json
import subprocess
import sys
from typing import Any

import torch

from benchmarks.machine import peak_memory_mb, reset_peak_memory
from benchmarks.report import save
from benchmarks.step import Case, ours, published

SHAPE, K, BATCH = (8, 8, 8, 8), 1, 64
CONTENDERS = ("published", "torch", "cpu", "recompute")
DEPTHS = (2, 4, 8, 16)


def one(contender: str, depth: int) -> float | None:
    """Peak MB of a step in this process."""
    torch.set_num_threads(1)
    case = Case("memory", SHAPE, K, depth)
    if contender == "published":
        step = published(case, BATCH, torch.float32, "cpu").train
    else:
        kernel, recompute = ("auto", True) if contender == "recompute" else (contender, False)
        step = ours(case, kernel, BATCH, torch.float32, "cpu", recompute).train
    reset_peak_memory()
    before = peak_memory_mb()
    step()
    after = peak_memory_mb()
    return None if before is None or after is None else after - before


def main() -> None:
    rows = []
    for contender in CONTENDERS:
        for depth in DEPTHS:
            command = [sys.executable, "-m", "benchmarks.memory", contender, str(depth)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append({"kernel": contender, "n_couplings": depth, "mb": json.loads(done.stdout)})
            print(rows[-1], flush=True)
    print(f"written to {save('memory', rows, markdown(rows), None)}")


def markdown(rows: list[dict[str, Any]]) -> str:
    """A line a contender, a column a depth."""
    megabytes = {(row["kernel"], row["n_couplings"]): row["mb"] for row in rows}
    lines = [
        "| couplings | " + " | ".join(map(str, DEPTHS)) + " |",
        "| --- |" + " --: |" * len(DEPTHS),
    ]
    for name in CONTENDERS:
        lines.append(
            f"| {name} | " + " | ".join(f"{megabytes[name, n]:.0f}" for n in DEPTHS) + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
