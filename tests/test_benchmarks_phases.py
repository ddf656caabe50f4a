"""The benchmarks of commands as people type them, in their smallest form."""

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest

from benchmarks import robustness
from benchmarks.apart import answer, apart
from benchmarks.phases.__main__ import main
from benchmarks.phases.picture import plot_phases
from benchmarks.phases.references import point, pull
from benchmarks.phases.rows import ARCHITECTURES, GROUPS, POINTS, Row
from benchmarks.phases.table import HEADER, table, verdict
from benchmarks.quality.__main__ import ROWS, results
from benchmarks.quality.__main__ import table as quality_table
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import TrainConfig
from tests.support.endings import end

SMALL = ["trainer.max_epochs=2", "trainer.limit_train_batches=2", "evaluation.n_samples=64"]
WHOLE = {
    "overrides": "lattice=4d arch=combconv_k1",
    "phase": "ordered",
    "steps": 1000,
    "rollbacks": 0,
    "cpu_seconds": 100.0,
    "seconds": 200.0,
    "ess": 0.9,
    "acceptance": 0.85,
    "sign_balance": 0.01,
    "log_z": {"value": -51.71, "error": 0.003, "systematic": 1e-4},
    "warnings": {"logged": []},
    "curve": [{"step": i, "seconds": 20.0 * i, "ess": i / 10, "acceptance": 0.5} for i in (1, 2)],
    "config": {"lattice": {"shape": [4, 4, 4, 4]}},
}
TRUTH = {"value": -51.711, "error": 0.004}


@pytest.fixture
def together(monkeypatch):
    """Calls in this process: a new one takes seconds to import what it needs."""

    def one_after_another(function, calls, jobs):
        yield from ((key, function(*arguments)) for key, arguments in calls.items())

    monkeypatch.setattr("benchmarks.phases.__main__.apart", one_after_another)
    monkeypatch.setattr("benchmarks.robustness.apart", one_after_another)


def test_a_row_in_its_smallest_form_and_not_twice(tmp_path, capfd, together):
    """Its numbers are in the file, its log Z is held against the exact one."""
    arguments = ["--rows", "1d_lam8", "--seeds", "1", "--samples", "200", "--more", *SMALL]
    main([*arguments, "--output", str(tmp_path)])
    reference = json.loads((tmp_path / "references.json").read_text())["16 m2=-4 lam=8"]
    assert reference["method"] == "exact"
    run = json.loads((tmp_path / "1d_lam8.json").read_text())["1"]
    assert run["steps"] == 4
    assert run["n_samples"] == 200
    assert run["config"]["seed"] == 1
    assert [epoch["step"] for epoch in run["curve"]] == [2, 4]
    assert run["cpu_seconds"] > 0
    assert f"{abs(pull(run['log_z'], reference)):.2f}" in capfd.readouterr().out
    before = (tmp_path / "1d_lam8.json").read_text()
    main([*arguments, "--output", str(tmp_path)])
    assert (tmp_path / "1d_lam8.json").read_text() == before


@pytest.mark.parametrize("name", GROUPS)
def test_every_row_is_a_command(name):
    """And says nothing of the training but the architecture."""
    for row in GROUPS[name].rows.values():
        keys = {word.partition("=")[0] for word in row.overrides.split()}
        assert keys <= {"lattice", "lattice.shape", "action.lam", "action.m2", "arch"}
    for row in [*GROUPS[name].rows.values()][::3]:
        point(row.overrides.split())
    assert point(POINTS["4d_k1"].overrides.split())[0] == "4x4x4x4 m2=-4 lam=8"
    assert len(ARCHITECTURES) == 2 * (3 + 4 + 5 + 6)


