"""The command line: what the pages and --help show, and what is refused in one line."""

import re
import shlex

import pytest
import yaml
from omegaconf import OmegaConf

from flowlat.scan.grid import config_of, grid_of
from flowlat.scan.run import checked
from flowlat.scan.volumes import volumes_as_list
from tests.support.forked import Command
from tests.support.helpers import CONF, ROOT
from tests.support.scans import config

HELP = yaml.safe_load((CONF / "hydra" / "help" / "scan.yaml").read_text())["template"]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
TEXT = "\n".join([HELP, *(path.read_text() for path in PAGES)])
LINES = {
    line.partition(" #")[0].strip()
    for line in re.findall(r"^ *python -m flowlat\.scan (.*)$", TEXT, re.MULTILINE)
    if " ... " not in f" {line} " and "--cfg" not in line and not line.startswith("GROUP")
}


@pytest.mark.parametrize("line", sorted(LINES))
def test_commands_compose(line):
    words = [volumes_as_list(word) for word in shlex.split(line) if not word.startswith("hydra.")]
    sampler = [] if any("sampler=" in word for word in words) else ["sampler=metropolis"]
    whole = config(*sampler, *words)
    for point in grid_of(whole).points():
        checked(config_of(whole, point))


def test_there_are_commands():
    assert len(LINES) >= 3


@pytest.mark.parametrize("group", ["lattice", "action", "sampler", "observables"])
def test_help_names_every_option(group):
    section = HELP.partition("Groups and their options:")[2].partition("Keys that")[0]
    shown = re.search(rf"^  {group} (.*(?:\n {{3,}}.*)*)", section, re.MULTILINE)[1]
    assert {path.stem for path in (CONF / group).glob("*.yaml")} <= set(re.findall(r"\w+", shown))


def test_help_shows_the_defaults():
    section = HELP.partition("Keys that one changes most")[2].partition("Results:")[0]
    rows = re.findall(r"^  (\S+) {2,}(\[.*?\]|\S+)", section, re.MULTILINE)
    assert len(rows) >= 10
    for key, shown in rows:
        assert OmegaConf.select(OmegaConf.create(config()), key) == yaml.safe_load(shown), key


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["action.lam=8:4.6:0.2"], "error: action.lam=8:4.6:0.2: runs downwards; write 4.6:8:0.2"),
        # both ends are in a family, what lies between in none
        (
            ["lattice.shape=[12,12]", "action.lam=2:8:2"],
            "error: action.lam=4.0 with action.m2=-4.0, lattice.shape=[12, 12]: outside of the",
        ),
        (["action.lam=5:6:1", "-m"], "error: -m: a scan is a sweep itself; write action."),
    ],
)
def test_errors_are_one_line(words, line, tmp_path):
    done = Command(tmp_path, "flowlat/scan/__main__.py", *words).wait()
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr
