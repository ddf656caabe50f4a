"""Data goes one way: an import may only point to what lies before."""

import ast
from pathlib import Path

import flowlat

PACKAGE = Path(flowlat.__file__).parent

#: every module or subpackage may import only from lower levels (and from itself)
LEVEL = {
    **dict.fromkeys(
        [
            "errors",
            "files",
            "rng",
            "provenance",
            "lattice",
            "statistics",
            "plots",
            "schedulers",
            "threads",
        ],
        0,
    ),
    **dict.fromkeys(["kernels", "actions", "priors", "samplers", "observables"], 1),
    "nets": 2,
    "couplings": 3,
    **dict.fromkeys(["archs", "flow"], 4),
    **dict.fromkeys(["objectives", "metrics"], 5),
    **dict.fromkeys(["evaluation", "config"], 6),
    **dict.fromkeys(["build", "ensemble", "data", "training", "loggers", "callbacks"], 7),
    "checkpoint": 8,
    **dict.fromkeys(["fit", "draw", "cli"], 9),
}


def part(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
    return {part(n.module) for n in nodes if n.module and n.module.startswith("flowlat.")}


def test_no_import_runs_backwards():
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for other in imports(path) - {own}:
            assert LEVEL[other] < LEVEL[own], f"{path.name} ({own}) imports {other}"


def test_every_part_has_a_level():
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix in ("", ".py")}
    assert parts - {"__init__", "__pycache__", "conf"} == set(LEVEL)
