"""The two-point function with its fit, and the plateau of the effective mass."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from flowlat.analysis.mass.windows import require_window
from flowlat.ensemble.pole_mass import Correlator, correlator_of, vector
from flowlat.report.page.blocks import Block, Picture, Table, Text
from flowlat.report.page.plots import ORANGE, plot_points, style, subplots
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import number, with_error


class Decay:
    """A two-point function, its effective masses, values and errors ``(2, n)`` of each, and its
    pole mass over a window, or averaged over many."""

    def __init__(self, correlator: Correlator, window: Sequence[int] | None):
        require_window(window, correlator.period, "--window")
        self.name, self.period = correlator.name, correlator.period
        self.improved = correlator.improved
        self.two_point = correlator.known
        self.masses = np.array([mass[:2] for mass in correlator.effective_mass()]).T
        self.mass = correlator.mass(window)

    @property
    def fitted(self) -> bool:
        return math.isfinite(self.mass.value)

    @property
    def symbol(self) -> str:
        symbol = "C(t)" if self.name == "two_point" else "C(t) - <|M|>^2"
        return f"{symbol} (improved)" if self.improved else symbol

    def sentence(self) -> str:
        """The pole mass, in a sentence."""
        of = self.symbol
        if self.name != "two_point":
            of += " (the ensemble is ordered)"
        if not self.fitted:
            return f"The cosh fit of {of} found no mass."
        m, error, size = self.mass.value, self.mass.error, self.period
        several = len(self.mass.fits) > 1
        how = "correlated cosh fits, averaged over windows" if several else "a correlated cosh fit"
        return (
            f"Pole mass of {of}, by {how}: m = {with_error(m, error)}, "
            f"m T = {with_error(m * size, error * size)}."
        )

    def table(self) -> Table:
        """A row for each window."""
        head = "t_min", "t_max", "m", "chi2", "dof", "p-value", "weight"
        rows = [
            (
                str(fit.t_min),
                str(fit.t_max),
                with_error(fit.value, fit.error),
                number(fit.chi2, ".2f"),
                str(fit.dof),
                number(fit.p_value, ".2g"),
                number(fit.weight, ".3f"),
            )
            for fit in self.mass.fits
        ]
        caption = (
            "Fits with the covariance of C(t). The p-value knows from how few blocks that was "
            "estimated; the weight is Akaike's."
        )
        return Table(head, rows, caption)

    def curve(self, times: np.ndarray) -> np.ndarray:
        """The fit of largest weight."""
        best = self.mass.best
        m, far = best.value, self.period
        shape = np.exp(-m * times) + np.exp(-m * (far - times))
        start = best.t_min
        norm = math.exp(-m * start) + math.exp(-m * (far - start))
        return best.amplitude * shape / norm


def correlator(run: Sampled, window: Sequence[int] | None = None) -> list[Block]:
    """C(t), or its connected part in an ordered phase; the fits, the effective mass, the table.

    Args:
        window: t_min and t_max of the fit; None: as the sampling has it.

    Raises:
        ConfigError: a window that C(t) does not have.
    """
    measured, averages = run.ensemble.observables(), run.summary["observables"]
    if "two_point" not in measured:
        return [Text("Not measured in this run: two_point.")]
    if run.ensemble.shape[-1] < 2:
        return [Text("The lattice has a single time slice: there is no C(t).")]
    found = correlator_of(run.ensemble, measured, run.summary)
    if found is None:
        return []
    decay = Decay(found, window or (run.summary.get("pole_mass") or {}).get("window"))
    functions = {} if decay.name == "two_point" else {"C(t)": vector(averages["two_point"])}
    functions[decay.symbol] = decay.two_point
    vectors = {**functions, f"effective mass of {decay.symbol}": decay.masses}
    texts = [[with_error(*pair) for pair in vector.T] for vector in vectors.values()]
    rows = [[str(t), *row] for t, row in enumerate(zip_longest(*texts, fillvalue=""))]
    return [
        _two_point(functions, decay),
        _effective_mass(decay),
        Text(decay.sentence()),
        *([decay.table()] if decay.mass.fits else []),
        Table(["t", *vectors], rows, "Lattice units."),
    ]


def _two_point(functions: dict[str, np.ndarray], decay: Decay) -> Picture:
    figure, axes = subplots(6.5, 3.8)
    for index, (label, (values, errors)) in enumerate(functions.items()):
        drawn = np.where(values > 0, values, np.nan)  # the axis is logarithmic
        plot_points(
            axes, np.arange(len(values)), drawn, errors, label, **style(2 * index)
        )  # the fit has 1
    if decay.fitted:
        times = np.linspace(decay.mass.best.t_min, decay.mass.best.t_max, 200)
        axes.plot(times, decay.curve(times), color=ORANGE, label="cosh fit")
    axes.set(xlabel="t, lattice units", ylabel="two-point function, lattice units", yscale="log")
    axes.locator_params(axis="x", integer=True)
    caption = (
        "Zero-momentum two-point function, t up to half the period, and the fit of "
        f"A cosh(m (T/2 - t)), T = {decay.period}, that has the largest weight."
    )
    return Picture("two_point", figure, caption)


def _effective_mass(decay: Decay) -> Picture:
    figure, axes = subplots(6.5, 3.4)
    masses, errors = decay.masses
    t = np.arange(len(masses)) + 0.5
    plot_points(axes, t, masses, errors, "effective mass", **style(0))
    if decay.fitted:
        m, error = decay.mass[:2]
        ends = decay.mass.best[:2]
        axes.fill_between(ends, m - error, m + error, color=ORANGE, alpha=0.4, lw=0)
        axes.plot(ends, (m, m), color=ORANGE, label="pole mass")
    axes.set(xlabel="t, lattice units", ylabel="m, inverse lattice units")
    axes.set_xlim(0, decay.period / 2)
    caption = (
        f"Effective mass of {decay.symbol}, of the periodic form between t and t + 1, drawn "
        "half-way. Points with no solution are left out. The band is the pole mass, of the same "
        "function, over the window of largest weight."
    )
    return Picture("effective_mass", figure, caption)
