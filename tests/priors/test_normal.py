import torch

from flowlat.lattice import Lattice
from flowlat.priors import Normal


def test_density_is_that_of_torch():
    prior = Normal(Lattice([2, 4])).double()
    z, log_r = prior(prior.noise(5))
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(log_r, expected)
