"""The registry: every yaml builds, the reference runs are what they should be, bad input fails."""

import pytest
import torch
from omegaconf import OmegaConf

from flowlat import build_flow, compose, load_flow
from flowlat.config.build import build_action
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.flows import Family
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.support.helpers import (
    CONF,
    build_everything,
    dimensions,
    least_dimension,
    options,
    required,
)

GROUPS = sorted({path.parent.name for path in CONF.glob("[!h]*/*.yaml")})
#: name: (shape, m2, lam, couplings, epochs), the table of the published runs
REFERENCE_RUNS = {
    "tutorial_2d": ([8] * 2, -4, 8, 16, 200),
    "constant_physics_2d_L6": ([6] * 2, -4, 6.975, 16, 500),
    "constant_physics_2d_L8": ([8] * 2, -4, 6.008, 16, 500),
    "constant_physics_2d_L10": ([10] * 2, -4, 5.550, 16, 500),
    "constant_physics_2d_L12": ([12] * 2, -4, 5.276, 16, 500),
    "constant_physics_2d_L14": ([14] * 2, -4, 5.113, 16, 500),
    "near_critical_2d_L4": ([4] * 2, -4, 5.113, 16, 500),
    "near_critical_2d_L8": ([8] * 2, -4, 5.113, 16, 500),
    "constant_physics_2d_L20": ([20] * 2, -4, 4.807, 16, 500),
    "constant_physics_2d_L32": ([32] * 2, -4, 4.572, 16, 500),
    "constant_physics_2d_L64": ([64] * 2, -4, 4.398, 16, 500),
    "symmetric_3d_L8": ([8] * 3, 1, 8, 16, 500),
    "near_critical_3d_L8": ([8] * 3, -4, 8, 16, 500),
    "ordered_3d_L4": ([4] * 3, -4, 5.113, 16, 500),
    "ordered_3d_L8": ([8] * 3, -4, 5.113, 16, 500),
    "ordered_4d_L4": ([4] * 4, -4, 5.113, 16, 500),
    "ordered_4d_L8": ([8] * 4, -4, 5.113, 4, 500),
}


#: the names that experiments had: what they are called now
OLD_EXPERIMENTS = {
    **{f"E{n}": f"constant_physics_2d_L{side}" for n, side in enumerate([6, 8, 10, 12, 14], 1)},
    **{f"xi_L4_{side}": f"constant_physics_2d_L{side}" for side in (20, 32, 64)},
    **{f"critical_{d}d_L{side}": f"ordered_{d}d_L{side}" for d in (3, 4) for side in (4, 8)},
    **{f"critical_2d_L{side}": f"near_critical_2d_L{side}" for side in (4, 8)},
    "broken_3d": "near_critical_3d_L8",
    "symmetric_3d": "symmetric_3d_L8",
}


#: each is built, but for those that are others by an old name
OPTIONS = [
    (group, name)
    for group in GROUPS
    for name in options(group)
    if group != "experiment" or name not in OLD_EXPERIMENTS
]


def groups_of(config_name):
    """The groups that a yaml at the top of conf/ chooses from."""
    defaults = OmegaConf.load(CONF / f"{config_name}.yaml").defaults
    return {key for entry in defaults if entry != "_self_" for key in entry}


def test_the_registry_is_found():
    assert {"lattice", "action", "prior", "arch", "experiment", "observables"} <= set(GROUPS)
    assert len(OPTIONS) > 40


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_yaml_composes_and_builds(group, name, tmp_path):
    if group not in groups_of("train"):
        assert group in groups_of("sample"), f"conf/{group} is out of reach"
        compose([f"{group}={name}", "ckpt_path=any"], "sample")
        return
    names = [f"{group}={name}", *required(group, name)]
    if group == "arch" and least_dimension(name) > 2:
        names.append(f"lattice={least_dimension(name)}d")
    if group == "prior" and 2 not in dimensions(name):
        names.append(f"lattice={dimensions(name)[0]}d")
    if group == "logger" and name != "csv":
        names.append(f"logger.{name}.save_dir={tmp_path}")
    if (group, name) == ("logger", "wandb"):
        names.append("logger.wandb.offline=true")
    if (group, name) in (("trainer", "gpu"), ("trainer", "ddp")) and not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="PyTorch finds no GPU"):
            build_everything(names, tmp_path)
        return
    flow = build_everything(names, tmp_path).flow
    if isinstance(flow, Family):
        flow = flow.at(-4.0, 8.0, flow.smallest)
    if flow.lattice.volume <= 256:
        phi, log_q = flow.sample(2)
        assert torch.isfinite(log_q).all()
        assert phi.shape == (2, *flow.lattice.shape)


