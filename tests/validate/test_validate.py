"""The validation: how it judges, that it passes, and that it fails where something is wrong."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from flowlat.actions import Phi4
from flowlat.samplers import HMC
from flowlat.validate import command as module
from flowlat.validate import coverage
from flowlat.validate.__main__ import main
from flowlat.validate.cases import cases
from flowlat.validate.judge import (
    Check,
    overall,
    p_value,
    simes,
    verdict,
)


def checks(pulls, ensemble="a"):
    return [Check("g", ensemble, str(i), 1 + pull, 1.0, 1.0, 0.0) for i, pull in enumerate(pulls)]


def test_pulls():
    assert Check("g", "a", "x", 1.5, 0.3, 1.0, 0.4).pull == pytest.approx(1.0)
    assert Check("g", "a", "x", 1.5, 0.1, 1.0, 0.0).pull == pytest.approx(5.0)
    # no statistical error at all: rounding is no disagreement, anything more is
    assert abs(Check("g", "a", "x", 2 + 1e-13, 0.0, 2.0, 0.0).pull) < 0.1
    assert Check("g", "a", "x", 2 + 1e-6, 0.0, 2.0, 0.0).pull > 100


def test_the_tail_of_chi2_and_of_a_gaussian():
    for pull, n in ((0.3, 1), (1.6, 10), (-2.0, 20), (7.0, 1)):
        found = [check for i in range(n) for check in checks([pull], str(i))]
        chi2 = pytest.approx(n * pull**2)
        assert verdict(found) == (chi2, n, pytest.approx(stats.chi2.sf(n * pull**2, n)))
    assert p_value(-3.0) == pytest.approx(2 * stats.norm.sf(3.0))
    assert p_value(math.nan) == 0.0


def test_simes():
    """Of equal pulls the p-value of one; of one large pull among n, n times its p-value."""
    assert simes([3.0, -3.0, 3.0]) == pytest.approx(p_value(3.0))
    assert simes([5.0, 0.1, 0.2]) == pytest.approx(3 * p_value(5.0))
    assert simes([0.0]) == 1.0


def test_an_ensemble_is_one_degree_of_freedom():
    found = [*checks([1.0, 1.0, 2.0]), *checks([0.5], "b")]
    chi2, n, p = verdict(found)
    assert n == 2
    assert chi2 == pytest.approx(stats.chi2.isf(simes([1, 1, 2]), 1) + 0.25)
    assert p == pytest.approx(stats.chi2.sf(chi2, 2))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_correct_programs_seldom_fail_however_correlated_their_numbers(correlation, sign):
    """2000 validations of 10 ensembles of 8 numbers, of one sign or of alternating ones: chi2 has
    p < 0.05 in at most 5% of them, up to 4 sigma of that (p = 3e-5), and so has all of it."""
    numbers = np.random.default_rng(3)
    signs = sign ** np.arange(8)
    failures, in_all = 0, 0
    for _ in range(2000):
        shared = numbers.normal(size=(10, 1)) * correlation**0.5
        pulls = shared * signs + numbers.normal(size=(10, 8)) * (1 - correlation) ** 0.5
        found = [check for i, row in enumerate(pulls) for check in checks(row, str(i))]
        failures += verdict(found).p_value < 0.05
        in_all += overall(found) < 0.05
    assert max(failures, in_all) / 2000 < 0.05 + 4 * (0.05 * 0.95 / 2000) ** 0.5
    if correlation in (0.0, 1.0):  # where it is exact
        assert failures / 2000 > 0.05 - 4 * (0.05 * 0.95 / 2000) ** 0.5


def test_one_wrong_ensemble_among_many_is_found():
    right = [check for i in range(40) for check in checks([0.5, -0.5, 0.7], str(i))]
    assert overall(right) > 0.5
    assert overall([*right, *checks([0.0, 7.0], "wrong")]) < 1e-4


def test_many_ensembles_a_little_wrong_are_found():
    assert overall([check for i in range(40) for check in checks([2.3], str(i))]) < 1e-4


@pytest.fixture
def few(monkeypatch):
    """The chain at lam = 8 by HMC alone, 4000 configurations."""
    chosen = [c._replace(quick=4000) for c in cases() if c.name == "chain lam=8, hmc"]
    assert len(chosen) == 1
    monkeypatch.setattr(module, "cases", lambda: chosen)
    monkeypatch.setattr(coverage, "RUNS", ())


def test_a_correct_action_passes(few, tmp_path, capsys):
    assert main(["--quick", "--seed", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "chain lam=8, hmc: 4000 configurations" in out
    assert "passed (threshold 0.0001)" in out
    report = json.loads((tmp_path / "validate.json").read_text())
    assert report["passed"]
    assert report["all"]["ensembles"] == 1
    assert {c["name"] for c in report["checks"]} >= {"phi2", "two_point(0)", "schwinger_dyson"}
    assert set(report["groups"]) == {"transfer matrix", "Schwinger-Dyson"}
    assert "git_revision" in report["provenance"]
    # the same numbers with the same seed, others with another
    assert main(["--quick", "--seed", "1", "--out", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "validate.json").read_text())
    assert again["checks"] == report["checks"]
    main(["--quick", "--seed", "2", "--out", str(tmp_path / "other")])
    other = json.loads((tmp_path / "other" / "validate.json").read_text())
    assert other["checks"] != report["checks"]


def test_an_action_with_a_coupling_10_percent_off_fails(few, monkeypatch, capsys):
    right = Phi4.__init__
    monkeypatch.setattr(Phi4, "__init__", lambda self, m2, lam: right(self, m2, 1.1 * lam))
    assert main(["--quick", "--seed", "1"]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_a_force_that_is_not_that_of_the_action_fails_the_identity(few, monkeypatch, capsys):
    """HMC with its accept test stays exact, but <phi dS/dphi> is not 1."""
    right = Phi4.force
    monkeypatch.setattr(Phi4, "force", lambda self, phi: 1.1 * right(self, phi))
    assert main(["--quick", "--seed", "1"]) == 1
    assert "schwinger_dyson" in capsys.readouterr().out.splitlines()[-2]


def test_a_chain_that_is_stuck_fails(few, monkeypatch, capsys):
    """It has no error, and so no pull: that must not pass for agreement."""
    right = HMC.step

    def stuck(self, state, generator):
        _, block = right(self, state, generator)
        phi = torch.full_like(block.phi, 0.4)
        return state, block._replace(phi=phi, action=self.action(phi))

    monkeypatch.setattr(HMC, "step", stuck)
    assert main(["--quick", "--seed", "1"]) == 1
    assert "the largest +nan" in capsys.readouterr().out


def test_every_group_is_in_a_quick_run():
    assert {c.group for c in cases() if c.quick} == {"free", "transfer matrix", "published"}
    assert len({c.name for c in cases()}) == len(cases())
    for case in cases():
        assert case.references
        assert case.n_samples > 0


def test_a_folder_that_cannot_be_written(few, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--quick", "--out", str(tmp_path / "file" / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
