"""Configurations of an ensemble for a flow: which rows, their weights, and of which theory."""

import json

import h5py
import pytest
import torch

from flowlat.actions import Phi4
from flowlat.config.compare import differences
from flowlat.ensemble import open_ensemble
from flowlat.ensemble.reference import (
    Reference,
    read_reference,
    require_theory,
    theory_of,
)
from flowlat.sampling.draw import draw
from flowlat.utils.errors import EnsembleError
from tests.support.fakes import walk_config
from tests.support.helpers import moved_flow
from tests.support.tilted import Tilted

FREE = {"_target_": "flowlat.actions.Free", "m2": 1.0}


@pytest.fixture
def drawn(tmp_path):
    """``drawn(kind)``: the folder of a sampling of 3 replicas."""

    def start(kind="chain", **changes):
        draw(walk_config(sampler={"kind": kind}, **changes), tmp_path)
        return tmp_path

    return start


@pytest.mark.parametrize("kind", ["chain", "proposals"])
def test_it_is_the_chain(drawn, kind):
    path = drawn(kind)
    reference = read_reference(path)
    with open_ensemble(path) as ensemble:
        assert len(ensemble) == 100  # the last step is not that of every replica
        expected = torch.from_numpy(ensemble.configurations()[:99])
    assert reference.replicas == 3
    assert torch.equal(reference.phi, expected)


def test_whole_steps_at_equal_distances(drawn):
    path = drawn()
    steps = read_reference(path).phi.unflatten(0, (33, 3))
    thinned = read_reference(path, most=40)  # 13 steps would fit
    assert torch.equal(thinned.phi.unflatten(0, (-1, 3)), steps[::3])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "weighted"}, "a weighted ensemble is no chain"),
        ({"save_configs": False}, "has no configurations"),
        ({"n_samples": 2}, "2 configurations of 3 chains are too few"),
    ],
)
def test_ensembles_that_do_not_serve(drawn, changes, text):
    with pytest.raises(EnsembleError, match=text):
        read_reference(drawn(**changes))


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("action", [Phi4(1.0, 0.5), Tilted(1.0, 0.5, 0.3)], ids=["even", "odd"])
def test_log_weights(action, world_size):
    flow = moved_flow("lattice.shape=[2,4]", "arch.equivariant=false")
    phi = torch.randn(200, 2, 4, dtype=torch.float64)
    reference = Reference(phi, 1)
    ranks = [reference.log_weights(flow, action, 30, 0, r, world_size) for r in range(world_size)]
    found = torch.cat(ranks)

    def weights(x):
        return -action(x) - flow.log_prob(x).detach()

    plus, minus = (torch.isclose(found, weights(sign * phi)) for sign in (1, -1))
    if action.even:  # fair coins: 60 of 200 or fewer have a chance of 1e-8
        assert (plus | minus).all()
        assert 60 < plus.sum() < 140
    else:
        assert plus.all()


def test_theories(drawn):
    path = drawn()
    config = walk_config()
    require_theory(path, config)
    config["lattice"] = {**config["lattice"], "shape": [4, 2]}
    with pytest.raises(EnsembleError, match=r"another theory, lattice.shape=\[2, 4\] and not"):
        require_theory(path, config)
    with pytest.raises(EnsembleError, match=r"action.lam=0.5 and not 0.0"):
        require_theory(path, walk_config(action=FREE))


def test_the_free_action_is_phi4_without_coupling():
    same = theory_of(walk_config(action={"_target_": "flowlat.actions.Phi4", "m2": 1, "lam": 0}))
    assert theory_of(walk_config(action=FREE)) == same
    other = theory_of(walk_config(action={"_target_": "some.Action", "m2": 1.0, "g": 2.0}))
    assert differences(same, other) == {
        "action.lam": (0, None),
        "action._target_": ("flowlat.actions.Phi4", "some.Action"),
        "action.g": (None, 2.0),
    }


def test_an_ensemble_whose_config_has_no_action_is_refused_in_one_line(drawn):
    path = drawn() / "ensemble.h5"
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["config"])
        file.attrs["config"] = json.dumps({**config, "action": {"m2": 1.0}})
    with pytest.raises(EnsembleError, match=str(path)) as caught:
        require_theory(path, walk_config())
    assert "\n" not in str(caught.value)
