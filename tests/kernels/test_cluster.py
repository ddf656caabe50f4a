"""Cluster and local updates: by hand, in PyTorch, compiled; and what they leave invariant."""

import math
from functools import cache

import pytest
import torch
from scipy import stats

from flowlat.actions import Phi4
from flowlat.kernels import available_kernels, first_use
from flowlat.kernels.phi4 import cluster as module
from flowlat.kernels.phi4.cluster import cluster, cluster_fused
from flowlat.kernels.phi4.cluster_plain import CLUSTER, SWEEPS, cluster_plainly
from flowlat.kernels.phi4.theory import Steps, theory_of
from tests.kernels.test_noise import by_hand as philox
from tests.support.helpers import SHAPES

P_VALUE = 1e-5
ACTION, ON_A_RING = Phi4(-4.0, 5.113), Phi4(-1.5, 1.5)
KEY = 2**62 + 2**33 + 17
STEPS = Steps(metropolis=2, overrelaxation=1, width=0.6, reflection=0.25)
SINGLE = STEPS._replace(single=3)
EVERY = pytest.mark.parametrize("steps", [STEPS, SINGLE], ids=["all", "single"])
BOTH = pytest.mark.parametrize(
    "update",
    [
        pytest.param(
            cluster_fused,
            marks=pytest.mark.skipif("cpu" not in available_kernels(), reason="no C++ compiler"),
        ),
        cluster_plainly,
    ],
)
ODD_SHAPES = [[1], [2], [5], [1, 3], [2, 3], [3, 1, 2], [2] * 5]


