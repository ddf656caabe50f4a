"""The two-point function with its fit, and the plateau of the effective mass."""

import math
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

from flowlat.analysis.cosh_fit import CoshFit, Plateau
from flowlat.analysis.estimates import chain_estimate, weighted_estimate
from flowlat.analysis.gamma_method import Estimate
from flowlat.report.page.blocks import Block, Picture, Table, Text
from flowlat.report.page.plots import ORANGE, plot_points, style, subplots
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import with_error

#: a Binder cumulant above this is nearer to +-v (2/3) than to a Gaussian M (0)
ORDERED = 0.5


class Decay:
    """A two-point function, its effective masses, values and errors ``(2, n)`` of each, and its
    cosh fit (A and m)."""

    def __init__(self, run: Sampled, name: str):
        self.name = name
        self.period = run.ensemble.shape[-1]
        two_point = run.ensemble.observables()[name]
        self.two_point = values, errors = vector(run, name)
        masses = estimate(run, Plateau(two_point, self.period), name)
        self.masses = np.array([mass[:2] for mass in masses]).T
        # the first eighth of the period belongs to the excited states
        times = [t for t in range(max(1, self.period // 8), len(values)) if errors[t] > 0]
        self.times = torch.tensor(times)
        self.amplitude = self.mass = Estimate(math.nan, math.nan, math.nan)
        self.chi2, self.dof = math.nan, len(times) - 2
        if self.dof < 0:
            return
        c, sigma = torch.from_numpy(self.two_point)[:, self.times]
        self.fit = CoshFit(two_point, self.times, sigma, self.period)
        self.amplitude, self.mass = estimate(run, self.fit, name)
        best = torch.tensor([self.amplitude.value, self.mass.value], dtype=torch.float64)
        self.chi2 = self.fit.chi2(best, c).item()

    @property
    def fitted(self) -> bool:
        return math.isfinite(self.mass.value)

    def sentence(self) -> str:
        """The pole mass and the quality of the fit, in a sentence."""
        of = "C(t)" if self.name == "two_point" else "C(t) - <|M|>^2 (the ensemble is ordered)"
        if not self.fitted:
            return f"The cosh fit of {of} found no mass."
        (m, error, *_), size = self.mass, self.period
        quality = f", chi2 = {self.chi2:.2f} for {self.dof} degrees of freedom, uncorrelated"
        return (
            f"Pole mass of {of}, from t = {self.times[0]} to {self.times[-1]}: "
            f"m = {with_error(m, error)}, m T = {with_error(m * size, error * size)}"
            f"{quality if self.dof else ''}."
        )


def estimate(run: Sampled, observable: Any, name: str) -> list[Estimate]:
    """A vector observable with errors, from what the run measured under ``name``."""
    series, ensemble = run.series(name), run.ensemble
    if ensemble.kind == "weighted":
        weighted = ensemble.read("log_weight"), ensemble.population
        estimates = weighted_estimate(observable, series[0], *weighted, name)
    else:
        estimates = chain_estimate(observable, series, name)
    return estimates if isinstance(estimates, list) else [estimates]


def vector(run: Sampled, name: str) -> np.ndarray:
    """Values and errors of a vector in the summary ``(2, n)``, NaN where there is none."""
    entries = run.summary["observables"][name]
    return np.array([(entry["value"], entry["error"]) for entry in entries], dtype=float).T


def correlator(run: Sampled) -> list[Block]:
    """C(t), or its connected part in an ordered phase; the fit, the effective mass, the table."""
    measured, summary = run.ensemble.observables(), run.summary["observables"]
    if "two_point" not in measured:
        return [Text("Not measured in this run: two_point.")]
    if run.ensemble.shape[-1] < 2:
        return [Text("The lattice has a single time slice: there is no C(t).")]
    binder = summary["binder"]["value"] if "binder" in summary else 0.0
    ordered = binder > ORDERED and "two_point_connected" in measured
    decay = Decay(run, "two_point_connected" if ordered else "two_point")
    functions = {"C(t)": vector(run, "two_point")}
    if ordered:
        functions["C(t) - <|M|>^2"] = decay.two_point
    vectors = {**functions, "effective mass": decay.masses}
    texts = [[with_error(*pair) for pair in vector.T] for vector in vectors.values()]
    rows = [[str(t), *row] for t, row in enumerate(zip_longest(*texts, fillvalue=""))]
    return [
        _two_point(functions, decay),
        _effective_mass(decay),
        Text(decay.sentence()),
        Table(["t", *vectors], rows, "Lattice units."),
    ]


def _two_point(functions: dict[str, np.ndarray], decay: Decay) -> Picture:
    figure, axes = subplots(6.5, 3.8)
    for number, (label, (values, errors)) in enumerate(functions.items()):
        drawn = np.where(values > 0, values, np.nan)  # the axis is logarithmic
        plot_points(
            axes, np.arange(len(values)), drawn, errors, label, **style(2 * number)
        )  # the fit has 1
    if decay.fitted:
        times = torch.linspace(decay.times[0], decay.times[-1], 200, dtype=torch.float64)
        mass = torch.tensor(decay.mass.value, dtype=torch.float64)
        curve = decay.amplitude.value * decay.fit.shape(mass, times)[0]
        axes.plot(times, curve, color=ORANGE, label="cosh fit")
    axes.set(xlabel="t, lattice units", ylabel="two-point function, lattice units", yscale="log")
    axes.locator_params(axis="x", integer=True)
    caption = (
        "Zero-momentum two-point function, t up to half the period, and the fit of "
        f"A (exp(-m t) + exp(-m (T - t))), T = {decay.period}."
    )
    return Picture("two_point", figure, caption)


def _effective_mass(decay: Decay) -> Picture:
    figure, axes = subplots(6.5, 3.4)
    masses, errors = decay.masses
    t = np.arange(len(masses)) + 0.5
    plot_points(axes, t, masses, errors, "effective mass", **style(0))
    if decay.fitted:
        m, error = decay.mass[:2]
        ends = decay.times[0].item(), decay.times[-1].item()
        axes.fill_between(ends, m - error, m + error, color=ORANGE, alpha=0.4, lw=0)
        axes.plot(ends, (m, m), color=ORANGE, label="cosh fit")
    axes.set(xlabel="t, lattice units", ylabel="m, inverse lattice units")
    axes.set_xlim(0, decay.period / 2)
    caption = (
        "Effective mass of the periodic form between t and t + 1, drawn half-way. Points with no "
        "solution are left out."
    )
    return Picture("effective_mass", figure, caption)
