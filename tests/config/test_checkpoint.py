"""Checkpoints are data: whole ones load exactly, others are refused and nothing in them runs."""

import copy
import pickle
import shutil

import pytest
import torch

from flowlat import compose, load_flow
from flowlat.config.checkpoint import checkpoint_file, flow_weights, read_checkpoint
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.training.fit import fit
from flowlat.utils.errors import CheckpointError

TINY = (
    *("lattice.shape=[4,4]", "arch=combconv_k1", "arch.n_couplings=2", "trainer=cpu"),
    *("trainer.max_epochs=1", "trainer.limit_train_batches=3", "evaluation.n_samples=64"),
)


def train(folder, *names):
    fit(validate(compose([*TINY, *names]), TrainConfig), folder)
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A real one."""
    return train(tmp_path_factory.mktemp("run"))


@pytest.fixture
def altered(checkpoint, tmp_path):
    """``altered(change)``: a copy of which ``change`` has edited the contents."""
    content = torch.load(checkpoint, weights_only=True)

    def write(change):
        edited = copy.deepcopy(content)
        change(edited)
        torch.save(edited, tmp_path / "altered.ckpt")
        return tmp_path / "altered.ckpt"

    return write


def refusal(path):
    """The one line with which a checkpoint is refused, with its path."""
    with pytest.raises(CheckpointError) as caught:
        load_flow(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    "names", [[], ["ema_decay=null"], ["symmetrize=true"], ["trainer.precision=64"]]
)
def test_the_loaded_flow_is_the_trained_one(names, tmp_path):
    path = train(tmp_path, *names)
    flow, content = load_flow(path), torch.load(path, weights_only=True)
    prefix = "flow." if "ema_decay=null" in names else "averaged.module."
    assert not flow.training
    for name, weight in flow.state_dict().items():
        assert torch.equal(weight, content["state_dict"][prefix + name])
        assert weight.dtype == (torch.float64 if "trainer.precision=64" in names else torch.float32)
    phi, log_q = flow.sample(4)
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-4, atol=1e-4)


def test_averaged_weights_are_not_the_last_ones(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    averaged = flow_weights(content)
    assert any(not torch.equal(averaged[n], content["state_dict"][f"flow.{n}"]) for n in averaged)


def test_a_checkpoint_is_plain_data(checkpoint):
    content = read_checkpoint(checkpoint)
    assert content["flowlat"]["config"]["lattice"]["shape"] == [4, 4]
    assert content["flowlat"]["provenance"]["torch"] == torch.__version__


def test_the_folder_of_a_training_is_its_best_checkpoint(checkpoint, tmp_path):
    best = tmp_path / "run" / "checkpoints" / "best_ess.ckpt"
    best.parent.mkdir(parents=True)
    shutil.copy(checkpoint, best)
    run = tmp_path / "run"
    assert read_checkpoint(run).keys() == read_checkpoint(best).keys()
    assert checkpoint_file(run) == best
    best.rename(best.with_name("last.ckpt"))
    assert "run/checkpoints/best_ess.ckpt: no such file" in refusal(run)


def test_files_that_are_no_checkpoints(checkpoint, tmp_path):
    assert "no such file" in refusal(tmp_path / "none.ckpt")
    assert "no such file" in refusal(tmp_path)
    path = tmp_path / "bad.ckpt"
    whole = checkpoint.read_bytes()
    for damaged in (whole[:5000], whole[:-500], b"", b"not at all a checkpoint", whole[100:]):
        path.write_bytes(damaged)
        assert "truncated or of another program" in refusal(path)


@pytest.mark.parametrize("n", [200, 500, 1000])
def test_flipped_bytes_are_noticed(n, checkpoint, tmp_path):
    data = bytearray(checkpoint.read_bytes())
    for position in range(0, len(data), n):
        data[position] ^= 0xFF
    (tmp_path / "bad.ckpt").write_bytes(bytes(data))
    refusal(tmp_path / "bad.ckpt")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_not_run(tmp_path):
    torch.save({"flowlat": Bomb(tmp_path / "executed")}, tmp_path / "bomb.ckpt")
    assert "not a readable checkpoint" in refusal(tmp_path / "bomb.ckpt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1], {"flowlat": 3}, {"flowlat": None}])
def test_checkpoints_of_other_programs(content, tmp_path):
    torch.save(content, tmp_path / "foreign.ckpt")
    assert "not a flowlat checkpoint" in refusal(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize(
    ("state", "message"),
    [({}, "weights"), (3, "weights"), ({"flow.prior.log_mass2": 3}, "weights")],
)
def test_weights_that_are_none(state, message, altered):
    assert message in refusal(altered(lambda c: c.update(state_dict=state)))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("arch.hidden", [4, 4], "do not fit"),
        ("arch.batch_norm", True, "do not fit"),
        ("lattice.shape", [4, 4, 4], r"do not fit lattice.shape=[4, 4, 4]"),
        ("lattice.shape", [4, 5], "5 is odd"),
        ("lattice.shape", "${oc.env:HOME}", "not allowed in a file"),
        ("lattice", 3, "lattice"),
        ("lattice", None, "lattice"),
        ("lattice", {}, "lattice"),
        ("action", "phi4", "action"),
        ("symmetrize", "perhaps", "symmetrize"),
        ("arch.depth", 3, "arch.depth=3: no such option"),
    ],
)
def test_configs_that_do_not_describe_the_weights(key, value, message, altered):
    def change(content):
        *above, last = key.split(".")
        node = content["flowlat"]["config"]
        for name in above:
            node = node[name]
        node[last] = value

    assert message in refusal(altered(change))


def test_weights_that_are_not_finite(altered):
    def spoil(content):
        for value in content["state_dict"].values():
            if value.is_floating_point():
                value.mul_(torch.nan)

    assert "not finite" in refusal(altered(spoil))


#: a module of ours that each group may name
OWN = {
    "lattice": "flowlat.lattice",
    "action": "flowlat.actions.base",
    "prior": "flowlat.priors.base",
    "arch": "flowlat.archs.combconv",
}
#: configs that would leave the file "executed" behind if they were instantiated
TOUCH = {"_target_": "os.system", "command": "touch executed"}
HOSTILE = {
    "another program": TOUCH,
    "in an argument": {"_target_": "flowlat.lattice.Lattice", "shape": TOUCH},
    "in a positional argument": {"_target_": "flowlat.lattice.Lattice", "_args_": [TOUCH]},
    "through our own module": {
        "_target_": "flowlat.lattice.geometry.torch.save",
        "obj": 1,
        "f": "executed",
    },
    "a pickle through our own module": {
        "_target_": "flowlat.lattice.geometry.torch.load",
        "f": "bomb.pkl",
        "weights_only": False,
    },
    "a shell through our own module": {
        **TOUCH,
        "_target_": "flowlat.lattice.geometry.torch.os.system",
    },
}


@pytest.mark.parametrize("group", ["lattice", "action", "prior", "arch"])
@pytest.mark.parametrize("way", HOSTILE)
def test_a_checkpoint_may_not_name_other_code(group, way, altered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "bomb.pkl").open("wb") as file:
        pickle.dump(Bomb("executed"), file)
    node = {**HOSTILE[way]}
    node["_target_"] = node["_target_"].replace("flowlat.lattice", OWN[group])

    def inject(content):
        content["flowlat"]["config"][group] = node

    message = refusal(altered(inject))
    assert not (tmp_path / "executed").exists()
    assert "not allowed" in message
