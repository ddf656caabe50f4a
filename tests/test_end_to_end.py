"""The real commands in a temporary folder, and every file they leave."""

import csv
import json
import shutil

import h5py
import pytest
import torch
from torch import Tensor

from flowlat import load_flow
from flowlat.build import build_action
from flowlat.checkpoint import read_checkpoint
from flowlat.errors import CheckpointError
from flowlat.samplers import chain_index, longest_rejection_run
from tests.helpers import run, wandb_records

TINY = (
    "lattice.shape=[4,4]",
    "arch=combconv_k1",
    "arch.n_couplings=4",
    "trainer.limit_train_batches=50",
    "evaluation.n_samples=1024",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 6 epochs with every logger, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = run(
        "train.py",
        *TINY,
        "trainer.max_epochs=6",
        "logger=[wandb,tensorboard]",
        "logger.wandb.offline=true",
        "hydra.run.dir=run",
        cwd=folder,
    )
    return folder / "run", done


@pytest.fixture(scope="module")
def sampled(trained):
    run_dir, _ = trained
    done = run(
        "sample.py",
        "ckpt_path=run/checkpoints/best_ess.ckpt",
        "n_samples=3000",
        "batch_size=700",
        "hydra.run.dir=sample",
        cwd=run_dir.parent,
    )
    return run_dir.parent / "sample", done


def flow_state(path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_training_leaves_the_files_of_the_contract(trained):
    folder, done = trained
    for name in ("last", "best_ess", "best_acceptance"):
        assert (folder / "checkpoints" / f"{name}.ckpt").exists()
    assert (folder / ".hydra" / "config.yaml").exists()
    assert (folder / "training.png").stat().st_size > 5000
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    columns = "epoch,step,loss,ess,acceptance,log_z,log_z_err,lr,seconds"
    assert ",".join(rows[0]) == columns
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    assert [int(row["step"]) for row in rows] == [50 * (i + 1) for i in range(6)]
    assert all(float(row["ess"]) > 0 for row in rows)
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {
        *("ess", "acceptance", "log_z", "log_z_err", "n_samples", "epochs", "steps", "seconds"),
        *("best_ess", "best_acceptance", "checkpoint"),
    }
    assert (summary["epochs"], summary["steps"], summary["n_samples"]) == (6, 300, 1024)
    assert summary["best_ess"] == pytest.approx(max(float(row["ess"]) for row in rows), rel=1e-5)
    assert "python sample.py ckpt_path=run/checkpoints/best_ess.ckpt" in done.stdout


def test_a_tiny_flow_learns(trained):
    """300 steps on 4 x 4 reach an ESS of 0.3; after the first 50 it is below 0.2."""
    folder, _ = trained
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert json.loads((folder / "summary.json").read_text())["ess"] > 0.3
    assert float(rows[0]["ess"]) < 0.2
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
    rows = csv.DictReader((folder / "metrics.csv").open())
    found = [float(row["ess"]) for row in history if "ess" in row]
    assert found == pytest.approx([float(row["ess"]) for row in rows], rel=1e-5)
    assert json.loads(config["config"])["lattice"]["shape"] == [4, 4]
    assert json.loads(config["provenance"])["torch"] == torch.__version__


def test_tensorboard_has_the_metrics(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(trained[0] / "tensorboard"))
    accumulator.Reload()
    assert {"ess", "acceptance", "loss", "log_z"} <= set(accumulator.Tags()["scalars"])
    assert len(accumulator.Scalars("ess")) == 6


def test_sampling_leaves_the_files_of_the_contract(sampled, trained):
    folder, done = sampled
    summary = json.loads((folder / "summary.json").read_text())
    assert {"acceptance", "ess", "n_samples", "log_z", "longest_rejection_run"} <= set(summary)
    assert set(summary["log_z"]) == {"value", "error"}
    names = {"magnetization", "abs_magnetization", "phi2", "chi2", "action_density"}
    assert names <= set(summary["observables"])
    for estimate in summary["observables"].values():
        assert set(estimate) == {"value", "error", "tau_int"}
        assert estimate["error"] > 0
        assert estimate["tau_int"] > 0.4
    for text in ("acceptance", "ESS", "log Z", "chi2", "tau_int"):
        assert text in done.stdout
    with h5py.File(folder / "ensemble.h5") as file:
        assert file["phi"].shape == (3000, 4, 4)
        assert file["phi"].dtype == "float32"
        assert file["phi"].chunks
        attributes = dict(file.attrs)
        assert json.loads(attributes["config"])["flow"]["lattice"]["shape"] == [4, 4]
        assert "phi(x+mu)" in attributes["convention"]
        assert json.loads(attributes["provenance"])["torch"] == torch.__version__
        assert attributes["seed"] == 0
        assert len(attributes["checkpoint_sha256"]) == 64
        phi = torch.from_numpy(file["phi"][:]).double()
        log_weight = torch.from_numpy(file["log_weight"][:])
        action = torch.from_numpy(file["action"][:])
        accepted = torch.from_numpy(file["accepted"][:])
    flow = load_flow(trained[0] / "checkpoints" / "best_ess.ckpt").double()
    theory = build_action({"action": json.loads(attributes["config"])["flow"]["action"]})
    torch.testing.assert_close(action, theory(phi), rtol=1e-6, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(log_weight, -action - flow.log_prob(phi), rtol=1e-4, atol=1e-3)
    assert summary["acceptance"] == pytest.approx(accepted[1:].double().mean().item())
    assert summary["longest_rejection_run"] == longest_rejection_run(accepted)
    chain = phi[chain_index(accepted)]
    assert summary["observables"]["phi2"]["value"] == pytest.approx((chain**2).mean().item())


def test_sampling_in_double_precision_without_configurations(trained):
    folder = trained[0].parent
    run(
        "sample.py",
        "ckpt_path=run/checkpoints/last.ckpt",
        "n_samples=200",
        "save_configs=false",
        "precision=64",
        "hydra.run.dir=double",
        cwd=folder,
    )
    with h5py.File(folder / "double" / "ensemble.h5") as file:
        assert "phi" not in file
        assert len(file["log_weight"]) == 200


def test_resume_is_the_uninterrupted_run(tmp_path):
    """Two epochs, then on from ``last``: the same weights as four in one go, bit by bit."""

    def train(folder, epochs, *more):
        names = (*TINY, "scheduler=constant", f"trainer.max_epochs={epochs}", *more)
        run("train.py", *names, f"hydra.run.dir={folder}", cwd=tmp_path)
        return tmp_path / folder

    whole = train("whole", 4)
    part = train("part", 2)
    resumed = train("part", 4, "ckpt_path=part/checkpoints/last.ckpt")
    assert_same(whole / "checkpoints" / "last.ckpt", resumed / "checkpoints" / "last.ckpt")
    tables = [list(csv.DictReader((f / "metrics.csv").open())) for f in (whole, part)]
    for a, b in zip(*tables, strict=True):
        assert {**a, "seconds": ""} == {**b, "seconds": ""}
    assert float(tables[1][3]["seconds"]) > float(tables[1][1]["seconds"])


def assert_same(a, b):
    first, second = flow_state(a), flow_state(b)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_fine_tuning_in_double_precision_on_a_larger_lattice(trained, tmp_path):
    path = trained[0] / "checkpoints" / "best_ess.ckpt"
    run(
        "train.py",
        *TINY,
        "lattice.shape=[4,8]",
        f"init_from={path}",
        "trainer.precision=64",
        "trainer.max_epochs=1",
        "optimizer.lr=1e-9",
        "hydra.run.dir=fine",
        cwd=tmp_path,
    )
    before = load_flow(path)
    after = load_flow(tmp_path / "fine" / "checkpoints" / "last.ckpt")
    assert next(after.parameters()).dtype == torch.float64
    assert after.lattice.shape == (4, 8)
    for (name, a), (_, b) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-5, msg=name)


def refused(script, *arguments, cwd):
    """The one line that a bad command ends with."""
    done = run(script, *arguments, "hydra.run.dir=bad", cwd=cwd, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not (cwd / "bad").exists()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_bad_commands_end_in_one_line_and_leave_nothing(trained, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    assert "k=5 exceeds" in refused("train.py", "arch.k=5", cwd=tmp_path)
    line = refused("train.py", *TINY, f"ckpt_path={path}", "lattice.shape=[6,4]", cwd=tmp_path)
    assert "lattice.shape=[4, 4], not [6, 4]" in line
    line = refused("train.py", *TINY, f"ckpt_path={path}", "trainer.max_epochs=6", cwd=tmp_path)
    assert "trainer.max_epochs=6" in line
    truncated = tmp_path / "truncated.ckpt"
    truncated.write_bytes(path.read_bytes()[:5000])
    assert "truncated" in refused("sample.py", f"ckpt_path={truncated}", cwd=tmp_path)
    assert "no such file" in refused("sample.py", "ckpt_path=none.ckpt", cwd=tmp_path)
    assert "n_samples=0" in refused("sample.py", f"ckpt_path={path}", "n_samples=0", cwd=tmp_path)


def rewritten(path, target, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, target)
    return target


def test_a_foreign_checkpoint_is_refused(trained, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(CheckpointError, match="not a flowlat checkpoint"):
        read_checkpoint(tmp_path / "foreign.ckpt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "pickle.ckpt")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "pickle.ckpt")

    def shrink(content):
        content["flowlat"]["config"]["arch"]["hidden"] = [4, 4]

    with pytest.raises(CheckpointError, match="do not fit"):
        load_flow(rewritten(path, tmp_path / "shape.ckpt", shrink))

    def spoil(content):
        for value in content["state_dict"].values():
            if value.is_floating_point():
                value.mul_(torch.nan)

    with pytest.raises(CheckpointError, match="not finite"):
        load_flow(rewritten(path, tmp_path / "nan.ckpt", spoil))


@pytest.mark.parametrize("group", ["action", "prior", "arch"])
def test_a_checkpoint_may_not_name_other_code(trained, tmp_path, group):
    path = trained[0] / "checkpoints" / "last.ckpt"

    def inject(content):
        content["flowlat"]["config"][group] = {
            "_target_": "os.system",
            "command": f"touch {tmp_path}/executed",
        }

    with pytest.raises(CheckpointError, match=r"'os\.system': not allowed"):
        load_flow(rewritten(path, tmp_path / "evil.ckpt", inject))
    assert not (tmp_path / "executed").exists()


def test_divergence_stops_with_the_epoch_and_the_last_good_checkpoint(trained, tmp_path):
    shutil.copy(trained[0] / "checkpoints" / "last.ckpt", tmp_path / "start.ckpt")
    done = run(
        "train.py",
        *TINY,
        "trainer.max_epochs=3",
        "trainer.gradient_clip_val=null",
        "init_from=start.ckpt",
        "scheduler=step",
        "scheduler.milestones=[1]",
        "scheduler.gamma=1e12",
        "hydra.run.dir=run",
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "epoch 1" in done.stderr
    assert "run/checkpoints/last.ckpt" in done.stderr
    flow = load_flow(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(p).all() for p in flow.parameters())


def test_help_is_a_page_to_act_on(tmp_path):
    for script in ("train.py", "sample.py"):
        text = run(script, "--help", cwd=tmp_path).stdout
        assert "Examples:" in text
        assert "python sample.py ckpt_path=" in text
