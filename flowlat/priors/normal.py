"""White noise."""

from torch import Tensor

from flowlat.priors.base import Prior, log_standard_normal


class Normal(Prior):
    """r(z) = prod_x N(z(x); 0, 1): independent unit Gaussians."""

    option = "normal"

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return noise, self.log_prob(noise)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z).to(z.dtype)
