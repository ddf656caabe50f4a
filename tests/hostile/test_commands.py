"""Hostile checkpoints given to the programs: one line, exit code 2, nothing runs or is left."""

import pytest

from tests.support.hostile_files import PAYLOADS, TOUCH, contents, save


def other_target(content):
    content["flowlat"]["config"]["action"] = TOUCH
    return content


def hidden_target(content):
    content["flowlat"]["config"]["arch"]["hidden"] = [TOUCH]
    return content


def huge(content):
    content["flowlat"]["config"]["lattice"]["shape"] = [100_000, 100_000]
    return content


def not_finite(content):
    next(iter(content["state_dict"].values())).fill_(float("nan"))
    return content


FILES = {
    "payload": lambda content: {**content, "flowlat": PAYLOADS["a shell"]},
    "target": other_target,
    "hidden": hidden_target,
    "huge": huge,
    "nan": not_finite,
}
COMMANDS = {"sample.py": "ckpt_path", "train.py": "init_from"}


#: init_from takes the weights alone: the size of its lattice is nothing that is allocated
CASES = [(script, name) for script in COMMANDS for name in FILES if name != "huge"]


@pytest.mark.parametrize(("script", "name"), [*CASES, ("sample.py", "huge")])
def test_one_line_and_no_harm(script, name, command, tmp_path):
    path = save(FILES[name](contents()), tmp_path / "a.ckpt")
    same = ["lattice.shape=[4,2]", "arch=combconv_k1", "arch.hidden=[2]", "arch.n_couplings=2"]
    flow = [*same, "arch.block=null", "prior=potential"] if script == "train.py" else []
    done = command(script, f"{COMMANDS[script]}={path}", *flow, "hydra.run.dir=run")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.ckpt"}
