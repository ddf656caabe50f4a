"""What several test files need: the options of conf/, flows away from the identity, the shell."""

import math
import os
import subprocess
import sys
from pathlib import Path

import torch

from flowlat import build_flow, compose

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

#: a small lattice of every dimension, with unequal sides
SHAPES = {1: [6], 2: [4, 6], 3: [2, 4, 4], 4: [2, 4, 2, 2]}


def options(group: str) -> list[str]:
    """The names of a group's yamls."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def overrides(d: int, *more: str) -> list[str]:
    return [f"lattice={d}d", f"lattice.shape={SHAPES[d]}".replace(" ", ""), *more]


def moved_flow(*names: str, dtype: torch.dtype = torch.float64):
    """A flow with random weights, far enough from the identity for a law to be worth testing."""
    flow = build_flow(compose(["arch.n_couplings=3", *names])).to(dtype)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in flow.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = math.prod(parameter.shape[2:]) or 1
            parameter.add_(0.3 * noise.to(dtype) / fan_in**0.5)
    return flow.eval()


def run(script: str, *arguments: str, cwd: Path, check: bool = True):
    """Run train.py or sample.py as a user would, on one thread."""
    environment = {**os.environ, "WANDB_SILENT": "true"}
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "threads=1", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def wandb_records(path: Path):
    """The records of an offline W&B run: protobuf messages in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), 7, b""  # after W&B's own header
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:  # no record header fits: the next block
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""
