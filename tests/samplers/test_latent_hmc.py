"""HMC in the noise of a flow is exact whatever the flow. Errors come from independent replicas."""

import itertools
import math

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.actions import Free, Phi4
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import Lattice
from flowlat.priors.free_field import FreeField
from flowlat.priors.potential import SingleSitePotential
from flowlat.samplers import LatentHMC
from flowlat.samplers.dynamics.latent import NEAR
from flowlat.samplers.latent_hmc import FORCE
from flowlat.utils.errors import ConfigError
from tests.samplers.chains import assert_means, assert_reproducible, prior_only, sample, seeded
from tests.support.helpers import moved, moved_flow, overrides
from tests.support.tilted import Tilted
from tests.support.transfer_matrix import chain

ACTION = Phi4(-1.0, 1.5)
ODD = Tilted(-1.0, 1.5, 0.5)


def random_weights(d=1, arch="conv"):
    return moved_flow(*overrides(d, f"arch={arch}"))


def near(d=1, size=0.03):
    """The free field of the conf and couplings not far from the identity."""
    names = overrides(d, "arch=conv", "arch.n_couplings=2", "prior=free_field")
    return moved(build_flow(compose(names)), size).eval()


def ode(d=1):
    """Of the default architecture, whose force has a solution of its own."""
    return moved(build_flow(compose(overrides(d, "arch=continuous"))), 0.1).eval()


def astray(make, d=1, action=ACTION, **options):
    """The sampler of a flow; that of an ODE with forces of other weights than its energies."""
    sampler = LatentHMC(make(d), action, **options)
    if make is ode:
        moved(sampler.density.guide, 0.02)
    return sampler


def perfect(lattice, m2):
    """The flow of the free theory."""
    flow = build_flow(compose(["lattice=2d", f"lattice.shape={list(lattice.shape)}"]))
    prior = FreeField(lattice, m2)
    with torch.no_grad():
        for parameter in flow.bijection.parameters():
            parameter.zero_()
    return PushforwardFlow(prior, flow.bijection).double()


@pytest.mark.parametrize("arch", ["conv", "continuous"])
def test_the_energy_is_that_of_the_map(arch):
    """z^2 / 2 - log w is S(f(z)) - log|det df/dz| with the Jacobian of autograd, up to a constant;
    and the force is minus the gradient of log w by finite differences."""
    flow = random_weights(1, arch)
    density = LatentHMC(flow, ACTION).density
    at = density.sample(3, seeded(1))

    def field(z):
        return flow(z.unsqueeze(0))[0][0]

    jacobians = [torch.autograd.functional.jacobian(field, z) for z in at.z]
    log_det = torch.stack([torch.linalg.slogdet(j).logabsdet for j in jacobians])
    energy = at.z.square().sum(1) / 2 - at.log_weight
    difference = energy - (at.action - log_det)
    constant = torch.full_like(difference, 3 * math.log(2 * math.pi))
    torch.testing.assert_close(difference, -constant, rtol=0, atol=1e-5)
    torch.testing.assert_close(at.action, ACTION(at.phi))
    h = 1e-5 * torch.randn(at.z.shape, generator=seeded(2), dtype=torch.float64)
    slope = density(at.z + h).log_weight - density(at.z - h).log_weight
    force = density.force(at.z)
    torch.testing.assert_close((2 * h * force).sum(1), slope, rtol=1e-4, atol=1e-9)


def test_the_force_of_an_ode_may_be_another_one():
    """Far from the gradient of log w where it is led astray, and close to it else: solved in one
    step where the energy is in two."""
    for make, low, high in ((astray, 0.05, math.inf), (LatentHMC, 1e-12, 1e-2)):
        density = (astray(ode) if make is astray else LatentHMC(ode(), ACTION)).density
        density.set_steps(2, 1)
        at = density.sample(64, seeded(1))
        h = 1e-3 * torch.randn(at.z.shape, generator=seeded(2), dtype=torch.float64)
        slope = density(at.z + h).log_weight - density(at.z - h).log_weight
        assert low < ((2 * h * density.force(at.z)).sum(1) - slope).norm() / slope.norm() < high


