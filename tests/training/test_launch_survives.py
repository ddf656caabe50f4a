"""A training on two ranks of which one dies, is signalled, or diverges."""

from typing import Any

import pytest

from flowlat import compose
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.runs.metrics import read_metrics
from flowlat.training.launch import train
from flowlat.utils.errors import Interrupted, RankError
from tests.support.forked import fork_ranks
from tests.support.trainings import TINY, assert_same, everything

#: a checkpoint after every step; two epochs of four
NAMES = (*TINY, "trainer=ddp_cpu", "objective._target_=tests.support.fakes.disturbed")


def config(*names: str) -> dict[str, Any]:
    return validate(compose([*NAMES, *names]), TrainConfig)


@pytest.fixture
def disturb(monkeypatch):
    """``disturb(rank, call, what)`` happens in the next training, see ``fakes.disturbed``."""
    monkeypatch.setattr("flowlat.runs.ranks.processes.GRACE", 5.0)
    fork_ranks(monkeypatch)
    return lambda *what: monkeypatch.setenv("DISTURB", "{} {} {}".format(*what))


def test_a_rank_that_dies_and_a_signal(disturb, tmp_path):
    """kill -9 of the second rank in step 3, SIGUSR1 to the parent two steps later: to the last bit
    what nobody disturbed."""
    run = tmp_path / "run"
    disturb(1, 3, "die")
    with pytest.raises(RankError) as died:
        train(config(), run)
    last = run / "checkpoints" / "last.ckpt"
    assert str(died.value) == (
        f"rank 1 died, by SIGKILL; the last good checkpoint is {last}, "
        "resume=true goes on from there"
    )
    disturb(0, 3, "signal")
    with pytest.raises(Interrupted, match="ended by SIGUSR1 after step 5 of 8"):
        train(config("resume=true"), run)
    disturb(0, 0, "nothing")
    train(config("resume=true"), run)
    train(config(), tmp_path / "whole")
    assert_same(everything(run), everything(tmp_path / "whole"))


def test_both_ranks_take_a_divergence_of_one_back(disturb, tmp_path):
    disturb(1, 6, "nan")  # in the second epoch
    names = ["divergence.max_rollbacks=1", "divergence.lr_factor=0.125", "scheduler=constant"]
    summary = train(config(*names), tmp_path)
    assert (summary["epochs"], summary["steps"]) == (2, 8)
    rates = [float(row["lr"]) for row in read_metrics(tmp_path / "metrics.csv")]
    assert rates[1] == pytest.approx(rates[0] / 8)
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["flowlat"]["rollbacks"] == 1
