"""What flowlat 0.1.0 left still loads and goes on, and its names can still be typed."""

import shutil

import pytest
import torch

from flowlat import load_flow
from flowlat.runs.metrics import read_metrics
from tests.support.helpers import ROOT, build_everything

DATA = ROOT / "tests" / "data" / "trainings_0_1"

#: log q, by 0.1.0, of a ramp from -1 to 1 over two configurations
LOG_Q = {
    "continuous": [-7.212014181788333, -7.212014181788329],
    "combconv_k1": [-7.228814943962503, -7.225628627896288],
}
SMALL = ("lattice.shape=[4,4]", "trainer=cpu", "threads=1")


@pytest.mark.parametrize("arch", LOG_Q)
def test_a_checkpoint_is_the_same_flow(arch):
    flow = load_flow(DATA / f"{arch}.ckpt").double()
    phi = torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(2, 4, 4)
    # of a continuous flow: it was the solution in twelve classical steps
    error = 1e-6 if arch == "continuous" else 1e-9
    assert flow.log_prob(phi).tolist() == pytest.approx(LOG_Q[arch], abs=error)


def test_a_stopped_training_goes_on(command, tmp_path):
    """The command line it had, the batch that was the default, and resume=true.

    Its random numbers are others than those of 0.1.0.

    Loss and log Z are of 3840 and 128 samples with weights of standard deviation 0.1, so that they
    differ between two trainings by 0.002 and 0.01; before the third step the loss is 0.6 above.
    """
    shutil.copytree(DATA / "stopped", tmp_path / "run")
    typed = ["trainer.max_epochs=3", "trainer.limit_train_batches=60", "evaluation.n_samples=128"]
    goes_on = [
        "data.batch_size=64",
        "evaluation.batch_size=128",
        "hydra.run.dir=run",
        "resume=true",
    ]
    done = command("train.py", *SMALL, *typed, *goes_on)
    assert done.returncode == 0, done.stderr
    rows, expected = (
        read_metrics(p) for p in (tmp_path / "run/metrics.csv", DATA / "finished.csv")
    )
    assert len(rows) == len(expected) == 3
    assert rows[0] == expected[0] | {"pareto_k": ""}  # which 0.1.0 had not
    for row, known in zip(rows, expected, strict=True):
        for key in ("epoch", "step", "samples", "lr"):
            assert row[key] == known[key]
        for key in ("loss", "log_z"):
            assert float(row[key]) == pytest.approx(float(known[key]), abs=0.05), key
        assert float(row["ess"]) > 0.95


def test_old_names_on_the_command_line(tmp_path):
    names = ["scheduler._target_=flowlat.schedulers.one_cycle", "logger=wandb"]
    names += ["evaluation._target_=flowlat.callbacks.Evaluation", "logger.wandb.offline=true"]
    names += ["logger.wandb._target_=flowlat.loggers.Wandb", f"logger.wandb.save_dir={tmp_path}"]
    build_everything([*SMALL, *names], tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*"))


def test_old_names_in_a_yaml(command, tmp_path):
    """In a folder of the user's own."""
    (tmp_path / "mine" / "scheduler").mkdir(parents=True)
    target = "_target_: flowlat.schedulers.one_cycle"
    (tmp_path / "mine" / "scheduler" / "quick.yaml").write_text(
        f"{target}\n_partial_: true\nrise: 0.5\nstart: 0.1\nfinal: 0.1\n"
    )
    tiny = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "evaluation.n_samples=32"]
    own = ["--config-dir=mine", "scheduler=quick", "hydra.run.dir=run"]
    done = command("train.py", *own, *SMALL, *tiny)
    assert done.returncode == 0, done.stderr
    content = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    target = content["flowlat"]["config"]["scheduler"]["_target_"]
    assert target == "flowlat.training.schedulers.one_cycle"
