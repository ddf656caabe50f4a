import math

import numpy as np
import pytest
import torch

from flowlat.actions.potential import Potential


@pytest.mark.parametrize(
    ("m2", "lam"), [(1.0, 0.0), (0.0, 1.0), (2.0, 3.0), (-4.0, 8.0), (-4.0, 0.1), (-100.0, 1.0)]
)
def test_it_is_v_above_its_minimum_and_less_than_a_rise_within_its_support(m2, lam):
    potential = Potential(m2, lam)
    phi = np.linspace(-9, 9, 20_001)
    v = m2 * phi**2 + lam * phi**4
    rise = potential.rise(phi)
    assert rise == pytest.approx(v + potential.depth, abs=1e-9 * (1 + potential.depth))
    assert 0 <= rise.min() < 1e-2 * (1 + abs(m2))
    assert torch.equal(potential.rise(torch.from_numpy(phi)), torch.from_numpy(rise))
    for height in (8.0, 50.0):
        near, far = potential.support(height)
        within = (abs(phi) > near) & (abs(phi) < far)
        assert (rise[within] <= height).all()
        assert (rise[~within & (phi != 0)] >= height * (1 - 1e-12)).all() or near == 0
        assert (rise[abs(phi) > far] >= height).all()
        assert (near > 0) == (height < potential.depth)


@pytest.mark.parametrize(("m2", "lam"), [(0.0, 0.0), (-1.0, 0.0), (1.0, -1.0), (1.0, math.nan)])
def test_what_does_not_confine_is_refused(m2, lam):
    with pytest.raises(ValueError, match=f"m2={m2}, lam={lam}: the potential does not confine"):
        Potential(m2, lam)