def field(shape, n=13, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.6 * torch.randn(math.prod(shape), n, generator=generator, dtype=torch.float64)


def theory(shape, action=ACTION):
    return theory_of(action.m2, action.lam, tuple(shape))


def by_hand(phi, shape, steps, batch):
    """One update of one configuration, a list of numbers, that is the first of a batch."""
    sites = len(phi)
    index = torch.arange(sites).reshape(shape)
    forwards = [index.roll(-1, axis).flatten().tolist() for axis in range(len(shape))]
    pairs = [(x, ahead[x]) for x in range(sites) for ahead in forwards if ahead[x] != x]
    new = list(phi)
    for sweep in range(steps.metropolis + steps.overrelaxation):
        for x in range(sites):
            u, _ = philox_of(x * batch, 2 * (SWEEPS + sweep))
            test, _ = philox_of(x * batch, 2 * (SWEEPS + sweep) + 1)
            b = 2 * sum(new[z if y == x else y] for y, z in both_ends(pairs, x))
            walk = sweep < steps.metropolis
            value = new[x] + steps.width * (2 * u - 1) if walk else steps.reflection * b - new[x]
            trial = [*new[:x], value, *new[x + 1 :]]
            change = action_of(trial, shape, pairs) - action_of(new, shape, pairs)
            if test < math.exp(min(0, -change)):
                new = trial
    for number in range(1, steps.single + 1):
        u, _ = philox_of(0, 2 * (CLUSTER * number + SWEEPS))
        seed = math.floor(u * sites)
        bonds = drawn(new, pairs, batch, CLUSTER * number)
        for members in components(bonds):
            new = [-p if seed in members and x in members else p for x, p in enumerate(new)]
    if not steps.single:
        for members in components(drawn(new, pairs, batch, 0)):
            sign = (-1) ** philox_of(min(members) * batch, 0)[1]
            new = [sign * p if x in members else p for x, p in enumerate(new)]
    return new


def drawn(phi, pairs, batch, stream):
    """The sites that each is bound to; the pairs of a site, in their order, have a word each."""
    bound, seen = {x: set() for x in range(len(phi))}, dict.fromkeys(range(len(phi)), 2 * stream)
    for x, y in pairs:
        word, seen[x] = seen[x], seen[x] + 1
        if philox_of(x * batch, word)[0] < 1 - math.exp(-4 * max(0, phi[x] * phi[y])):
            bound[x].add(y)
            bound[y].add(x)
    return bound


def components(bound):
    """Clusters, by a search from site to site."""
    left, found = set(bound), []
    while left:
        members, rim = set(), [min(left)]
        while rim:
            members.add(rim[-1])
            rim += bound[rim.pop()] - members
        left -= members
        found.append(members)
    return found


def both_ends(pairs, x):
    return [pair for pair in pairs if x in pair]


def action_of(phi, shape, pairs):
    mass = 2 * sum(side > 1 for side in shape) + ACTION.m2
    local = sum(mass * p**2 + ACTION.lam * p**4 for p in phi)
    return local - 2 * sum(phi[x] * phi[y] for x, y in pairs)


def philox_of(counter, word):
    """(in [0, 1) from the upper 52 bits, the last bit) of a word of 64 bits; 2 words a stream."""
    c = philox(KEY, counter, word // 2)
    bits = c[2 * (word % 2)] + (c[2 * (word % 2) + 1] << 32)
    return (bits >> 12) / 2**52, bits & 1


@BOTH
@EVERY
@pytest.mark.parametrize("shape", [[1], [2], [5], [3, 4], [2, 3], [2, 3, 2]], ids=str)
def test_an_update_by_hand(update, steps, shape):
    for seed in range(5):
        phi = field(shape, 1, seed)
        found = update(phi.clone(), theory(shape), steps, KEY)[0]
        expected = by_hand(phi[:, 0].tolist(), shape, steps, 1)
        assert found[:, 0].tolist() == pytest.approx(expected, abs=1e-12)
        assert (found - phi).abs().max() > 0.01


@pytest.mark.skipif("cpu" not in available_kernels(), reason="no C++ compiler on this machine")
@EVERY
@pytest.mark.parametrize("shape", [*SHAPES.values(), *ODD_SHAPES, [16, 16]], ids=str)
@pytest.mark.parametrize("n", [1, 13, 16])
def test_compiled_and_plain_are_the_same(shape, n, steps):
    phi, steps = field(shape, n), steps._replace(correlators=True)
    kept = phi.clone()
    found = cluster_fused(phi, theory(shape), steps, KEY)
    for one, other in zip(found, cluster_plainly(phi, theory(shape), steps, KEY), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    assert torch.equal(phi, kept)
    if steps.single:
        assert (found[3] >= steps.single).all()
        assert (found[3] <= steps.single * len(phi)).all()
    torch.testing.assert_close(found[1], ACTION(found[0].T.reshape(n, *shape)))


@pytest.mark.skipif("cpu" not in available_kernels(), reason="no C++ compiler on this machine")
@EVERY
def test_two_threads_compute_the_same(steps):
    phi, where = field([16, 16], 64), theory([16, 16])
    one, before = cluster_fused(phi, where, steps, KEY), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = cluster_fused(phi, where, steps, KEY)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, one, two))


@cache
def exact_sample(seed):
    """60,000 of three sites on a ring, by rejection from a box outside which the weight is below
    1e-14."""
    action, n = ON_A_RING, 60_000
    generator, found = torch.Generator().manual_seed(seed), []
    top = 3 * action.m2**2 / (4 * action.lam)  # -S is at most that of a constant field
    while sum(map(len, found)) < n:
        box = 4.4 * torch.rand(2**19, 3, generator=generator, dtype=torch.float64) - 2.2
        accept = torch.rand(len(box), generator=generator, dtype=torch.float64)
        found.append(box[accept < (-action(box) - top).exp()])
    return torch.cat(found)[:n].T.contiguous()


@BOTH
@pytest.mark.parametrize("single", [0, 1, 4])
@pytest.mark.parametrize("steps", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=str)
def test_the_distribution_stays(update, steps, single):
    """Exact samples, one update: bins of (phi_1, phi_2) hold as many as before, within p > 1e-5."""
    before, fresh = exact_sample(1), exact_sample(2)
    method = Steps(*steps, width=0.7, reflection=0.3, single=single)
    after = update(before.clone(), theory([3], ON_A_RING), method, KEY)[0]
    assert (after != before).any(0).double().mean() > 0.4

    def counts(phi):
        bins = torch.bucketize(phi[:2], torch.linspace(-1.2, 1.2, 7, dtype=torch.float64))
        return torch.bincount(8 * bins[0] + bins[1], minlength=64)

    table = torch.stack([counts(after), counts(fresh)])
    table = table[:, table.sum(0) > 20].numpy()
    assert stats.chi2_contingency(table).pvalue > P_VALUE


@BOTH
@pytest.mark.parametrize("single", [0, 1, 2])
def test_detailed_balance_of_the_clusters(update, single):
    """From a pattern of signs to another as often as back: binomial, p > 1e-5 over 28 pairs."""
    before = exact_sample(3)
    steps = Steps(0, 0, 0.5, 0.0, single)
    after = update(before.clone(), theory([3], ON_A_RING), steps, KEY)[0]
    assert torch.equal(before.abs(), after.abs())
    bits = torch.tensor([1, 2, 4]).unsqueeze(1)
    old, new = (((phi > 0) * bits).sum(0) for phi in (before, after))
    moves = torch.bincount(8 * old + new, minlength=64).reshape(8, 8)
    for i in range(8):
        for j in range(i):
            there, back = int(moves[i, j]), int(moves[j, i])
            if single == 1 and not possible(i ^ j, i):
                assert there + back == 0
                continue
            assert there + back > 20
            assert stats.binomtest(there, there + back).pvalue > P_VALUE / 28


def possible(changed, pattern):
    """Whether the sites of these bits can be one cluster of a ring of three: of one sign."""
    return pattern & changed in (0, changed)


def test_a_wrong_kernel_is_found_and_not_used(monkeypatch, caplog):
    def wrong(*arguments):
        phi, *others = cluster_plainly(*arguments)
        return -phi, *others

    monkeypatch.setattr(module, "cluster_fused", wrong)
    monkeypatch.setattr(module, "choose", lambda *_: "cpu")
    for name in ("_faults", "_sound", "_said"):
        monkeypatch.setattr(first_use, name, type(getattr(first_use, name))())
    phi = field([4, 4]).T.reshape(13, 4, 4)
    found = cluster(phi, theory([4, 4]), STEPS, KEY)
    expected = cluster_plainly(phi.flatten(1).T, theory([4, 4]), STEPS, KEY)[0]
    assert torch.equal(found.phi.flatten(1).T, expected)
    assert "cluster on cpu, float64: output 0 differs from PyTorch's" in caplog.text
