"""A mistyped option is one line, which names it and says what to type."""

import shlex

import pytest

from flowlat import compose
from flowlat.utils.errors import ConfigError

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


@pytest.mark.parametrize(
    ("typed", "shape"), [("family=phi4_2d", [12, 12]), ("experiment=E1", [6, 6])]
)
def test_a_lattice_of_another_dimension_than_the_family(typed, shape, command):
    done = command("train.py", "lattice=3d", typed, "hydra.run.dir=run")
    expected = (
        f"lattice=3d with {typed}: that has lattice.shape={shape}, d=2, and lattice=3d is d=3"
    )
    assert (done.returncode, done.stderr) == (2, f"error: {expected}\n")


def test_a_lattice_of_the_same_dimension_may_be_typed():
    assert compose(["family=phi4_2d", "lattice=2d"]).lattice.shape == [12, 12]
    assert compose(["lattice=3d", "lattice.shape=[4,4]"]).lattice.shape == [4, 4]  # as it is typed
    with pytest.raises(ConfigError, match="lattice=4d with family=phi4_3d: "):
        compose(["lattice=4d", "family=phi4_3d"])
