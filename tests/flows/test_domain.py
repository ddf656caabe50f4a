import math
import re

import numpy as np
import pytest
import torch

from flowlat import compose
from flowlat.config.build import instantiate, plain
from flowlat.flows import Domain, Point
from flowlat.utils.errors import ConfigError

OPTIONS = {
    "m2": [-5.0, 1.0],
    "lam": [0.0, 12.0],
    "mass": [0.2, 3.0],
    "critical": [0.1, -0.9],
    "slope": [0.5, 0.0, 0.1],
    "curvature": [1.5],
    "shapes": [[8, 8], [4, 4], [8, 8], [4, 6]],
}


def domain(**options):
    return Domain(**{**OPTIONS, **options})


@pytest.mark.parametrize("m2", [-5.0, -1.3, 1.0])
def test_the_mass_is_the_root_of_its_curve(m2):
    curve = domain().curve
    for mass in (1e-3, 0.2, 1.0, 3.0):
        assert curve.mass(m2, curve.lam(m2, mass)) == pytest.approx(mass, rel=1e-9)
    lam_c = 0.1 - 0.9 * m2
    assert curve.lam(m2, 2.0) == pytest.approx(lam_c + (0.5 + 0.1 * m2**2) * 2 + 1.5 * 4)
    assert curve.mass(m2, lam_c - 1) == 0


def test_the_mass_may_be_lam_itself():
    curve = domain(critical=[0.0], slope=[1.0], curvature=[0.0]).curve
    assert curve.mass(-2.0, 3.7) == 3.7


def test_the_basis_is_that_of_numpys_chebyshev_polynomials():
    known = domain(degrees=[2, 4])
    m2, lam = -2.3, 4.1
    x = 2 * (m2 + 5) / 6 - 1
    y = 2 * math.log(known.curve.mass(m2, lam) / 0.2) / math.log(3 / 0.2) - 1
    t = np.polynomial.chebyshev.chebvander2d([x], [y], [2, 4])[0].reshape(3, 5)
    expected = [t[i, j] / (1 + i + j) for i in range(3) for j in range(5) if i / 2 + j / 4 <= 1]
    np.testing.assert_allclose(known.basis(m2, lam).numpy(), expected, atol=1e-12)
    assert expected[0] == 1
    assert len(expected) == 9


def test_coordinates_are_held_beyond_the_ends():
    known = domain()
    assert known.coordinates(-9.0, 100.0) == (-1, 1)
    assert known.coordinates(3.0, -5.0) == (1, -1)


def test_a_degree_of_zero_leaves_a_coordinate_out():
    known = domain(degrees=[0, 2])
    assert torch.equal(known.basis(-5.0, 9.0)[:1], torch.ones(1, dtype=torch.float64))
    assert len(known.basis(-5.0, 9.0)) == 3


def test_draws_lie_in_the_domain_and_on_all_lattices():
    """Of 300 draws the rarest shape, one in four, is missing with p = 0.75^300 = 3e-38."""
    known, stream = domain(), torch.Generator().manual_seed(0)
    points = [known.draw(stream) for _ in range(300)]
    for point in points:
        known.require(point)
        assert known.curve.mass(*point[:2]) * min(point.shape) >= 4 - 1e-9
    counts = {shape: sum(p.shape == shape for p in points) for shape in known.lattices}
    assert list(counts) == [(4, 4), (4, 6), (8, 8)]
    # [8, 8] is there twice: 150 expected with a deviation of 8.7, within 5 (p = 6e-7)
    assert abs(counts[8, 8] - 150) < 44
    assert min(counts.values()) > 0


def test_the_edges_have_their_share_of_the_draws():
    """x of density 1 / (pi sqrt(1 - x^2)) has <x^2> = 1/2, a uniform one 1/3.

    The deviation of x^2 is 8^-1/2: the mean of 400 is within 5 of its errors with p = 6e-7.
    """
    known, stream = domain(shapes=[[8, 8]]), torch.Generator().manual_seed(0)
    points = [known.draw(stream) for _ in range(400)]
    low, high = known.m2
    x = torch.tensor([2 * (point.m2 - low) / (high - low) - 1 for point in points])
    assert abs(x.square().mean().item() - 0.5) < 5 * 8**-0.5 / 400**0.5