@pytest.mark.parametrize("n_forces", [0, 1, 4])
@pytest.mark.parametrize("make", [random_weights, ode])
def test_trajectories_are_reversible(make, n_forces):
    """With p turned round a trajectory runs back, its change of H too."""
    density = astray(make, 2).density
    start = density.sample(8, seeded(1))
    p = torch.randn(start.z.shape, generator=seeded(2), dtype=torch.float64)
    end, p_end, change = density.integrate(start, p, 0.05, n_forces)
    back, p_back, change_back = density.integrate(end, -p_end, 0.05, n_forces)
    assert (end.z - start.z).norm() > 0.1
    for found, expected in ((back.z, start.z), (p_back, -p), (change_back, -change)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [random_weights, ode])
def test_trajectories_keep_the_volume(make):
    """|det d(z', p') / d(z, p)| = 1, by finite differences."""
    density = astray(make).density
    point = torch.randn(12, generator=seeded(1), dtype=torch.float64)
    shifts = 1e-5 * torch.eye(12, dtype=torch.float64)

    def ends(points):
        end, p, _ = density.integrate(density(points[:, :6]), points[:, 6:], 0.8, 2)
        return torch.cat([end.z, p], 1)

    jacobian = (ends(point + shifts) - ends(point - shifts)) / 2e-5
    assert torch.linalg.slogdet(jacobian).logabsdet.abs() < 1e-7


def test_the_error_is_of_second_order():
    density = LatentHMC(random_weights(1), ACTION).density
    start = density.sample(8, seeded(1))
    p = torch.randn(start.z.shape, generator=seeded(2), dtype=torch.float64)
    errors = [density.integrate(start, p, 0.1, n)[2].norm().item() for n in (8, 16, 32)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.15)


@pytest.mark.parametrize(("length", "n_forces"), [(1.3, 1), (math.pi / 2, 2), (2.0, 1)])
def test_no_error_of_first_order_where_log_w_is_quadratic(length, n_forces):
    """The flow of another mass: the change of H falls as the square of the difference of m2."""
    lattice = Lattice([4, 6])
    flow = perfect(lattice, 0.7)
    p = torch.randn(64, *lattice.shape, generator=seeded(2), dtype=torch.float64)
    changes = []
    for off in (0.1, 0.05):
        density = LatentHMC(flow, Free(0.7 + off)).density
        start = density.sample(64, seeded(1))
        changes.append(density.integrate(start, p, length, n_forces)[2].norm().item())
    assert changes[0] / changes[1] == pytest.approx(4, abs=0.3)


def test_a_perfect_flow_makes_no_error():
    """No force, or a few: H stays, and a quarter of a turn ends at the momenta. None is taken."""
    lattice, action = Lattice([4, 6]), Free(0.7)
    sampler = LatentHMC(perfect(lattice, 0.7), action, 64, thermalization=10, block=5)
    start = sampler.density.sample(64, seeded(1))
    p = torch.randn(start.z.shape, generator=seeded(2), dtype=torch.float64)
    for n_forces in (0, 1, 3):
        end, _, change = sampler.density.integrate(start, p, math.pi / 2, n_forces)
        assert change.abs().max() < 1e-4  # its mass is kept in single precision
        torch.testing.assert_close(end.z, p, rtol=0, atol=1e-4)
    info = sampler.info(sample(sampler, 1)[1])
    assert info["n_forces"] == 0
    assert info["acceptance"] > 0.999


def drawn(sampler, n_forces):
    """(phi ``(steps, replicas, *shape)``, the last state), with so many forces; None: as tuned."""
    state = sampler.start(seeded(1))
    if n_forces is not None:
        state = state._replace(n_forces=torch.tensor(n_forces))
    state, block = sampler.step(state, seeded(1000))
    return block.phi.reshape(-1, sampler.replicas, *block.phi.shape[1:]), state


