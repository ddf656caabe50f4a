"""Every observable against its definition, site by site."""

import itertools
import math

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flowlat import observables
from flowlat.actions import Phi4
from flowlat.observables import Configurations, Observable
from tests.support.helpers import CONF

M2, LAM = -1.3, 2.1
THEORY = Phi4(M2, LAM)
STANDARD = OmegaConf.load(CONF / "observables" / "standard.yaml")
SCAN = OmegaConf.load(CONF / "observables" / "scan.yaml")
#: unequal and equal sides, odd ones, and sides so short that a site is its own neighbour
SHAPES = [
    *([1], [2], [5], [6], [4, 6], [6, 4], [5, 5], [3, 4], [8, 9], [1, 4]),
    *([2, 3, 4], [4, 2, 4], [3, 3, 3], [2, 4, 3, 2], [2, 2, 2, 2]),
]
BATCH = 6


def standard() -> dict[str, Observable]:
    nodes = {**STANDARD, **SCAN}
    return {name: instantiate(node) for name, node in nodes.items() if name != "defaults"}


def fields(shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(BATCH, *shape, generator=generator, dtype=torch.float64) + 0.3


def over_batch(observable, phi):
    """derive(mean of measure): the observable of an ensemble of equal weights."""
    return observable.derive(observable.measure(Configurations(phi, THEORY)).mean(0))


def naive(phi):
    """Sums over sites and loops over time of every configuration, averaged over the batch."""
    shape, n = phi.shape[1:], phi[0].numel()
    sites = list(itertools.product(*map(range, shape)))
    period, d = shape[-1], len(shape)
    axes = [a for a in range(d) if shape[a] == period]
    longest = [a for a in range(d) if shape[a] == max(shape)]
    k1 = 2 * math.pi / max(shape)
    sums = dict.fromkeys(("m", "abs_m", "m2", "m4", "phi2", "phi4", "k", "u", "sd", "f"), 0.0)
    correlator = [0.0] * period
    for field in phi:
        value = {x: field[x].item() for x in sites}

        def up(x, axis, step=1, value=value):
            y = list(x)
            y[axis] = (y[axis] + step) % shape[axis]
            return value[tuple(y)]

        m = sum(value.values()) / n
        kinetic = sum((up(x, a) - value[x]) ** 2 for x in sites for a in range(d))
        potential = sum(M2 * value[x] ** 2 + LAM * value[x] ** 4 for x in sites)
        virial = sum(
            value[x]
            * (
                sum(4 * value[x] - 2 * up(x, a) - 2 * up(x, a, -1) for a in range(d))
                + 2 * M2 * value[x]
                + 4 * LAM * value[x] ** 3
            )
            for x in sites
        )
        wave = 0.0
        for a in longest:
            re = sum(value[x] * math.cos(k1 * x[a]) for x in sites)
            im = sum(value[x] * math.sin(k1 * x[a]) for x in sites)
            wave += (re**2 + im**2) / n / len(longest)
        squares = sum(v**2 for v in value.values())
        terms = [m, abs(m), m**2, m**4, squares / n, sum(v**4 for v in value.values()) / n]
        terms += [kinetic / n, potential / n, virial / n, wave]
        for name, term in zip(sums, terms, strict=True):
            sums[name] += term / BATCH
        for a in axes:
            slices = [0.0] * period
            for x in sites:
                slices[x[a]] += value[x] * period / n
            for t in range(period):
                lagged = sum(slices[s] * slices[(s + t) % period] for s in range(period)) / period
                correlator[t] += lagged / len(axes) / BATCH
    half = correlator[: period // 2 + 1]
    khat2 = 4 * math.sin(k1 / 2) ** 2
    xi2 = (n * sums["m2"] / sums["f"] - 1) / khat2 if n > 1 else 0.0
    return {
        "magnetization": sums["m"],
        "abs_magnetization": sums["abs_m"],
        "phi2": sums["phi2"],
        "phi4": sums["phi4"],
        "chi2": n * sums["m2"],
        "connected_susceptibility": n * (sums["m2"] - sums["abs_m"] ** 2),
        "binder": 1 - sums["m4"] / (3 * sums["m2"] ** 2),
        "action_density": sums["k"] + sums["u"],
        "kinetic_density": sums["k"],
        "potential_density": sums["u"],
        "schwinger_dyson": sums["sd"],
        "correlation_length": math.sqrt(xi2) if xi2 >= 0 else math.nan,
        "two_point": half,
        "two_point_connected": [c - sums["abs_m"] ** 2 for c in half],
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_definitions(shape):
    phi, every = fields(shape), standard()
    for name, value in naive(phi).items():
        found = over_batch(every[name], phi)
        expected = torch.tensor(value, dtype=torch.float64)
        torch.testing.assert_close(
            found, expected, rtol=1e-10, atol=1e-12, equal_nan=True, msg=name
        )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_contract(shape):
    """float64 of the right shape for a batch, no row knowing of another; a float32 stays one."""
    phi = fields(shape)
    for name, observable in standard().items():
        measured = observable.measure(Configurations(phi, THEORY))
        assert measured.dtype == torch.float64
        assert measured.shape[0] == BATCH
        assert measured.dim() in (1, 2)
        alone = observable.measure(Configurations(phi[2:3], THEORY))
        torch.testing.assert_close(measured[2:3], alone, rtol=1e-9, atol=1e-12, msg=name)
        derived = observable.derive(measured.mean(0))
        assert derived.dtype == torch.float64
        assert derived.dim() in (0, 1)
        assert observable.symbol
        assert observable.measure(Configurations(phi.float(), THEORY)).dtype == torch.float32


def test_the_registry_offers_every_observable():
    offered = {type(observable) for observable in standard().values()}
    others = {Observable, Configurations, observables.SignAverages}
    assert offered == {getattr(observables, name) for name in observables.__all__} - others


@pytest.mark.parametrize("shape", [[6], [4, 6], [3, 3, 3], [2, 4, 3, 2]], ids=str)
def test_the_scale_of_the_field(shape):
    """What a global factor does to each: none but the energies and Schwinger-Dyson mix powers."""
    phi = fields(shape)
    power = {
        **{"magnetization": 1, "abs_magnetization": 1, "phi2": 2, "chi2": 2, "two_point": 2},
        **{"connected_susceptibility": 2, "two_point_connected": 2, "kinetic_density": 2},
        **{"binder": 0, "correlation_length": 0, "effective_mass": 0, "phi4": 4},
    }
    for name, exponent in power.items():
        observable = standard()[name]
        scaled, plain = over_batch(observable, 3 * phi), over_batch(observable, phi)
        torch.testing.assert_close(scaled, 3**exponent * plain, equal_nan=True, msg=name)
