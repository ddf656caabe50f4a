"""The registry: every yaml builds, the reference runs are what they should be, bad input fails."""

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.build import build_action, instantiate, instantiate_all
from flowlat.checkpoint import load_flow
from flowlat.config import TrainConfig, validate
from flowlat.errors import CheckpointError, ConfigError
from flowlat.fit import build_module
from tests.helpers import options

BUILT_ALONE = ("action", "objective", "optimizer", "scheduler", "trainer")

#: name: (shape, m2, lam, couplings, epochs), the table of the published runs
REFERENCE_RUNS = {
    "tutorial_2d": ([8] * 2, -4, 8, 16, 200),
    "E1": ([6] * 2, -4, 6.975, 16, 500),
    "E2": ([8] * 2, -4, 6.008, 16, 500),
    "E3": ([10] * 2, -4, 5.550, 16, 500),
    "E4": ([12] * 2, -4, 5.276, 16, 500),
    "E5": ([14] * 2, -4, 5.113, 16, 500),
    "critical_2d_L4": ([4] * 2, -4, 5.113, 16, 500),
    "critical_2d_L8": ([8] * 2, -4, 5.113, 16, 500),
    "xi_L4_20": ([20] * 2, -4, 4.807, 16, 500),
    "xi_L4_32": ([32] * 2, -4, 4.572, 16, 500),
    "xi_L4_64": ([64] * 2, -4, 4.398, 16, 500),
    "symmetric_3d": ([8] * 3, 1, 8, 16, 500),
    "broken_3d": ([8] * 3, -4, 8, 16, 500),
    "critical_3d_L4": ([4] * 3, -4, 5.113, 16, 500),
    "critical_3d_L8": ([8] * 3, -4, 5.113, 16, 500),
    "critical_4d_L4": ([4] * 4, -4, 5.113, 16, 500),
    "critical_4d_L8": ([8] * 4, -4, 5.113, 4, 500),
}


@pytest.mark.parametrize("group", BUILT_ALONE)
def test_every_option_of_a_group_is_built(group):
    assert options(group)
    for name in options(group):
        if (group, name) == ("trainer", "gpu"):
            continue  # needs one: the error without is tested below
        extra = ["prior=normal"] if group == "action" else []
        config = validate(compose([f"{group}={name}", *extra]), TrainConfig)
        assert instantiate(config, group) is not None


def test_every_prior_arch_and_lattice_is_built():
    for group in ("prior", "arch", "lattice"):
        for name in options(group):
            dimension = ["lattice=3d"] if name == "combconv_k3" else []
            build_flow(compose([*dimension, f"{group}={name}"]))


def test_every_logger_is_built(tmp_path):
    for name in options("logger"):
        if name == "csv":
            continue
        overrides = [f"logger={name}", f"logger.{name}.save_dir={tmp_path}"]
        overrides += ["logger.wandb.offline=true"] if name == "wandb" else []
        config = validate(compose(overrides), TrainConfig)
        (logger,) = instantiate_all(config, "logger").values()
        logger.finalize("success")


def test_every_reference_run_is_an_experiment():
    assert set(options("experiment")) == set(REFERENCE_RUNS)


@pytest.mark.parametrize("name", REFERENCE_RUNS)
def test_reference_run(name):
    shape, m2, lam, couplings, epochs = REFERENCE_RUNS[name]
    config = validate(compose([f"experiment={name}"]), TrainConfig)
    assert config["lattice"]["shape"] == shape
    assert (config["action"]["m2"], config["action"]["lam"]) == (m2, lam)
    assert config["arch"]["n_couplings"] == couplings
    assert config["arch"]["hidden"] == [8, 8]
    assert config["arch"]["final_tanh"]
    assert not config["arch"]["equivariant"]
    assert config["prior"]["_target_"].endswith("Normal")
    assert config["objective"]["_target_"].endswith("reverse_kl")
    assert config["optimizer"]["lr"] == 1e-3
    assert config["data"]["batch_size"] == 64
    assert config["trainer"]["max_epochs"] == epochs
    assert config["trainer"]["limit_train_batches"] == 100
    assert config["ema_decay"] is None
    assert not config["symmetrize"]
    scheduler = config["scheduler"]
    if name.startswith("E"):
        assert (scheduler["milestones"], scheduler["gamma"]) == ([200], 0.1)
    else:
        assert scheduler["_target_"].endswith("constant")


BAD = [
    ("arch.k=5", "k=5 exceeds the lattice dimension d=2"),
    ("arch.k=0", "k=0 must be positive"),
    ("lattice.shape=[8,7]", r"shape=\[8, 7\].*7 is odd"),
    ("lattice.shape=[8,0]", r"shape=\[8, 0\]"),
    ("lattice.shape=[8,-8]", r"shape=\[8, -8\]"),
    ("lattice.shape=8", "lattice.shape=8: expected a list"),
    ("arch.kernel_size=4", "kernel_size=4"),
    ("arch.hidden=[8,0]", r"hidden=\[8, 0\]"),
    ("arch.hidden=[8,x]", "arch.hidden=.*'x'.*expected a list, each an integer"),
    ("arch.n_couplings=0", "n_couplings=0"),
    ("arch.n_couplings=2.5", "n_couplings=2.5: expected an integer"),
    ("arch.activation=step", "unknown activation 'step'; known: identity, relu"),
    ("arch.kernel=abacus", "kernel=abacus: unknown .known: auto"),
    ("action.lam=-1", "lam=-1"),
    ("action.m2=abc", "action.m2='abc': expected a number"),
    ("+action.mu=1", "action.mu=1: no such option .known: m2, lam"),
    ("prior.mass2=-1", "mass2=-1"),
    ("data.batch_size=0", "data.batch_size=0"),
    ("data.batch_size=many", "data.batch_size='many': expected an integer"),
    ("evaluation.n_samples=0", "n_samples=0"),
    ("optimizer.lr=-1", "[Ii]nvalid learning rate: -1"),
    ("optimizer.lr=fast", "optimizer.lr='fast': expected a number"),
    ("scheduler.rise=3", "rise=3"),
    ("trainer.precision=17", "trainer.precision=17: expected 64 or 32"),
    ("seed=-1", "seed=-1"),
    ("ema_decay=2", "ema_decay=2"),
    ("symmetrize=perhaps", "symmetrize='perhaps': expected true or false"),
    ("arch=transformer", "Could not find 'arch/transformer'.*Available options.*combconv_k1"),
    ("actoin.m2=1", "Could not override 'actoin.m2'"),
    ("arch._target_=flowlat.nothing", "flowlat.nothing.*no such class"),
    ("init_from=none.ckpt", "none.ckpt: no such file"),
]


@pytest.mark.parametrize(("override", "message"), BAD, ids=[override for override, _ in BAD])
def test_bad_input_is_one_line_that_names_key_and_value(override, message):
    def start():
        config = validate(compose([override]), TrainConfig)
        build_module(config, {})
        instantiate(config, "evaluation", seed=0)

    with pytest.raises((ConfigError, CheckpointError), match=message) as caught:
        start()
    assert "\n" not in str(caught.value)


def test_no_gpu_is_one_line():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    config = validate(compose(["trainer=gpu"]), TrainConfig)
    with pytest.raises(ConfigError, match="trainer: No supported gpu backend found"):
        instantiate(config, "trainer")


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
