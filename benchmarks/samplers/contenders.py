"""Samplers at work: what they draw, measured, and the CPU seconds that it took."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowlat.analysis.importance import ess, log_z
from flowlat.lattice import sum_sites
from flowlat.samplers import Annealed, Hybrid, LatentHMC, Sampler, chain_index
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.dynamics.chain import TrajectoryChain

#: what is measured: the slowest of the first four counts, the last one is for xi
OBSERVABLES = ("abs_magnetization", "chi2", "phi2", "two_point_half", "structure_factor")
COUNTED = 4


def measured(phi: Tensor) -> Tensor:
    """Of configurations ``(n, *shape)``: ``(len(OBSERVABLES), n)``.

    C(L/2) is that of slices of the last axis; the structure factor that of the least momentum
    along it, |sum_x phi exp(ikx)|^2 / V.
    """
    volume, period = phi[0].numel(), phi.shape[-1]
    slices = phi.flatten(1, -2).sum(1) if phi.dim() > 2 else phi
    m = slices.sum(1) / volume
    half = (slices * slices.roll(period // 2, 1)).mean(1) / (volume / period)
    lowest = torch.fft.rfft(slices, dim=1)[:, 1].abs().square() / volume
    phi2 = sum_sites(phi * phi) / volume
    return torch.stack([m.abs(), volume * m * m, phi2, half, lowest])


class Run:
    """A sampler, its configurations so far and what they took."""

    def __init__(self, sampler: Sampler, seed: int):
        self.sampler, self.generator = sampler, torch.Generator().manual_seed(seed)
        self.seconds, self.rows = 0.0, 0
        begin = time.process_time()
        self.state = sampler.start(self.generator)
        self.start = time.process_time() - begin
        self.values: list[Tensor] = []
        self.log_weight: list[Tensor] = []
        self.accepted: list[Tensor] = []

    def turn(self, seconds: float) -> None:
        """At least so many CPU seconds of drawing; what is measured on it is not timed."""
        goal = self.seconds + seconds
        while self.seconds < goal:
            begin = time.process_time()
            phi = self._draw()
            self.seconds += time.process_time() - begin
            self.rows += len(phi)
            self.values.append(measured(phi.double()))

    def _draw(self) -> Tensor:
        if isinstance(self.sampler, MarkovChain):
            self.state, _ = self.sampler.advance(self.state, self.generator)
            return self.state.phi
        self.state, block = self.sampler.step(self.state, self.generator)
        assert block.log_weight is not None
        self.log_weight.append(block.log_weight)
        if block.accepted is not None:
            self.accepted.append(block.accepted)
        return block.phi

    def chains(self) -> Tensor:
        """Along the chains, ``(steps, len(OBSERVABLES), replicas)``."""
        values, replicas = torch.cat(self.values, 1), self.sampler.replicas
        if self.accepted:
            values = values[:, chain_index(torch.cat(self.accepted), replicas)]
        return values.reshape(len(OBSERVABLES), -1, replicas).movedim(1, 0)

    def weights(self) -> dict[str, float]:
        """Of what is weighted the ESS, log Z, its error and error sqrt(CPU s); no error where the
        weights are worth one sample."""
        if not self.log_weight:
            return {}
        log_w = torch.cat(self.log_weight)
        value, error = log_z(log_w)
        found = {"ess": ess(log_w), "log_z": value}
        if math.isfinite(error):
            found |= {"log_z_error": error, "log_z_cost": error * math.sqrt(self.seconds)}
        return found

    def evaluations(self) -> float:
        """Of a row: forces of S or gradients through the flow, draws and inverses of it."""
        sampler, info = self.sampler, self.sampler.info(self.state)
        if isinstance(sampler, Annealed):
            forces = len(sampler.trajectory.integrator.drifts)
            return float(sampler.n_steps * (forces * sampler.n_leapfrog + 1))
        if isinstance(sampler, Hybrid):
            return sampler.hmc.forces_a_step * info["n_leapfrog"] + 2 + sampler.n_proposals
        if isinstance(sampler, TrajectoryChain):
            return sampler.forces_a_step * info["n_leapfrog"] + 1
        return info["n_forces"] + 1 if isinstance(sampler, LatentHMC) else 1.0


def interleave(
    makers: dict[str, Callable[[], Sampler]], seconds: float, turns: int
) -> dict[str, Run]:
    """All of them in turn, so many CPU seconds of each in so many turns."""
    runs: dict[str, Any] = {name: Run(make(), i) for i, (name, make) in enumerate(makers.items())}
    for _ in range(turns):
        for run in runs.values():
            run.turn(seconds / turns)
    return runs
