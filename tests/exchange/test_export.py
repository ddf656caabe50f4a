"""Ensembles for other programs: what is read back is what is in the ensemble."""

import csv
import json

import h5py
import numpy as np
import pytest
from pyerrors.input.json import load_json_dict

from flowlat.analysis.estimates import chain_estimate
from flowlat.analysis.gamma_method import replicas
from flowlat.ensemble import open_ensemble
from flowlat.exchange import named
from flowlat.exchange.__main__ import main
from flowlat.exchange.export import export, in_one
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError, EnsembleError
from tests.support.fakes import walk_config


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run folder of every kind: 100 rows (weighted: 108) of 3 replicas on (2, 4)."""
    kinds = ("chain", "proposals", "weighted")
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in kinds}
    for kind, folder in folders.items():
        draw(walk_config(sampler={"kind": kind}), folder)
    return folders


@pytest.mark.parametrize("kind", ["chain", "proposals"])
def test_hdf5_with_named_dimensions(kind, drawn, tmp_path, monkeypatch):
    """In blocks of 2 steps; 34 steps of the first replica, 33 of the others."""
    monkeypatch.setattr(named, "NUMBERS", 2 * 64)
    with open_ensemble(drawn[kind]) as ensemble, pytest.MonkeyPatch.context():
        export(ensemble, tmp_path / "out.h5")
        with h5py.File(tmp_path / "out.h5") as file:
            dimensions = {
                "phi": ("replica", "step", "x0", "x1"),
                "action": ("replica", "step"),
                "phi2": ("replica", "step"),
                "two_point": ("replica", "step", "two_point_element"),
            }
            for name, expected in dimensions.items():
                assert tuple(axis[0].name.strip("/") for axis in file[name].dims) == expected
            assert list(file["replica"]) == [0, 1, 2]
            phi, rows = file["phi"][...], ensemble.configurations()
            for replica in range(3):
                mine = rows[replica::3]
                np.testing.assert_array_equal(phi[replica, : len(mine)], mine)
                assert np.isnan(phi[replica, len(mine) :]).all()
                series = ensemble.chains("two_point")[replica]
                np.testing.assert_array_equal(file["two_point"][replica, : len(mine)], series)
            assert "phi(x+mu)" in file.attrs["convention"].decode()
            assert json.loads(file.attrs["config"]) == ensemble.config


def test_hdf5_of_a_weighted_ensemble(drawn, tmp_path):
    with open_ensemble(drawn["weighted"]) as ensemble:
        export(ensemble, tmp_path / "out.nc")
        with h5py.File(tmp_path / "out.nc") as file:
            np.testing.assert_array_equal(file["phi"], ensemble.configurations())
            np.testing.assert_array_equal(file["log_weight"], ensemble.log_weight)
            assert file["log_weight"].dims[0][0].name == "/sample"


def test_xarray_reads_it(drawn, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with open_ensemble(drawn["chain"]) as ensemble:
        export(ensemble, tmp_path / "out.h5")
        with xarray.open_dataset(tmp_path / "out.h5", engine="h5netcdf") as found:
            assert found.phi.dims == ("replica", "step", "x0", "x1")
            assert found.sizes["x1"] == 4
            mean = (found.phi**2).mean().item()  # which leaves NaN out
            assert mean == pytest.approx(ensemble.measured["phi2"].mean())
            assert found.phi.sel(replica=1, step=2).shape == (2, 4)


@pytest.mark.parametrize("kind", ["chain", "weighted"])
def test_a_table_of_observables(kind, drawn, tmp_path):
    with open_ensemble(drawn[kind]) as ensemble:
        export(ensemble, tmp_path / "out.csv")
    summary = json.loads((drawn[kind] / "summary.json").read_text())["observables"]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    flat = [e for v in summary.values() for e in (v if isinstance(v, list) else [v])]
    assert len(rows) == len(flat) == 7
    assert [row["element"] for row in rows if row["observable"] == "two_point"] == ["0", "1", "2"]
    for row, entry in zip(rows, flat, strict=True):
        assert float(row["value"]) == entry["value"]
        assert float(row["error"]) == entry["error"]


def test_pyerrors(drawn, tmp_path):
    """Also the errors that it gives, of replicas in different places."""
    with open_ensemble(drawn["chain"]) as ensemble:
        export(ensemble, tmp_path / "out.json.gz")
        found = load_json_dict(str(tmp_path / "out.json.gz"), verbose=False)
        assert found.keys() == set(ensemble.config["observables"])
        assert len(found["two_point"]) == 3
        for name in ("binder", "magnetization", "phi2"):
            expected = chain_estimate(ensemble.observables()[name], ensemble.chains(name), name)
            found[name].gamma_method()
            assert found[name].value == pytest.approx(expected.value)
            if name == "binder":  # what its curvature adds is in the summary alone
                assert found[name].dvalue <= expected.error
            else:
                assert found[name].dvalue == pytest.approx(expected.error, rel=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["out.json.gz"]


def test_an_obs_that_does_not_exist_can_be_written():
    assert np.isnan(in_one(replicas([np.full(60, np.nan)])).value)


def test_no_chain_for_pyerrors(drawn, tmp_path):
    with (
        open_ensemble(drawn["weighted"]) as ensemble,
        pytest.raises(EnsembleError, match="a weighted ensemble is no chain"),
    ):
        export(ensemble, tmp_path / "out.json.gz")
    assert not list(tmp_path.iterdir())


def test_names_that_say_nothing_and_files_that_are_there(drawn, tmp_path, capsys):
    with open_ensemble(drawn["chain"]) as ensemble:
        with pytest.raises(ConfigError, match=r"the name has to end in .npy, .h5, .nc, .csv"):
            export(ensemble, tmp_path / "out.xlsx")
        (tmp_path / "phi.npy").touch()
        with pytest.raises(ConfigError, match="is there already"):
            export(ensemble, tmp_path / "phi.npy")
    assert main(["export", str(drawn["chain"]), str(tmp_path / "new.npy")]) == 0
    assert np.load(tmp_path / "new.npy").shape == (100, 2, 4)
    assert main(["export", str(drawn["chain"]), str(tmp_path / "no" / "new.npy")]) == 2
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err
