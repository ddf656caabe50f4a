"""The real commands in a temporary folder, and every file they leave."""

import csv
import json
import random
import shutil
import signal
import time
from pathlib import Path

import h5py
import pytest
import torch
from torch import Tensor

from flowlat import load_flow
from flowlat.ensemble import open_ensemble, writer
from flowlat.runs.metrics import COLUMNS
from flowlat.samplers import longest_rejection_run
from tests.support.forked import Command
from tests.support.helpers import wandb_records

TINY = (
    "lattice.shape=[4,4]",
    "arch=combconv_k1",
    "arch.n_couplings=4",
    "trainer=cpu",
    "trainer.limit_train_batches=100",
    "evaluation.n_samples=1024",
)
FAKES = "tests.support.fakes"

#: a step or two, where what is learnt does not matter
SHORT = (*TINY, "trainer.limit_train_batches=4", "evaluation.n_samples=64")


def read_json(path: Path):
    """Strictly: NaN and infinity are not JSON."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(), parse_constant=refuse)


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state_of(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def assert_same_weights(a: Path, b: Path):
    first, second = state_of(a), state_of(b)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 6 epochs with every logger, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = Command(
        folder,
        "train.py",
        *TINY,
        "threads=1",
        "trainer.max_epochs=6",
        "logger=[wandb,tensorboard]",
        "logger.wandb.offline=true",
        "hydra.run.dir=run",
        WANDB_SILENT="true",
    ).wait()
    assert done.returncode == 0, done.stderr
    return folder / "run", done


@pytest.fixture(scope="module")
def sampled(trained):
    """3000 proposals of it, and what was printed."""
    folder, _ = trained
    done = Command(
        folder.parent,
        "sample.py",
        "threads=1",
        "ckpt_path=run/checkpoints/best_ess.ckpt",
        "n_samples=3000",
        "batch_size=700",
        "hydra.run.dir=sample",
    ).wait()
    assert done.returncode == 0, done.stderr
    return folder.parent / "sample", done


def test_training_leaves_the_files_of_the_contract(trained):
    folder, done = trained
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {
        *("last.ckpt", "epoch.ckpt", "best_ess.ckpt", "best_acceptance.ckpt")
    }
    assert (folder / ".hydra" / "config.yaml").exists()
    assert (folder / "training.png").stat().st_size > 5000
    rows = read_rows(folder)
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["samples"]) for row in rows] == [32 * int(row["step"]) for row in rows]
    assert {row["forward_ess"] for row in rows} == {""}  # no ensemble was given
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    assert [int(row["step"]) for row in rows] == [100 * (i + 1) for i in range(6)]
    for row in rows:
        assert 0 < float(row["ess"]) <= 1
        assert 0 < float(row["acceptance"]) <= 1
        assert float(row["log_z_err"]) > 0
    assert "python sample.py ckpt_path=run/checkpoints/best_ess.ckpt" in done.stdout


def test_summary_of_the_training(trained):
    folder, done = trained
    summary, rows = read_json(folder / "summary.json"), read_rows(folder)
    assert set(summary) == {
        *("ess", "acceptance", "log_z", "log_z_err", "n_samples", "epochs", "steps", "seconds"),
        *("best_ess", "best_acceptance", "checkpoint"),
        *("pareto_k", "sign_balance", "inverse", "phase", "rollbacks", "warnings"),
        *("log_z_short", "log_z_short_err", "provenance"),
    }
    assert (summary["epochs"], summary["steps"], summary["n_samples"]) == (6, 600, 1024)
    for name in ("ess", "acceptance"):
        best = max(float(row[name]) for row in rows)
        assert summary[f"best_{name}"] == pytest.approx(best, rel=1e-5)
        assert f"{summary[name]:.4f}" in done.stdout
    assert all(summary["ess"] != float(row["ess"]) for row in rows)  # fresh samples
    assert summary["seconds"] > float(rows[-1]["seconds"]) > 0
    assert summary["checkpoint"].endswith("run/checkpoints/best_ess.ckpt")


def test_a_tiny_flow_learns(trained):
    """600 steps on 4 x 4 reach an ESS above 0.9, the first 100 of them 0.4."""
    folder, _ = trained
    rows = read_rows(folder)
    assert read_json(folder / "summary.json")["ess"] > 0.8
    assert float(rows[0]["ess"]) < 0.6
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_wandb_offline_run_reads_back(trained):
    folder, _ = trained
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    history, best, config = [], set(), {}
    for record in wandb_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            history.append({"/".join(i.nested_key): i.value_json for i in record.history.item})
        elif kind == "metric" and record.metric.summary.max:
            best.add(record.metric.name)
        elif kind in ("run", "config"):
            updates = record.run.config.update if kind == "run" else record.config.update
            config |= {u.key or "/".join(u.nested_key): u.value_json for u in updates}
    assert {"ess", "acceptance"} <= best
    for name in ("ess", "acceptance", "loss"):
        found = [float(row[name]) for row in history if name in row]
        expected = [float(row[name]) for row in read_rows(folder)]
        assert found == pytest.approx(expected, rel=1e-5)
    assert json.loads(config["config"])["lattice"]["shape"] == [4, 4]
    assert json.loads(config["provenance"])["torch"] == torch.__version__
    assert "git_revision" in json.loads(config["provenance"])


def test_tensorboard_has_the_metrics(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = trained
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert {"ess", "acceptance", "loss", "log_z", "lr"} <= set(events.Tags()["scalars"])
    found = [event.value for event in events.Scalars("ess")]
    assert found == pytest.approx([float(row["ess"]) for row in read_rows(folder)], rel=1e-5)


def test_summary_of_the_sampling(sampled):
    folder, done = sampled
    summary = read_json(folder / "summary.json")
    assert set(summary) == {
        *("sampler", "kind", "replicas", "n_samples", "acceptance", "ess", "log_z"),
        *("pareto_k", "warnings", "thermalisation", "pole_mass"),
        *("free_energy_density", "longest_rejection_run", "sign_balance", "schwinger_dyson"),
        *("observables", "reweighted", "seconds", "samples_per_second"),
    }
    assert (summary["sampler"], summary["kind"]) == ("metropolis", "proposals")
    assert (summary["replicas"], summary["n_samples"]) == (1, 3000)
    assert set(summary["log_z"]) == {"value", "error", "bias", "systematic"}
    assert {"magnetization", "abs_magnetization", "phi2", "chi2", "action_density"} < set(
        summary["observables"]
    )
    for name in ("phi2", "chi2", "action_density", "schwinger_dyson"):
        estimate = summary["observables"][name]
        assert {"value", "error", "tau_int"} <= set(estimate)
        assert estimate["error"] > 0
        assert estimate["tau_int"] > 0.4
        again = summary["reweighted"][name]
        assert abs(again["value"] - estimate["value"]) < 8 * estimate["error"]
    # five errors: p = 6e-7, were tau_int and its error exact
    identity = summary["schwinger_dyson"]
    assert abs(identity["value"] - 1) < 8 * identity["error"]
    for text in ("acceptance", "ESS", "log Z", "longest rejection run", "chi2", "tau_int"):
        assert text in done.stdout
    assert (folder / "ensemble.png").exists()


def test_ensemble_is_the_chain_of_the_flow(sampled, trained):
    folder, _ = sampled
    summary = read_json(folder / "summary.json")
    checkpoint = trained[0] / "checkpoints" / "best_ess.ckpt"
    with open_ensemble(folder) as ensemble:
        assert ensemble.proposals.shape == (3000, 4, 4)
        assert ensemble.proposals.dtype == "float32"
        assert ensemble.config["n_samples"] == 3000
        assert ensemble.config["flow"]["lattice"]["shape"] == [4, 4]
        assert ensemble.config["lattice"]["shape"] == [4, 4]
        assert "phi(x+mu)" in ensemble.convention
        assert json.loads(ensemble.attribute("provenance"))["torch"] == torch.__version__
        assert ensemble.attribute("seed") == 0
        assert len(ensemble.attribute("checkpoint_sha256")) == 64
        phi, accepted = torch.from_numpy(ensemble.proposals).double(), ensemble.accepted
        action, log_weight = map(torch.from_numpy, (ensemble.action, ensemble.log_weight))
        theory = ensemble.theory()
        chain = torch.from_numpy(ensemble.configurations()).double()
    torch.testing.assert_close(action, theory(phi), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        log_q = load_flow(checkpoint).double().log_prob(phi)
    torch.testing.assert_close(log_weight, -action - log_q, rtol=1e-4, atol=1e-3)
    start = summary["thermalisation"]["proposals"]  # from there on the chain counts
    assert len(chain) == 3000 - start
    accepted = accepted[start:]
    assert summary["acceptance"] == pytest.approx(accepted[int(start == 0) :].mean())
    assert summary["longest_rejection_run"] == longest_rejection_run(torch.from_numpy(accepted))
    mean = chain.flatten(1).mean(1)
    for name, values in {
        "phi2": chain**2,
        "magnetization": mean,
        "abs_magnetization": mean.abs(),
        "chi2": 16 * mean**2,
    }.items():
        assert summary["observables"][name]["value"] == pytest.approx(values.mean().item())


def test_sampling_in_double_precision_without_configurations(trained, command, tmp_path):
    checkpoint = trained[0] / "checkpoints" / "last.ckpt"
    names = [f"ckpt_path={checkpoint}", "n_samples=20", "save_configs=false", "precision=64"]
    done = command("sample.py", *names, "hydra.run.dir=sample")
    assert done.returncode == 0
    with h5py.File(tmp_path / "sample" / "ensemble.h5") as file:
        assert set(file) == {
            *("log_weight", "action", "accepted", "chain_index", "measured", "state")
        }
        assert file.attrs["n_samples"] == 20
    # too few for an error: null, and no number made up
    summary = read_json(tmp_path / "sample" / "summary.json")
    assert summary["observables"]["phi2"]["error"] is None


#: the arguments of a small run of every sampler
SAMPLERS = {
    "metropolis": ("sampler.replicas=2", "batch_size=32"),
    "hybrid": ("sampler.hmc.replicas=4", "sampler.hmc.thermalization=20"),
    "latent_hmc": ("sampler.replicas=4", "sampler.thermalization=20"),
    "hmc": ("sampler.replicas=4", "sampler.thermalization=20"),
    "mclmc": ("sampler.replicas=4", "sampler.thermalization=20"),
    "annealed": ("sampler.population=50", "sampler.n_steps=10"),
}


def small_run(sampler: str, checkpoint: Path | None, *names: str) -> list[str]:
    """The command line of a small run on 4 x 4, from a flow or without."""
    theory = [f"ckpt_path={checkpoint}"] if checkpoint else ["lattice.shape=[4,4]"]
    return [f"sampler={sampler}", *SAMPLERS[sampler], *theory, *names]


def comparable(folder: Path):
    """A summary but for the time that it took."""
    summary = read_json(folder / "summary.json")
    return {k: v for k, v in summary.items() if k not in ("seconds", "samples_per_second")}


@pytest.mark.parametrize(
    ("sampler", "flow"),
    [
        ("metropolis", True),
        ("hybrid", True),
        ("latent_hmc", True),
        ("hmc", True),
        ("hmc", False),
        ("mclmc", False),
        ("annealed", True),
        ("annealed", False),
    ],
)
def test_every_sampler_is_reproducible_and_goes_on(sampler, flow, trained, command, tmp_path):
    checkpoint = trained[0] / "checkpoints" / "best_ess.ckpt" if flow else None
    for folder, n, more in (
        ("whole", 150, []),
        ("grown", 70, []),
        ("grown", 150, ["resume=true"]),
    ):
        names = small_run(sampler, checkpoint, f"n_samples={n}", *more)
        done = command("sample.py", *names, f"hydra.run.dir={folder}")
        assert done.returncode == 0, done.stderr
    whole = comparable(tmp_path / "whole")
    assert whole == comparable(tmp_path / "grown")
    assert whole["sampler"] == sampler
    with open_ensemble(tmp_path / "whole") as a, open_ensemble(tmp_path / "grown") as b:
        assert a.shape == (4, 4)
        assert len(a) >= 150
        for name, values in a.measured.items():
            assert values.tobytes() == b.measured[name].tobytes()
        assert a.configurations().tobytes() == b.configurations().tobytes()
        for name, values in a.state().items():
            assert values.tobytes() == b.state()[name].tobytes()
        fields = a.proposals if a.kind == "proposals" else a.configurations()
        torch.testing.assert_close(
            torch.from_numpy(a.action), a.theory()(torch.from_numpy(fields).double())
        )
    for key in {"hmc": ("step_size", "n_leapfrog"), "annealed": ("ess", "log_z")}.get(sampler, ()):
        assert key in whole
    assert (whole["acceptance"] is None) == (sampler == "annealed")


def small_parts() -> None:
    """One for each block, not for each second."""
    writer.PART_SECONDS = 0.0


def killed(folder: Path, *names: str) -> None:
    """A run that is killed a moment after its first block."""
    process = Command(folder.parent, "sample.py", "threads=1", *names, before=small_parts)
    while process.running() and not list((folder / "parts").glob("*.h5")):
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.1))
    process.send(signal.SIGKILL)
    done = process.wait()
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("sampler", ["hmc", "metropolis"])
def test_kill_9_of_a_command(sampler, trained, command, tmp_path):
    """A process of its own, killed at a random moment."""
    checkpoint = trained[0] / "checkpoints" / "best_ess.ckpt" if sampler == "metropolis" else None
    names = small_run(sampler, checkpoint, "n_samples=3000")
    killed(tmp_path / "a", *names, "hydra.run.dir=a")
    assert not (tmp_path / "a" / "summary.json").exists()
    done = command("sample.py", *names, "hydra.run.dir=a")
    assert done.returncode == 2
    assert "hydra.run.dir=" in done.stderr
    assert "resume=true goes on" in done.stderr
    assert command("sample.py", *names, "hydra.run.dir=a", "resume=true").returncode == 0
    assert command("sample.py", *names, "hydra.run.dir=b").returncode == 0
    assert comparable(tmp_path / "a") == comparable(tmp_path / "b")
    with (
        h5py.File(tmp_path / "a" / "ensemble.h5") as a,
        h5py.File(tmp_path / "b" / "ensemble.h5") as b,
    ):
        names = {*a, *map("measured/{}".format, a["measured"]), *map("state/{}".format, a["state"])}
        assert {"action", "accepted", "chain_index", "measured/phi2"} < names
        for name in names - {"measured", "state"}:
            assert a[name][...].tobytes() == b[name][...].tobytes(), name


def test_another_checkpoint_is_another_ensemble(trained, command, tmp_path):
    folder = trained[0] / "checkpoints"
    shutil.copy(folder / "last.ckpt", tmp_path / "copy.ckpt")
    names = ["n_samples=60", "batch_size=32", "hydra.run.dir=a"]
    for path, code in (
        (folder / "last.ckpt", 0),
        (tmp_path / "copy.ckpt", 0),  # the same by another name
        (folder / "best_ess.ckpt", 2),
    ):
        if path == folder / "best_ess.ckpt":
            content = torch.load(path, weights_only=True)
            torch.save(content | {"other": 1}, path := tmp_path / "other.ckpt")
        done = command("sample.py", f"ckpt_path={path}", *names, "resume=true")
        assert done.returncode == code, done.stderr
    assert "error: ckpt_path.sha256=" in done.stderr
    assert "a has ckpt_path.sha256=" in done.stderr


def test_observables_of_the_users_own(command, tmp_path):
    names = small_run("hmc", None, "n_samples=150", f"+observables.m4._target_={FAKES}.Mean")
    done = command("sample.py", *names, "+observables.m4.power=4", "hydra.run.dir=a")
    assert done.returncode == 0, done.stderr
    summary = read_json(tmp_path / "a" / "summary.json")
    with open_ensemble(tmp_path / "a") as ensemble:
        mean = ensemble.configurations().reshape(150, -1).mean(1)
    assert summary["observables"]["m4"]["value"] == pytest.approx((mean**4).mean())


def test_fine_tuning_in_double_precision_on_a_larger_lattice(trained, command, tmp_path):
    path = trained[0] / "checkpoints" / "best_ess.ckpt"
    names = (*SHORT, "lattice.shape=[4,8]", f"init_from={path}", "trainer.precision=64")
    more = ("trainer.max_epochs=1", "optimizer.lr=1e-9", "hydra.run.dir=fine")
    assert command("train.py", *names, *more).returncode == 0
    before, after = load_flow(path), load_flow(tmp_path / "fine" / "checkpoints" / "last.ckpt")
    assert after.lattice.shape == (4, 8)
    for (name, a), (_, b) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        assert b.dtype == torch.float64
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-6, msg=name)


def test_epochs_without_an_evaluation_have_empty_cells(command, tmp_path):
    names = (*SHORT, "trainer.max_epochs=3", "evaluation.every_n_epochs=2")
    assert command("train.py", *names, "hydra.run.dir=run").returncode == 0
    rows = read_rows(tmp_path / "run")
    assert [row["ess"] != "" for row in rows] == [False, True, True]
    assert all(float(row["loss"]) for row in rows)
    best = max(float(row["ess"]) for row in rows[1:])
    assert read_json(tmp_path / "run" / "summary.json")["best_ess"] == pytest.approx(best, rel=1e-5)


def test_a_sweep_is_a_folder_a_job(command, tmp_path):
    names = (*SHORT, "trainer.max_epochs=1", "arch=conv,combconv_k1", "hydra.sweep.dir=sweep")
    assert command("train.py", "-m", *names).returncode == 0
    found = [load_flow(tmp_path / "sweep" / job / "checkpoints" / "last.ckpt") for job in "01"]
    sizes = [sum(p.numel() for p in flow.parameters()) for flow in found]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize(
    "names",
    [
        ["lattice=1d", "lattice.shape=[8]", "arch=conv", "prior=potential", "optimizer=adamw"],
        ["lattice=3d", "lattice.shape=[2,4,2]", "arch=combconv_k2", "scheduler=warmup_cosine"],
        ["lattice=4d", "lattice.shape=[2,2,2,2]", "arch=conv", "objective=reverse_kl"],
        ["lattice=4d", "lattice.shape=[2,2,2,2]", "arch=combconv_k1", "recipe=ordered"],
        ["arch.batch_norm=true", "arch.activation_last=true", "arch.k=1", "action=free"],
        ["arch.recompute=true", "trainer.precision=64", "prior=normal", "ema_decay=null"],
    ],
    ids=lambda names: " ".join(names[:3]),
)
def test_train_and_sample_with_other_options(names, command, tmp_path):
    short = [name for name in SHORT if name.split("=")[0] not in {n.split("=")[0] for n in names}]
    names = [*short, *names, "trainer.max_epochs=1", "hydra.run.dir=run"]
    assert command("train.py", *names).returncode == 0
    sample = ["ckpt_path=run/checkpoints/best_ess.ckpt", "n_samples=60", "hydra.run.dir=sample"]
    assert command("sample.py", *sample).returncode == 0
    assert 0 < read_json(tmp_path / "sample" / "summary.json")["ess"] <= 1


def assert_refused(done, folder: Path, *texts: str):
    """Exit code 2, one line and no traceback, and no run folder."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for text in texts:
        assert text in line
    assert not (folder / "bad").exists()


