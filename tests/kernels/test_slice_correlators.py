"""The two-point function averaged over the signs of clusters: all signs, one after another."""

import itertools

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.kernels import available_kernels
from flowlat.kernels.phi4.cluster import cluster_fused
from flowlat.kernels.phi4.cluster_plain import cluster_plainly, clusters, correlators, of_one
from flowlat.kernels.phi4.theory import Steps, theory_of
from flowlat.observables import (
    Configurations,
    CorrelationLength,
    EffectiveMass,
    SignAverages,
    Susceptibility,
    TwoPoint,
)

ACTION = Phi4(-4.0, 5.113)
CLUSTERS = Steps(0, 0, 0.5, 0.0, correlators=True)
KEY = 2**61 + 3
COMPILED = pytest.mark.skipif("cpu" not in available_kernels(), reason="no C++ compiler")
BOTH = pytest.mark.parametrize(
    "update", [pytest.param(cluster_fused, marks=COMPILED), cluster_plainly]
)
QUADRATIC = [
    Susceptibility(),
    TwoPoint(),
    TwoPoint(all_axes=False),
    CorrelationLength(),
    EffectiveMass(),
]


@BOTH
@pytest.mark.parametrize("shape", [[1], [6], [1, 3], [2, 3], [3, 3], [3, 1, 2], [2, 2, 2]], ids=str)
@pytest.mark.parametrize("scale", [0.3, 0.8])
def test_the_average_over_all_signs(update, shape, scale):
    """Of each plain estimator, over the 2^n assignments of signs to the n clusters, to rounding."""
    generator, theory = torch.Generator().manual_seed(1), theory_of(-4.0, 5.113, tuple(shape))
    sites = torch.tensor(shape).prod().item()
    phi = scale * torch.randn(sites, 6, generator=generator, dtype=torch.float64)
    after, *_, found = update(phi, theory, CLUSTERS, KEY)
    for i, label in enumerate(clusters(phi, theory, KEY).T.contiguous()):
        first = label.unique()
        coins = torch.tensor(list(itertools.product((1.0, -1.0), repeat=len(first)))).double()
        signs = coins[:, torch.searchsorted(first, label)]
        assigned = (signs * phi[:, i].abs()).reshape(-1, *shape)
        everything = Configurations(assigned, ACTION)
        row = after[:, i].reshape(1, *shape)
        averages = SignAverages(row, ACTION, found[i : i + 1])
        for observable in (o for o in QUADRATIC if o.exists(shape)):
            assert observable.quadratic
            expected = observable.measure(everything).mean(0)
            torch.testing.assert_close(
                observable.measure(averages)[0], expected, rtol=1e-12, atol=1e-13
            )
        assert (signs == row.flatten().sign()).all(1).any()


@pytest.mark.parametrize("shape", [[6], [3, 4], [2, 2, 3]], ids=str)
def test_the_average_of_single_clusters_over_the_site_that_they_grow_from(shape):
    """Is what all clusters have, to rounding."""
    generator, theory = torch.Generator().manual_seed(2), theory_of(-4.0, 5.113, tuple(shape))
    sites = theory.position.shape[1]
    phi = 0.7 * torch.randn(sites, 5, generator=generator, dtype=torch.float64)
    label = clusters(phi, theory, KEY)
    single = []
    for seed in range(sites):
        member = label == label[seed]
        single.append(correlators(of_one(phi, member), 0 * label, theory))
    assert torch.stack(single).std(0).max() > 0.01
    torch.testing.assert_close(torch.stack(single).mean(0), correlators(phi, label, theory))


def test_a_lattice_of_one_cluster_has_the_plain_estimators():
    phi = 9 + torch.rand(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theory = theory_of(-4.0, 5.113, (3, 4))
    found = correlators(phi, clusters(phi, theory, KEY), theory)
    rows = phi.T.reshape(3, 3, 4)
    for observable in QUADRATIC:
        averages = observable.measure(SignAverages(rows, ACTION, found))
        plain = observable.measure(Configurations(rows, ACTION))
        torch.testing.assert_close(averages, plain, rtol=1e-10, atol=1e-10)


def test_what_is_not_quadratic_is_that_of_phi():
    phi = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    averages = SignAverages(phi, ACTION, torch.zeros(3, 4, dtype=torch.float64))
    plain = Configurations(phi, ACTION)
    assert torch.equal(averages.mean_field, plain.mean_field)
    assert torch.equal(averages.action, plain.action)
