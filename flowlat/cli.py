"""What train.py and sample.py share: one-line errors, tables, threads, the run folder."""

import logging
import math
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from flowlat.errors import USER_ERRORS

Result = TypeVar("Result")


def one_line_errors(task: Callable[[DictConfig], Result]) -> Callable[[DictConfig], Result]:
    """Ends the program with one line and exit code 2 on an error that the user can mend.

    A run folder in which nothing happened yet is removed. In a multirun the error is raised, so
    that the other jobs go on and Hydra reports this one.
    """

    @wraps(task)
    def wrapped(cfg: DictConfig) -> Result:
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's, of PyTorch
        try:
            return task(cfg)
        except USER_ERRORS as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            remove_if_unused(run_dir())
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped


def run_dir() -> Path:
    """The folder of this run, ``hydra.run.dir``."""
    return Path(HydraConfig.get().runtime.output_dir)


def remove_if_unused(folder: Path) -> None:
    """Remove a run folder that holds nothing but Hydra's own files."""
    own = {".hydra", "train.log", "sample.log"}
    if all(entry.name in own for entry in folder.iterdir()):
        logging.shutdown()
        shutil.rmtree(folder)


def with_error(value: float, error: float) -> str:
    """A value with its error in the last two digits: 9.2902(23)."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    error = float(f"{error:.1e}")  # 0.0996 is 0.10, and has a digit less
    digits = max(0, 1 - math.floor(math.log10(error)))
    last = round(error * 10**digits) if digits else round(error)
    # an error of a digit or more before the point is written out: 382.3(1.2)
    if digits and error >= 1:
        return f"{value:.{digits}f}({error:.{digits}f})"
    return f"{value:.{digits}f}({last})"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in aligned columns, the first one flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def fit_report(summary: dict[str, Any]) -> str:
    """What a training reached, where it is, and how to sample from it."""
    checkpoint = shorten(summary["checkpoint"])
    rows = [
        ("ESS", f"{summary['ess']:.4f}"),
        ("acceptance", f"{summary['acceptance']:.4f}"),
        ("log Z", with_error(summary["log_z"], summary["log_z_err"])),
        ("epochs, steps", f"{summary['epochs']}, {summary['steps']}"),
        ("seconds", f"{summary['seconds']:.0f}"),
        ("checkpoint", checkpoint),
    ]
    return (
        f"\nReached, on {summary['n_samples']} fresh samples:\n{table(rows)}\n"
        f"Sample from it:\n  python sample.py ckpt_path={checkpoint}"
    )


def sample_report(summary: dict[str, Any], folder: Path) -> str:
    """What a sampling run found, and where it is."""
    log_z = summary["log_z"]
    quality = [
        ("acceptance", f"{summary['acceptance']:.4f}"),
        ("ESS", f"{summary['ess']:.4f}"),
        ("log Z", with_error(log_z["value"], log_z["error"])),
        ("longest rejection run", str(summary["longest_rejection_run"])),
        ("<sign M>", f"{summary['sign_balance']:.3f}"),
    ]
    rows = [("observable", "value", "tau_int")]
    rows += [
        (name, with_error(o["value"], o["error"]), f"{o['tau_int']:.2f}")
        for name, o in summary["observables"].items()
    ]
    return (
        f"\n{summary['n_samples']} proposals:\n{table(quality)}\n\n{table(rows)}\n\n"
        f"In {shorten(str(folder))}: ensemble.h5, ensemble.png, summary.json"
    )


def shorten(path: str) -> str:
    """A path as one would type it here: relative if it lies below the working folder."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
