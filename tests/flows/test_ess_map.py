import pytest
import torch

from flowlat.flows import Point
from flowlat.flows.ess_map import EssMap
from tests.flows.test_domain import domain

POINTS = [(-4.0, 7.0), (-4.0, 9.0), (-1.0, 4.0), (-1.0, 9.0), (1.0, 3.0)]
ESS = [0.9, 0.8, 0.7, 0.6, 0.5]


def known(ess=ESS):
    rows = [[*p, e, 8.0, 8.0] for p, e in zip(POINTS, ess, strict=True)]
    return EssMap(torch.tensor(rows), 2)


@pytest.mark.parametrize("i", range(5))
def test_a_point_of_the_map_has_what_was_measured(i):
    expected = known().expected(Point(*POINTS[i], (8, 8)), domain())
    assert expected == pytest.approx(ESS[i], rel=1e-4)


def test_between_points_it_lies_between_and_nearer_to_the_nearer():
    found = [known().expected(Point(-4.0, lam, (8, 8)), domain()) for lam in (7.2, 8.0, 8.8)]
    assert 0.9 > found[0] > found[1] > found[2] > 0.6
    # the mean of log ESS, of equal values their own
    flat = known([0.4] * 5).expected(Point(-2.0, 8.0, (8, 6)), domain())
    assert flat == pytest.approx(0.4)


def test_lattices_have_their_own():
    rows = [[-4.0, 7.0, ess, side, side] for side, ess in ((4, 0.9), (8, 0.3))]
    found = [
        EssMap(torch.tensor(rows), 2).expected(Point(-4.0, 7.0, (side, side)), domain())
        for side in (4, 5, 7, 8)
    ]
    assert found == sorted(found, reverse=True)
    assert (found[0], found[3]) == (pytest.approx(0.9), pytest.approx(0.3))


@pytest.mark.parametrize(
    "rows",
    [
        torch.zeros(0, 5),
        torch.zeros(3),
        torch.ones(3, 4),
        torch.tensor([[-4.0, 7.0, 1.5, 8.0, 8.0]]),
        torch.tensor([[-4.0, torch.nan, 0.5, 8.0, 8.0]]),
        torch.tensor([[-4.0, 7.0, 0.5, 0.0, 8.0]]),
    ],
)
def test_what_is_no_map(rows):
    with pytest.raises(ValueError, match=r"no map of ESS|between 0 and 1"):
        EssMap(rows, 2)
