"""The forward ESS against closed forms, where the reverse one is fooled, and its command."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from flowlat.analysis.importance import ess, forward_ess, forward_log_z, log_z
from flowlat.ensemble.reference import Reference
from flowlat.forward_ess import main
from flowlat.sampling.draw import draw
from tests.support.fakes import save_flow, walk_config

REPLICAS, VOLUME, VARIANCE = 8, 16, 1.25
LOG_Z = 3.0


def gaussian_chain(steps, seed, rho=0.6):
    """Rows of chains of p = N(0, 1) per site: x' = rho x + sqrt(1 - rho^2) noise."""
    generator = torch.Generator().manual_seed(seed)
    shape = (REPLICAS, VOLUME)
    x, rows = torch.randn(shape, generator=generator, dtype=torch.float64), []
    for _ in range(steps):
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        x = rho * x + math.sqrt(1 - rho**2) * noise
        rows.append(x)
    return torch.cat(rows)


def gaussian_weights(x):
    """log w for q = N(0, VARIANCE) per site."""
    p, q = Normal(0.0, 1.0), Normal(0.0, math.sqrt(VARIANCE))
    return LOG_Z + (p.log_prob(x) - q.log_prob(x)).sum(1)


#: <w^2>_q = Z^2 prod (v / sqrt(2 v - 1)) for Gaussians of variance 1 and v
EXACT = (math.sqrt(2 * VARIANCE - 1) / VARIANCE) ** VOLUME


def test_of_gaussians_it_is_the_exact_one_and_the_reverse_one():
    """Within five errors, p = 6e-7; that of the reverse ESS from 50 batches."""
    forward = forward_ess(gaussian_weights(gaussian_chain(2000, 1)), REPLICAS)
    assert forward.error < 0.02
    assert forward.tau_int > 0.6
    assert abs(forward.value - EXACT) < 5 * forward.error
    x = torch.randn(50, 2000, VOLUME, dtype=torch.float64) * math.sqrt(VARIANCE)
    batches = np.array([ess(gaussian_weights(batch)) for batch in x])
    error = batches.std(ddof=1) / math.sqrt(50)
    assert abs(batches.mean() - EXACT) < 5 * error
    found = forward_log_z(gaussian_weights(gaussian_chain(2000, 2)), REPLICAS)
    assert abs(found.value - LOG_Z) < 5 * found.error < 0.1


def test_the_errors_are_those_of_the_scatter():
    """The mean square of 200 pulls, 1 within 0.75: 7 sigma for normal pulls.

    They are not quite, and the errors have errors; too small by a factor of 1.5 would still show.
    """
    pulls = []
    for seed in range(200):
        log_w = gaussian_weights(gaussian_chain(250, 100 + seed))
        ess_, log_z_ = forward_ess(log_w, REPLICAS), forward_log_z(log_w, REPLICAS)
        pulls.append([(ess_.value - EXACT) / ess_.error, (log_z_.value - LOG_Z) / log_z_.error])
    mean_square = (np.array(pulls) ** 2).mean(0)
    assert (abs(mean_square - 1) < 0.75).all()


def test_a_flow_that_leaves_out_a_mode():
    """p of two modes at +-4, q is one of them: ESS 1/2 at most, and near 1 on its own samples."""
    left, right = Normal(-4.0, 1.0), Normal(4.0, 1.0)

    def log_w(x):
        log_q = right.log_prob(x)
        return LOG_Z + torch.logaddexp(left.log_prob(x), log_q) - math.log(2) - log_q

    x = torch.randn(4000, dtype=torch.float64)
    own = log_w(4 + x)
    reference = log_w(x + 4 * torch.tensor([1.0, -1.0]).repeat(2000))
    assert ess(own) > 0.99
    assert log_z(own)[0] == pytest.approx(LOG_Z - math.log(2), abs=0.01)
    assert forward_ess(reference, 1).value < 1e-6
    value, error, *_ = forward_log_z(reference, 1)
    assert abs(value - LOG_Z) < 5 * error < 0.2


def test_in_log_space():
    log_w = torch.randn(100, dtype=torch.float64)
    near, far = forward_ess(log_w, 2), forward_ess(log_w + 5000, 2)
    assert near == pytest.approx(far)
    assert near.value == pytest.approx((1 / (log_w.exp().mean() * (-log_w).exp().mean())).item())


def test_weights_at_the_limits():
    log_w = torch.randn(100, dtype=torch.float64)
    log_w[3] = math.inf  # q vanishes there
    assert forward_ess(log_w, 1).value == 0
    for bad in (math.nan, -math.inf):
        log_w[3] = bad
        with pytest.raises(ValueError, match="NaN or -infinity"):
            forward_ess(log_w, 1)


def test_the_command(tmp_path, monkeypatch, capsys):
    draw(walk_config(n_samples=300), tmp_path)
    theory = ("lattice.shape=[2,4]", "action.m2=1", "action.lam=0.5")
    checkpoint = save_flow(tmp_path / "flow.ckpt", *theory)
    assert main([str(checkpoint), str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if line.startswith("  ")]  # and a warning, it may be
    assert [line.split("  ")[1] for line in lines[1:]] == ["configurations", "ESS", "log Z"]
    assert lines[1].split()[1:] == ["300", "300"]
    weigh = Reference.log_weights
    for bad in (math.nan, math.inf, -math.inf):
        with monkeypatch.context() as patched:
            patched.setattr(Reference, "log_weights", lambda *args, bad=bad: weigh(*args) + bad)
            assert main([str(checkpoint), str(tmp_path)]) == 2
        assert f"log weights of NaN or infinity on ENSEMBLE={tmp_path}" in capsys.readouterr().err
    other = save_flow(tmp_path / "other.ckpt", *theory[:2], "action.lam=0.25")
    assert main([str(other), str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "action.lam=0.5 and not 0.25" in error
    assert error.count("\n") == 1
