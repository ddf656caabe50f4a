"""The run folders a report is made of: a sampling, a training, a scan, a multirun of trainings."""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf

from flowlat.analysis.importance import normalised
from flowlat.ensemble import Ensemble, open_ensemble
from flowlat.ensemble.foreign import require_own
from flowlat.runs.folder.lock import at_work
from flowlat.runs.metrics import read_metrics
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import typed


class Sampled(NamedTuple):
    """A finished run of sample.py."""

    path: Path
    ensemble: Ensemble
    summary: dict[str, Any]

    def series(self, name: str) -> list[np.ndarray]:
        """A measured quantity, one array a replica: along the chain, or in the order of the rows
        where they are weighted."""
        if self.ensemble.kind == "weighted":
            return [self.ensemble.read(f"measured/{name}")]
        return self.ensemble.chains(name)

    def weights(self) -> np.ndarray | None:
        """Normalised weights of the rows of a weighted ensemble; None for a chain."""
        if self.ensemble.kind != "weighted":
            return None
        weight, _ = normalised(self.ensemble.read("log_weight"))
        return weight / weight.sum()


class Trained(NamedTuple):
    """A run of train.py, finished (then it has a summary) or not."""

    path: Path
    rows: list[dict[str, str]]
    config: dict[str, Any]
    summary: dict[str, Any] | None


class Scanned(NamedTuple):
    """A run of flowlat.scan, finished (then it has curves and a summary) or not.

    rows: of scan.csv, text; those of curves.csv are ``curves``. along: the coupling of its lines.
    config: as it was composed, its ranges text.
    """

    path: Path
    rows: list[dict[str, str]]
    curves: list[dict[str, str]]
    along: str
    config: dict[str, Any]
    summary: dict[str, Any] | None


def read_run(path: Path) -> Sampled | Trained | Scanned | Path:
    """The run in a folder; of a multirun, the folder.

    Raises:
        ConfigError: no such folder, or nothing in it to report.
        EnsembleError: an ensemble.h5 that cannot be read.
    """
    if path.is_file():
        require_own(path)
        raise ConfigError(f"RUN={path}: a file, and not the folder of a run")
    if not path.is_dir():
        raise ConfigError(f"RUN={path}: no such folder")
    drawn = any((path / name).exists() for name in ("ensemble.h5", "parts"))
    if drawn and not (path / "summary.json").exists():
        if who := at_work(path):
            raise ConfigError(f"RUN={path}: the sampling is not finished, {who} is at work in it")
        hint = f"{typed('hydra.run.dir', path)} resume=true"
        raise ConfigError(
            f"RUN={path}: the sampling did not finish; its command with {hint} goes on with it"
        )
    if (path / "ensemble.h5").exists():
        return Sampled(path, open_ensemble(path), read_data(path / "summary.json"))
    if (path / "metrics.csv").exists():
        return read_training(path)
    if (path / "scan.csv").exists():
        return read_scan(path)
    if (path / "multirun.yaml").exists():
        return path
    raise ConfigError(
        f"RUN={path}: no ensemble.h5, metrics.csv, scan.csv or multirun.yaml: nothing to report"
    )


def read_training(path: Path) -> Trained:
    """A training, whatever there is of it yet."""
    return Trained(path, epochs(path), read_config(path), read_data(path / "summary.json"))


def read_scan(path: Path) -> Scanned:
    """A scan, whatever there is of it yet.

    Raises:
        ConfigError: a file that cannot be read.
    """
    index = read_data(path / "index.json") or {}
    if index.get("along") not in ("m2", "lam"):
        raise ConfigError(f"{path}/index.json: not that of a scan")
    rows = numbers(path / "scan.csv", text=("shape", "folder"))
    curves = path / "curves.csv"
    fine = numbers(curves, text=("shape",)) if curves.exists() else []
    for row in (*rows, *fine):
        if not (row.get("shape") and row.get("m2") and row.get("lam")):
            raise ConfigError(f"{path}: scan.csv or curves.csv: not that of a scan")
    config = index.get("config")
    config = config if isinstance(config, dict) else {}
    return Scanned(path, rows, fine, index["along"], config, read_data(path / "summary.json"))


def epochs(path: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv; not one that is being written, or was when the run was killed.

    Raises:
        ConfigError: a cell that is no number.
    """
    return numbers(path / "metrics.csv")


def numbers(file: Path, text: Sequence[str] = ()) -> list[dict[str, str]]:
    """The whole rows of a table; all cells but those of the columns ``text`` are numbers or empty.

    Raises:
        ConfigError: a cell that is no number.
    """
    rows = [row for row in read_metrics(file) if None not in row.values()]
    for name, cell in chain.from_iterable(row.items() for row in rows):
        if name in text:
            continue
        try:
            float(cell or "nan")
        except ValueError as error:
            raise ConfigError(f"{file}: {name}={cell} is not a number") from error
    return rows


def read_config(path: Path) -> dict[str, Any]:
    """The config that Hydra left in a training's folder; empty if it did not."""
    return read_data(path / ".hydra" / "config.yaml") or {}


def read_data(path: Path) -> Any:
    """Plain data of a YAML file, or of a JSON file with a mapping; None where there is no file.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path.exists():
        return None
    try:
        if path.suffix == ".json":
            return {**json.loads(path.read_text())}
        # interpolations stay as they are written: they speak of Hydra's run
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:  # a damaged file may fail in any way
        raise ConfigError(f"{path}: not readable ({type(error).__name__})") from error
