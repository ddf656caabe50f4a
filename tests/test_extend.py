"""docs/howto/extend.md as a reader follows it: copied into a tree, under the laws of that tree."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.helpers import ROOT

PAGE = ROOT / "docs" / "howto" / "extend.md"
#: a path in the text, and the block of code that follows it
FILE = re.compile(r"`((?:flowlat|conf)/\w+/\w+\.(?:py|yaml))`:\n\n```\w+\n(.*?)^```", re.M | re.S)


@pytest.fixture
def tree(tmp_path):
    """A copy of the code with the page's files in it."""
    for folder in ("flowlat", "conf", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "data")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    files = dict(FILE.findall(PAGE.read_text()))
    assert len(files) == 4
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_the_examples_pass_the_laws(tree):
    """In one and two dimensions: the laws of more are the same, and slower."""
    wanted = "(sextic or neighbours) and not 3d and not 4d and not 3-neigh and not 4-neigh"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", "addopts=", "tests/laws", "-k", wanted],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= 30
