"""log q is the density of the map: the steps of a calibration, and what it says of log Z."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.analysis.importance import ess
from flowlat.bijections import Continuous
from flowlat.config.build import build_action
from flowlat.config.checkpoint import flow_of, read_checkpoint
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.flows import calibration
from flowlat.flows.calibration import calibrate, set_steps
from flowlat.flows.density_check import MOST_OFF, check_density
from flowlat.priors.base import log_standard_normal
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError
from tests.support.helpers import ROOT, moved_flow, overrides


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def trained(name, **lattice):
    """A shipped flow, on a lattice of its own or on another one, and its action."""
    path = ROOT / "checkpoints" / f"{name}.ckpt"
    content = read_checkpoint(path)
    content["flowlat"]["config"]["lattice"] |= lattice
    return flow_of(content, path), build_action(content["flowlat"]["config"])


def stiff(factor):
    """The tutorial's flow with a nonlinearity so many times as strong."""
    flow, action = trained("tutorial")
    with torch.no_grad():
        for part in flow.modules():
            if isinstance(part, Continuous):
                part.coefficients.mul_(factor)
    return flow, action


def off(flow, noise):
    """log q minus that of the full Jacobian of the map, for one configuration."""
    with torch.no_grad():
        log_r, log_q = flow.prior(noise)[1], flow(noise)[1]
    z = flow.prior(noise)[0].detach()
    matrix = jacobian(lambda z: flow.bijection(z)[0], z).reshape(z.numel(), z.numel())
    return (log_q - log_r + torch.linalg.slogdet(matrix).logabsdet).abs().item()


FLOWS = {
    "trained": lambda: trained("tutorial", shape=[4, 4])[0].double(),
    "random, 1-d": lambda: moved_flow(*overrides(1, "arch=continuous")),
    "random, 2-d": lambda: moved_flow(*overrides(2, "arch=continuous")),
}


@pytest.mark.parametrize("name", FLOWS)
def test_log_q_is_that_of_the_full_jacobian(name):
    """Of eighth order in the steps, and below 1e-6 with as many as a training has."""
    flow = FLOWS[name]().eval()
    noise = flow.noise(1, seeded(1))
    errors = []
    for steps in (2, 4):
        set_steps(flow, steps)
        errors.append(off(flow, noise))
    assert errors[1] < min(1e-5, errors[0] / 2**5)
    set_steps(flow, 16)
    assert off(flow, noise) < 1e-9


def test_the_classical_method_was_not_it():
    """The flow of the L = 32 study: 12 classical steps were off by as much as the error."""
    flow, _ = trained("tutorial", shape=[4, 4])
    flow = flow.double()
    noise = flow.noise(1, seeded(1))
    set_steps(flow, 4)
    of_eighth = off(flow, noise)
    for part in flow.modules():
        if isinstance(part, Continuous):
            part.train().n_steps = 12
    assert off(flow, noise) > 3 * of_eighth


def test_log_z_of_the_largest_flow_is_right_to_a_tenth_of_its_error(monkeypatch):
    monkeypatch.setattr(calibration, "PILOT", 64)
    flow, action = trained("xi_32")
    found = calibrate(flow, action, seeded(1), 0.1, 100_000)
    phi, log_q = flow.sample(64, seeded(2))
    error = math.sqrt((1 / ess(-action(phi.double()) - log_q) - 1) / 100_000)
    assert 0 < found.systematic < 0.1 * error
    assert found.check.passed


def test_more_samples_and_a_smaller_tolerance_take_more_steps():
    flow, action = trained("tutorial")
    flow = flow.double()
    options = [(0.1, 1), (0.1, 100_000), (0.1, 10**9), (1e-5, 1), (1e3, 1)]
    found = [calibrate(flow, action, seeded(1), *option) for option in options]
    few, same, more, finest, least = (one.steps for one in found)
    assert least == calibration.LADDER[0] < few == same < more < finest
    assert found[2].systematic < found[0].systematic
    solvers = [part for part in flow.modules() if isinstance(part, Continuous)]
    assert [part.evaluation_steps for part in solvers] == [least]