def test_the_worst_seed_counts():
    worse = {**WHOLE, "ess": 0.84, "log_z": {"value": -51.73, "error": 0.003, "systematic": 6e-4}}
    row = {"4d_k1": POINTS["4d_k1"]}
    good = table(row, {"4d_k1": {"0": WHOLE, "1": WHOLE}}, {"4d_k1": TRUTH})
    assert good.startswith(HEADER)
    assert good.splitlines()[-1].endswith("| yes |")
    bad = table(row, {"4d_k1": {"0": WHOLE, "1": worse}}, {"4d_k1": TRUTH}).splitlines()[-1]
    assert bad.endswith("| **no**: ess, pull, systematic |")
    assert "| 0.8400 | 0.8500 | 0.010 | 3.77 | 0.20 |" in bad
    failed = table(row, {"4d_k1": {"0": WHOLE, "1": {**WHOLE, "error": "X: y"}}}, {}).splitlines()
    assert "seed 1: X: y" in failed[-1]
    assert len({text.replace(r"\|", "").count("|") for text in (*good.splitlines(), *failed)}) == 1


def test_what_is_not_a_number_is_a_miss():
    nan = float("nan")
    worst = {"ess": nan, "acceptance": 1.0, "cpu_seconds": 0.0, "pull": nan, "systematic": None}
    assert verdict(Row("", ess=0.9), worst) == "**no**: ess, pull"


def test_the_picture_is_drawn(tmp_path):
    plot_phases([{"0": WHOLE, "1": {"error": "X: y"}}, {}], tmp_path / "phases.png")
    assert (tmp_path / "phases.png").stat().st_size > 10_000


def test_the_table_of_quality_has_its_rows():
    assert quality_table(results()).count("\n") == len(ROWS) + 1


def test_a_call_that_dies_ends_nothing_else():
    found = dict(apart(end, {how: (how,) for how in ("die", "well")}, jobs=2))
    assert found["die"] == {"error": "the process ended with code 3"}
    assert found["well"]["pid"] != os.getpid()
    receiving, sending = multiprocessing.Pipe(duplex=False)
    answer(sending, end, ("raise",))  # what runs in the process
    assert receiving.recv() == {"error": "ValueError: of the call"}


def test_random_configurations_are_configurations():
    texts = [robustness.configuration(number) for number in range(100)]
    assert texts == [robustness.configuration(number) for number in range(100)]
    for text in texts[:8]:
        shape = validate(compose(text.split()), TrainConfig)["lattice"]["shape"]
        assert math.prod(shape) <= 256
        assert text.startswith(f"lattice={len(shape)}d")
    assert 30 < sum("arch=continuous" in text for text in texts) < 70  # p = 8e-5
    assert not any("1d" in text and "combconv_k2" in text for text in texts)


def test_a_fault_is_what_says_nothing():
    run = {"loss_start": 1.0, "loss_end": 0.5, "ess_third": 0.5, "ess_end": 0.46}
    run |= {"raised": None, "rollbacks": 0, "logged": [], "warnings": None}
    assert robustness.wrong(run) == []
    assert robustness.wrong({**run, "ess_end": 0.44}) == ["ess"]
    assert robustness.wrong({**run, "loss_end": 1.1, "ess_end": None}) == ["loss", "ess"]
    assert robustness.fault({**run, "loss_end": float("nan")})
    assert not robustness.fault({**run, "loss_end": 1.1, "rollbacks": 1})
    assert not robustness.fault({**run, "raised": "DivergedError: loss=nan"})
    assert robustness.fault({"error": "the process ended with code -9"})
    text = robustness.summary([run, {**run, "ess_end": 0.1, "overrides": "arch=conv"}])
    assert "2 trainings: 0 ended" in text
    assert "- fault: `arch=conv`: ess" in text


def test_a_random_training_and_the_way_on(tmp_path, together):
    path: Path = tmp_path / "runs.jsonl"
    arguments = ["--runs", "1", "--length", " ".join(SMALL), "--output", str(path)]
    robustness.main(arguments)
    content = path.read_text()
    run = json.loads(content)
    assert run["overrides"].startswith(robustness.configuration(0))
    assert run["loss_start"] is not None
    path.write_text(content + '{"number": 1, "cut')
    robustness.main(arguments)
    assert path.read_text() == content
