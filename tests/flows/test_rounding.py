"""Single precision moves log Z by little: what multiplies all sites is known to double."""

import copy
import math

import torch

from flowlat.analysis.importance import ess
from flowlat.config.build import build_action
from flowlat.config.checkpoint import flow_of, read_checkpoint
from flowlat.flows.calibration import shift
from tests.support.helpers import ROOT

N_SAMPLES, PLANNED = 512, 100_000


@torch.no_grad()
def log_weights(flow, action, noise):
    phi, log_q = flow(noise)
    return -action(phi.double()) - log_q.double()


def test_log_z_in_single_precision():
    """By less than a twentieth of the error of log Z from 100,000 samples; five sigma, p = 6e-7.

    By a tenth on this lattice, and by half of it on 64^2, where sums over sites are in single
    precision and what rounding makes of factors is left out of log q.
    """
    path = ROOT / "checkpoints" / "xi_32.ckpt"
    content = read_checkpoint(path)
    content["flowlat"]["config"]["lattice"]["shape"] = [16, 16]
    flow, action = flow_of(content, path), build_action(content["flowlat"]["config"])
    noise = flow.noise(N_SAMPLES, torch.Generator().manual_seed(1))
    exact = log_weights(copy.deepcopy(flow).double(), action, noise.double())
    mean, error = shift(log_weights(flow, action, noise), exact)
    assert abs(mean) + 5 * error < math.sqrt((1 / ess(exact) - 1) / PLANNED) / 20
