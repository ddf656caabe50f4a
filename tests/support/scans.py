"""Scans as they are composed, and samples of a theory that is known."""

import math

import hydra
import numpy as np
from omegaconf import OmegaConf

from flowlat.analysis.jackknife import block_starts
from flowlat.scan.samples import Samples
from flowlat.utils.conf import conf_dir


def config(*overrides):
    """What ``python -m flowlat.scan OVERRIDES`` composes, by HMC unless a sampler is named."""
    names = [*overrides] if any("sampler=" in o for o in overrides) else ["sampler=hmc", *overrides]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("scan", overrides=names)
    return OmegaConf.to_container(cfg, resolve=True)


#: nodes of the quadrature of one field, equidistant
FIELD = np.linspace(-6, 6, 6001)


def one_field(point, random, n, weighted=False):
    """Samples of exp(-V (m2 phi^2 + lam phi^4)) d phi: phi^4 of one mode, solved by a quadrature.

    By weights of proposals of other couplings, or, as 50 chains without memory, directly.
    """
    sites = math.prod(point.shape)
    drawn_at = point._replace(m2=point.m2 + 0.2 / sites, lam=1.3 * point.lam)
    density, log_z = density_of(drawn_at if weighted else point)
    # of the distribution that is linear between the nodes
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    phi = np.interp(random.random(n) * cumulative[-1], cumulative, FIELD)
    log_weight, starts = np.zeros(n), np.arange(0, n, -(-n // 50))
    if weighted:
        log_weight = log_z - (action(point, phi) - action(drawn_at, phi))
        starts = block_starts(n, 1)
    conjugate = {"m2": sites * phi**2, "lam": sites * phi**4}
    return Samples(point, log_weight, conjugate, phi, 1, starts, weighted)


def one_field_exact(point):
    """log Z, and <|M|>, <M^2>, <M^4>."""
    density, log_z = density_of(point)
    return log_z, [float((density * np.abs(FIELD) ** k).sum()) for k in (1, 2, 4)]


def action(point, phi):
    return math.prod(point.shape) * (point.m2 * phi**2 + point.lam * phi**4)


def density_of(point):
    """At the nodes, of sum 1, and log Z."""
    exponent = -action(point, FIELD)
    weight = np.exp(exponent - exponent.max())
    log_z = exponent.max() + np.log(weight.sum() * (FIELD[1] - FIELD[0]))
    return weight / weight.sum(), float(log_z)
