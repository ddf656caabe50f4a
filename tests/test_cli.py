import math
from types import SimpleNamespace

import pytest

from flowlat.cli import (
    RunFolder,
    against,
    in_brief,
    remove_if_unused,
    sample_report,
    table,
    with_error,
)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (9.29021, 0.0023, "9.2902(23)"),
        (382.34, 0.08, "382.340(80)"),
        (87.9, 1.12, "87.9(1.1)"),
        (115.2, 12.3, "115(12)"),
        (-0.1597, 0.0004, "-0.15970(40)"),
        (1.0, 0.0996, "1.00(10)"),  # rounds up to another digit
        (1.0, 0.996, "1.0(1.0)"),
        (0.5, 0.0, "0.5"),
        (0.5, math.nan, "0.5"),
        (math.nan, 0.1, "nan"),
    ],
)
def test_value_with_error_in_its_last_two_digits(value, error, text):
    assert with_error(value, error) == text


def test_table_is_aligned():
    rows = [("name", "value"), ("a longer name", "1.0")]
    assert table(rows) == "  name           value\n  a longer name  1.0"


def test_only_an_unused_run_folder_is_removed(tmp_path):
    for name, extra in (("unused", "train.log"), ("used", "metrics.csv")):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / extra).touch()
        remove_if_unused(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_run_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    for key, start in (("run", RunFolder().on_run_start), ("sweep", RunFolder().on_multirun_start)):
        folder = f"{tmp_path}/file/{key}"
        config = SimpleNamespace(hydra=SimpleNamespace(**{key: SimpleNamespace(dir=folder)}))
        with pytest.raises(SystemExit) as stop:
            start(config)
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: hydra.{key}.dir={folder}: Not a directory\n"


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


def test_a_vector_in_a_line():
    assert in_brief(["0.10(1)", "0.20(1)"]) == "0.10(1) 0.20(1)"
    values = [f"{i}.00(10)" for i in range(10)]
    assert in_brief(values, 30) == "0.00(10) 1.00(10) 2.00(10) ... 7 more"
    assert in_brief(values[:1], 3) == "0.00(10)"


def test_a_pull_only_where_there_is_an_error():
    assert against({"value": 0.99, "error": 0.01}, 1) == "0.990(10), exactly 1: -1.0 sigma"
    for error in (0.0, math.nan):
        assert against({"value": 0.99, "error": error}, 1) == "0.99, exactly 1"
