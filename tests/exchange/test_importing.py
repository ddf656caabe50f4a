"""Configurations of another program: an ensemble like any other, or refused with the cure."""

import json

import numpy as np
import pytest
import torch

from flowlat.actions import Phi4
from flowlat.ensemble import open_ensemble
from flowlat.ensemble.reference import read_reference, require_theory
from flowlat.exchange import imported
from flowlat.exchange.__main__ import main
from flowlat.exchange.importing import import_ensemble
from flowlat.lattice import Lattice
from flowlat.report.build import build
from flowlat.samplers import HMC
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import sha256

SHAPE, STEPS, REPLICAS = (4, 6), 40, 20
OURS = {"m2": 1.0, "lam": 0.5}
HOPPING = {"kappa": 0.19, "l": 0.018}


def drawn(m2, lam):
    """Thermalised configurations ``(STEPS, REPLICAS, *SHAPE)`` of a theory."""
    action = Phi4(m2, lam)
    hmc = HMC(Lattice(SHAPE), action, replicas=REPLICAS, thermalization=30, block=STEPS)
    generator = torch.Generator().manual_seed(0)
    _, block = hmc.step(hmc.start(generator), generator)
    return block.phi.reshape(STEPS, REPLICAS, *SHAPE).numpy()


@pytest.fixture(scope="module")
def phi():
    return drawn(**OURS)


@pytest.fixture
def source(tmp_path):
    """``source(array)``: a file of it."""

    def write(array, name="phi.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return write


AXES = ["step", "replica", "x0", "x1"]


def test_an_import_is_an_ensemble_like_any_other(phi, source, tmp_path, monkeypatch):
    """In blocks of 7 steps, the last one of 5."""
    monkeypatch.setattr(imported, "NUMBERS", 7 * REPLICAS * 24)
    path = source(phi)
    summary = import_ensemble(path, tmp_path / "new" / "run", SHAPE, OURS, axes=AXES)
    with open_ensemble(tmp_path / "new" / "run") as ensemble:
        np.testing.assert_array_equal(ensemble.configurations(), phi.reshape(-1, *SHAPE))
        assert (ensemble.kind, ensemble.replicas, len(ensemble)) == ("chain", REPLICAS, 800)
        assert ensemble.n_rows == 840
        expected = Phi4(**OURS)(torch.from_numpy(phi.reshape(-1, *SHAPE)))
        np.testing.assert_allclose(ensemble.action, expected)
        moved = np.concatenate([[[True] * REPLICAS], (np.diff(phi, axis=0) != 0).any((2, 3))])
        np.testing.assert_array_equal(ensemble.accepted, moved.ravel())
        provenance = json.loads(ensemble.attribute("provenance"))
        found = ensemble.config["sampler"]
        for record in (provenance, found):
            assert record["source"] == "phi.npy"
            assert record["source_sha256"] == sha256(path)
        assert isinstance(ensemble.theory(), Phi4)
        require_theory(ensemble.path, ensemble.config)
    assert read_reference(tmp_path / "new" / "run").phi.shape == (800, *SHAPE)
    assert summary["schwinger_dyson"]["value"] == pytest.approx(1, abs=0.2)
    assert {p.name for p in tmp_path.iterdir()} == {"phi.npy", "new"}
    assert build([tmp_path / "new" / "run"]).sections
    names = {p.name for p in (tmp_path / "new" / "run").iterdir()}
    assert names == {"ensemble.h5", "ensemble.png", "summary.json"}


def test_fields_of_another_convention_are_rescaled(source, tmp_path):
    kappa, quartic = HOPPING.values()
    ours = {"m2": (1 - 2 * quartic) / kappa - 4, "lam": quartic / kappa**2}
    theirs = (drawn(**ours) / kappa**0.5).astype("f4")
    import_ensemble(source(theirs), tmp_path / "run", SHAPE, HOPPING, "hopping", AXES)
    with open_ensemble(tmp_path / "run") as ensemble:
        assert ensemble.config["action"]["lam"] == pytest.approx(ours["lam"])
        fields = ensemble.configurations().reshape(theirs.shape)
        assert fields.dtype == np.float32
        np.testing.assert_allclose(fields, theirs * kappa**0.5, rtol=1e-6)


def refused(path, out, couplings=OURS, convention="flowlat", axes=AXES, replicas=None):
    with pytest.raises((ConfigError, EnsembleError)) as caught:
        import_ensemble(path, out, SHAPE, couplings, convention, axes, replicas)
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))
    return str(caught.value)


def test_another_convention_is_named(phi, source, tmp_path):
    """5 errors: p = 6e-7 that right ones are refused."""
    message = refused(source(phi * 2**0.5), tmp_path / "run")
    assert "not configurations of m2=1 lam=0.5" in message
    assert "--convention g/4 --coupling mu2=1 --coupling g=0.5 (" in message


def test_fields_that_are_ours_already_are_named(phi, source, tmp_path):
    theirs = {"mu2": 1.0, "g": 0.5}
    message = refused(source(phi), tmp_path / "run", theirs, "g/4")
    assert "--convention flowlat --coupling m2=1 --coupling lam=0.5 (" in message


def test_another_order_of_axes_is_named(source, tmp_path):
    """Of neighbours that are correlated."""
    theory = {"m2": -1.0, "lam": 0.5}
    flat = np.ascontiguousarray(drawn(**theory).transpose(0, 1, 3, 2)).reshape(STEPS, -1)
    message = refused(source(flat), tmp_path / "run", theory, replicas=REPLICAS)
    assert "--axes step,replica,x1,x0" in message


def test_noise_is_no_reading_and_can_be_taken_all_the_same(source, tmp_path, capsys):
    path = source(3 * np.random.default_rng(0).normal(size=(100, *SHAPE)))
    message = refused(path, tmp_path / "run", axes=None)
    assert "and no other reading fits; --unchecked takes them all the same" in message
    summary = import_ensemble(path, tmp_path / "run", SHAPE, OURS, checked=False)
    assert "schwinger_dyson" in [warning["code"] for warning in summary["warnings"]]


def test_nothing_is_written_over(phi, source, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(ConfigError, match=r"run: is there already; nothing is written over"):
        import_ensemble(source(phi), tmp_path / "run", SHAPE, OURS, axes=AXES)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_configuration_that_is_none_is_named(value, phi, source, tmp_path):
    broken = phi.copy()
    broken[17, 3, 1, 2] = value
    message = refused(source(broken), tmp_path / "run")
    assert "phi.npy: step 17 of replica 3: NaN or infinity" in message


def test_a_disk_that_is_full(phi, source, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowlat.exchange.importing.plot", full)
    message = refused(source(phi), tmp_path / "run")
    assert message.endswith("run: cannot be written (No space left on device)")


def test_the_command(phi, source, tmp_path, capsys):
    path, options = source(phi), ["--shape", "4,6", "--axes", ",".join(AXES)]
    typed = ["import", str(path), *options, "--coupling", "m2=1", "--out", str(tmp_path / "run")]
    assert main(typed) == 2
    assert capsys.readouterr().err == "error: convention=flowlat: needs m2 and lam, not m2=1\n"
    assert main([*typed, "--coupling", "lam=0.5"]) == 0
    shown = capsys.readouterr().out
    assert "800 configurations of 20 chains" in shown
    assert "Schwinger-Dyson" in shown
    assert "samples per second" not in shown
    assert shown.endswith("Of action.m2=1.0 action.lam=0.5\n")
