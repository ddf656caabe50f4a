"""Data goes one way: a room imports only from those before it."""

import ast
from pathlib import Path

import flowlat

PACKAGE = Path(flowlat.__file__).parent

ROOMS = [
    "utils",
    "lattice",
    "kernels",
    "actions",
    "priors",
    "nets",
    "observables",
    "analysis",
    "bijections",
    "archs",
    "flows",
    "config",
    "samplers",
    "objectives",
    "ensemble",
    "runs",
    "families",
    "report",
    "training",
    "sampling",
    "exchange",
    "scan",
    "validate",
]
#: what lies loose in the root: what one imports, and commands (python -m flowlat.NAME)
LOOSE = {"__init__.py", "forward_ess.py", "sample.py", "train.py"}


def imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
    return {n.module.split(".")[1] for n in nodes if (n.module or "").startswith("flowlat.")}


def test_no_import_runs_backwards():
    for number, room in enumerate(ROOMS):
        for path in (PACKAGE / room).rglob("*.py"):
            assert imported(path) <= set(ROOMS[: number + 1]), path


def test_everything_is_in_a_room():
    assert {path.name for path in PACKAGE.glob("*.py")} == LOOSE
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(ROOMS)


def test_no_folder_is_crowded():
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        files = [path for path in folder.iterdir() if path.is_file()]
        assert len(files) <= 12, folder
