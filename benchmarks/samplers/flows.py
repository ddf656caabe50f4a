"""The flows at a point: of the family in the package, and trained there or on half of its sides."""

import json
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.samplers.points import M2, TRAINING, Point
from flowlat.actions import Phi4
from flowlat.analysis.importance import ess
from flowlat.config.checkpoint import flow_of, load_family, read_checkpoint
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import TrainConfig
from flowlat.families import flow_at, shipped_family
from flowlat.flows.domain import Point as Theory
from flowlat.flows.flow import Flow
from flowlat.training.launch import train
from flowlat.utils.errors import ConfigError

#: draws by which a flow is judged before it takes part
PILOT = 128
#: where the 8,192 configurations of an evaluation take minutes, fewer; where a step takes seconds,
#: 300 of them
LARGE, FEWER = 4096, ("evaluation.n_samples=2048", "evaluation.batch_size=128")
HUGE, SHORT = 16384, ("evaluation.n_samples=512", "trainer.limit_train_batches=30")


class Known(NamedTuple):
    """A flow, what it was trained on, the seconds of that, and the ESS of some draws."""

    flow: Flow
    origin: str
    seconds: float
    ess: float


def known(flow: Flow, origin: str, seconds: float, point: Point) -> Known:
    """Judged by its draws at the point."""
    phi, log_q = flow.eval().sample(PILOT, torch.Generator().manual_seed(1))
    log_w = -Phi4(M2, point.lam)(phi.double()) - log_q.double()
    return Known(flow, origin, seconds, ess(log_w))


def family_at(point: Point) -> Known:
    """Of the family in the package that is the nearest, in its domain or not."""
    action = {"_target_": "flowlat.actions.Phi4", "m2": M2, "lam": point.lam}
    config = {"lattice": {"shape": list(point.shape)}, "action": action}
    path = shipped_family(config)
    flow = flow_at(read_checkpoint(path), path, config, extrapolate=True)
    origin = path.stem
    try:
        load_family(path).domain.require(Theory(M2, point.lam, point.shape))
    except ConfigError:
        origin += ", beyond its domain"
    return known(flow, origin, TRAINING[path.stem], point)


def halved(point: Point) -> Point:
    """The same theory on half of the sides."""
    return point._replace(shape=tuple(side // 2 for side in point.shape))


def trained_at(name: str, point: Point, folder: Path) -> tuple[Known, Known]:
    """Trained at the point, and on half of its sides; kept in a folder, and taken from there.

    Either by the defaults of train.py (but 300 steps of 128^2): the point itself from the weights
    of the smaller lattice, that from those of the family, and 64^2 with 32^2 in between.
    """
    half, start, before = halved(point), "family", 0.0
    if half.volume >= LARGE:
        path, before = trained(halved(half), start, folder / f"{name}_quarter")
        start = str(path)
    first, seconds = trained(half, start, folder / f"{name}_half")
    seconds += before
    last, more = trained(point, str(first), folder / name)
    content = read_checkpoint(first)
    content["flowlat"]["config"]["lattice"]["shape"] = list(point.shape)
    return (
        known(flow_of(read_checkpoint(last), last), "trained here", seconds + more, point),
        known(flow_of(content, first), "trained at L/2", seconds, point),
    )


def trained(point: Point, start: str, folder: Path) -> tuple[Path, float]:
    """The checkpoint of ``python train.py`` at a point, and its seconds by the clock."""
    checkpoint, summary = folder / "checkpoints" / "best_ess.ckpt", folder / "summary.json"
    if not summary.exists():
        names = [f"lattice={len(point.shape)}d", f"lattice.shape={list(point.shape)}"]
        names += [f"action.m2={M2}", f"action.lam={point.lam}", f"init_from={start}", "threads=1"]
        names += FEWER if point.volume >= LARGE else ()
        names += SHORT if point.volume >= HUGE else ()
        folder.mkdir(parents=True, exist_ok=True)
        train(validate(compose(names), TrainConfig), folder)
    return checkpoint, json.loads(summary.read_text())["seconds"]
