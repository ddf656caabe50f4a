"""The flow of the families in the package at a point, whether that is in a domain or not."""

from typing import NamedTuple

import torch

from benchmarks.samplers.points import M2, Point
from flowlat.actions import Phi4
from flowlat.analysis.importance import ess
from flowlat.config.checkpoint import load_family, read_checkpoint
from flowlat.families import flow_at, shipped_family
from flowlat.flows.domain import Point as Theory
from flowlat.flows.flow import Flow
from flowlat.utils.errors import ConfigError

#: draws by which a flow is judged before it takes part
PILOT = 128


class Known(NamedTuple):
    """What a family knows of a point: its flow there, its name, whether the point is in its domain,
    and the ESS of some draws."""

    flow: Flow
    family: str
    inside: bool
    ess: float


def family_at(point: Point) -> Known:
    """Of the family in the package that is the nearest."""
    action = {"_target_": "flowlat.actions.Phi4", "m2": M2, "lam": point.lam}
    config = {"lattice": {"shape": list(point.shape)}, "action": action}
    path = shipped_family(config)
    flow = flow_at(read_checkpoint(path), path, config, extrapolate=True).eval()
    phi, log_q = flow.sample(PILOT, torch.Generator().manual_seed(1))
    log_w = -Phi4(M2, point.lam)(phi.double()) - log_q.double()
    try:
        load_family(path).domain.require(Theory(M2, point.lam, point.shape))
        inside = True
    except ConfigError:
        inside = False
    return Known(flow, path.stem, inside, ess(log_w))
