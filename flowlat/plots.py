"""The pictures that train.py and sample.py leave in their folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito: told apart by every kind of colour vision
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"


def plot_training(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Loss, and ESS with acceptance, against the step; from the rows of metrics.csv."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    step, loss = _series(rows, "loss")
    left.plot(step, loss, color=BLUE, label="loss")
    measured, log_z = _series(rows, "log_z")
    left.plot(measured, -log_z, color=ORANGE, ls="--", label="-log Z (estimate)")
    # the first epochs would squeeze everything else into a line
    low, high = loss.min(), np.percentile(loss, 90)
    left.set_ylim(low - 0.3 * (high - low) - 0.05, high + 0.3 * (high - low) + 0.05)
    left.set_ylabel("reverse KL, up to log Z")
    for name, color in (("ess", BLUE), ("acceptance", ORANGE)):
        right.plot(*_series(rows, name), color=color, marker=".", label=name)
    right.set_ylabel("fraction of the samples")
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("training step")
        _finish(axes)
    figure.savefig(path, dpi=120)


def plot_ensemble(
    magnetization: np.ndarray, log_weight: np.ndarray, path: Path, shown: int = 2000
) -> None:
    """The chain: history and histogram of M; and the distribution of the log weights.

    Args:
        magnetization: M along the chain, ``(n,)``.
        log_weight: of the proposals, ``(n,)``.
        shown: steps of the history to draw.
    """
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    history, modes, weights = figure.subplots(1, 3)
    history.plot(magnetization[:shown], color=BLUE, lw=0.5)
    history.set_xlabel("step of the chain")
    history.set_ylabel("M, lattice units")
    modes.hist(magnetization, bins=80, density=True, color=BLUE)
    modes.set_xlabel("M, lattice units")
    modes.set_ylabel("density")
    centred = log_weight - log_weight.mean()
    weights.hist(centred, bins=80, density=True, color=GREEN)
    weights.set_yscale("log")
    weights.set_xlabel("log w - mean")
    weights.set_ylabel("density")
    for axes in (history, modes, weights):
        _finish(axes)
    figure.savefig(path, dpi=120)


def _series(rows: Sequence[Mapping[str, str]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Step and value of the epochs that have one."""
    pairs = [(float(row["step"]), float(row[name])) for row in rows if row[name] != ""]
    steps, values = np.array(pairs).reshape(-1, 2).T
    return steps, values


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
