"""The reader of ensemble.h5: what was drawn comes back; what is damaged or hostile is refused."""

import json
import random
import shutil

import h5py
import numpy as np
import pyerrors
import pytest
import torch
from torch.utils.data import DataLoader

from flowlat.actions import Phi4
from flowlat.analysis.estimates import chain_estimate, chain_obs
from flowlat.ensemble import Ensemble, open_ensemble
from flowlat.ensemble.summary import acceptance
from flowlat.exchange.named import write_named
from flowlat.observables import Binder, CorrelationLength, TwoPoint
from flowlat.sampling.draw import draw
from flowlat.utils.errors import EnsembleError
from tests.support.fakes import Mean, walk_config

KINDS = ("chain", "proposals", "weighted")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run folder of every kind: 100 rows (weighted: 108) of 3 replicas on (2, 4)."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in folders.items():
        draw(walk_config(sampler={"kind": kind}), folder)
    return folders


@pytest.fixture
def altered(drawn, tmp_path):
    """``altered(change, kind)``: a copy whose h5py file ``change`` has edited."""

    def write(change, kind="proposals"):
        path = tmp_path / "ensemble.h5"
        shutil.copy(drawn[kind] / "ensemble.h5", path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return write


def rows(ensemble: Ensemble):
    """The fields of all rows."""
    return ensemble.proposals if ensemble.kind == "proposals" else ensemble.configurations()


def everything(ensemble: Ensemble):
    """All that can be read, as plain bytes."""
    found = [ensemble.config, ensemble.kind, ensemble.shape, ensemble.replicas, ensemble.population]
    found += [ensemble.attribute(name) for name in ("provenance", "seed", "seconds")]
    arrays = [ensemble.proposals, ensemble.action, ensemble.log_weight, ensemble.accepted]
    arrays += [ensemble.configurations(), *ensemble.measured.values(), *ensemble.state().values()]
    found += [None if values is None else values.tobytes() for values in arrays]
    found += [type(o) for o in (*ensemble.observables().values(), ensemble.theory())]
    return found


def refusal(path):
    """The one line with which a file is refused, at once or when it is read."""
    with pytest.raises(EnsembleError) as caught, open_ensemble(path) as ensemble:
        everything(ensemble)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_drawn_comes_back(kind, drawn):
    with open_ensemble(drawn[kind]) as ensemble:
        n = 108 if kind == "weighted" else 100
        assert (ensemble.kind, ensemble.n, len(ensemble)) == (kind, n, n)
        assert (ensemble.shape, ensemble.replicas) == ((2, 4), 3)
        assert ensemble.population == (12 if kind == "weighted" else 1)
        assert ensemble.config["action"]["lam"] == 0.5
        assert "phi(x+mu)" in ensemble.convention
        assert rows(ensemble).shape == (n, 2, 4)
        assert (ensemble.proposals is None) == (kind != "proposals")
        assert (ensemble.log_weight is None) == (kind == "chain")
        assert (ensemble.accepted is None) == (kind == "weighted")
        phi = torch.from_numpy(rows(ensemble))
        torch.testing.assert_close(torch.from_numpy(ensemble.action), Phi4(1.0, 0.5)(phi))
        assert list(ensemble.measured) == [
            *("phi2", "binder", "two_point", "magnetization", "schwinger_dyson")
        ]
        expected = (rows(ensemble) ** 2).reshape(n, -1).mean(1)
        np.testing.assert_allclose(ensemble.measured["phi2"], expected)
        assert ensemble.measured["two_point"].shape == (n, 3)
        observables = ensemble.observables()
        assert isinstance(observables["binder"], Binder)
        assert isinstance(observables["two_point"], TwoPoint)
        assert isinstance(ensemble.theory(), Phi4)


def test_the_layout_as_h5py_sees_it(drawn):
    with h5py.File(drawn["proposals"] / "ensemble.h5") as file:
        assert set(file) == {
            *("proposals", "action", "log_weight", "accepted", "chain_index", "measured", "state")
        }
        assert set(file["state"]) == {"phi", "n_blocks"}
        types = {"accepted": bool, "chain_index": "int64"}
        for name in ("action", "log_weight", "measured/phi2", "proposals", *types):
            assert file[name].dtype == types.get(name, "float64")
            assert file[name].fletcher32
            assert len(file[name]) == 108  # whole blocks
        assert file.attrs["n_samples"] == 100
        config = json.loads(file.attrs["config"])
        assert config["lattice"]["shape"] == [2, 4]
        assert file.attrs["kind"] == b"proposals"
        assert file.attrs["seed"] == 0
        assert "checkpoint_sha256" not in file.attrs


def test_chains_of_states(drawn):
    with open_ensemble(drawn["chain"]) as ensemble:
        assert ensemble.chain_index().tolist() == list(range(100))
        phi2 = ensemble.measured["phi2"]
        chains = ensemble.chains("phi2")
        assert [len(chain) for chain in chains] == [34, 33, 33]
        for replica, chain in enumerate(chains):
            np.testing.assert_array_equal(chain, phi2[replica::3])
        assert len(ensemble.configurations()) == 100


def test_chains_of_proposals_repeat_what_stood_before(drawn):
    with open_ensemble(drawn["proposals"]) as ensemble:
        index, accepted = ensemble.chain_index(), ensemble.accepted
        runs = [0] * 3
        stood, longest = [None] * 3, 0
        for row in range(100):  # the rule, row by row
            replica = row % 3
            if accepted[row]:
                stood[replica], runs[replica] = row, 0
            else:
                runs[replica] += 1
                longest = max(longest, runs[replica])
            assert index[row] == stood[replica]
        assert ensemble.longest_rejection_run() == longest > 1
        two_point = ensemble.measured["two_point"]
        for replica, chain in enumerate(ensemble.chains("two_point")):
            np.testing.assert_array_equal(chain, two_point[index[replica::3]])
        np.testing.assert_array_equal(ensemble.configurations(), ensemble.proposals[index])


@pytest.mark.parametrize("kind", ["chain", "proposals"])
def test_configurations_by_replica_are_in_the_order_of_the_steps(kind, drawn):
    with open_ensemble(drawn[kind]) as ensemble:
        chains, phi2 = ensemble.configurations_by_replica(), ensemble.chains("phi2")
        everything, replicas = ensemble.configurations(), ensemble.replicas
    assert [len(chain) for chain in chains] == [34, 33, 33]
    for r, (chain, series) in enumerate(zip(chains, phi2, strict=True)):
        np.testing.assert_allclose((chain.astype(float) ** 2).mean((1, 2)), series, rtol=1e-12)
        np.testing.assert_array_equal(chain, everything[r::replicas])


def test_a_weighted_ensemble_is_no_chain(drawn):
    with open_ensemble(drawn["weighted"]) as ensemble:
        assert ensemble.longest_rejection_run() is None
        assert len(ensemble.configurations()) == 108
        for method in (ensemble.chain_index, lambda: ensemble.chains("phi2")):
            with pytest.raises(EnsembleError, match="a weighted ensemble is no chain"):
                method()


@pytest.mark.parametrize("name", ["phi2", "binder", "two_point", "magnetization"])
def test_an_obs_of_pyerrors_is_the_observable_of_the_table(name, drawn):
    with open_ensemble(drawn["proposals"]) as ensemble:
        found = ensemble.obs(name)
        expected = chain_estimate(ensemble.observables()[name], ensemble.chains(name), name)
        replicas = [f"{ensemble.name}|r{r}" for r in range(3)]
    assert isinstance(found, list) == isinstance(expected, list) == (name == "two_point")
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    for obs, estimate in pairs:
        assert obs.names == replicas
        obs.gamma_method()
        assert obs.value == pytest.approx(estimate.value)
        if name == "binder":  # of which pyerrors knows the linear part
            assert 0.5 * estimate.error < obs.dvalue < estimate.error
        else:
            assert obs.dvalue == pytest.approx(estimate.error)


def test_chains_that_start_later(drawn, tmp_path):
    """All of it from ``start_row`` on, a multiple of the replicas; what comes before is kept."""
    path = tmp_path / "ensemble.h5"
    shutil.copy(drawn["proposals"] / "ensemble.h5", path)
    with open_ensemble(path) as ensemble:
        whole, phi2 = ensemble.chain_index(), ensemble.read("measured/phi2")
        flags = ensemble.accepted
    with h5py.File(path, "r+") as file:
        file.attrs["start_row"] = 30
    with open_ensemble(path) as ensemble:
        np.testing.assert_array_equal(ensemble.chain_index(), whole[30:])
        for replica, chain in enumerate(ensemble.chains("phi2")):
            np.testing.assert_array_equal(chain, phi2[whole[30 + replica :: 3]])
        assert len(ensemble) == len(ensemble.log_weight) == 100
        assert acceptance(ensemble) == pytest.approx(flags[30:].mean())
        write_named(ensemble, tmp_path / "named.h5")
        with h5py.File(tmp_path / "named.h5") as named:
            series = named["phi2"][1]
        np.testing.assert_array_equal(series[np.isfinite(series)], ensemble.chains("phi2")[1])
    for wrong in (-3, 31, 102):
        with h5py.File(path, "r+") as file:
            file.attrs["start_row"] = wrong
        with pytest.raises(EnsembleError, match=f"start_row={wrong}: out of range"):
            open_ensemble(path)


def test_obs_propagate_through_functions_of_several(drawn):
    with open_ensemble(drawn["proposals"]) as ensemble:
        first, second, _ = ensemble.obs("two_point")
        ratio = second / first
        ratio.gamma_method()
        assert isinstance(ratio, pyerrors.Obs)
        assert ratio.dvalue > 0


def test_runs_of_other_seeds_are_other_ensembles(tmp_path):
    """The errors of a difference add up in quadrature; a run less itself is 0 without error."""
    found = []
    for i, changes in enumerate([{}, {"seed": 1}, {"n_samples": 200}]):
        folder = tmp_path / str(i)
        folder.mkdir()
        draw(walk_config(**changes), folder)
        with open_ensemble(folder) as ensemble:
            found.append((ensemble.name, ensemble.obs("phi2"), ensemble.obs("phi2", ensemble="A")))
    assert found[0][0] == found[2][0] != found[1][0]
    first, second = found[0][1], found[1][1]
    difference, nothing = first - second, first - first
    for obs in (first, second, difference, nothing):
        obs.gamma_method()
    assert difference.dvalue == pytest.approx(np.hypot(first.dvalue, second.dvalue))
    assert nothing.dvalue == 0
    assert found[0][2].names == ["A|r0", "A|r1", "A|r2"]


def test_an_obs_that_does_not_exist_is_nan():
    """A correlation length where chi2 < F."""
    chains = [np.column_stack([-np.ones(60), np.arange(60.0) + 1])]
    assert np.isnan(chain_obs(CorrelationLength(), chains).value)


def test_an_obs_of_a_class_of_others_needs_trust(tmp_path):
    mean = {"mean2": {"_target_": "tests.support.fakes.Mean", "power": 2}}
    draw(walk_config(observables=mean), tmp_path)
    with open_ensemble(tmp_path) as ensemble:
        with pytest.raises(EnsembleError, match="mean2 is not flowlat's own"):
            ensemble.obs("mean2")
        expected = np.concatenate(ensemble.chains("mean2")).mean()
        assert ensemble.obs("mean2", trust=True).value == pytest.approx(expected)


def test_torch_datasets(drawn):
    with open_ensemble(drawn["chain"]) as ensemble:
        batches = list(DataLoader(ensemble.dataset(), batch_size=32))
        assert [len(phi) for (phi,) in batches] == [32, 32, 32, 4]
        np.testing.assert_array_equal(torch.cat([phi for (phi,) in batches]), rows(ensemble))
    with open_ensemble(drawn["weighted"]) as ensemble:
        phi, log_weight = ensemble.dataset()[7]
        np.testing.assert_array_equal(phi, rows(ensemble)[7])
        assert log_weight == ensemble.log_weight[7]


def test_npy(drawn, tmp_path):
    with open_ensemble(drawn["proposals"]) as ensemble:
        ensemble.save_npy(tmp_path / "phi.npy")
        found = np.load(tmp_path / "phi.npy", allow_pickle=False)
        np.testing.assert_array_equal(found, ensemble.configurations())
    assert [path.name for path in tmp_path.iterdir()] == ["phi.npy"]


def test_without_configurations(tmp_path):
    draw(walk_config(save_configs=False, n_samples=10), tmp_path)
    with open_ensemble(tmp_path) as ensemble:
        assert ensemble.proposals is None
        with pytest.raises(EnsembleError, match=r"has no configurations .save_configs=false"):
            ensemble.configurations()


def test_fewer_rows_than_replicas(tmp_path):
    draw(walk_config(n_samples=2), tmp_path)
    with open_ensemble(tmp_path) as ensemble:
        assert [len(chain) for chain in ensemble.chains("phi2")] == [1, 1]


def test_names_that_were_not_measured(drawn):
    with (
        open_ensemble(drawn["chain"]) as ensemble,
        pytest.raises(EnsembleError, match=r"does not have measured/chi2 \(measured: phi2, binder"),
    ):
        ensemble.obs("chi2")


def test_what_has_been_read_stays_after_closing(drawn):
    with open_ensemble(drawn["chain"]) as ensemble:
        action = ensemble.action
    assert ensemble.action is action
    with pytest.raises(EnsembleError, match=r"ensemble\.h5"):
        ensemble.read("configurations")


def test_files_that_are_not_there(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.h5")
    assert "no such file" in refusal(tmp_path)
    (tmp_path / "parts").mkdir()
    assert "not finished; sample.py goes on with it by resume=true" in refusal(tmp_path)


def test_files_of_other_programs(tmp_path, altered):
    path = tmp_path / "other.h5"
    path.write_bytes(b"not at all an ensemble")
    assert "truncated or damaged" in refusal(path)
    with h5py.File(path, "w") as file:
        file["data"] = [1.0, 2.0]
    assert "not an ensemble of flowlat" in refusal(path)
    newer = altered(lambda file: file.attrs.modify("format", np.bytes_("flowlat ensemble 9")))
    assert "not an ensemble of flowlat (flowlat ensemble 2)" in refusal(newer)


def test_truncated_files(drawn, tmp_path):
    whole = (drawn["proposals"] / "ensemble.h5").read_bytes()
    path = tmp_path / "cut.h5"
    for size in [0, 7, 100, *(random.randrange(len(whole)) for _ in range(20)), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert "truncated or damaged" in refusal(path)


def test_flipped_bits_are_noticed_or_do_not_matter(drawn, tmp_path):
    """100 flips; two in a hundred bytes of the file are padding."""
    source = drawn["proposals"] / "ensemble.h5"
    whole, path = source.read_bytes(), tmp_path / "flipped.h5"
    with open_ensemble(source) as ensemble:
        expected = everything(ensemble)
    noticed = []
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        try:
            with open_ensemble(path) as ensemble:
                assert everything(ensemble) == expected
        except EnsembleError as error:
            noticed.append(str(error))
    assert len(noticed) > 50
    assert not any("\n" in message for message in noticed)


def replace(name, **options):
    """An edit that puts another dataset in the place of one."""

    def change(file):
        del file[name]
        file.create_dataset(name, **options)

    return change


def link(name, target):
    def change(file):
        del file[name]
        file[name] = target

    return change


def into_group(name):
    def change(file):
        del file[name]
        file.create_group(name)

    return change


def virtual(file):
    layout = h5py.VirtualLayout((100,), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "action", (100,))
    del file["action"]
    file.create_virtual_dataset("action", layout)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


#: an edit, and what the line says
HOSTILE = {
    "a convention that is a number": (attribute("convention", 3.0), "not a text or a mapping"),
    "a provenance that is a list": (attribute("provenance", np.bytes_(b"[1]")), "or a mapping"),
    "a provenance that is a number": (attribute("provenance", 3.0), "truncated or damaged"),
    "a huge shape without data": (
        replace("proposals", shape=(10**12, 2, 4), dtype="f8", chunks=(100, 2, 4)),
        "proposals: shape (1000000000000, 2, 4), but the data are not there",
    ),
    "rows that are not there": (
        replace("action", shape=(100,), dtype="f8", chunks=(10,)),
        "action: shape (100,), but the data are not there",
    ),
    "fewer rows in a column": (
        replace("accepted", data=np.ones(99, bool)),
        "accepted: bool (99,): not 108 rows",
    ),
    "another lattice": (
        replace("proposals", data=np.ones((108, 4, 4))),
        "proposals: float64 (108, 4, 4)",
    ),
    "a column too few": (lambda file: file.__delitem__("log_weight"), "log_weight"),
    "fewer measurements": (
        replace("measured/phi2", data=np.ones(3)),
        "measured/phi2: float64 (3,): not 108 rows",
    ),
    "numbers that are none": (replace("action", data=[b"x"] * 108), "action: object (108,): not"),
    "a compound": (replace("accepted", data=np.zeros(108, "i4,f4")), "accepted: [("),
    "texts as measurements": (
        replace("measured/phi2", data=[b"x"] * 108),
        "measured/phi2: object (108,): not",
    ),
    "a soft link": (link("action", h5py.SoftLink("/log_weight")), "action: a link to elsewhere"),
    "another file": (
        link("proposals", h5py.ExternalLink("x.h5", "/proposals")),
        "proposals: a link to elsewhere",
    ),
    "a virtual dataset": (virtual, "action: data in another file"),
    "raw data of another file": (
        replace("action", shape=(100,), dtype="f8", external=[("/etc/passwd", 0, 800)]),
        "action: data in another file",
    ),
    "a group": (into_group("action"), "action: not a dataset"),
    "more samples than rows": (attribute("n_samples", 109), "(109, 108, 3, 1)"),
    "no samples": (attribute("n_samples", 0), "(0, 108, 3, 1)"),
    "a chain of rows to come": (
        replace("chain_index", data=np.arange(108) + 1),
        "chain_index: out of range",
    ),
    "a chain of rows before all": (
        replace("chain_index", data=np.arange(108) - 1),
        "chain_index: out of range",
    ),
    "no replicas": (attribute("replicas", 0), "(100, 108, 0, 1)"),
    "an unknown kind": (attribute("kind", np.bytes_("magic")), "magic"),
    "no JSON": (attribute("config", np.bytes_("{")), "truncated or damaged"),
    "another JSON": (attribute("config", np.bytes_("[1]")), "truncated or damaged"),
    "sides of a lattice": (
        attribute("config", np.bytes_('{"lattice": {"shape": "ab"}}')),
        "truncated or damaged",
    ),
    "a large attribute": (attribute("kind", np.zeros(5000)), "kind: not a single text or number"),
    "an observable that is not measured": (
        lambda file: file.__delitem__("measured/phi2"),
        "measured: not the observables of the config",
    ),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_files_that_contradict_themselves(way, altered):
    change, text = HOSTILE[way]
    assert text in refusal(altered(change))


def with_config(key, node):
    """An edit of the config of a file."""

    def change(file):
        config = json.loads(file.attrs["config"])
        if key == "action":
            config["action"] = node
        else:
            config["observables"]["phi2"] = node
        file.attrs["config"] = np.bytes_(json.dumps(config))

    return change


TOUCH = {"_target_": "os.system", "command": "touch executed"}


@pytest.mark.parametrize(
    "node",
    [
        TOUCH,
        {"_target_": "flowlat.observables.TwoPoint", "all_axes": TOUCH},
        {"_target_": "flowlat.observables.TwoPoint", "all_axes": "${oc.env:HOME}"},
        {"_target_": "flowlat.observables.base.Observable", "_args_": [TOUCH]},
        {"_target_": "flowlat.observables.torch.os.system", "command": "touch executed"},
        {"_target_": "tests.support.fakes.Mean"},
    ],
)
def test_only_our_own_classes_are_run(node, altered, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_ensemble(altered(with_config("phi2", node))) as ensemble:
        assert set(ensemble.observables()) == {
            *("binder", "two_point", "magnetization", "schwinger_dyson")
        }
    assert "observables.phi2" in caplog.text
    assert "not allowed in a file" in caplog.text
    with (
        open_ensemble(altered(with_config("action", node))) as ensemble,
        pytest.raises(EnsembleError, match=r"action.*not allowed in a file"),
    ):
        ensemble.theory()
    assert not (tmp_path / "executed").exists()


def test_arguments_are_checked(altered):
    node = {"_target_": "flowlat.observables.TwoPoint", "all_axes": "perhaps"}
    with (
        open_ensemble(altered(with_config("phi2", node))) as ensemble,
        pytest.raises(EnsembleError, match=r"all_axes='perhaps': must be a valid boolean"),
    ):
        ensemble.observables()


def test_observables_of_the_users_own(tmp_path):
    node = {"_target_": "tests.support.fakes.Mean", "power": 4}
    draw(walk_config(observables={"m4": node}), tmp_path)
    with open_ensemble(tmp_path) as ensemble:
        # and what every summary needs
        assert list(ensemble.measured) == ["m4", "magnetization", "schwinger_dyson"]
        mean = ensemble.configurations().reshape(100, -1).mean(1)
        np.testing.assert_allclose(ensemble.measured["m4"], mean**4)
        assert "m4" not in ensemble.observables()
        assert isinstance(ensemble.observables(trust=True)["m4"], Mean)
