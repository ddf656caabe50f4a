"""The runs that are drawn, as one would type them."""

import subprocess
import sys
from pathlib import Path

#: a training that leaves the flow as bad as its prior
UNTRAINED = "optimizer.lr=1e-9 trainer.max_epochs=1 trainer.limit_train_batches=1 trainer=cpu"
WELLS = "sampler=hmc lattice=1d lattice.shape=[8] action.m2=-1111 action.lam=6173 n_samples=20000"

#: folder -> program and options; {runs} is where the folders are
COMMANDS = {
    "wide": "train.py lattice=1d lattice.shape=[8] action.m2=-1 action.lam=1 prior.mass2=0.02 "
    + UNTRAINED,
    "replicas": "sample.py ckpt_path={runs}/wide n_samples=32768 sampler.replicas=64",
    "narrow": f"train.py lattice.shape=[4,4] action=free action.m2=0.1 prior.mass2=0.3 {UNTRAINED}",
    "weights": "sample.py ckpt_path={runs}/narrow n_samples=100000 seed=4",
    "frozen": f"sample.py {WELLS} sampler.sign_flip=false",
    "crossed": f"sample.py {WELLS}",
}


def run_missing(runs: Path) -> None:
    """Run what has left nothing yet."""
    for name, command in COMMANDS.items():
        if not (runs / name / "summary.json").exists():
            words = command.format(runs=runs).split()
            subprocess.run([sys.executable, *words, f"hydra.run.dir={runs / name}"], check=True)
