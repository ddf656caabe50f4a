"""A mistyped option is one line, which names it and says what to type."""

import shlex

import pytest

MISTYPED = {
    "optimizer.learning_rate=0.1": "optimizer.learning_rate=0.1: no such option (known: .*betas",
    "nosuch=1": "nosuch=1: no such option (known: .*seed",
    "lattice.shape=[8, 8]": "lattice.shape=[8,: divided at a blank; 'lattice.shape=[8, 8]' is not",
    "lattice.shape=[8,8": "lattice.shape=[8,8: a bracket is not closed",
    "seed=1,2": "seed=1,2: several values are a sweep, which takes -m; a list is seed=[1,2]",
    "seed=range(3)": "seed=range(3): several values are a sweep, which takes -m",
    "ckpt_path=~/x": "ckpt_path=~/x: ~ is not expanded within a word; ckpt_path=$HOME/x is",
    "arch=nosuch": "arch=nosuch: no such option (known: combconv_k1, .*spline",
    "seed": "seed: not KEY=VALUE",
    "init_from=a=b": "init_from=a=b: .*; as it stands, 'init_from=\"a=b\"'",
    "init_from=a(1)": "init_from=a(1): .*; as it stands, 'init_from=\"a(1)\"'",
    "arch=null": "arch=null .*must be a string",
    "~nosuch": "~nosuch .*does not exist",
}


@pytest.mark.parametrize("typed", MISTYPED)
def test_one_line(typed, command, tmp_path):
    name = "sample.py" if typed.startswith("ckpt_path") else "train.py"
    done = command(name, *typed.split())
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    for part in MISTYPED[typed].split(".*"):
        assert part in line
        line = line.partition(part)[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("typed", ["init_from=a=b", "init_from=a(1)"])
def test_what_is_to_be_typed_instead_composes(typed, command):
    hint = command("train.py", typed).stderr.partition("as it stands, ")[2].strip()
    (word,) = shlex.split(hint)
    path = typed.partition("=")[2]
    assert f"{path}: no such file" in command("train.py", word, "phase=symmetric").stderr


def test_a_job_of_a_sweep(command):
    done = command("train.py", "-m", "optimizer.learning_rate=0.1,0.2")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: optimizer.learning_rate=0.1,0.2: no such option (known: ")
