"""How often errors hold the exact value: of every observable, from chains of known tau_int."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlat.actions import Free
from flowlat.analysis import exact
from flowlat.analysis.estimates import chain_estimate
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig
from flowlat.lattice import Lattice
from flowlat.observables import Binder, Configurations, Observable
from flowlat.sampling.measure import build_observables
from flowlat.utils.formatting import table
from flowlat.utils.rng import Stream, generator

#: tau_int of phi^2, measurements, and chains of each in a full and in a quick run
RUNS = ((1, 1000, 100, 20), (10, 1000, 100, 40), (30, 1000, 100, 0), (10, 10_000, 40, 0))
#: standard deviations below a share of 0.5 with which one is too small (p = 3e-5 at 0.5). It should
#: be 0.683; Binder cumulants of 1,000 measurements have 0.6 at tau_int = 10, and a half at 30
TOO_FEW, ASKED = 4.0, 0.5
#: a free theory in which no observable of the summary is next to trivial
SHAPE, M2 = (8,), 0.5


class BinderMoments(Binder):
    """<M^2> and <M^4>, plain means: what the Gamma method does by itself for what U4 is made of."""

    symbol = "<M^2>, <M^4>"

    def derive(self, means: Tensor) -> Tensor:
        return means


class Coverage(NamedTuple):
    """Of ``n`` errors of an observable: the ``share`` that holds the exact value within one, the
    ``bias`` of its values in standard deviations, and its mean error over that deviation; all
    elements of a vector together. The first should be 0.683, the last 1."""

    share: float
    n: int
    bias: float
    error: float

    @property
    def failed(self) -> bool:
        """Whether it is below what is asked for, beyond chance."""
        return self.share < ASKED - TOO_FEW * math.sqrt(ASKED * (1 - ASKED) / self.n)


#: of observables by name, by "tau_int=..., n=..."
Shares = dict[str, dict[str, Coverage]]


def measured(quick: bool, seed: int) -> Shares:
    """Of every observable of sample.py, and of the moments in its Binder cumulant."""
    config = validate(compose([], "sample"), SampleConfig)
    observables = {**build_observables(config), "binder_moments": BinderMoments()}
    found = {}
    for number, (tau_int, n, full, few) in enumerate(RUNS):
        if chains := few if quick else full:
            # no two share random numbers with each other or with another seed
            own = generator(seed, Stream.COVERAGE, number)
            label = f"tau_int={tau_int}, n={n}"
            found[label] = coverage(observables, tau_int, n, chains, own)
    return found


def below(found: Shares) -> list[str]:
    """Observables that hold less than is asked for."""
    return [name for part in found.values() for name, share in part.items() if share.failed]


def written(found: Shares) -> str:
    """A table of shares, an observable a row, and what is wrong with them."""
    rows = [("errors that hold the exact value", *found)]
    for name in next(iter(found.values())):
        shares = (f"{part[name].share:.2f}" for part in found.values())
        rows.append((name, *shares))
    lines = ["", table(rows)]
    if names := below(found):
        lines.append(f"FAILED: below {ASKED} beyond chance: {', '.join(dict.fromkeys(names))}")
    return "\n".join(lines)


def free_chains(tau_int: float, n: int, chains: int, generator: torch.Generator) -> Tensor:
    """Stationary chains of a free field ``(chains, n, *shape)``, all modes equally slow.

    phi' = r phi + sqrt(1 - r^2) eta, eta of the free theory: phi^2 has the integrated
    autocorrelation time tau_int = 1/2 (1 + r^2) / (1 - r^2), and phi about twice of it.
    """
    r2 = (2 * tau_int - 1) / (2 * tau_int + 1)
    lattice = Lattice(SHAPE)
    spread = Free(M2).propagator(lattice)
    modes = torch.fft.fft(spread).real.clamp(min=0).sqrt()
    eta = torch.randn((n, chains, *SHAPE), generator=generator, dtype=torch.float64)
    phi = torch.fft.ifft(torch.fft.fft(eta) * modes).real
    for step in range(1, n):
        phi[step] = math.sqrt(r2) * phi[step - 1] + math.sqrt(1 - r2) * phi[step]
    return phi.transpose(0, 1)


def coverage(
    observables: dict[str, Observable],
    tau_int: float,
    n: int,
    chains: int,
    numbers: torch.Generator,
) -> dict[str, Coverage]:
    """Of chains of n measurements each, see :func:`free_chains`, by observable."""
    action, lattice = Free(M2), Lattice(SHAPE)
    known = exact.known(action, lattice)
    m2 = known["chi2"] / lattice.volume
    known["binder_moments"] = np.array([m2, 3 * m2**2])
    phi = free_chains(tau_int, n, chains, numbers)
    found = {}
    for name, observable in observables.items():
        pairs = []
        for chain in phi:
            series = observable.measure(Configurations(chain, action)).numpy()
            estimates = chain_estimate(observable, [series], name)
            pairs.append(estimates if isinstance(estimates, list) else [estimates])
        values = torch.tensor([[e.value for e in one] for one in pairs], dtype=torch.float64)
        errors = torch.tensor([[e.error for e in one] for one in pairs], dtype=torch.float64)
        found[name] = covered(values, errors, torch.as_tensor(known[name]))
    return found


def covered(values: Tensor, errors: Tensor, truth: Tensor) -> Coverage:
    """Of values ``(chains, elements)``."""
    held = ((values - truth).abs() <= errors).double()
    spread = values.std(0)
    held = held[:, values.isfinite().any(0)]
    return Coverage(
        held.mean().item(),
        len(values),
        ((values.mean(0) - truth) / spread).mean().item(),
        (errors.mean(0) / spread).mean().item(),
    )
