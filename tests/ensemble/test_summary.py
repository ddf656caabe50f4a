import math
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from flowlat.analysis.gamma_method import gamma_method
from flowlat.analysis.trust import warnings
from flowlat.ensemble import open_ensemble
from flowlat.ensemble.pole_mass import correlator_of
from flowlat.ensemble.summary import acceptance, burn_in, sign_balance, summarize
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError
from tests.support.fakes import Walk, free_config, walk_config
from tests.support.helpers import CONF

STANDARD = OmegaConf.to_container(OmegaConf.load(CONF / "observables" / "standard.yaml"))
ESTIMATE = {"value", "error", "tau_int", "tau_int_error"}


@pytest.fixture
def ensemble(tmp_path):
    """``ensemble("chain")``: one of 600 rows, open."""
    opened = []

    def start(kind):
        draw(walk_config(n_samples=600, sampler={"kind": kind}), tmp_path)
        opened.append(open_ensemble(tmp_path))
        return opened[0]

    yield start
    for one in opened:
        one.close()


def summary_of(ensemble):
    return summarize(ensemble, ensemble.observables(), even=True)


def test_a_chain(ensemble):
    chain = ensemble("chain")
    summary = summary_of(chain)
    assert not {"ess", "log_z", "free_energy_density", "reweighted"} & set(summary)
    assert summary["kind"] == "chain"
    assert (summary["replicas"], summary["n_samples"]) == (3, 600)
    assert summary["acceptance"] == pytest.approx(chain.accepted.mean())
    assert summary["longest_rejection_run"] == chain.longest_rejection_run()
    observables = summary["observables"]
    assert set(observables) == {
        *("phi2", "binder", "two_point", "magnetization", "schwinger_dyson")
    }
    assert set(observables["phi2"]) == ESTIMATE
    assert [set(one) for one in observables["two_point"]] == [ESTIMATE] * 3
    expected = gamma_method(chain.chains("phi2"), "phi2")
    assert observables["phi2"] == pytest.approx(expected._asdict())
    moments = chain.measured["binder"].mean(0)
    assert observables["binder"]["value"] != pytest.approx(moments.mean())  # derived
    assert set(summary["schwinger_dyson"]) == {"value", "error"}
    assert set(summary["thermalisation"]) == {"observable", "pull"}
    # the walk does not sample exp(-S)
    assert [warning["code"] for warning in summary["warnings"]] == ["schwinger_dyson"]
    sign = np.sign(chain.measured["magnetization"])
    assert summary["sign_balance"] == pytest.approx(sign.mean())


@pytest.mark.parametrize("kind", ["chain", "weighted"])
@pytest.mark.parametrize("window", [None, [1, 3], [0, 1]])
def test_the_pole_mass_of_a_free_field(kind, window, tmp_path):
    """2 asinh(sqrt(m2) / 2), within five errors (p = 6e-7); of two values of t it solves their
    ratio, and there is nothing to judge it by. The log weights are noise."""
    summary = draw(free_config(sampler={"kind": kind}, mass_window=window), tmp_path)
    mass = summary["pole_mass"]
    assert (mass["of"], mass["window"]) == ("two_point", window)
    assert abs(mass["value"] - 2 * math.asinh(math.sqrt(0.5) / 2)) < 5 * mass["error"] < 0.3
    spans = [(fit["t_min"], fit["t_max"]) for fit in mass["fits"]]
    assert spans == ([tuple(window)] if window else [(0, 4), (1, 4), (2, 4)][: len(spans)])
    if window == [0, 1]:
        c = [entry["value"] for entry in summary["observables"]["two_point"]]
        m = mass["value"]
        assert c[0] / c[1] == pytest.approx(math.cosh(4 * m) / math.cosh(3 * m))
        assert math.isnan(mass["fits"][0]["p_value"])
    else:
        assert all(1e-6 < fit["p_value"] <= 1 for fit in mass["fits"])


def test_without_a_signal_there_is_no_pole_mass(ensemble):
    """The sites of the walk are independent."""
    mass = summary_of(ensemble("chain"))["pole_mass"]
    assert mass["fits"] == []
    assert math.isnan(mass["value"])


