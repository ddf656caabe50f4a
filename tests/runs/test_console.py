import math
import re

from flowlat.runs.console import against, fit_report, sample_report
from tests.support.terminal import on_a_terminal


def estimate(value, error, tau_int=0.5):
    return {"value": value, "error": error, "tau_int": tau_int, "tau_int_error": 0.1}


SUMMARY = {
    "kind": "proposals",
    "replicas": 1,
    "n_samples": 1000,
    "acceptance": 0.88812,
    "longest_rejection_run": 9,
    "ess": 0.95831,
    "log_z": {"value": 9.29169, "error": 0.00066, "bias": 1e-6},
    "free_energy_density": {"value": -0.145, "error": 0.00001},
    "sign_balance": -0.0061,
    "schwinger_dyson": {"value": 1.012, "error": 0.005},
    "observables": {"phi2": estimate(0.143362, 0.000075), "c": [estimate(0.5, 0.01)] * 2},
    "reweighted": {"phi2": estimate(0.143311, 0.000065), "c": [estimate(0.5, 0.01)] * 2},
    "samples_per_second": 12345.6,
    "warnings": [],
}


def test_report_of_proposals(tmp_path):
    for name in ("ensemble.h5", "summary.json", "sample.log"):
        (tmp_path / name).touch()
    assert (
        sample_report(SUMMARY, tmp_path)
        == f"""
1000 proposals:
  acceptance             0.8881
  ESS                    0.9583
  log Z                  9.29169(66)
  free energy / V        -0.145000(10)
  longest rejection run  9
  <sign M>               -0.006
  Schwinger-Dyson        1.0120(50), exactly 1: +2.4 sigma
  samples per second     12346

  observable  value         tau_int  reweighted
  phi2        0.143362(75)  0.50     0.143311(65)

  c  0.500(10) 0.500(10)

In {tmp_path}: ensemble.h5, summary.json"""
    )


def test_the_pole_mass_is_a_line(tmp_path):
    """With the quality of the fit of largest weight; NaN is None in a file."""
    fit = {"t_min": 1, "t_max": 4, "chi2": 1.234, "dof": 2, "p_value": 0.54, "weight": 0.875}
    other = {**fit, "t_min": 2, "dof": 1, "p_value": None, "weight": 0.125}
    mass = {"of": "two_point", "value": 0.7931, "error": 0.0019, "fits": [other, fit]}
    text = sample_report({**SUMMARY, "pole_mass": mass}, tmp_path)
    quality = "t = 1 to 4 of weight 0.88: chi2 = 1.23, dof = 2, p = 0.54"
    assert f"\n  pole_mass  0.7931(19), cosh fits over 2 windows, {quality}\n" in text
    alone = sample_report({**SUMMARY, "pole_mass": {**mass, "fits": [other]}}, tmp_path)
    assert "0.7931(19), cosh fit over t = 2 to 4: chi2 = 1.23, dof = 1\n" in alone
    failed = {
        **mass,
        "value": None,
        "error": None,
        "fits": [{**other, "chi2": None, "weight": None}],
    }
    assert "pole_mass  -, cosh fit" in sample_report({**SUMMARY, "pole_mass": failed}, tmp_path)
    connected = {**SUMMARY, "pole_mass": {**mass, "of": "two_point_connected"}}
    assert "0.7931(19) of two_point_connected, cosh" in sample_report(connected, tmp_path)
    none = {**SUMMARY, "pole_mass": {**mass, "fits": []}}
    assert "\n  pole_mass" not in sample_report(none, tmp_path)


def test_a_line_for_each_warning(tmp_path):
    warned = [{"code": "low_ess", "text": "ESS 0.05"}, {"code": "heavy_tail", "text": "k = 0.9"}]
    text = sample_report({**SUMMARY, "pareto_k": 0.912, "warnings": warned}, tmp_path)
    assert "\n\nWARNING: ESS 0.05\nWARNING: k = 0.9\n\nIn " in text
    assert "\n  Pareto k               0.91\n" in text
    trained = {"checkpoint": "c", "ess": 0.05, "acceptance": 0.1, "log_z": 1.0, "log_z_err": 0.1}
    trained |= {
        "phase": "symmetric",
        "epochs": 1,
        "steps": 1,
        "seconds": 1.0,
        "n_samples": 10,
        "pareto_k": math.nan,
    }
    text = fit_report({**trained, "warnings": warned[:1]})
    assert "\n\nWARNING: ESS 0.05\n\nSample from it:" in text
    assert "Pareto" not in text
    assert "WARNING" not in fit_report({**trained, "warnings": []})


def test_a_systematic_error_stands_beside_the_statistical_one(tmp_path):
    for systematic, expected in ((2.34e-5, " [systematic 2e-05]"), (0.0, "")):
        log_z = {**SUMMARY["log_z"], "systematic": systematic}
        text = sample_report({**SUMMARY, "log_z": log_z}, tmp_path)
        assert f"9.29169(66){expected}\n" in text


def test_report_of_chains_and_of_weights(tmp_path):
    chain = {**SUMMARY, "kind": "chain", "replicas": 64}
    for name in ("ess", "log_z", "free_energy_density", "reweighted"):
        del chain[name]
    text = sample_report(chain, tmp_path)
    assert "1000 configurations of 64 chains:" in text
    assert "log Z" not in text
    assert "reweighted" not in text
    weighted = {**SUMMARY, "kind": "weighted", "acceptance": None}
    for name in ("longest_rejection_run", "reweighted"):
        del weighted[name]
    text = sample_report(weighted, tmp_path)
    assert "1000 weighted configurations:" in text
    assert "acceptance" not in text
    assert "tau_int" not in text


def test_a_pull_only_where_there_is_an_error():
    assert against({"value": 0.99, "error": 0.01}, 1) == "0.990(10), exactly 1: -1.0 sigma"
    for error, text in ((0.0, "0.99"), (math.nan, "0.99(?)"), (None, "0.99(?)")):
        assert against({"value": 0.99, "error": error}, 1) == f"{text}, exactly 1"


def test_what_is_logged_stands_above_the_bar(tmp_path):
    """On a terminal, byte by byte: the line of the solver comes when the bar is there already."""
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "evaluation.n_samples=16"]
    options = ["lattice.shape=[4,4]", "phase=symmetric", "trainer=cpu", "threads=1", *short]
    written = on_a_terminal(tmp_path, "train.py", *options, "hydra.run.dir=run")
    lines = [line for line in re.split(r"[\r\n]+", written) if line.strip()]
    bars = [line for line in lines if re.search(r"\| \d+/2 ", line)]
    assert bars
    assert lines.index(bars[0]) < next(
        i for i, line in enumerate(lines) if line.startswith("solver of the continuous flow")
    )
    assert all(re.match(r" *0%|epoch 1/1:", bar) for bar in bars)