def test_an_ordered_phase_is_a_share_of_the_critical_line():
    line = {"critical": [0.0], "slope": [-0.1, -0.8], "curvature": [0.0], "clearance": 0}
    known = domain(m2=[-5.0, -2.0], lam=[0.0, 20.0], mass=[0.3, 0.7], **line)
    assert known.range_of_lam(-4.0, (8, 8)) == pytest.approx((0.3 * 3.1, 0.7 * 3.1))
    with pytest.raises(ConfigError, match=r"nearest is action\.lam=2\.17$"):
        known.require(Point(-4.0, 3.0, (8, 8)))


def test_the_grid_has_every_lattice_its_edges_and_its_corners():
    known = domain(points=[3, 2])
    points = known.held_out()
    assert len(points) == len(set(points)) == 3 * 3 * 2
    for point in points:
        known.require(point)
    assert {p.m2 for p in points} == {-5.0, -2.0, 1.0}
    low, high = known.range_of_mass(-2.0, (8, 8))
    lams = sorted(p.lam for p in points if p.m2 == -2.0 and p.shape == (8, 8))
    assert lams == pytest.approx([known.curve.lam(-2.0, mass) for mass in (low, high)])
    assert (low, lams[1]) == (0.5, pytest.approx(12.0))


@pytest.mark.parametrize(
    ("point", "line"),
    [
        (Point(-6.0, 9.0, (8, 8)), r"action\.m2=-6\.0: .*nearest is action\.m2=-5"),
        (Point(1.5, 9.0, (8, 8)), r"action\.m2=1\.5: .*nearest is action\.m2=1"),
        (Point(-2.0, 2.0, (8, 8)), r"action\.lam=2\.0 .*nearest is action\.lam=2\.725.*most 2$"),
        (Point(-2.0, 13.0, (8, 8)), r"action\.lam=13\.0 .*nearest is action\.lam=12$"),
        (Point(-2.0, 9.0, (2, 8)), r"lattice\.shape=\[2, 8\]: .*sides from 4 to 8"),
        (Point(-2.0, 9.0, (16, 16)), r"lattice\.shape=\[16, 16\]: .*sides from 4 to 8"),
        (Point(-2.0, 9.0, (8, 8, 8)), r"lattice\.shape=\[8, 8, 8\]: the family is one of d=2"),
    ],
)
def test_beyond_an_edge_the_nearest_is_named(point, line):
    with pytest.raises(ConfigError) as caught:
        domain().require(point)
    assert re.search(line, str(caught.value)), str(caught.value)


def test_the_nearest_edge_that_is_named_is_taken():
    known = domain()
    with pytest.raises(ConfigError) as caught:
        known.require(Point(-3.1, 1.0, (4, 4)))
    edge = float(re.search(r"nearest is action\.lam=([\d.]+)", str(caught.value))[1])
    known.require(Point(-3.1, edge, (4, 4)))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"m2": [1.0, -1.0]}, r"family\.m2=\[1\.0, -1\.0\]: no interval"),
        ({"lam": [-1.0, 1.0]}, r"family\.lam=\[-1\.0, 1\.0\]: no interval"),
        ({"mass": [0.0, 1.0]}, "masses above 0"),
        ({"shapes": [[4, 4], [4]]}, "one dimension"),
        ({"slope": [0.1, 1.0]}, "the mass has to grow with lam"),
    ],
)
def test_domains_that_are_none(options, line):
    with pytest.raises(ConfigError, match=line):
        domain(**options)


#: m2 = -4 in d = 2: L and the lam at which m L is about 4, PhysRevD.100.034515
NAMED = {6: 6.975, 8: 6.008, 10: 5.55, 12: 5.276, 14: 5.113, 20: 4.807, 32: 4.572}


@pytest.mark.parametrize(("side", "lam"), NAMED.items())
def test_the_curve_in_two_dimensions_knows_published_correlation_lengths(side, lam):
    known = instantiate(plain(compose(["family=phi4_2d"])), "family")
    assert known.curve.mass(-4.0, lam) * side == pytest.approx(4.0, rel=0.05)
    if side <= 20:
        known.require(Point(-4.0, lam, (side, side)))
