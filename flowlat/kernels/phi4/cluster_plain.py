"""An update of phi^4 by local steps and clusters in plain PyTorch: the oracle of cluster.cpp."""

import torch
from torch import Tensor

from flowlat.kernels.noise import fraction, philox
from flowlat.kernels.phi4.theory import Steps, Theory

#: stream of the random numbers of the first local sweep; those of bonds come before
SWEEPS = 2**16
#: streams from those of a single cluster to those of the next
CLUSTER = 2**32

#: phi ``(sites, batch)``; S there, proposals of Metropolis that were accepted, sites of single
#: clusters, ``(batch,)``; correlators ``(batch, sum of sides)``, or of no columns
Results = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def cluster_plainly(phi: Tensor, theory: Theory, steps: Steps, key: int) -> Results:
    """What :func:`flowlat.kernels.phi4.cluster.cluster` does, for phi ``(sites, batch)``."""
    phi, accepted = sweep(phi.clone(), theory, steps, key)
    flipped, found = torch.zeros_like(phi[0]), phi.new_empty(phi.shape[1], 0)
    if steps.single:
        series = []
        for number in range(1, steps.single + 1):
            member = cluster_of_a_site(phi, theory, key, number)
            flipped += member.double().sum(0)
            if steps.correlators:
                series.append(correlators(of_one(phi, member), 0 * member.long(), theory))
            phi = torch.where(member, -phi, phi)
        if series:
            found = torch.stack(series).mean(0)
    else:
        label = clusters(phi, theory, key)
        coins = words(phi, key, 0)[0][0] & 1  # of the first site of every cluster
        phi = phi * (1 - 2 * coins.gather(0, label)).double()
        if steps.correlators:
            found = correlators(phi, label, theory)
    sums = phi[theory.neighbours].sum((1, 2))
    action = (phi * (phi * (theory.mass + theory.lam * phi**2) - sums)).sum(0)
    return phi, action, accepted, flipped, found


def sweep(phi: Tensor, theory: Theory, steps: Steps, key: int) -> tuple[Tensor, Tensor]:
    """The local steps, in place; and the proposals of Metropolis that were accepted."""
    accepted = torch.zeros_like(phi[0])
    for number in range(steps.metropolis + steps.overrelaxation):
        walk = number < steps.metropolis
        first, second = words(phi, key, SWEEPS + number)
        moves, tests = steps.width * (2 * fraction(first) - 1), fraction(second)
        for x, beside in enumerate(theory.neighbours.flatten(1).tolist()):
            old, b = phi[x], 2 * phi[beside].sum(0)
            new = old + moves[x] if walk else steps.reflection * b - old
            quadratic = theory.mass + theory.lam * (new**2 + old**2)
            change = (new - old) * ((new + old) * quadratic - b)
            taken = tests[x] < (-change).clamp(max=0).exp()
            phi[x] = torch.where(taken, new, old)
            accepted += taken & walk
    return phi, accepted


def cluster_of_a_site(phi: Tensor, theory: Theory, key: int, number: int) -> Tensor:
    """Wolff: whether a site is of the cluster of one at random, ``(sites, batch)``."""
    label = clusters(phi, theory, key, CLUSTER * number)
    word, _ = philox(key, torch.arange(phi.shape[1]), CLUSTER * number + SWEEPS)
    site = (fraction(word) * len(phi)).long().unsqueeze(0)
    return label == label.gather(0, site)


def of_one(phi: Tensor, member: Tensor) -> Tensor:
    """The field of a single cluster C, times sqrt(V / |C|): a site at random is of it with
    probability |C| / V, so that its correlators have those of all clusters for their mean."""
    return phi * member * (len(phi) / member.double().sum(0)).sqrt()


def clusters(phi: Tensor, theory: Theory, key: int, stream: int = 0) -> Tensor:
    """The first site of the cluster of every site, ``(sites, batch)``; bonds are drawn anew."""
    forwards = theory.neighbours[:, :, 0]
    drawn = [
        half for i in range((theory.d + 1) // 2) for half in words(phi, key, stream + i)
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
            return label


def correlators(phi: Tensor, label: Tensor, theory: Theory) -> Tensor:
    """mean_s P(s) P(s+t) along each axis, averaged over independent signs of the clusters.

    P(s) is the mean of phi over a slice. Of the sum over pairs of sites those of one cluster stay,
    with abs(phi) for phi: C(t) = (L / V^2) sum over clusters and s of A(s) A(s+t), A(s) the sum of
    abs(phi) over the cluster's sites in the slice. U. Wolff, Nucl. Phys. B 334 (1990) 581.
    """
    found = []
    for side, position in zip(theory.sides.tolist(), theory.position.long(), strict=True):
        of_axis = []
        for number, first in zip(phi.abs().T, label.T, strict=True):  # all at once would be large
            slices = phi.new_zeros(side, len(phi)).index_put((position, first), number, True)
            spectrum = torch.fft.rfft(slices, dim=0).abs().square().sum(1)
            of_axis.append(torch.fft.irfft(spectrum, n=side))
        found.append(torch.stack(of_axis) * side / len(phi) ** 2)
    return torch.cat(found, 1)


def words(phi: Tensor, key: int, stream: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """The two random words of every number of phi, in halves."""
    return philox(key, torch.arange(phi.numel()).reshape(phi.shape), stream)