@pytest.mark.parametrize("make", [prior_only, near, ode])
@pytest.mark.parametrize("n_forces", [None, 0, 4])
def test_exact_for_any_flow(make, n_forces):
    """<phi^2> of the transfer matrix, with as many forces as are tuned, with none, with some."""
    sampler = astray(make, replicas=256, thermalization=60, block=40)
    phi, state = drawn(sampler, n_forces)
    assert_means((phi**2).mean(2), chain(-1.0, 1.5, length=6)[1])
    assert (state.log_weight.std() > 0.3).all()  # a flow that is wrong
    assert state.accepted > 0


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("action", [ACTION, ODD], ids=["even", "odd"])
def test_schwinger_dyson(d, action):
    """< phi(x) dS/dphi(y) > = delta_xy at y = x and, for two sites that differ, x + mu."""
    flow = near(d)
    sampler = LatentHMC(flow, action, 128, thermalization=40, block=40)
    phi, _ = drawn(sampler, 3)
    slope = -action.force(phi.flatten(0, 1)).reshape(phi.shape)
    assert_means((phi * slope).flatten(2).mean(2), 1.0)
    longest = max(range(d), key=lambda axis: flow.lattice.shape[axis])
    assert_means((phi * slope.roll(1, 2 + longest)).flatten(2).mean(2), 0.0)


@pytest.mark.parametrize(("length", "n_forces"), [(0.6, 0), (0.6, 1), (1.2, 3)])
def test_detailed_balance_of_the_energy(length, n_forces):
    """<exp(-change of H)> = 1 in equilibrium, replicas independent, five sigma (p = 6e-7)."""
    sampler = LatentHMC(near(), ACTION, 1024, thermalization=40)
    state = sampler.start(seeded(1))
    ratios = []
    for number in range(8):
        state, _ = sampler.advance(state, seeded(number))
        at = sampler.density(state.z)
        p = sampler.momenta.draw(1024, seeded(100 + number))
        ratios.append((-sampler.density.integrate(at, p, length, n_forces)[2]).exp())
    means = torch.stack(ratios).mean(0)
    error = means.std() / 1024**0.5
    assert torch.stack(ratios).log().std() > 0.1  # there is something to balance
    assert error < 0.05
    assert abs(means.mean() - 1) < 5 * error


def test_the_weights_are_those_of_the_flow():
    """log w of the state is -S - log q with log q by the flow's inverse, as Metropolis weighs."""
    flow = near(2, 0.02)
    sampler = LatentHMC(flow, ACTION, 16, sign_flip=False, thermalization=20, block=3)
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    log_w = -ACTION(state.phi) - flow.log_prob(state.phi).detach()
    torch.testing.assert_close(state.log_weight, log_w, rtol=0, atol=1e-9)
    torch.testing.assert_close(block.action, ACTION(block.phi))
    assert torch.equal(block.phi[-16:], state.phi)
    same = (block.phi[16:] == block.phi[:-16]).flatten(1).all(1)
    assert torch.equal(~same, block.accepted[16:])
    assert 0.1 < block.accepted.double().mean() < 1


@pytest.mark.parametrize("symmetrized", [False, True])
def test_both_modes_from_a_flow_in_one(symmetrized):
    """A deep double well and a flow on one side: signs are a fair coin of all 64 replicas."""
    flow: Flow = build_flow(compose(["lattice=2d", "lattice.shape=[4,4]", "prior=normal"])).double()
    flow = PushforwardFlow(FreeField(flow.lattice, 8.0, shift=1.9), flow.bijection).double()
    flow = SymmetrizedFlow(flow) if symmetrized else flow
    for sign_flip in (True, False):
        options = {"sign_flip": sign_flip, "thermalization": 40, "block": 30}
        sampler = LatentHMC(flow, Phi4(-8.0, 2.0), 64, **options)
        phi, _ = sample(sampler, 1)
        signs = phi.flatten(2).mean(2).sign()
        changes = (signs[1:] != signs[:-1]).double().mean().item()
        assert changes == pytest.approx(0.5 if sign_flip else 0.0, abs=0.06)
        assert sign_flip or (signs > 0).all()


@pytest.mark.parametrize(("action", "sign_flip"), [(ACTION, True), (ACTION, False), (ODD, True)])
def test_a_symmetrised_flow_has_the_weights_of_both_signs(action, sign_flip):
    """Where signs are flipped; else those of the flow within. <phi^2> is exact either way."""
    within = PushforwardFlow(FreeField(Lattice([6]), 1.0, shift=0.3), near().bijection).double()
    flow = SymmetrizedFlow(within)
    sampler = LatentHMC(flow, action, 256, sign_flip=sign_flip, thermalization=60, block=40)
    phi, state = drawn(sampler, 0)
    weighs = flow if sign_flip and action.even else within
    there = sampler.density(state.z).phi  # without the flips
    log_w = -action(there) - weighs.log_prob(there).detach()
    torch.testing.assert_close(state.log_weight, log_w, rtol=0, atol=1e-6)
    if action.even:
        assert_means((phi**2).mean(2), chain(-1.0, 1.5, length=6)[1])


