"""Every rule on a figure that breaks it, and none on those of a good run."""

import math

import pytest

from flowlat.analysis.trust import RULES, warnings
from tests.support.helpers import ROOT

ESTIMATE = {"value": 0.5, "error": 0.01}
UNKNOWN = {"value": 0.5, "error": math.nan}


def burn_in(steps, tau_int, least):
    found = {"observable": "|M|", "tau_int": tau_int, "tau_int_at_least": least}
    return {"burn_in": {"option": "sampler.thermalization", "steps": steps, **found}}


GOOD = {
    "kind": "proposals",
    "n_samples": 10_000,
    "ess": 0.95,
    "pareto_k": 0.3,
    "longest_rejection_run": 12,
    "sign_balance": 0.02,
    "populations": 20,
    "thermalisation": {"observable": "S", "pull": 1.2},
    "schwinger_dyson": {"value": 1.01, "error": 0.005},
    "observables": {"phi2": ESTIMATE, "two_point": [ESTIMATE, UNKNOWN]},
    "log_z": {"value": 9.29, "error": 1e-3, "systematic": 1e-4},
    "inverse": {"value_error": 1e-5, "log_q_error": 1e-4},
    "best_ess": 0.96,
    "ess_left": 0.9,
    "log_z_fall": 0.3,
    "log_z_fall_err": 0.01,
    "barrier": 4.9,
}
#: code, the figures that break its rule, and what it says of them
BROKEN = [
    ("low_ess", {"ess": 0.09}, "ESS 0.09 is below 0.1"),
    ("heavy_tail", {"pareto_k": 0.71}, "Pareto k = 0.71"),
    ("heavy_tail", {"pareto_k": math.inf}, "Pareto k = inf"),
    (
        "heavy_tail",
        {"pareto_k": 0.6, "pareto_k_above": {"chi2": 0.81, "binder": 0.95}},
        "with chi2, binder a Pareto k of up to 0.95",
    ),
    ("forward_heavy_tail", {"forward_ess": 0.3, "forward_ess_err": None}, "no error of forward"),
    ("forward_heavy_tail", {"forward_log_z": 9.0, "forward_log_z_err": math.nan}, "no error"),
    ("short_chain", {"observables": {"a": [{**ESTIMATE, "tau_int": 201.0}]}}, "201, of a"),
    (
        "short_chain",
        {"observables": {"a": {**ESTIMATE, "tau_int": 11.0}}, "replicas": 100},
        "10000 steps, in chains of 100,",
    ),
    ("few_effective_samples", {"n_samples": 50, "ess": 0.9}, "from 45 effective samples"),
    ("few_populations", {"populations": 9}, "from 9 population(s)"),
    ("one_sided", {"sign_balance": -0.6}, "<sign M> = -0.60"),
    ("one_sided", {"sign_balance": 0.6, "kind": "chain"}, "sampler.sign_flip=true"),
    ("one_sided", {"sign_balance": 0.6, "kind": "weighted"}, "log 2 = 0.693"),
    ("deep_wells", {"barrier": 49.99}, "the two wells of a site, 50 in S"),
    ("long_rejection_run", {"longest_rejection_run": 101}, "for 101 steps, in chains of 10000"),
    ("long_rejection_run", {"longest_rejection_run": 51, "replicas": 50}, "in chains of 200 steps"),
    (
        "not_thermalised",
        {"thermalisation": {"proposals": 0}, "replicas": 50},
        "too few to thermalise 50 chains",
    ),
    (
        "not_thermalised",
        {"thermalisation": {"observable": "|M|", "pull": 4.1}},
        "4.1 errors in |M|",
    ),
    (
        "short_burn_in",
        {"thermalisation": burn_in(5, 20.9, 15.0)},
        "is less than 20 tau_int of |M|",
    ),
    ("short_burn_in", {"thermalisation": burn_in(5, 20.9, 15.0)}, "sampler.thermalization=420 in"),
    ("lost_mode", {"log_z_short": 0.69, "log_z_short_err": 0.01}, "short by 0.69"),
    ("schwinger_dyson", {"schwinger_dyson": {"value": 0.98, "error": 0.005}}, "not 1 within 4.0"),
    ("no_error", {"observables": {"a": ESTIMATE, "b": UNKNOWN, "c": [UNKNOWN] * 2}}, "for b, c:"),
    ("systematic", {"log_z": {"value": 9.3, "error": 1e-3, "systematic": 4e-4}}, "up to 0.0004"),
    ("no_density", {"inverse": {"value_error": 1.0, "log_q_error": 0.06}}, "differ by 0.06 in"),
    ("no_density", {"inverse": {"value_error": 1.0, "log_q_error": None}}, "differ by nan in"),
    ("log_z_fell", {"log_z_fall": 0.6}, "fell by 0.60"),
    ("ess_collapsed", {"ess_left": 0.2}, "from 0.96 to 20% of it"),
]
#: what looks like it and is no reason to warn
BORDERLINE = [
    {"log_z": 9.29},  # of a training
    {"log_z": {"value": 9.29, "error": 1e-3}},
    {"log_z": {"value": 9.29, "error": None, "systematic": 1e-3}},
    {"inverse": {"value_error": 1.0, "log_q_error": 0.04}},
    {"ess": 0.11},
    {"pareto_k": 0.69},
    {"forward_ess": 0.3, "forward_ess_err": 0.02},
    {"observables": {"a": {**ESTIMATE, "tau_int": 199.0}, "b": {**ESTIMATE, "tau_int": None}}},
    {"pareto_k": math.nan},
    {"sign_balance": 0.7, "n_samples": 20, "observables": {}, "ess": None},  # of a few signs
    {"longest_rejection_run": 50, "n_samples": 1000},  # of a short run
    {"longest_rejection_run": 51, "replicas": 40},
    {"log_z_fall": 0.6, "log_z_fall_err": 0.2},
    {"log_z_fall": 0.4},
    {"ess_left": 0.2, "best_ess": 0.09},
    {"thermalisation": {"observable": "S", "pull": math.nan}},
    {"thermalisation": burn_in(400, 20.9, 20.0)},
    {"thermalisation": {"proposals": 0}, "replicas": 1},
    {"thermalisation": {"proposals": 250}, "replicas": 50},
    {"log_z_short": 0.09, "log_z_short_err": 0.01},
    {"log_z_short": 0.3, "log_z_short_err": 0.1},
    {"log_z_short": 0.0, "log_z_short_err": 0.01, "sign_balance": 0.9},  # it has both all the same
    {"schwinger_dyson": {"value": 0.9, "error": None}},
    {"sign_balance": None, "ess": None, "longest_rejection_run": None, "thermalisation": None},
]


def codes(figures):
    return [warning["code"] for warning in warnings(figures)]


@pytest.mark.parametrize(("code", "broken", "text"), BROKEN)
def test_a_rule_that_is_broken(code, broken, text):
    (warning,) = warnings({**GOOD, **broken})
    assert warning["code"] == code
    assert text in warning["text"]
    assert "\n" not in warning["text"]


@pytest.mark.parametrize("figures", [{}, *BORDERLINE], ids=str)
def test_no_false_alarm(figures):
    assert warnings({**GOOD, **figures}) == []


def test_every_rule_was_broken():
    assert {rule.code for rule in RULES} == {code for code, _, _ in BROKEN}


def test_every_rule_is_in_the_documentation():
    text = (ROOT / "docs/physics/errors.md").read_text()
    assert [rule.code for rule in RULES if f"| `{rule.code}` |" not in text] == []


def test_figures_that_are_not_there():
    assert warnings({}) == []
    assert codes({"ess": 0.05}) == ["low_ess"]
