"""The combinational-convolution flow as it was published, transcribed plainly.

Tomiya and Terasaki, NeurIPS ML4PS 2022: permute the chosen axes to the end, fold the others into
the batch, run an ordinary circular convolution, unfold, permute back, and take the mean. It is the
yardstick of the benchmarks, uses nothing of flowlat, and has the same parameters.
"""

from itertools import combinations

import torch
from torch import Tensor, nn

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class CombConv(nn.Module):
    """Mean over the choices of k of d axes of activation(convolution)."""

    def __init__(self, d: int, k: int, c_in: int, c_out: int, activation: nn.Module):
        super().__init__()
        self.choices = list(combinations(range(d), k))
        self.d = d
        self.activation = activation
        self.convolutions = nn.ModuleList(
            CONVOLUTIONS[k](c_in, c_out, 3, padding=1, padding_mode="circular")
            for _ in self.choices
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.d == len(self.choices[0]):
            return self.activation(self.convolutions[0](x))
        outputs = []
        for choice, convolution in zip(self.choices, self.convolutions, strict=True):
            rest = [axis for axis in range(self.d) if axis not in choice]
            order = [0, *(a + 2 for a in rest), 1, *(a + 2 for a in choice)]
            moved = x.permute(order)
            folded = moved.reshape(-1, *moved.shape[1 + len(rest) :])
            y = self.activation(convolution(folded))
            unfolded = y.reshape(*moved.shape[: 1 + len(rest)], *y.shape[1:])
            outputs.append(unfolded.permute([order.index(i) for i in range(self.d + 2)]))
        return torch.stack(outputs).mean(0)


class Coupling(nn.Module):
    """phi_active = exp(s) z_active + t on a checkerboard; (s, t) = net(frozen sites)."""

    active: Tensor

    def __init__(self, shape: tuple[int, ...], k: int, parity: int):
        super().__init__()
        d = len(shape)
        self.net = nn.Sequential(
            CombConv(d, k, 1, 8, nn.LeakyReLU()),
            CombConv(d, k, 8, 8, nn.LeakyReLU()),
            CombConv(d, k, 8, 2, nn.Tanh()),
        )
        coordinates = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"))
        self.register_buffer("active", (coordinates.sum(0) % 2 == parity).float())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        active = self.active
        frozen = (1 - active) * x
        s, t = self.net(frozen.unsqueeze(1)).unbind(1)
        y = frozen + active * (x * s.exp() + t)
        return y, (active * s).flatten(1).sum(1)


class Flow(nn.Module):
    """White noise through couplings of alternating parity -> (phi, log q)."""

    def __init__(self, shape: tuple[int, ...], k: int, n_couplings: int):
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(shape, k, i % 2) for i in range(n_couplings))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_q = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
        for coupling in self.couplings:
            z, log_det = coupling(z)
            log_q = log_q - log_det
        return z, log_q


def action(phi: Tensor, m2: float = -4.0, lam: float = 5.113) -> Tensor:
    """S = sum { (2d + m2) phi^2 + lam phi^4 - 2 sum_mu phi phi(x+mu) }."""
    d = phi.dim() - 1
    density = (2 * d + m2) * phi**2 + lam * phi**4
    for axis in range(1, d + 1):
        density = density - 2 * phi * torch.roll(phi, -1, axis)
    return density.flatten(1).sum(1)