@pytest.mark.parametrize(
    ("inverse", "dtype"),
    [(True, torch.float32), (False, torch.float32), (False, torch.float64)],
)
def test_the_offset_is_that_of_fresh_samples(inverse, dtype, monkeypatch):
    """Within five sigma (p = 6e-7) of the mean difference from a fine solution on other noise: of
    rounding in float32, of the steps in float64.

    Of a flow whose log q is off in single precision: that of one as it is is hard to tell from
    zero.
    """

    def off_in_single(x):
        return log_standard_normal(x) + (1e-4 if x.dtype == torch.float32 else 0)

    monkeypatch.setattr("flowlat.priors.free_field.log_standard_normal", off_in_single)
    single, action = trained("4d_L4_ordered")
    double, _ = trained("4d_L4_ordered")
    single = single.to(dtype)
    found = calibrate(single, action, seeded(1), 0.1, 100_000, inverse=inverse)
    set_steps(double.double(), 16)
    noise = single.noise(256, seeded(2))
    with torch.no_grad():
        phi, log_q = single(noise)
        if inverse:
            log_q = single.log_prob(phi)
        exact, exact_log_q = double(noise.double())
    difference = -action(phi.double()) - log_q + action(exact) + exact_log_q
    error = math.hypot(difference.std().item() / 16, found.systematic)
    assert difference.mean().item() == pytest.approx(found.offset, abs=5 * error)
    assert abs(found.offset) > 3 * error  # so that it means something


def test_rounding_is_measured_on_as_many_samples_as_it_takes(monkeypatch):
    monkeypatch.setattr("flowlat.bijections.continuous.solves", lambda *_: False)
    flow, action = trained("tutorial")
    found = calibrate(flow, action, seeded(1), 1e-3, 100_000)
    monkeypatch.setattr(calibration, "MOST_PILOT", calibration.PILOT)
    fewer = calibrate(flow, action, seeded(1), 1e-3, 100_000)
    assert found.steps == fewer.steps
    assert found.systematic < fewer.systematic / 2


def test_a_stiff_flow_gets_more_steps():
    flow, action = stiff(16)
    with_four = check_density(flow, seeded(2)).log_q_error
    found = calibrate(flow, action, seeded(1), 0.1, 100_000)
    assert found.steps > 4
    assert with_four > MOST_OFF > found.check.log_q_error


def test_a_flow_that_no_steps_solve_is_refused(monkeypatch):
    monkeypatch.setattr(calibration, "PILOT", 16)
    flow, action = stiff(1000)
    with pytest.raises(ValueError, match=r"differ by .* in log q .*; try precision=64, or train"):
        calibrate(flow, action, seeded(1), 0.1, 100_000)
    with pytest.raises(ValueError, match=r"exact; train again with a smaller optimizer.lr"):
        calibrate(flow.double(), action, seeded(1), 0.1, 100_000)


def test_a_sampling_run_says_so_in_one_line(tmp_path):
    """Naming the checkpoint; nothing is drawn."""
    path = ROOT / "checkpoints" / "tutorial.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {
        key: 1000 * value if key.endswith("coefficients") else value
        for key, value in content["state_dict"].items()
    }
    torch.save(content, broken := tmp_path / "broken.ckpt")
    config = validate(compose([f"ckpt_path={broken}", "n_samples=10"], "sample"), SampleConfig)
    with pytest.raises(ConfigError, match=r"sampler=metropolis ckpt_path=.*broken.ckpt: forward"):
        draw(config, tmp_path)
    assert not list(tmp_path.glob("ensemble*"))


def test_couplings_have_no_steps_and_next_to_no_error():
    flow = build_flow(compose(overrides(2, "arch=combconv_k1")))
    found = calibrate(flow, Phi4(-1.0, 1.5), seeded(1), 0.1, 100_000)
    assert found.steps == 0
    assert 0 < found.systematic < 1e-5
    double = moved_flow(*overrides(2, "arch=combconv_k1"))
    assert calibrate(double, Phi4(-1.0, 1.5), seeded(1), 0.1, 100_000).systematic == 0
