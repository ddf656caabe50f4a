"""A picture of each way in which errors can be wrong, with the exact values beside them."""

import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlat.analysis import exact
from flowlat.analysis.gamma_method import gamma_method
from flowlat.analysis.pareto import pareto_k, pareto_k_of
from flowlat.ensemble import open_ensemble
from flowlat.report.page.plots import BLUE, GREEN, GREY, ORANGE, finish, subplots
from flowlat.samplers import chain_index
from flowlat.samplers.independence.chain import decide, uniform

#: what is measured on the chain of 8 sites and known exactly
KNOWN = {"phi2": "$\\phi^2$", "chi2": "$\\chi_2$", "action_density": "S / V"}


def replicas(folder: Path) -> Figure:
    """Replicas that start at a proposal, and those of sample.py, which do not."""
    figure, (left, right) = subplots(9, 3.4, columns=2)
    with open_ensemble(folder) as ensemble:
        known = exact.transfer_matrix(-1.0, 1.0, 8)
        n, log_w = ensemble.replicas, torch.from_numpy(ensemble.read("log_weight"))
        numbers = uniform(len(log_w), torch.Generator().manual_seed(0))
        index = chain_index(decide(log_w, None, n, numbers)[0], n).numpy()
        ways = {"start at a proposal": index, "as sample.py starts them": ensemble.chain_index()}
        for way, color, offset in zip(ways, (ORANGE, BLUE), (-0.1, 0.1), strict=True):
            phi2 = ensemble.read("measured/phi2")[ways[way]]
            whole = phi2[: len(phi2) // n * n].reshape(-1, n).mean(1)
            means = whole[: len(whole) // 8 * 8].reshape(-1, 8).mean(1)
            left.plot(8 * np.arange(len(means)) + 4, means, color=color, label=way)
            pulls = []
            for name in KNOWN:
                values = ensemble.read(f"measured/{name}")[ways[way]]
                estimate = gamma_method([values[r::n] for r in range(n)], name)
                pulls.append((estimate.value - known[name]) / estimate.error)
            right.errorbar(
                np.arange(len(KNOWN)) + offset, pulls, 1, color=color, marker="o", ls="none"
            )
    left.axhline(known["phi2"], color="black", lw=0.8, label="exact")
    left.set(xlabel="step", ylabel="$\\phi^2$, mean of 64 replicas")
    left.set_ylim(0.8 * known["phi2"], 2 * known["phi2"])
    right.set_xticks(range(len(KNOWN)), KNOWN.values())
    right.set(ylabel="(value - exact) / error")
    right.axhline(0, color="black", lw=0.8)
    return finish(figure)


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
