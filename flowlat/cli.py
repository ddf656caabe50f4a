"""What train.py and sample.py share: one-line errors, tables, threads, the run folder."""

import logging
import math
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from flowlat.errors import USER_ERRORS, Interrupted
from flowlat.ranks import rank, started_elsewhere

Result = TypeVar("Result")


log = logging.getLogger(__name__)

#: why a job of a multirun failed: a line, and perhaps a traceback
ERROR_FILE = "error.txt"

#: what a sampling run leaves in its folder
FILES = (".h5", ".png", ".json", ".html")


def one_line_errors(task: Callable[[DictConfig], Result]) -> Callable[[DictConfig], Result | None]:
    """Ends the program with one line and exit code 2 on an error that the user can mend.

    A run folder in which nothing happened yet is removed. A job of a multirun that fails, for
    whatever reason, returns nothing and says why in its folder; the other jobs go on. A signal ends
    a multirun, too, with the shell's own exit code for it.
    """

    @wraps(task)
    def wrapped(cfg: DictConfig) -> Result | None:
        (run_dir() / ERROR_FILE).unlink(missing_ok=True)
        logging.raiseExceptions = False  # of a log file on a full disk
        try:
            return task(cfg)
        except (Interrupted, KeyboardInterrupt) as error:
            stop = Interrupted("interrupted", signal.SIGINT)
            if isinstance(error, Interrupted):
                stop = error
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note(stop)
            elif rank() == 0:
                print(stop, file=sys.stderr)
                remove_if_unused(run_dir())
            sys.exit(128 + stop.number)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note(error)
                return None  # a failed trial to a sweeper, which NaN is not to optuna's
            if not isinstance(error, USER_ERRORS):
                raise
            if rank() == 0:
                remove_if_unused(run_dir())
            refuse(error)

    return wrapped


def note(error: Exception) -> None:
    """Note why this job of a multirun failed, with the traceback if the user cannot mend it."""
    if rank() == 0:
        known = isinstance(error, USER_ERRORS)
        line = " ".join(str(error if known else f"{type(error).__name__}: {error}").split())
        log.error("error: %s", line)
        more = [] if known else traceback.format_exception(error)
        with suppress(OSError):  # of a full disk
            (run_dir() / ERROR_FILE).write_text("\n".join([line, *more]))


def refuse(error: object) -> NoReturn:
    """End the program with exit code 2 and, of several ranks that find the same, one line."""
    if rank() == 0:
        print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


class RunFolder(Callback):
    """Ends the program with one line where the run folder cannot be written, before Hydra tries.

    So too where processes that torchrun or srun started would not agree on it: its default has the
    time in it.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if started_elsewhere() and not any(
            override.startswith("hydra.run.dir=") for override in config.hydra.overrides.hydra
        ):
            refuse("hydra.run.dir: torchrun and srun need it, as one folder for all processes")
        self.probe("hydra.run.dir", config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if started_elsewhere():
            refuse(
                "-m within torchrun or srun: start the sweep without, trainer=ddp starts its own"
            )
        self.probe("hydra.sweep.dir", config.hydra.sweep.dir)

    def probe(self, key: str, folder: str) -> None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(2**16))  # a full disk still has room for a name
        except OSError as error:
            refuse(f"{key}={folder}: {error.strerror}")


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
        *forward_row(summary),
        ("epochs, steps", f"{summary['epochs']}, {summary['steps']}"),
        ("seconds", f"{summary['seconds']:.0f}"),
        ("checkpoint", checkpoint),
    ]
    return (
        f"\nReached, on {summary['n_samples']} fresh samples:\n{table(rows)}\n"
        f"Sample from it:\n  python sample.py ckpt_path={checkpoint}"
    )


def forward_row(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The forward ESS, where a training was given an ensemble to measure it on."""
    if "forward_ess" not in summary:
        return []
    return [("forward ESS", fraction(summary["forward_ess"], summary["forward_ess_err"]))]


def fraction(value: float, error: float) -> str:
    """A fraction with its error; its order of magnitude alone where it is next to nothing."""
    return with_error(value, error) if value > 1e-3 else f"{value:.0e}"


def sample_report(summary: dict[str, Any], folder: Path) -> str:
    """What a sampling run found, and where it is."""
    quality = [
        ("acceptance", number(summary["acceptance"], ".4f")),
        ("ESS", number(summary.get("ess"), ".4f")),
        ("log Z", measured(summary.get("log_z"))),
        ("free energy / V", measured(summary.get("free_energy_density"))),
        ("longest rejection run", number(summary.get("longest_rejection_run"), "d")),
        ("<sign M>", f"{summary['sign_balance']:.3f}"),
        ("Schwinger-Dyson", against(summary["schwinger_dyson"], 1)),
        ("samples per second", f"{summary['samples_per_second']:.0f}"),
    ]
    quality = [(name, text) for name, text in quality if text]
    tables: list[list[tuple[str, ...]]] = [[*quality], scalars(summary), vectors(summary)]
    files = ", ".join(p.name for p in sorted(folder.iterdir()) if p.suffix in FILES)
    body = "\n\n".join(table(rows) for rows in tables if rows)
    return f"\n{of_what(summary)}:\n{body}\n\nIn {shorten(str(folder))}: {files}"


def scalars(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each observable that is a number, reweighted too where it can be."""
    chain, reweighted = summary["kind"] != "weighted", summary.get("reweighted")
    rows = [("observable", "value", *["tau_int"] * chain, *["reweighted"] * bool(reweighted))]
    for name, found in summary["observables"].items():
        if isinstance(found, dict):
            row = [name, measured(found)]
            if chain:
                row.append(number(found["tau_int"], ".2f"))
            if reweighted:
                row.append(measured(reweighted[name]))
            rows.append(tuple(row))
    return rows


def vectors(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each observable that is a vector."""
    found = summary["observables"].items()
    return [
        (name, in_brief([measured(one) for one in values]))
        for name, values in found
        if isinstance(values, list)
    ]


def of_what(summary: dict[str, Any]) -> str:
    """What the rows of an ensemble are."""
    n, replicas = summary["n_samples"], summary["replicas"]
    if summary["kind"] == "weighted":
        return f"{n} weighted configurations"
    rows = "proposals" if summary["kind"] == "proposals" else "configurations"
    return f"{n} {rows} of {replicas} chains" if replicas > 1 else f"{n} {rows}"


def measured(estimate: dict[str, float] | None) -> str:
    """A value with its error; nothing for None."""
    return with_error(estimate["value"], estimate["error"]) if estimate else ""


def against(estimate: dict[str, float], exact: float) -> str:
    """A value with its error and how many errors it is from the exact one."""
    pull = (estimate["value"] - exact) / (estimate["error"] or math.nan)
    return f"{measured(estimate)}, exactly {exact}" + (
        f": {pull:+.1f} sigma" if math.isfinite(pull) else ""
    )


def number(value: float | None, spec: str) -> str:
    """A number as it is to be written; nothing for None or NaN."""
    return "" if value is None or math.isnan(value) else format(value, spec)


def in_brief(values: list[str], width: int = 72) -> str:
    """The first values of a vector, as many as fit into a line."""
    shown = len(values)
    while len(" ".join(values[:shown])) > width and shown > 1:
        shown -= 1
    rest = len(values) - shown
    return " ".join(values[:shown]) + (f" ... {rest} more" if rest else "")


def shorten(path: str) -> str:
    """A path as one would type it here: relative if it lies below the working folder."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
