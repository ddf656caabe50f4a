"""What single precision does to log w and to log Z of trained flows."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.analysis.importance import ess
from flowlat.config.build import build_action
from flowlat.config.checkpoint import flow_of, read_checkpoint
from flowlat.flows.calibration import shift
from flowlat.flows.flow import Flow

#: samples of the comparison, computed so many at once; and those of the statistical error
COMPARED, BATCH, PLANNED = 2048, 256, 100_000


def measure_rounding(path: Path, samples: int = COMPARED) -> dict[str, Any]:
    """The same noise through a flow in float32 and in float64, in as many steps.

    The difference of log w, its mean and standard deviation; that of log Z with its error; and the
    statistical error of log Z from 100,000 samples, sqrt((1/ESS - 1) / 100,000).
    """
    content = read_checkpoint(path)
    flow, action = flow_of(content, path), build_action(content["flowlat"]["config"])
    exact = copy.deepcopy(flow).double()
    generator = torch.Generator().manual_seed(1)
    pairs = []
    for _ in range(samples // BATCH):
        noise = flow.noise(BATCH, generator)
        pairs.append((log_weights(flow, action, noise), log_weights(exact, action, noise.double())))
    single, double = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    difference = single - double
    offset, error = shift(single, double)
    statistical = math.sqrt((1 / ess(double) - 1) / PLANNED)
    return {
        "checkpoint": path.stem,
        "shape": flow.lattice.shape,
        "samples": len(single),
        "mean": difference.mean().item(),
        "sd": difference.std().item(),
        "log_z": offset,
        "error": error,
        "statistical": statistical,
        "ratio": abs(offset) / statistical,
    }


@torch.no_grad()
def log_weights(flow: Flow, action: Action, noise: Tensor) -> Tensor:
    """-S - log q, in float64 whatever the flow runs in."""
    phi, log_q = flow(noise)
    return -action(phi.double()) - log_q.double()


def markdown_rounding(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of :func:`measure_rounding` as a table."""
    lines = [
        "| checkpoint | samples | mean of log w32 - log w64 | sd | that of log Z "
        "| statistical error | share |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        cells = [row["checkpoint"], str(row["samples"]), f"{row['mean']:.1e}", f"{row['sd']:.1e}"]
        cells.append(f"{row['log_z']:.1e} ± {row['error']:.0e}")
        cells += [f"{row['statistical']:.1e}", f"{row['ratio']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
