"""The house style of pictures, and those that train.py and sample.py leave in their folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito: told apart by every kind of colour vision
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#000000")
GREY = "#888888"


def plot_training(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Loss, and ESS with acceptance, against the step; from the rows of metrics.csv."""
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    step, loss = series(rows, "loss")
    left.plot(step, loss, color=BLUE, marker=".", label="loss")
    measured, log_z = series(rows, "log_z")
    left.plot(measured, -log_z, color=ORANGE, ls="--", label="-log Z (estimate)")
    left.set_ylim(*without_start(loss))
    left.set_ylabel("reverse KL, up to log Z")
    curves = {"ess": BLUE, "acceptance": ORANGE, "forward_ess": GREEN}
    for name, color in curves.items():
        if any(row.get(name) for row in rows):
            right.plot(*series(rows, name), color=color, marker=".", label=name.replace("_", " "))
    right.set_ylabel("fraction of the samples")
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("training step")
        finish(axes)
    figure.savefig(path, dpi=120)


def plot_ensemble(
    magnetization: np.ndarray, log_weight: np.ndarray | None, path: Path, shown: int = 2000
) -> None:
    """The chain: history and histogram of M; and the distribution of the log weights.

    Args:
        magnetization: M along the chain, ``(n,)``.
        log_weight: of the proposals, ``(n,)``; None where there are none.
        shown: steps of the history to draw.
    """
    figure = new_figure(12 if log_weight is not None else 8, 3.4)
    history, modes, *weights = figure.subplots(1, 2 if log_weight is None else 3)
    history.plot(magnetization[:shown], color=BLUE, lw=0.5)
    history.set_xlabel("step of the chain")
    history.set_ylabel("M, lattice units")
    modes.hist(magnetization, bins=80, density=True, color=BLUE)
    modes.set_xlabel("M, lattice units")
    modes.set_ylabel("density")
    if log_weight is not None:
        histogram_of_weights(weights[0], log_weight)
    for axes in (history, modes, *weights):
        finish(axes)
    figure.savefig(path, dpi=120)


def histogram_of_weights(axes: Axes, log_weight: np.ndarray, bins: int = 80) -> None:
    """The density of log w around its mean, on a logarithmic axis."""
    axes.hist(log_weight - log_weight.mean(), bins=bins, density=True, color=GREEN)
    axes.set_yscale("log")
    axes.set_xlabel("log w - mean")
    axes.set_ylabel("density")


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, outside pyplot: nothing global is touched."""
    return Figure(figsize=(width, height), layout="constrained")


def points(
    axes: Axes,
    x: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    colour: str,
    marker: str,
    label: str | None = None,
) -> None:
    """Markers with error bars, and no line between them."""
    axes.errorbar(
        x, values, errors, color=colour, marker=marker, ms=4, ls="none", capsize=2, label=label
    )


def finish(axes: Axes) -> None:
    """Grid, two spines, and a legend if anything has a label."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def without_start(loss: np.ndarray) -> tuple[float, float]:
    """Limits of an axis that leave out the first epochs: they would flatten everything else."""
    low, high = loss.min(), np.percentile(loss, 90)
    return low - 0.3 * (high - low) - 0.05, high + 0.3 * (high - low) + 0.05


def series(
    rows: Sequence[Mapping[str, str]], name: str, against: str = "step"
) -> tuple[np.ndarray, np.ndarray]:
    """Step (or another column) and value of the epochs that have one."""
    pairs = [(float(row[against]), float(row[name])) for row in rows if row[name] != ""]
    steps, values = np.array(pairs).reshape(-1, 2).T
    return steps, values
