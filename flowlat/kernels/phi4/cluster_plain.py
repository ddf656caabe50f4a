"""An update of phi^4 by clusters and local steps in plain PyTorch: the oracle of cluster.cpp."""

import torch
from torch import Tensor

from flowlat.kernels.noise import fraction, philox
from flowlat.kernels.phi4.theory import Steps, Theory

#: stream of the random numbers of the first local sweep; those of bonds come before
SWEEPS = 2**16


def cluster_plainly(
    phi: Tensor, theory: Theory, steps: Steps, key: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`flowlat.kernels.phi4.cluster.cluster` does, for phi ``(sites, batch)``."""
    phi = flip_clusters(phi, theory, key)
    accepted = torch.zeros_like(phi[0])
    for sweep in range(steps.metropolis + steps.overrelaxation):
        walk = sweep < steps.metropolis
        first, second = words(phi, key, SWEEPS + sweep)
        moves, tests = steps.width * (2 * fraction(first) - 1), fraction(second)
        for x, beside in enumerate(theory.neighbours.flatten(1).tolist()):
            old, b = phi[x], 2 * phi[beside].sum(0)
            new = old + moves[x] if walk else steps.reflection * b - old
            quadratic = theory.mass + theory.lam * (new**2 + old**2)
            change = (new - old) * ((new + old) * quadratic - b)
            taken = tests[x] < (-change).clamp(max=0).exp()
            phi[x] = torch.where(taken, new, old)
            accepted += taken & walk
    sums = phi[theory.neighbours].sum((1, 2))
    return phi, (phi * (phi * (theory.mass + theory.lam * phi**2) - sums)).sum(0), accepted


def flip_clusters(phi: Tensor, theory: Theory, key: int) -> Tensor:
    """Swendsen and Wang: bonds, then a coin for the first site of every cluster."""
    forwards = theory.neighbours[:, :, 0]
    drawn = [
        half for i in range(theory.d // 2 + 1) for half in words(phi, key, i)
    ]  # of two axes each, and more where there is no axis
    label = torch.arange(len(phi)).unsqueeze(1).expand_as(phi)
    bonds = [
        (-4 * phi * phi[forwards[:, axis]]).clamp(max=0).exp() < 1 - fraction(drawn[axis])
        for axis in range(theory.d)
    ]
    while True:
        before = label
        for axis, bond in enumerate(bonds):
            there = forwards[:, axis]
            least = torch.where(bond, torch.minimum(label, label[there]), label)
            back = there.unsqueeze(1).expand_as(label)
            # both ends of a bond take the lesser label, the far one the least of all its bonds
            pulled = torch.where(bond, least, label[there])
            label = least.scatter_reduce(0, back, pulled, "amin")
        label = label.gather(0, label)
        if torch.equal(label, before):
            break
    coins = drawn[0][0] & 1
    return phi * (1 - 2 * coins.gather(0, label)).double()


def words(phi: Tensor, key: int, stream: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """The two random words of every number of phi, in halves."""
    return philox(key, torch.arange(phi.numel()).reshape(phi.shape), stream)
