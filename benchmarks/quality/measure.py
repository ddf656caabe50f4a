"""One training and what is drawn from it, as the tables of quality and of phases have it."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import environment, made
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.runs.metrics import read_metrics
from flowlat.sampling.draw import draw
from flowlat.training.launch import train

#: columns of metrics.csv that a curve has
CURVE = ("step", "seconds", "ess", "acceptance")


def measure(overrides: Sequence[str], samples: int, folder: Path) -> dict[str, Any]:
    """``train.py`` with these overrides, then ``sample.py`` on the best checkpoint; one thread.

    Returns plain data: what summary.json says of the fresh samples, the CPU seconds of the
    training with its evaluations, the curve of the training (``seconds`` are of the wall clock),
    the config as the checkpoint has it, and every warning of either.
    """
    config = validate(compose([*overrides, "threads=1"]), TrainConfig)
    with warnings_in(folder) as warned:
        before, started = time.process_time(), time.monotonic()
        trained = train(config, made(folder / "fit"))
        cpu_seconds, seconds = time.process_time() - before, time.monotonic() - started
        asked = [f"ckpt_path={trained['checkpoint']}", f"n_samples={samples}"]
        # the seed too: trainings of several seeds are to be judged by noise of their own
        options = ["save_configs=false", f"seed={config['seed']}", "threads=1"]
        sampling = validate(compose([*asked, *options], "sample"), SampleConfig)
        drawn = draw(sampling, made(folder / "draw"))
    record = read_checkpoint(trained["checkpoint"])["flowlat"]
    last = read_checkpoint(folder / "fit" / "checkpoints" / "last.ckpt")["flowlat"]
    found, config = drawn["observables"], record["config"]
    return {
        "phase": config.get("phase"),
        "steps": trained["steps"],
        "training_samples": trained["steps"] * config["data"]["batch_size"],
        "rollbacks": last["rollbacks"],
        "cpu_seconds": cpu_seconds,
        "seconds": seconds,
        "n_samples": drawn["n_samples"],
        **{key: drawn[key] for key in ("ess", "acceptance", "log_z", "sign_balance")},
        **{name: found[name] for name in ("abs_magnetization", "chi2", "schwinger_dyson")},
        "warnings": {
            "training": trained.get("warnings"),
            "sampling": drawn.get("warnings"),
            "logged": warned,
        },
        "curve": curve(folder / "fit" / "metrics.csv"),
        "config": config,
        "environment": environment(),
    }


def curve(path: Path) -> list[dict[str, float]]:
    """The epochs of a metrics.csv that were evaluated."""
    rows = [row for row in read_metrics(path) if row["ess"] != ""]
    return [{name: float(row[name]) for name in CURVE} for row in rows]


@contextmanager
def warnings_in(folder: Path) -> Iterator[list[str]]:
    """The lines that flowlat logs at WARNING or above, with paths from ``folder`` on."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(  # type: ignore[method-assign]
        record.getMessage().replace(f"{folder}/", "")
    )
    logger = logging.getLogger("flowlat")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