def test_a_bad_command_in_a_process_of_its_own(tmp_path):
    done = Command(tmp_path, "train.py", "arch=conv", "arch.k=5", "hydra.run.dir=bad").wait()
    assert_refused(done, tmp_path, "k=5 exceeds the lattice dimension d=2")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["lattice=3d", "lattice.shape=[2,2,2]"], "do not fit lattice.shape=[2, 2, 2]"),
        (["prior=normal"], "prior.log_mass2"),
        (["symmetrize=true"], "do not fit"),
    ],
)
def test_weights_that_do_not_fit(typed, text, trained, command, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    done = command("train.py", *TINY, f"init_from={path}", "hydra.run.dir=bad", *typed)
    assert_refused(done, tmp_path, "init_from", str(path), text)


@pytest.mark.parametrize(
    ("script", "key"),
    [("train.py", "init_from"), ("sample.py", "ckpt_path")],
)
def test_damaged_foreign_and_hostile_checkpoints(script, key, trained, command, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    node = {"_target_": "os.system", "command": f"touch {tmp_path}/executed"}
    content["flowlat"]["config"]["action"] = node
    torch.save(content, tmp_path / "hostile.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    (tmp_path / "truncated.ckpt").write_bytes(path.read_bytes()[:5000])
    options = TINY if script == "train.py" else ()
    for name, text in (
        ("hostile", "'os.system': not allowed"),
        ("foreign", "not a flowlat checkpoint"),
        ("truncated", "truncated"),
        ("missing", "no such file"),
    ):
        done = command(script, *options, f"{key}={name}.ckpt", "hydra.run.dir=bad")
        assert_refused(done, tmp_path, key, f"{name}.ckpt", text)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        (["n_samples=0"], ["n_samples=0"]),
        (["device=abacus"], ["device=abacus"]),
        (["seed=-1"], ["seed=-1"]),
        (["lattice=3d"], ["lattice=3d with ckpt_path=", "those of the checkpoint"]),
        (["action.lam=7"], ["action.lam=7 with ckpt_path="]),
        (["batch_size=9", "sampler.replicas=2"], ["sampler: batch_size=9", "replicas=2"]),
        (["sampler=hmc", "sampler.replicas=0"], ["sampler.replicas=0"]),
        (
            [f"+observables.x._target_={FAKES}.Wrong"],
            ["observables.x: measures [1024, 4, 4]"],
        ),
        ([f"+observables.x._target_={FAKES}.Infinite"], ["measured/x: NaN or infinity"]),
        (["+observables.x._target_=flowlat.actions.Free", "+observables.x.m2=1"], ["not an obs"]),
    ],
)
def test_other_errors_of_sampling_leave_nothing(typed, texts, trained, command, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    done = command("sample.py", f"ckpt_path={path}", "hydra.run.dir=bad", *typed)
    assert_refused(done, tmp_path, *texts)


def test_a_folder_that_cannot_be_written(command, tmp_path):
    (tmp_path / "file").touch()
    done = command("sample.py", "sampler=hmc", "hydra.run.dir=file/run")
    assert done.returncode == 2
    assert done.stderr == "error: hydra.run.dir=file/run: Not a directory\n"


def test_options_that_hydra_refuses(command, tmp_path):
    for typed, text in (("arch=transformer", "combconv_k1"), ("actoin.m2=1", "actoin.m2")):
        done = command("train.py", typed, "hydra.run.dir=bad")
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("precision", ["16", "bf16"])
def test_precisions_that_do_not_train(precision, command, tmp_path):
    done = command("train.py", *SHORT, f"trainer.precision={precision}", "hydra.run.dir=bad")
    assert_refused(done, tmp_path, f"precision={precision}")


def test_divergence_stops_with_the_epoch_and_the_last_good_checkpoint(trained, command, tmp_path):
    shutil.copy(trained[0] / "checkpoints" / "last.ckpt", tmp_path / "start.ckpt")
    names = [*SHORT, "trainer.max_epochs=3", "trainer.gradient_clip_val=null"]
    step = ["scheduler=step", "scheduler.milestones=[1]", "scheduler.gamma=1e12"]
    done = command("train.py", *names, "init_from=start.ckpt", *step, "hydra.run.dir=run")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "epoch 1" in line
    assert "run/checkpoints/last.ckpt" in line
    flow = load_flow(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(p).all() for p in flow.parameters())
    assert len(read_rows(tmp_path / "run")) == 1
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_run_that_diverges_at_once_leaves_nothing(command, tmp_path):
    done = command("train.py", *SHORT, "optimizer.lr=1e30", "hydra.run.dir=bad")
    assert_refused(done, tmp_path, "epoch 0", "no checkpoint was written yet")


@pytest.mark.parametrize("script", ["train.py", "sample.py"])
def test_help_is_a_page_to_act_on(script, command):
    done = command(script, "--help")
    assert done.returncode == 0
    assert "First:" in done.stdout
    assert "python sample.py ckpt_path=" in done.stdout
