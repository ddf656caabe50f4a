"""A scan, from a composed config to the files of its folder."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from flowlat.config.compare import differences
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.ensemble.writer import FREE
from flowlat.flows.domain import Point
from flowlat.report.scan.pictures import plot_scan
from flowlat.runs.folder.record import Record, record_without_hydra, require_free
from flowlat.runs.folders import read_data, read_scan
from flowlat.sampling.draw import draw
from flowlat.sampling.setup import build_setup, pick_devices
from flowlat.scan.free_energy import Ends, checks, ends_of, summary_of
from flowlat.scan.grid import Grid, config_of, grid_of, name_of
from flowlat.scan.reweighting import BlockSums, block_sums, curve_of
from flowlat.scan.samples import NEEDED, read_samples
from flowlat.scan.table import line_of, row_of, rows_of, write_csv
from flowlat.scan.transitions import transitions
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import write_json
from flowlat.utils.provenance import provenance

FORMAT = "flowlat scan 1"
#: what may differ when a scan goes on: what a sampling may, whose checkpoint goes by its content,
#: and the grid
CHANGING = (*FREE, "ckpt_path", "lattice.shape", "action.m2", "action.lam", "save_configs")


def scan(config: dict[str, Any], folder: Path, record: Record | None = None) -> dict[str, Any]:
    """Draw point after point; leave scan.csv, curves.csv, scan.png, summary.json, index.json.

    Returns the summary. Every point is a sampling run in its folder below ``points``: one that was
    stopped goes on where it was.

    Args:
        config: as composed: ranges are text.
        record: of how the run came about, which is written when all is checked.

    Raises:
        ConfigError: an option that cannot be used at any of the points; a folder with something
            else in it.
        CheckpointError, EnsembleError, TooLargeError: see :func:`flowlat.sampling.draw.draw`.
    """
    grid = grid_of(config)
    configs = {point: checked(config_of(config, point)) for point in grid.points()}
    if missing := [name for name in NEEDED if name not in config["observables"]]:
        raise ConfigError(f"observables: a scan needs {missing[0]}; observables=scan has it")
    require_free(folder, "scan", config["resume"])
    if config["resume"]:
        require_same(folder, config)
    device = pick_devices(config["device"], config["devices"])[0]
    first, *others = configs.values()
    build_setup(first, device)
    with quiet():
        for own in others:  # where a domain ends, it does so before anything is drawn
            build_setup(own, device)
    (record or record_without_hydra(folder)).begin()
    write_json(folder / "index.json", index_of(config, grid))
    rows: list[dict[str, str]] = []
    warnings: list[dict[str, str]] = []
    with quiet():
        for point, own in configs.items():
            place = folder / "points" / name_of(point)
            place.mkdir(parents=True, exist_ok=True)
            summary = draw({**own, "resume": True}, place, quiet=True)
            rows.append(row_of(point, summary))
            where = rows[-1]["folder"]
            warnings += [{"folder": where, "text": w["text"]} for w in summary["warnings"]]
            write_csv(folder / "scan.csv", rows)
            print(line_of(rows[-1], len(rows), len(configs)), flush=True)
    summary = {**evaluate(folder, grid), "warnings": warnings, "provenance": provenance()}
    write_json(folder / "summary.json", summary)
    plot_scan([read_scan(folder)], folder / "scan.png")
    return summary


def evaluate(folder: Path, grid: Grid) -> dict[str, Any]:
    """What all the points together show; leaves curves.csv."""
    ends: Ends = {}
    sums: dict[Point, BlockSums] = {}
    for line in grid.lines():
        for point in line:  # one after another: all together may not fit into memory
            samples = read_samples(folder / "points" / name_of(point), point)
            ends |= ends_of(samples, grid)
            sums[point] = block_sums(samples, line, grid.along)
    curves = [curve_of(sums, line, grid.along) for line in grid.lines()]
    write_csv(folder / "curves.csv", [row for curve in curves for row in rows_of(curve)])
    return {"points": len(sums), **transitions(curves), "check": summary_of(checks(ends, grid))}


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The sampling config of a point, checked as that of sample.py is."""
    return validate(OmegaConf.create(config), SampleConfig)


def require_same(folder: Path, config: dict[str, Any]) -> None:
    """Raise ConfigError if what a scan in the folder was made with is not what is asked for."""
    there = read_data(folder / "index.json")
    if there is None:
        return
    if there.get("format") != FORMAT:
        raise ConfigError(f"{folder}/index.json: not that of a scan ({FORMAT})")
    for key, (a, b) in differences(config, there["config"]).items():
        if key not in CHANGING and key.split(".")[0] not in CHANGING:
            raise ConfigError(f"{key}={a}: the scan in {folder} has {key}={b}")


def index_of(config: Mapping[str, Any], grid: Grid) -> dict[str, Any]:
    """The content of index.json."""
    points = [{**p._asdict(), "folder": f"points/{name_of(p)}"} for p in grid.points()]
    return {"format": FORMAT, "config": config, "along": grid.along, "points": points}


@contextmanager
def quiet() -> Iterator[None]:
    """What every point would say of its flow is said once."""
    log = logging.getLogger("flowlat.families")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
