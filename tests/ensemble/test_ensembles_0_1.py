"""Files that flowlat 0.1.0 wrote: they are read as before, and no run goes on from them."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from flowlat.ensemble import open_ensemble
from flowlat.ensemble.reference import read_reference
from flowlat.ensemble.summary import summarize
from flowlat.observables import Observable
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError, EnsembleError
from tests.support.fakes import walk_config

FOLDER = Path(__file__).parents[1] / "data" / "ensembles_0_1"
KINDS = ("proposals", "chain", "weighted")


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_by_their_new_names(kind):
    path = FOLDER / kind / "ensemble.h5"
    with open_ensemble(path) as ensemble, h5py.File(path, locking=False) as file:
        phi, n = file["phi"][...], len(file["phi"])
        assert (ensemble.kind, len(ensemble), ensemble.shape) == (kind, n, (4, 4))
        for name in ("action", "log_weight", "accepted"):
            expected = file[name][...] if name in file else None
            np.testing.assert_array_equal(getattr(ensemble, name), expected)
        assert set(ensemble.measured) == set(file["measured"])
        for name, values in ensemble.measured.items():
            np.testing.assert_array_equal(values, file["measured"][name])
        if kind == "proposals":
            np.testing.assert_array_equal(ensemble.proposals, phi)
            phi = phi[ensemble.chain_index()]
        np.testing.assert_array_equal(ensemble.configurations(), phi)


def test_the_chain_of_proposals_follows_from_what_was_accepted():
    with open_ensemble(FOLDER / "proposals") as ensemble:
        index, accepted, replicas = ensemble.chain_index(), ensemble.accepted, ensemble.replicas
        assert 0 < accepted.sum() < len(accepted)
        for row in range(replicas, len(index)):
            assert index[row] == (row if accepted[row] else index[row - replicas])


@pytest.mark.parametrize("kind", KINDS)
def test_the_summary_is_the_one_of_then(kind):
    expected = json.loads((FOLDER / kind / "summary.json").read_text())
    with open_ensemble(FOLDER / kind) as ensemble:
        observables = ensemble.observables()
        found = summarize(ensemble, observables, ensemble.theory().even)
    for new in ("pareto_k", "thermalisation", "warnings", "pole_mass"):
        found.pop(new, None)
    if kind == "chain":
        del found["acceptance"]  # there it is the sampler's own, of its trajectories
    found = json.loads(json.dumps(found))
    for name, observable in observables.items():
        if type(observable).derive is not Observable.derive:
            here, then = found["observables"], expected["observables"]
            here[name] = with_error(here[name], then[name])
    for key, values in found.items():
        same_numbers(values, expected[key])


def with_error(found, expected):
    """With the error of then, which had nothing of the curvature of a derived quantity."""
    if isinstance(found, list):
        return [with_error(*pair) for pair in zip(found, expected, strict=True)]
    if expected["error"] is not None and found["tau_int"] >= 0.5:
        assert found["error"] >= expected["error"] * (1 - 1e-9)
    return {**found, "error": expected["error"]}


def same_numbers(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        if (error := expected.get("tau_int_error")) is not None:  # then of Gaussian chains alone
            assert found["tau_int_error"] >= error * (1 - 1e-9)
            found = {**found, "tau_int_error": error}
        if (found.get("tau_int") or 1) < 0.5:  # then it was 0.5 at least, and the error too large
            assert expected["tau_int"] >= found["tau_int"]
            assert expected["error"] >= found["error"]
            found = {**found, **{k: expected[k] for k in expected if k != "value"}}
        for key, value in expected.items():
            same_numbers(found[key], value)
    elif isinstance(expected, list):
        for pair in zip(found, expected, strict=True):
            same_numbers(*pair)
    elif expected is None:  # NaN in summary.json
        assert found is None or np.isnan(found)
    elif isinstance(expected, str):
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_flow_can_learn_from_it():
    reference = read_reference(FOLDER / "chain")
    assert reference.phi.shape == (256, 4, 4)
    assert reference.replicas == 8


def test_no_run_goes_on_from_it(tmp_path):
    finished, killed = tmp_path / "finished", tmp_path / "killed"
    shutil.copytree(FOLDER / "chain", finished)
    (killed / "parts").mkdir(parents=True)
    (killed / "parts" / "000000.npz").touch()
    with pytest.raises(EnsembleError, match="not finished"):
        open_ensemble(killed)
    for folder in (finished, killed):
        before = sorted(folder.rglob("*"))
        with pytest.raises(ConfigError, match=r"hydra.run.dir=.*flowlat 0\.1\.0.*another folder"):
            draw(walk_config(resume=True), folder)
        assert sorted(folder.rglob("*")) == before