def test_a_window_that_cannot_be_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(ConfigError, match=r"^mass_window=\[2,9\]: t goes from 0 to 4"):
        draw(free_config(mass_window=[2, 9]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_goes_by_the_name_of_a_two_point_function_has_no_mass(ensemble):
    chain = ensemble("chain")
    observables = chain.observables()
    observables["two_point"] = observables["phi2"]
    assert correlator_of(chain, observables, {}) is None


def test_proposals(ensemble):
    proposals = ensemble("proposals")
    summary = summary_of(proposals)
    weight = np.exp(proposals.log_weight)
    assert summary["acceptance"] == pytest.approx(proposals.accepted[3:].mean())
    assert summary["ess"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum() / 600)
    log_z = summary["log_z"]
    assert set(log_z) == {"value", "error", "bias"}
    assert log_z["value"] == pytest.approx(math.log(weight.mean()))
    assert summary["free_energy_density"] == {
        "value": pytest.approx(-log_z["value"] / 8),
        "error": pytest.approx(log_z["error"] / 8),
    }
    phi2 = proposals.measured["phi2"]
    found = summary["observables"]["phi2"]["value"]
    assert found == pytest.approx(phi2[proposals.chain_index()].mean())
    again = summary["reweighted"]["phi2"]
    assert again["value"] == pytest.approx((weight * phi2).sum() / weight.sum())
    assert set(summary["reweighted"]) == set(summary["observables"])


def test_a_weighted_ensemble(ensemble):
    weighted = ensemble("weighted")
    summary = summary_of(weighted)
    assert summary["acceptance"] is None
    assert not {"longest_rejection_run", "reweighted"} & set(summary)
    weight = np.exp(weighted.log_weight)
    phi2 = summary["observables"]["phi2"]
    assert phi2["value"] == pytest.approx(np.average(weighted.measured["phi2"], weights=weight))
    assert phi2["error"] > 0
    assert math.isnan(phi2["tau_int"])
    sign = np.sign(weighted.measured["magnetization"])
    assert summary["sign_balance"] == pytest.approx(np.average(sign, weights=weight))


class Fake(SimpleNamespace):
    def __len__(self):
        return len(self.read("measured/magnetization"))


def fake(magnetization, **columns):
    """As much of an ensemble as the sign balance reads."""
    measured = {"measured/magnetization": np.array(magnetization), **columns}
    return Fake(
        kind=columns.pop("kind", "chain"),
        read=lambda name, start=0, stop=None: measured[name][start:stop],
        chain_index=lambda start, stop: np.arange(len(magnetization))[start:stop],
        replicas=1,
        start_row=0,
        **{"log_weight": None, "accepted": None, **columns},
    )


def test_sign_balance():
    assert sign_balance(fake([0.1, -0.2, 0.3, -0.4])) == 0
    assert sign_balance(fake([0.1, 0.2, 0.3, -0.4])) == 0.5
    weights = np.log([3.0, 1.0])
    weighted = fake([0.1, -0.1], kind="weighted", log_weight=weights)
    assert sign_balance(weighted) == pytest.approx(0.5)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("kind", ["chain", "proposals"])
def test_an_ensemble_of_one_sign_is_pointed_out(kind, even, ensemble, monkeypatch):
    monkeypatch.setattr("flowlat.ensemble.summary.sign_balance", lambda _: -0.6)
    one_sided = ensemble(kind)
    summary = summarize(one_sided, one_sided.observables(), even=even)
    text = " ".join(w["text"] for w in summary["warnings"] if w["code"] == "one_sided")
    assert ("<sign M> = -0.60" in text) == even
    for cure in ("log Z is short", "phase=ordered"):
        assert (cure in text) == (even and kind == "proposals")
    assert ("sampler.sign_flip=true" in text) == (even and kind == "chain")


@pytest.mark.parametrize("distance", [0, 50])
def test_chains_that_start_far_away(distance, tmp_path, monkeypatch):
    """At rest the largest of four pulls is above 5.5 with p = 6e-7 (8 replicas)."""
    start = Walk.start

    def moved(self, generator):
        state = start(self, generator)
        return state._replace(phi=state.phi + distance)

    monkeypatch.setattr(Walk, "start", moved)
    summary = draw(walk_config(n_samples=2400, sampler={"replicas": 8}), tmp_path)
    assert (summary["thermalisation"]["pull"] > 5.5) == (distance > 0)
    codes = [warning["code"] for warning in summary["warnings"]]
    assert ("not_thermalised" in codes) == (distance > 0)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize(("steps", "warned"), [(5, True), (1000, False)])
def test_a_thermalisation_too_short_for_tau_int(hybrid, steps, warned):
    """64 chains whose slowest quantity has tau_int = 9.5, of which 20 are 190 steps."""
    rng, noise = np.random.default_rng(1), math.sqrt(1 - 0.9**2)
    slow = np.empty((200, 64))
    slow[0] = rng.normal(size=64)
    for t in range(1, 200):
        slow[t] = 0.9 * slow[t - 1] + noise * rng.normal(size=64)
    chains = {"S": list(rng.normal(size=(64, 200))), "|M|": list(slow.T)}
    node = {"thermalization": steps, "thin": 1}
    sampler = {"hmc": node} if hybrid else node
    found = burn_in(SimpleNamespace(config={"sampler": sampler}), chains)
    assert found["observable"] == "|M|"
    assert found["tau_int"] == pytest.approx(9.5, rel=0.3)
    (text,) = [w["text"] for w in warnings({"thermalisation": {"burn_in": found}})] or [""]
    option = "sampler.hmc.thermalization" if hybrid else "sampler.thermalization"
    assert text.startswith(f"{option}=5 is less than 20 tau_int of |M|") == warned
    assert burn_in(SimpleNamespace(config={"sampler": {}}), chains) == {}


@pytest.mark.parametrize("kind", ["proposals", "weighted"])
def test_the_systematic_error_of_the_sampler_is_that_of_log_z(kind, ensemble, monkeypatch):
    """It is in the state; where it counts beside the statistical error a warning says so."""
    drawn = ensemble(kind)
    assert "systematic" not in summary_of(drawn)["log_z"]
    error, state = summary_of(drawn)["log_z"]["error"], drawn.state()
    for ratio, warned in ((0.1, False), (0.5, True)):
        known = state | {"systematic": np.array([ratio * error])}
        monkeypatch.setattr(type(drawn), "state", lambda _, known=known: known)
        summary = summary_of(drawn)
        assert summary["log_z"]["systematic"] == ratio * error
        assert ("systematic" in [warning["code"] for warning in summary["warnings"]]) == warned


def test_weights_of_too_heavy_a_tail_give_no_effective_mass_an_error(tmp_path, monkeypatch):
    config = free_config(sampler={"kind": "weighted"}, observables=STANDARD)
    for k, known in ((0.2, True), (0.9, False)):
        monkeypatch.setattr("flowlat.ensemble.summary.pareto_k", lambda _, k=k: k)
        folder = tmp_path / str(k)
        folder.mkdir()
        entries = draw(config, folder)["pole_mass"]["effective_mass"]
        assert math.isfinite(entries[0]["value"])
        assert math.isfinite(entries[0]["error"]) == known


def test_acceptance_of_a_single_proposal_is_unknown():
    assert math.isnan(acceptance(fake([1.0], kind="proposals", accepted=np.ones(1, bool))))
    assert acceptance(fake([1.0], accepted=np.ones(1, bool))) == 1
    assert acceptance(fake([1.0], kind="weighted")) is None


@pytest.mark.parametrize(
    ("shape", "missing"),
    [
        ([1, 1], ["kinetic_density", "correlation_length", "effective_mass"]),
        ([4, 1], ["effective_mass"]),
        ([1, 2], []),
    ],
    ids=str,
)
def test_what_a_lattice_cannot_have_is_left_out(shape, missing, tmp_path, caplog):
    """Without a word: nothing is amiss with the run."""
    lattice = {"_target_": "flowlat.lattice.Lattice", "shape": shape}
    summary = draw(walk_config(lattice=lattice, observables=STANDARD, n_samples=600), tmp_path)
    assert set(STANDARD) - set(summary["observables"]) == set(missing)
    assert "no_error" not in [warning["code"] for warning in summary["warnings"]]
    assert "never moved" not in caplog.text
