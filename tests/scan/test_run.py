"""Whole scans of theories that are known, what they leave, and how they go on."""

import csv
import json
import logging

import pytest

from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import known
from flowlat.ensemble import open_ensemble
from flowlat.lattice import Lattice
from flowlat.report.build import build
from flowlat.report.page.terminal import as_text
from flowlat.runs.folders import read_run
from flowlat.scan import run as run_module
from flowlat.scan.console import check_line, scan_report
from flowlat.scan.run import scan
from flowlat.utils.errors import ConfigError, EnsembleError
from tests.support.scans import config

#: annealed importance sampling: log Z without a flow
ANNEALED = (
    *("sampler=annealed", "sampler.n_steps=20", "sampler.population=64", "n_samples=1280"),
    *("lattice=1d", "lattice.shape=[[4],[8]]", "action.m2=-1.0", "action.lam=1:2:0.5"),
)
HMC = (
    *("sampler.replicas=64", "sampler.thermalization=50", "n_samples=1280"),
    *("lattice=1d", "lattice.shape=[8]", "action.m2=-1.0", "action.lam=1:2:0.5"),
)


def rows_of(folder):
    with (folder / "scan.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def against(rows, theory, names):
    """Every value within 5 errors of the exact one: p = 6e-7 each."""
    for row in rows:
        shape = [int(side) for side in row["shape"].split("x")]
        truth = known(theory(float(row["m2"]), float(row["lam"])), Lattice(shape))
        for name in names:
            value, error = float(row[name]), float(row[f"{name}_err"])
            digits = 1e-11 * abs(value)  # that the file has; annealing from S itself has no error
            away = abs(value - truth[name])
            assert away < 5 * error + digits, (row["shape"], row["lam"], name)
            assert error < 0.2 * abs(value)


@pytest.fixture(scope="module")
def annealed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annealed")
    return folder, scan(config(*ANNEALED), folder)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chains")
    return folder, scan(config(*HMC), folder)


def test_a_line_of_the_transfer_matrix(annealed):
    rows = rows_of(annealed[0])
    assert [(row["shape"], row["lam"]) for row in rows] == [
        (shape, lam) for shape in ("4", "8") for lam in ("1", "1.5", "2")
    ]
    against(rows, Phi4, ("log_z", "chi2", "phi2"))


def test_hmc_has_the_same_without_log_z(chains):
    rows = rows_of(chains[0])
    against(rows, Phi4, ("chi2", "phi2"))
    assert not any(row["log_z"] or row["ess"] for row in rows)
    assert chains[1]["check"] is None
    assert all(float(row["tau_int"]) > 0.4 for row in rows)


def test_the_free_theory_along_its_mass(tmp_path):
    names = ("action=free", "action.m2=0.5:1.5:0.5", "lattice=2d", "lattice.shape=[4,4]")
    summary = scan(config(*ANNEALED[:4], *names), tmp_path)
    against(rows_of(tmp_path), lambda m2, _: Free(m2), ("log_z", "chi2", "phi2"))
    assert summary["check"]["coupling"] == "m2"


def test_log_z_is_checked_against_its_derivative(annealed):
    """Of 4 pairs the worst within 5 errors: p = 2e-6."""
    check = annealed[1]["check"]
    assert check["pairs"] == 4
    assert abs(check["worst_pull"]) < 5
    line = check_line(check)
    assert line.startswith("  d log Z / d lam = -<sum phi^4>: worst pull ")
    assert check_line({**check, "worst_pull": 7.0}).startswith("WARNING: d log Z / d lam")


def test_what_it_leaves(annealed):
    folder, summary = annealed
    names = {"scan.csv", "curves.csv", "scan.png", "summary.json", "index.json", "points"}
    assert {path.name for path in folder.iterdir()} == names
    index = json.loads((folder / "index.json").read_text())
    assert index["config"]["action"]["lam"] == "1:2:0.5"
    for point in index["points"]:
        with open_ensemble(folder / point["folder"]) as ensemble:
            assert list(ensemble.shape) == point["shape"]
            assert ensemble.config["action"]["lam"] == point["lam"]
        assert not (folder / point["folder"] / "ensemble.png").exists()
    assert json.loads((folder / "summary.json").read_text())["points"] == 6
    assert [p["shape"] for p in summary["peaks"]] == ["4", "8"]
    assert len(summary["crossings"]) == 1
    said = scan_report(summary, folder)
    assert "crossing of U4" in said
    assert "points/" in said


def test_a_scan_that_was_stopped_goes_on(chains, tmp_path, monkeypatch, capsys):
    """With the very numbers of one that was not."""
    draw, drawn = run_module.draw, []

    def stopping(config, folder, **options):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(folder.name)
        return draw(config, folder, **options)

    monkeypatch.setattr(run_module, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        scan(config(*HMC), tmp_path)
    assert len(rows_of(tmp_path)) == 2
    assert "no scan.csv" not in as_text(build([tmp_path]).sections)
    monkeypatch.setattr(run_module, "draw", draw)
    with pytest.raises(ConfigError, match=r"has a scan already .*resume=true goes on with it"):
        scan(config(*HMC), tmp_path)
    with pytest.raises(ConfigError, match=r"seed=5: the scan in .* has seed=0"):
        scan(config(*HMC, "resume=true", "seed=5"), tmp_path)
    capsys.readouterr()
    scan(config(*HMC, "resume=true"), tmp_path)
    assert capsys.readouterr().out.count("\n") == 3
    ours, theirs = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(folder)]
        for folder in (tmp_path, chains[0])
    )
    assert ours == theirs
    longer = [name.replace("1:2:0.5", "1:2.5:0.5") for name in HMC]
    scan(config(*longer, "resume=true"), tmp_path)
    assert [row["lam"] for row in rows_of(tmp_path)] == ["1", "1.5", "2", "2.5"]