def test_several_loggers_at_once(tmp_path):
    save = [f"logger.{name}.save_dir={tmp_path}" for name in ("wandb", "tensorboard")]
    names = ["logger=[wandb,tensorboard]", "logger.wandb.offline=true", *save]
    build_everything(names, tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*"))


def test_the_experiments_are_the_reference_runs():
    assert {*REFERENCE_RUNS, *OLD_EXPERIMENTS} == set(options("experiment"))


@pytest.mark.parametrize("name", OLD_EXPERIMENTS)
def test_an_experiment_by_its_old_name(name):
    assert compose([f"experiment={name}"]) == compose([f"experiment={OLD_EXPERIMENTS[name]}"])


@pytest.mark.parametrize("name", REFERENCE_RUNS)
def test_reference_run(name):
    shape, m2, lam, couplings, epochs = REFERENCE_RUNS[name]
    config = validate(compose([f"experiment={name}"]), TrainConfig)
    assert config["lattice"]["shape"] == shape
    assert (config["action"]["m2"], config["action"]["lam"]) == (m2, lam)
    assert config["arch"]["n_couplings"] == couplings
    assert config["arch"]["hidden"] == [8, 8]
    assert config["arch"]["kernel_size"] == 3
    assert config["arch"]["activation"] == "leaky_relu"
    assert config["arch"]["final_tanh"]
    assert not config["arch"]["equivariant"]
    assert not config["arch"]["identity_start"]
    assert config["prior"]["_target_"].endswith("Normal")
    assert config["objective"]["_target_"].endswith("reverse_kl")
    assert config["optimizer"]["_target_"] == "torch.optim.Adam"
    assert config["optimizer"]["lr"] == 1e-3
    assert config["data"]["batch_size"] == 64
    assert config["trainer"]["max_epochs"] == epochs
    assert config["trainer"]["limit_train_batches"] == 100
    assert config["trainer"]["gradient_clip_val"] is None
    assert config["ema_decay"] is None
    assert not config["symmetrize"]
    scheduler = config["scheduler"]
    if name.startswith("constant_physics") and shape[0] < 20:
        assert (scheduler["milestones"], scheduler["gamma"]) == ([200], 0.1)
    else:
        assert scheduler["_target_"].endswith("constant")


#: what is typed: the pattern of the line that answers it
BAD = {
    "arch=conv arch.k=5": "k=5 exceeds the lattice dimension d=2",
    "arch=conv arch.k=0": "arch.k=0: must be greater than or equal to 1",
    "arch=conv arch.k=one": "arch.k='one': must be a valid integer",
    "arch=conv lattice.shape=[8,7]": r"shape=\[8, 7\].*7 is odd",
    "lattice.shape=[8,0]": "lattice.shape.1=0: must be greater",
    "lattice.shape=[8,-8]": "lattice.shape.1=-8: must be greater",
    "lattice.shape=[]": r"shape=\[\]",
    "lattice.shape=8": "lattice.shape=8: must be a valid list",
    "lattice.shape=[8,4.5]": "lattice.shape.1=4.5: must be a valid integer",
    "~lattice.shape": "lattice.*shape",
    "lattice=6d": "lattice=6d: no such option .known: 1d, 2d, 3d, 4d, 5d",
    "arch=conv arch.kernel_size=4": "kernel_size=4",
    "arch=conv arch.kernel_size=-3": "kernel_size=-3",
    "arch=conv arch.hidden=[8,0]": "arch.hidden.1=0: must be greater",
    "arch=conv arch.hidden=[8,x]": "arch.hidden.1='x': must be a valid integer",
    "arch=conv arch.n_couplings=0": "n_couplings=0",
    "arch=conv arch.n_couplings=2.5": "n_couplings=2.5: must be a valid integer",
    "arch=conv arch.activation=step": "unknown activation 'step'; known: identity, relu",
    "arch=conv arch.kernel=abacus": "kernel=abacus: unknown .known: auto",
    "arch._target_=flowlat.nothing": "flowlat.nothing.*no such class",
    "+arch.lattice=3": "arch.lattice=3: must be",
    "arch=transformer": "arch=transformer: no such option .known: combconv_k1",
    "~arch": "arch",
    "arch=null": "arch",
    "action.lam=-1": "lam=-1",
    "action.lam=nan": "lam=nan",
    "action.m2=abc": "action.m2='abc': must be a valid number",
    "action.m2=true": "action.m2=True: must be a valid number",
    "+action.mu=1": "action.mu=1: no such option .known: m2, lam",
    "~action._target_": "action",
    "actoin.m2=1": "actoin.m2=1: no such option .known: .*action",
    "+actoin=1": "actoin=1: no such option .known: lattice, action",
    "prior.mass2=-1": "prior.mass2=-1: must be greater than 0",
    "prior.mass2=nan": "mass2=nan",
    "prior.shift=x": "prior.shift='x': must be a valid number",
    "prior=potential action.lam=0 action.m2=-1": "m2=-1, lam=0",
    "prior=potential action=free action.m2=-1": "m2=-1",
    "prior=transfer_matrix": r"prior: lattice.shape=\[8, 8\]: prior=transfer_matrix is for d=1 ",
    "prior=transfer_matrix lattice=1d action.m2=0 action.lam=1e-9": "lam=1e-09: .* nodes, at most",
    "data.batch_size=0": "data.batch_size=0",
    "data.batch_size=many": "data.batch_size='many': must be a valid integer",
    "data=null": "data",
    "data.batch_size=1000000000000": "data.batch_size=1000000000000, .*more than 17179869184",
    "objective=forward_kl": "objective.ensemble: has to be given",
    "objective=mixture objective.ensemble=any objective.weight=1": "weight=1",
    "objective=mixture objective.ensemble=any objective.weight=-0.5": "weight=-0.5",
    "arch=spline arch.spline_bins=1": "arch.spline_bins=1: must be greater",
    "arch=conv arch.block=0": "arch.block=0: must be greater",
    "arch.n_steps=0": "arch.n_steps=0: must be greater",
    "arch.channels=0": "arch.channels=0: must be greater",
    "prior.n_coefficients=-1": "prior.n_coefficients=-1: must be greater",
    "prior=potential +prior.n_bins=0": "prior.n_bins=0: must be greater",
    "evaluation.n_samples=0": "n_samples=0",
    "evaluation.batch_size=0": "batch_size=0",
    "evaluation.every_n_epochs=0": "every_n_epochs=0",
    "evaluation.n_samples=1000000000": "n_samples=1000000000: must be less than or equal to",
    "evaluation.batch_size=1000000000000": "evaluation.batch_size=1000000000000, .*more than",
    "evaluation.ensemble=none": "evaluation: none: no such file",
    "evaluation=null": "evaluation",
    "optimizer.lr=-1": "optimizer.lr=-1: must be finite and not negative",
    f"optimizer.lr={10**400}": "optimizer.lr=10*: must be a valid number",
    "optimizer.lr=fast": "optimizer.lr='fast': must be a valid number",
    "optimizer.betas=[0.9,2]": "optimizer.*beta.* 2",
    "optimizer.betas=[0.9]": r"optimizer.*betas",
    "optimizer.betas=[x,0.9]": "optimizer.betas.0='x': must be a valid number",
    "+data.size=3": "data.size=3: no such option .known: batch_size",
    "~data.batch_size": "data.batch_size: missing",
    "~seed": "seed: missing",
    "logger=tensorboard logger.tensorboard=3": "logger.tensorboard=3: must be a mapping",
    "+optimizer.foreach=true": "optimizer.*foreach",
    "+optimizer.params=3": "optimizer.*params",
    "scheduler.rise=3": "rise=3",
    "scheduler=step scheduler.milestones=[a]": "scheduler.milestones.0='a': must be a valid",
    "trainer.precision=17": "trainer.precision=17: must be 64, 32",
    "trainer.max_epochs=0": "trainer.max_epochs=0",
    "trainer.max_epochs=null": "trainer.max_epochs=None",
    "trainer.limit_train_batches=0": "trainer.limit_train_batches=0",
    "trainer.limit_train_batches=0.5": "trainer.limit_train_batches=0.5",
    "trainer.max_epochs=1000000000": "trainer.max_epochs=1000000000: more than 10000000",
    "+trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0: must be",
    "trainer.log_every_n_steps=0": "trainer.log_every_n_steps=0: must be",
    "+trainer.strategy=ddp_spawn": "trainer.strategy=ddp_spawn: ddp starts the processes",
    "+trainer.val_check_interval=1000": "trainer.val_check_interval=1000: is not an option here",
    "+trainer.overfit_batches=0.5": "trainer.overfit_batches=0.5: is not an option here",
    "+trainer.fast_dev_run=true": "trainer.fast_dev_run=True: is not an option here",
    "trainer.gradient_clip_val=-1": "trainer.gradient_clip_val=-1",
    "trainer.accelerator=abacus": "trainer.*accelerator='abacus'",
    "trainer.devices=0": "trainer.*devices=0",
    "trainer.devices=5000": "trainer.devices=5000: more than 1024 devices",
    "trainer.devices='5000'": "trainer.devices=5000: more than 1024 devices",
    "+trainer.num_nodes=5000": "trainer.num_nodes=5000: more than 1024 num_nodes",
    "seed=-1": "seed=-1",
    "seed=1.5": "seed=1.5",
    "seed=99999999999999999999": "seed=99999999999999999999",
    "threads=0": "threads=0",
    "threads=5000": "threads=5000: must be less than or equal to 1024",
    "ema_decay=2": "ema_decay=2",
    "symmetrize=perhaps": "symmetrize='perhaps': must be a valid boolean",
    "init_from=none.ckpt": "none.ckpt: no such file",
    "divergence=3": "divergence=3: must be a mapping",
    "divergence.max_rollbacks=-1": "divergence.max_rollbacks=-1: must be greater",
    "divergence.lr_factor=1": "divergence.lr_factor=1: must be less than 1",
    "checkpoint_minutes=-1": "checkpoint_minutes=-1: must be greater",
    "checkpoint_minutes=nan": "checkpoint_minutes=nan: must",
    "experiment=none": "experiment=none: no such option .*tutorial_2d",
}


@pytest.mark.parametrize("typed", BAD)
def test_bad_input_is_one_line_that_names_key_and_value(typed, tmp_path):
    with pytest.raises((ConfigError, CheckpointError), match=BAD[typed]) as caught:
        build_everything(typed.split(), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


BAD_SAMPLING = {
    "n_samples=0": "n_samples=0",
    "n_samples=10000000000000": "n_samples=10000000000000: must be less",
    "devices=5000": "devices=5000: must be less than or equal to 1024",
    "threads=5000": "threads=5000: must be less than or equal to 1024",
    "n_samples=1e3": "n_samples=1000.0: must be a valid integer",
    "batch_size=-1": "batch_size=-1",
    "precision=16": "precision=16: must be 32 or 64",
    "save_configs=perhaps": "save_configs='perhaps': must be a valid boolean",
    "resume=perhaps": "resume='perhaps': must be a valid boolean",
    "mass_window=3": "mass_window=3: must be a valid list",
    "mass_window=[]": r"mass_window=\[\]: must have at least 2 items, not 0",
    "mass_window=[1]": r"mass_window=\[1\]: must have at least 2 items, not 1",
    "mass_window=[1,2,3]": r"mass_window=\[1, 2, 3\]: .* at most 2 items",
    "mass_window=[1.5,2]": "mass_window.0=1.5: must be a valid integer",
    "seed=-1": "seed=-1",
    "observables=none": "observables=none: no such option .known: scan, standard",
    "+observables.x._target_=flowlat.observables.Nothing": "observables.x.*Nothing.*no such",
    "+observables.x=3": "observables.*x.*3",
    "+observables={a/b:{_target_:flowlat.observables.Phi2}}": "observables.a/b: a name has letters",
    "+observables.x={_target_:flowlat.observables.Phi2,axis:1}": "observables.x.axis=1: no such",
    "n_sample=3": "n_sample=3: no such option .known: .*n_samples",
    "sampler=none": "sampler=none: no such option .known: .*hmc.*metropolis",
    "~sampler": "sampler",
    "+sampler.n_steps=3": "sampler.n_steps=3: no such option",
    "sampler.tolerance=0": "sampler.tolerance=0: must be greater than 0",
    "sampler.tolerance=-0.1": "sampler.tolerance=-0.1: must be greater than 0",
    "sampler.tolerance=nan": "sampler.tolerance=nan: must be",
    "sampler=hybrid sampler.tolerance=inf": "sampler.tolerance=inf: must be a finite number",
    "sampler=annealed sampler.tolerance=much": "sampler.tolerance='much': must be a valid number",
    "+sampler.flow=3": "sampler.flow=3: must be",
    "lattice=3d ckpt_path=any": "lattice=3d with ckpt_path=any: .* those of the checkpoint",
    "lattice.shape=[4,4] ckpt_path=any": r"lattice.shape=\[4,4\] with ckpt_path=any",
    "action.lam=5 ckpt_path=any": "action.lam=5 with ckpt_path=any",
    "+action.g=5 ckpt_path=any": r"\+action.g=5 with ckpt_path=any",
    "ckpt_path=3": "ckpt_path=3: must be a valid string",
    "sampler=cluster sampler.clusters=ising": (
        "sampler.clusters='ising': must be 'auto', 'wolff' or 'swendsen_wang'"
    ),
}


@pytest.mark.parametrize("typed", BAD_SAMPLING)
def test_bad_input_to_sampling(typed):
    with pytest.raises(ConfigError, match=BAD_SAMPLING[typed]) as caught:
        compose(["ckpt_path=any", *typed.split()], "sample")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["hmc", "mclmc", "cluster", "annealed"])
def test_some_samplers_need_no_flow(sampler):
    theory = ["lattice=4d", "action.lam=5.113"]
    config = compose([f"sampler={sampler}", *theory], "sample")
    assert config.lattice.shape == [4, 4, 4, 4]
    compose([f"sampler={sampler}", *theory, "ckpt_path=null"], "sample")
    compose([f"sampler={sampler}", "ckpt_path=any"], "sample")


@pytest.mark.parametrize("schema", [TrainConfig, SampleConfig])
def test_a_schema_holds_the_keys_of_its_yaml(schema):
    name = "train" if schema is TrainConfig else "sample"
    found = set(compose(["ckpt_path=any"] if name == "sample" else [], name))
    assert found == set(schema.__annotations__)


def test_symmetrize_needs_an_even_action(monkeypatch):
    config = validate(compose(["symmetrize=true"]), TrainConfig)
    build_flow(config)
    monkeypatch.setattr(type(build_action(config)), "even", False)
    with pytest.raises(ConfigError, match="symmetrize=True: the action is not even"):
        build_flow(config)


def test_python_api_as_in_the_readme():
    flow = build_flow(compose(["lattice=4d", "arch=combconv_k1", "prior=normal"]))
    phi, log_q = flow.sample(2)
    assert phi.shape == (2, 4, 4, 4, 4)
    assert not log_q.requires_grad
    assert flow.rsample(2)[1].requires_grad
    assert flow.log_prob(phi).shape == (2,)
    with pytest.raises(CheckpointError, match="no such file"):
        load_flow("none.ckpt")
