"""A picture of each way in which errors can be wrong, with the exact values beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlat import load_flow
from flowlat.actions import Phi4
from flowlat.analysis import exact
from flowlat.analysis.gamma_method import gamma_method
from flowlat.analysis.pareto import pareto_k, pareto_k_of
from flowlat.ensemble import open_ensemble
from flowlat.report.page.plots import BLUE, GREEN, GREY, ORANGE, finish, subplots
from flowlat.samplers import Metropolis, chain_index
from flowlat.samplers.independence.chain import decide, uniform

#: the chain of 8 sites of the first picture
M2, LAM = -1.0, 1.0
#: whose pulls are counted
RUNS = 60
WAYS = (("start at a proposal", ORANGE), ("as sample.py starts", BLUE))


def replicas(folder: Path, training: Path) -> Figure:
    """Replicas that start at a proposal, and those of sample.py, which do not: one run along the
    chains, and the pulls of phi^2 of many runs whose proposals are of the prior alone."""
    figure, (left, right) = subplots(9, 3.4, columns=2)
    exactly = float(exact.transfer_matrix(M2, LAM, 8)["phi2"])
    with open_ensemble(folder) as ensemble:
        n, phi2 = ensemble.replicas, ensemble.read("measured/phi2")
        log_w = torch.from_numpy(ensemble.read("log_weight"))
        index = from_proposals(log_w, n, uniform(len(log_w), torch.Generator().manual_seed(0)))
        for at, (label, color) in zip((index, ensemble.chain_index()), WAYS, strict=True):
            means = phi2[at][: len(at) // (8 * n) * 8 * n].reshape(-1, 8 * n).mean(1)
            left.plot(8 * np.arange(len(means)) + 4, means, color=color, label=label)
    left.axhline(exactly, color="black", lw=0.8, label="exact")
    left.set(xlabel="step", ylabel="$\\phi^2$, mean of 64 replicas")
    left.set_ylim(0.8 * exactly, 2 * exactly)
    pulls = np.array([pulls_of_a_run(training, seed, n, exactly) for seed in range(RUNS)])
    for column, (label, color) in zip(pulls.T, WAYS, strict=True):
        held = (abs(column) < 1).mean()
        text = f"{label}: {held:.0%} hold it"
        right.hist(column, bins=np.arange(-3, 6.5, 0.5), color=color, alpha=0.6, label=text)
    right.axvline(0, color="black", lw=0.8)
    right.set(xlabel="(value of $\\phi^2$ - exact) / error", ylabel=f"of {RUNS} runs")
    right.set_ylim(0, 1.6 * right.get_ylim()[1])
    return finish(figure)


def from_proposals(log_w: torch.Tensor, n: int, numbers: torch.Tensor) -> np.ndarray:
    """Where chains stand that start at the first proposal of each."""
    index: np.ndarray = chain_index(decide(log_w, None, n, numbers)[0], n).numpy()
    return index


@torch.no_grad()
def pulls_of_a_run(training: Path, seed: int, n: int, exactly: float) -> list[float]:
    """Of phi^2, from the same proposals: started at a proposal, and as sample.py does."""
    flow, action, rows = load_flow(training).double(), Phi4(M2, LAM), 512 * n
    prior: Any = flow.prior
    generator = torch.Generator().manual_seed(seed)
    phi, log_q = prior(torch.randn((rows, 8), generator=generator, dtype=torch.float64))
    log_w = -action(phi) - log_q
    numbers = uniform(rows + 2 * n, generator)
    sampler = Metropolis(flow, rows, action, replicas=n)
    state, accepted = sampler.join(sampler.initial_state(), log_w, numbers)
    first, index = sampler.chains(state, accepted, rows)
    phi2, pulls = (phi**2).mean(1).numpy(), []
    for at in (from_proposals(log_w, n, numbers[:rows]), index[first:].numpy()):
        estimate = gamma_method([phi2[at[r::n]] for r in range(n)], "phi2")
        pulls.append((estimate.value - exactly) / estimate.error)
    return pulls


def weights(folder: Path) -> Figure:
    """The tail of the weights, and how the average of chi2 goes on without its error knowing."""
    figure, (left, right) = subplots(9, 3.4, columns=2)
    with open_ensemble(folder) as ensemble:
        log_w, m = ensemble.read("log_weight"), ensemble.read("measured/magnetization")
        w = np.exp(log_w - log_w.max())
        tails = {
            "w": (w, pareto_k(log_w), GREEN),
            "w $M^2$": (w * m**2, pareto_k_of(m**2, log_w), BLUE),
        }
        for label, (values, k, color) in tails.items():
            ordered = np.sort(values / values.mean())[::-1][:3000]
            share = np.arange(1, len(ordered) + 1) / len(values)
            left.plot(ordered, share, color=color, label=f"{label}: k = {k:.2f}")
        chain = ensemble.read("measured/chi2")[ensemble.chain_index()]
    left.set(xscale="log", yscale="log", xlabel="x, in units of its mean", ylabel="share above x")
    running(right, chain, 1 / (2 * 0.1))
    return finish(figure)


def running(axes: Axes, chain: np.ndarray, exactly: float) -> None:
    """The mean and its error after so many steps, against the exact value."""
    steps = np.unique(np.geomspace(1000, len(chain), 40).astype(int))
    found = [gamma_method([chain[:n]], "chi2") for n in steps]
    value, error = (np.array([getattr(e, name) for e in found]) for name in ("value", "error"))
    axes.fill_between(steps, value - error, value + error, color=ORANGE, alpha=0.3, label="1 error")
    axes.plot(steps, value, color=ORANGE)
    axes.axhline(exactly, color="black", lw=0.8, label="exact")
    axes.set(xscale="log", xlabel="proposals", ylabel="$\\chi_2$ along the chain")


def wells(frozen: Path, crossed: Path) -> Figure:
    """C(t) of a chain whose sites cannot change their signs, and of one whose sites do."""
    figure, axes = subplots(5.5, 3.4)
    known = exact.transfer_matrix(-1111.0, 6173.0, 8)
    ways = {"trajectories alone": (frozen, ORANGE, "s"), "sampler=hmc": (crossed, BLUE, "o")}
    for label, (folder, color, marker) in ways.items():
        observables = json.loads((folder / "summary.json").read_text())["observables"]
        points = [(e["value"], e["error"] or 0) for e in observables["two_point"]]
        value, error = np.transpose(points)
        text = f"{label}: $\\chi_2$ = {observables['chi2']['value']:.4f}"
        options = {"marker": marker, "color": color, "ls": "none", "capsize": 2}
        axes.errorbar(range(len(value)), value, error, label=text, **options)
    text = f"exact: $\\chi_2$ = {known['chi2']:.4f}"
    axes.plot(known["two_point"], "_", ms=18, color="black", label=text)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set(xlabel="t", ylabel="C(t)", xticks=range(len(value)))
    return finish(figure)
