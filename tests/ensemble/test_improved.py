"""Improved estimators from the sampler to the table: columns, averages, what is printed."""

import h5py
import numpy as np
import pytest
from omegaconf import OmegaConf

from flowlat.analysis.exact import known
from flowlat.ensemble import open_ensemble
from flowlat.ensemble.pole_mass import vector
from flowlat.lattice import Lattice
from flowlat.runs.console import sample_report
from flowlat.sampling.draw import draw
from flowlat.utils.errors import EnsembleError
from tests.support.fakes import walk_config
from tests.support.helpers import CONF

STANDARD = OmegaConf.to_container(OmegaConf.load(CONF / "observables" / "standard.yaml"))
IMPROVED = {"chi2", "correlation_length", "two_point", "effective_mass"}


def config(**changes):
    sampler = {"_target_": "flowlat.samplers.Cluster", "replicas": 16, "thermalization": 40}
    theory = {
        "lattice": {"_target_": "flowlat.lattice.Lattice", "shape": [8]},
        "action": {"_target_": "flowlat.actions.Phi4", "m2": 1.0, "lam": 0.5},
    }
    sampler |= changes.pop("sampler", {})
    return walk_config(
        **{"observables": STANDARD, "n_samples": 20_000, "sampler": sampler, **theory, **changes}
    )


@pytest.fixture(scope="module", params=["swendsen_wang", "wolff"])
def drawn(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("improved")
    return folder, draw(config(sampler={"clusters": request.param}), folder)


def test_they_hold_the_exact_values_with_smaller_errors(drawn):
    """Five sigma, p = 6e-7 a number, of a chain's transfer matrix."""
    folder, summary = drawn
    assert set(summary["improved"]) == IMPROVED
    with open_ensemble(folder) as ensemble:
        assert set(ensemble.improved) == IMPROVED
        exact = known(ensemble.theory(), Lattice(ensemble.shape))
    plain, improved = (summary[how]["chi2"] for how in ("observables", "improved"))
    assert abs(improved["value"] - exact["chi2"]) < 5 * improved["error"]
    assert improved["error"] < plain["error"]
    values, errors = vector(summary["improved"]["two_point"])
    assert (abs(values - exact["two_point"]) < 5 * errors).all()
    assert (errors[2:] < vector(summary["observables"]["two_point"])[1][2:]).all()


def test_the_pole_mass_and_its_table_are_made_of_them(drawn, tmp_path):
    _, summary = drawn
    mass = summary["pole_mass"]
    assert (mass["of"], mass["improved"]) == ("two_point", True)
    c = vector(summary["improved"]["two_point"])[0]
    m = mass["effective_mass"][0]["value"]
    assert c[0] / c[1] == pytest.approx(np.cosh(4 * m) / np.cosh(3 * m))
    lines = sample_report(summary, tmp_path).splitlines()
    (head,) = [line for line in lines if line.split()[:1] == ["observable"]]
    assert head.split()[-1] == "improved"
    for name in ("two_point", "effective_mass"):
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert line.endswith(" (improved)")


def test_other_samplers_have_none(tmp_path):
    sampler = {"_target_": "flowlat.samplers.HMC"}
    summary = draw(config(sampler=sampler, n_samples=512), tmp_path)
    assert "improved" not in summary
    assert summary["pole_mass"]["improved"] is False
    with open_ensemble(tmp_path) as ensemble:
        assert ensemble.improved == ()
    assert "improved" not in sample_report(summary, tmp_path)


def test_a_run_that_goes_on_is_the_run_in_one_go(tmp_path):
    files = []
    for name, legs in (("whole", [1024]), ("parts", [256, 1024])):
        folder = tmp_path / name
        folder.mkdir()
        for n in legs:
            draw(config(n_samples=n, resume=n > legs[0]), folder)
        with open_ensemble(folder) as ensemble:
            files.append(next(ensemble.blocks(1024)) | ensemble.state())
    assert files[0].keys() == files[1].keys()
    assert all(np.array_equal(files[0][name], files[1][name]) for name in files[0])


def test_columns_that_are_not_those_of_the_observables(tmp_path):
    draw(config(n_samples=1024), tmp_path)
    for name, values in (
        ("chi2", np.ones(3)),
        ("chi2", np.ones((1024, 2))),
        ("nothing", np.ones(1024)),
    ):
        with h5py.File(tmp_path / "ensemble.h5", "r+") as file:
            if f"improved/{name}" in file:
                del file[f"improved/{name}"]
            rows = min(8, len(values)), *values.shape[1:]
            file.create_dataset(f"improved/{name}", data=values, chunks=rows, fletcher32=True)
        with pytest.raises(EnsembleError, match=f"improved/{name}: not as measured/{name}"):
            open_ensemble(tmp_path)
        with h5py.File(tmp_path / "ensemble.h5", "r+") as file:
            del file[f"improved/{name}"]


def test_series_along_the_chains(drawn):
    with open_ensemble(drawn[0]) as ensemble:
        plain, improved = ensemble.chains("chi2"), ensemble.chains("chi2", improved=True)
        assert len(improved) == 16
        mean = np.concatenate(improved).mean()
        assert mean == pytest.approx(drawn[1]["improved"]["chi2"]["value"])
        assert np.concatenate(improved).var() < np.concatenate(plain).var()
        with pytest.raises(EnsembleError, match="does not have improved/binder"):
            ensemble.chains("binder", improved=True)