def test_nothing_is_drawn_where_a_point_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match=r"lam=-1\.0: negative"):
        scan(config(*HMC[:-1], "action.lam=-1:1:0.5"), tmp_path)
    with pytest.raises(ConfigError, match="observables: a scan needs phi4"):
        scan(config(*HMC, "observables=standard"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_map(tmp_path):
    names = ("action.m2=-1:0:1", "action.lam=1:2:1")
    summary = scan(config(*ANNEALED[:5], "lattice.shape=[4]", *names), tmp_path)
    assert summary["check"]["pairs"] == 4
    assert [p["m2"] for p in summary["peaks"]] == [-1.0, 0.0]
    assert (tmp_path / "scan.png").stat().st_size > 10_000


def test_two_scans_side_by_side(annealed, chains):
    """Mean square of the pulls of 7 observables at 3 points, which are correlated, below 4."""
    page = build([annealed[0], chains[0]])
    text = next(block.text for block in page.sections[2].blocks if hasattr(block, "text"))
    assert "B - A over its error at 3 points" in text
    assert float(text.rpartition(" ")[2].rstrip(".")) < 4
    shown = as_text(page.sections)
    assert "Pulls, B against A" in shown
    assert "crossing of U4" in shown


def test_scans_without_a_common_point_are_refused(annealed, chains, tmp_path):
    rows = rows_of(chains[0])
    for name in ("index.json", "summary.json"):
        (tmp_path / name).write_text((chains[0] / name).read_text())
    with (tmp_path / "scan.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{**row, "m2": "3"} for row in rows])
    with pytest.raises(ConfigError, match=f"RUN={tmp_path}: has no point of"):
        build([annealed[0], tmp_path])
    (tmp_path / "scan.csv").write_text("shape,m2,lam\n8,x,1\n")
    with pytest.raises(ConfigError, match="m2=x is not a number"):
        read_run(tmp_path)
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"index\.json: not that of a scan"):
        read_run(tmp_path)


def test_a_damaged_point_is_named(chains, tmp_path):
    for path in chains[0].rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(chains[0])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "points" / "8_m2_-1_lam_1.5" / "ensemble.h5").write_bytes(b"no")
    with pytest.raises(EnsembleError, match=r"lam_1\.5"):
        scan(config(*HMC, "resume=true"), tmp_path)


def test_a_flow_says_once_which_it_is(caplog):
    caplog.set_level(logging.INFO)
    log = logging.getLogger("flowlat.families.point")
    with run_module.quiet():
        log.info("hidden")
    log.info("said")
    assert [record.getMessage() for record in caplog.records] == ["said"]
