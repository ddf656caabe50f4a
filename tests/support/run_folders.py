"""Run folders as train.py and its multirun leave them, without a training."""

import csv
import json
from pathlib import Path

import yaml

from flowlat.runs.metrics import COLUMNS


def write_training(
    folder: Path,
    acceptance: list[float],
    seconds: float = 2.0,
    finished: bool = True,
    shape: tuple[int, ...] = (4, 4),
    lam: float = 8.0,
    overrides: tuple[str, ...] = (),
    number: int = 0,
) -> Path:
    """A training whose epoch e has ``acceptance[e]``, a bit less ESS, and ended after (e + 1)
    ``seconds``. Every third epoch is not evaluated."""
    hydra = folder / ".hydra"
    hydra.mkdir(parents=True, exist_ok=True)
    config = {
        "lattice": {"_target_": "flowlat.lattice.Lattice", "shape": list(shape)},
        "action": {"_target_": "flowlat.actions.Phi4", "m2": -4.0, "lam": lam},
        "trainer": {"max_epochs": len(acceptance)},
        "logger": {"wandb": {"save_dir": "${hydra:runtime.output_dir}"}},
    }
    (hydra / "config.yaml").write_text(yaml.safe_dump(config))
    (hydra / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    (hydra / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"num": number}}}))
    if acceptance:
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for epoch, value in enumerate(acceptance):
                writer.writerow(row(epoch, value, seconds))
    if finished:
        write_summary(folder)
    return folder


def row(epoch: int, acceptance: float, seconds: float = 2.0) -> dict[str, object]:
    """An epoch of metrics.csv."""
    measured = {"ess": 0.9 * acceptance, "acceptance": acceptance, "log_z": 9.3, "log_z_err": 0.02}
    if epoch % 3 == 1:
        measured = dict.fromkeys(measured, "")
    return {
        "epoch": epoch,
        "step": 100 * (epoch + 1),
        "loss": -9 * (1 - 0.5**epoch),
        "lr": 1e-3,
        "seconds": seconds * (epoch + 1),
        **measured,
    }


def write_summary(folder: Path) -> None:
    summary = {"ess": 0.91, "acceptance": 0.83, "log_z": 9.29, "log_z_err": 0.01, "seconds": 33.0}
    (folder / "summary.json").write_text(json.dumps(summary))


def write_multirun(folder: Path, *task: str, sweeper: str = "basic_sweeper.BasicSweeper") -> Path:
    """What Hydra writes of a multirun before its first job."""
    folder.mkdir(parents=True, exist_ok=True)
    target = f"hydra._internal.core_plugins.{sweeper}"
    hydra = {
        "sweeper": {"_target_": target, "params": None},
        "overrides": {"task": list(task)},
    }
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return folder


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file below a folder, with when it was written and what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
