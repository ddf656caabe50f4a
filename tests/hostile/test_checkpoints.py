"""Checkpoints that mean harm: each is refused in one line, and nothing that is in them runs."""

import io
import os
import pickle
import zipfile

import pytest
import torch

from flowlat import load_flow
from flowlat.utils.errors import CheckpointError
from tests.support.hostile_files import (
    PAYLOADS,
    TOUCH,
    contents,
    everything,
    nothing_happens,
    save,
)

GROUPS = ("lattice", "action", "prior", "arch")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder that stays as it is."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "executed").exists()


def refusal(path):
    with nothing_happens(), pytest.raises(CheckpointError) as caught:
        load_flow(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 2100
    return message


def with_config(change, here):
    content = contents()
    change(content["flowlat"]["config"])
    return save(content, here / "a.ckpt")


def test_the_file_before_it_is_damaged_loads(here):
    with nothing_happens():
        flow = load_flow(save(contents(), here / "a.ckpt"))
    assert len(everything(flow)) > 4


#: names that no checkpoint may use, for any group
NAMES = (
    *("os.system", "builtins.eval", "builtins.exec", "builtins.open", "subprocess.Popen"),
    *("torch.load", "torch.hub.load", "pickle.loads", "shutil.rmtree", "importlib.import_module"),
    *("hydra.utils.instantiate", "hydra.utils.get_class", "hydra.utils.get_method", "antigravity"),
    *(
        "flowlat.config.checkpoint.torch.hub.load",
        "flowlat.config.checkpoint.read_checkpoint",
        "flowlat.training.fit.fit",
    ),
    *(
        "flowlat.runs.folder.record.shutil.rmtree",
        "flowlat.nets.base.__builtins__",
        "flowlat.report.__main__",
    ),
    *(
        "flowlat.lattice",
        "flowlat.lattice.geometry.math.prod",
        "flowlat.lattice.geometry.torch.os.system",
    ),
    *(
        "flowlat.lattice.sum_sites",
        "flowlat.lattice.Lattice.__init__",
        "flowlat.lattice.geometry.Sequence",
    ),
    *("flowlat.lattice.Lattice.parity_mask", "flowlat.lattice.Lattice.__class__"),
    *("flowlat.lattice.geometry.__loader__", "flowlat.lattice.geometry.__builtins__.eval"),
    *("flowlat.actions", "flowlat.actions.Action", "flowlat.actions.base.ABC"),
    *("flowlat.actions.phi4.phi4_action", "flowlat.actions.phi4.torch", "flowlat.actions.phi4"),
    *("flowlat.actions.Phi4.force", "flowlat.actions.Phi4.__subclasses__"),
    *(
        "flowlat.priors.Prior",
        "flowlat.priors.base.log_standard_normal",
        "flowlat.priors.potential",
    ),
    *("flowlat.priors.Normal.load_state_dict", "flowlat.priors.potential.math.sqrt"),
    *(
        "flowlat.archs",
        "flowlat.archs.combconv.Checkerboard",
        "flowlat.archs.combconv.Composition",
    ),
    *("flowlat.bijections.Composition", "flowlat..actions.Phi4", ".flowlat.actions.Phi4", ""),
    *("flowlat.actions.Phi4 ", "flowlat.actions.Phi4\n", "flowlat.actions:Phi4", "os.system\0"),
    *("flowlat.actions.\uff30hi4", "flowlat.actions.Phi4;os.system", "${oc.env:HOME}", "???"),
    *(None, 3, True, 1.5, ["os.system"], TOUCH),
)


@pytest.mark.parametrize("group", GROUPS)
def test_names(group, here):
    for name in NAMES:
        path = with_config(lambda c, name=name: c[group].update(_target_=name), here)
        assert "_target_" in refusal(path), name
        bare = with_config(lambda c, name=name: c.update({group: {"_target_": name}}), here)
        assert "_target_" in refusal(bare), name


#: where a config can hold something, given a group and what to put there
PLACES = {
    "the group": lambda node, it: it,
    "an option": lambda node, it: {**node, sorted(node)[-1]: it},
    "another option": lambda node, it: {**node, "other": it},
    "a list": lambda node, it: {**node, "other": [1, it]},
    "a list in a list": lambda node, it: {**node, "other": [[it]]},
    "a mapping": lambda node, it: {**node, "other": {"deep": it}},
    "a mapping in a list in a mapping": lambda node, it: {**node, "other": {"deep": [{"a": it}]}},
    "positional arguments": lambda node, it: {**node, "_args_": [it]},
    "partial": lambda node, it: {**node, "_partial_": it},
    "recursive": lambda node, it: {**node, "_recursive_": it},
    "convert": lambda node, it: {**node, "_convert_": it},
    "a tuple": lambda node, it: {**node, "other": (it,)},
    "a key": lambda node, it: {**node, str(it): 1},
}
THINGS = {
    "a call": TOUCH,
    "a partial call": {**TOUCH, "_partial_": True},
    "an interpolation": "${oc.env:HOME}",
    "a resolver": "${oc.create:{_target_:os.system,command:'touch executed'}}",
    "bytes": b"os.system",
    "a tensor": torch.zeros(3),
    "a type of numbers": torch.float32,
    "a complex number": 1j,
    "a set": {1},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("group", GROUPS)
def test_places(group, place, here):
    for thing in THINGS.values():
        path = with_config(lambda c, it=thing: c.update({group: PLACES[place](c[group], it)}), here)
        assert "allowed in a file" in (message := refusal(path)) or "mapping" in message
        assert os.environ["HOME"] not in message.replace(str(here), "")


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_group(thing, here):
    refusal(with_config(lambda c: c.update(symmetrize=THINGS[thing]), here))


def test_hydras_own_keywords(here):
    for key, value in {
        "_partial_": True,
        "_recursive_": False,
        "_convert_": "all",
        "_args_": [],
    }.items():
        path = with_config(lambda c, k=key, v=value: c["action"].update({k: v}), here)
        assert f"config.action: '{key}' is not allowed" in refusal(path)


def nested(depth, innermost=1):
    for _ in range(depth):
        innermost = [innermost]
    return innermost


def exponential(depth):
    """A list of 2^depth numbers in a few bytes."""
    node = [1, 1]
    for _ in range(depth):
        node = [node, node]
    return node


def cyclic():
    node = [1]
    node.append(node)
    return node


#: a key, and a value that asks for too much
HUGE = {
    "sites": ("lattice.shape", [100_000, 100_000]),
    "a side": ("lattice.shape", [2**62, 2]),
    "more than a machine's integer": ("lattice.shape", [10**30, 2]),
    "axes": ("lattice.shape", [2] * 24),
    "very many axes": ("lattice.shape", [1] * 999),
    "a long list": ("lattice.shape", [2] * 100_000),
    "a deep list": ("lattice.shape", nested(100)),
    "a list of itself": ("lattice.shape", cyclic()),
    "a list that doubles": ("lattice.shape", exponential(60)),
    "couplings": ("arch.n_couplings", 10**9),
    "a million couplings": ("arch.n_couplings", 10**6),
    "couplings beyond all": ("arch.n_couplings", 10**40),
    "a width": ("arch.hidden", [10**9]),
    "two widths": ("arch.hidden", [50_000, 50_000]),
    "layers": ("arch.hidden", [1] * 900),
    "a kernel": ("arch.kernel_size", 10**9 + 1),
    "a larger kernel": ("arch.kernel_size", 10**30 + 1),
    "bins": ("arch.spline_bins", 10**9),
    "bins of the prior": ("prior.n_bins", 10**12),
    "a coupling": ("prior.lam", 1e308),
    "no number": ("prior.lam", float("nan")),
    "a text": ("arch.activation", "x" * 10**6),
    "lines": ("arch.activation", "a\nb\x1b[31m\u202e\ud800"),
    "a deep mapping": ("arch", {"_target_": {"a": nested(100)}}),
}


@pytest.mark.parametrize("way", HUGE)
def test_sizes(way, here):
    key, value = HUGE[way]

    def change(config):
        *above, last = key.split(".")
        for name in above:
            config = config[name]
        config[last] = value

    message = refusal(with_config(change, here))
    assert message.isprintable()


def first(state):
    return next(name for name in state if state[name].numel() > 4)


def replaced(function):
    def change(state):
        state[first(state)] = function(state[first(state)])

    return change


WEIGHTS = {
    "integers": replaced(lambda w: w.long()),
    "booleans": replaced(lambda w: w.bool()),
    "complex numbers": replaced(lambda w: w.to(torch.complex64)),
    "half precision": replaced(lambda w: w.half()),
    "bfloat16": replaced(lambda w: w.bfloat16()),
    "eight bits": replaced(lambda w: w.to(torch.float8_e5m2)),
    "NaN": replaced(lambda w: w * torch.nan),
    "infinity": replaced(lambda w: w / 0),
    "a number": replaced(lambda w: w[0, 0, 0, 0]),
    "another shape": replaced(lambda w: w.transpose(0, 3)),
    "an axis more": replaced(lambda w: w[None]),
    "no numbers": replaced(lambda w: w[:0]),
    "more than there are": replaced(lambda w: w.new_zeros(1).expand(10**5, 10**5)),
    "none in memory": replaced(lambda w: w.to("meta")),
    "sparse": replaced(lambda w: w.to_sparse()),
    "compressed": replaced(lambda w: w.flatten(1).to_sparse_csr()),
    "quantized": replaced(lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)),
    "nested": replaced(lambda w: torch.nested.nested_tensor([w[0], w[1, :1]])),
    "a list": replaced(lambda w: w.tolist()),
    "a mapping": replaced(lambda w: {"_target_": "os.system"}),
    "one too few": lambda state: state.pop(first(state)),
    "one too many": lambda state: state.update({"flow.more": torch.zeros(3)}),
    "a name that is none": lambda state: state.update({3: torch.zeros(3)}),
    "none": lambda state: state.clear(),
}


@pytest.mark.parametrize("way", WEIGHTS)
def test_weights(way, here):
    content = contents()
    WEIGHTS[way](content["state_dict"])
    assert "weight" in refusal(save(content, here / "a.ckpt"))


def test_weights_that_lie_oddly_in_memory_are_what_they_say(here):
    content = contents()
    expected = everything(load_flow(save(content, here / "a.ckpt")))
    state = content["state_dict"]
    for name, weight in state.items():
        wide = torch.zeros(*weight.shape, 2)
        wide[..., 0] = weight
        state[name] = wide[..., 0]
    assert everything(load_flow(save(content, here / "a.ckpt"))) == expected


@pytest.mark.parametrize(
    "state",
    [
        {"best_model_path": "run/checkpoints/../../else.ckpt"},
        {"best_k_models": {"run/../x": 1.0}},
        {"kth_best_model_path": "s3://bucket/x.ckpt"},
        {"last_model_path": "simplecache::https://x"},
        {"a": {"b": {"c": {"d": {"e": 1}}}}},
    ],
)
def test_paths_that_a_resumed_run_would_remove(state, here):
    content = contents()
    content["callbacks"] = {"ModelCheckpoint": state}
    assert "callbacks: " in refusal(save(content, here / "a.ckpt"))


POSITIONS = {
    "all": lambda c, it: it,
    "ours": lambda c, it: {**c, "flowlat": it},
    "the config": lambda c, it: {**c, "flowlat": {"config": it}},
    "a weight": lambda c, it: {**c, "state_dict": {"flow.w": it}},
    "something else": lambda c, it: {**c, "hyper_parameters": [it]},
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("position", POSITIONS)
def test_pickles(payload, position, here):
    content = POSITIONS[position](contents(), PAYLOADS[payload])
    path = save(content, here / "a.ckpt")
    assert "not a readable checkpoint" in refusal(path)
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert "not a readable checkpoint" in refusal(path)
    path.write_bytes(pickle.dumps(PAYLOADS[payload]))
    assert "not a readable checkpoint" in refusal(path)


def repacked(change):
    """The zip file of a checkpoint, written again by ``change(archive, name, data)``."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(contents(), plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            change(new, name, old.read(name))
    return packed.getvalue()


def bomb(archive, name, data):
    grown = data + bytes(10**8) if name.endswith("/data/0") else data
    archive.writestr(name, grown, zipfile.ZIP_DEFLATED)


def script(archive, name, data):
    archive.writestr(name, data)
    if name.endswith("data.pkl"):  # what makes torch take it for a TorchScript program
        archive.writestr(name.replace("data.pkl", "constants.pkl"), data)
        archive.writestr(name.replace("data.pkl", "code/__torch__.py"), "import os")


def folders(archive, name, data):
    member = zipfile.ZipInfo(name)
    member.external_attr = 0x10
    archive.writestr(member, data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives(here):
    ways = {
        "a bomb": bomb,
        "a program": script,
        "folders": folders,
        "a member twice": lambda new, n, data: [new.writestr(n, data) for _ in range(2)],
        "weights too few": lambda new, n, data: new.writestr(n, data[:-8]),
        "members elsewhere": lambda new, n, data: new.writestr(f"../{n}", data),
        "nothing but names": lambda new, n, data: new.writestr(n, b""),
    }
    for change in ways.values():
        (here / "a.ckpt").write_bytes(repacked(change))
        refusal(here / "a.ckpt")