def test_no_signs_are_flipped_where_the_action_is_not_even():
    sampler = LatentHMC(random_weights(), ODD, 32, thermalization=10, block=1)
    state, _ = sampler.step(sampler.start(seeded(1)), seeded(2))
    torch.testing.assert_close(sampler.density(state.z).phi, state.phi)


@pytest.mark.parametrize(("off", "forces"), [(1.0, False), (40.0, True)])
def test_forces_where_they_pay(off, forces):
    """None for a flow that is nearly right; enough for one that is hardly ever accepted without."""
    lattice = Lattice([8, 8])
    sampler = LatentHMC(perfect(lattice, 0.7), Free(0.7 + off * 0.05), 64, thermalization=100)
    infos = [sampler.info(drawn(sampler, n_forces)[1]) for n_forces in (None, 0)]
    assert (infos[0]["n_forces"] > 0) == forces
    costs = [(1 + FORCE * i["n_forces"]) * (2 / i["acceptance"] - 1) for i in infos]
    assert costs[0] < (0.5 if forces else 1.1) * costs[1]


def test_a_force_has_the_fewest_steps_that_follow_log_w():
    """The log weights of a force's solution have a variance over those of the flow, under a tenth:
    of a gentle flow in one step, of one with fifty times its velocities in more."""
    found = []
    for size in (0.02, 1.0):
        density = LatentHMC(moved(ode(2), size), ACTION).density
        density.set_steps(8, 8)
        at = density.sample(64, seeded(1))
        found.append(density.fewest_steps(at, 8))
        density.set_steps(found[-1], 8)
        assert (density(at.z).log_weight - at.log_weight).var() < NEAR
        density.set_steps(max(1, found[-1] - 1), 8)
        assert found[-1] == 1 or (density(at.z).log_weight - at.log_weight).var() > NEAR
    assert found[0] == 1 < found[1]


def test_thin_leaves_rows_out():
    flow = random_weights()
    fine = LatentHMC(flow, ACTION, 8, thermalization=20, block=20)
    coarse = LatentHMC(flow, ACTION, 8, thermalization=20, block=10, thin=2)
    state = fine.start(seeded(1))
    every, second = fine.step(state, seeded(2))[1], coarse.step(state, seeded(2))[1]
    assert torch.equal(second.phi, every.phi.reshape(10, 2, 8, 6)[:, 1].flatten(0, 1))
    assert torch.equal(second.accepted, every.accepted.reshape(10, 2, 8).any(1).flatten())


@pytest.mark.parametrize("make", [near, ode])
def test_a_state_from_a_file_goes_on_bit_for_bit(make):
    """However its tensors lie in memory; and a block is a function of state and generator."""
    sampler = LatentHMC(make(2).float(), ACTION, 8, thermalization=20)
    assert_reproducible(sampler)
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    tensors = {k: torch.from_numpy(v.numpy().copy(order="C")) for k, v in state._asdict().items()}
    read = type(sampler.initial_state())(**tensors)
    expected, found = sampler.step(state, seeded(3)), sampler.step(read, seeded(3))
    assert all(map(torch.equal, expected[0], found[0]))
    assert torch.equal(found[1].phi, expected[1].phi)
    assert block.phi.dtype == block.action.dtype == state.z.dtype == torch.float64
    assert block.phi.is_contiguous()


def test_what_is_no_map_of_gaussian_noise_is_refused():
    conv = random_weights(2)
    uniform = PushforwardFlow(SingleSitePotential(conv.lattice, 1.0, 1.0), conv.bijection)
    for flow in (uniform, SymmetrizedFlow(uniform)):
        with pytest.raises(ConfigError, match="noise of prior=potential is not Gaussian"):
            LatentHMC(flow, ACTION)
    with pytest.raises(ConfigError, match="SymmetrizedFlow is no map of noise"):
        LatentHMC(SymmetrizedFlow(SymmetrizedFlow(conv)), ACTION)
