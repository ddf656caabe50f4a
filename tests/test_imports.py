"""Data goes one way: an import may only point to what lies before."""

import ast
from pathlib import Path

import flowlat

PACKAGE = Path(flowlat.__file__).parent

#: every module or subpackage may import only from lower levels (and from itself)
LEVEL = {
    "errors": -2,
    "limits": -1,
    **dict.fromkeys(
        [
            "files",
            "rng",
            "provenance",
            "lattice",
            "statistics",
            "plots",
            "schedulers",
            "threads",
            "archive",
            "text",
            "trainer",
        ],
        0,
    ),
    **dict.fromkeys(["kernels", "actions", "spectrum", "modes", "hdf5", "schema", "interrupt"], 1),
    **dict.fromkeys(["nets", "ranks", "observables", "priors", "exact", "layout"], 2),
    **dict.fromkeys(["couplings", "estimates"], 3),
    **dict.fromkeys(["archs", "flow"], 4),
    **dict.fromkeys(["objectives", "samplers"], 5),
    **dict.fromkeys(["metrics", "config", "cuda_graphs"], 6),
    **dict.fromkeys(["evaluation", "allowlist"], 7),
    **dict.fromkeys(["build", "data", "training", "loggers"], 8),
    **dict.fromkeys(["checkpoint", "ensemble", "measure", "memory"], 9),
    **dict.fromkeys(
        ["reference", "theory", "store", "summary", "cli", "results", "resume", "training_state"],
        10,
    ),
    **dict.fromkeys(["callbacks", "forward_ess", "pool"], 11),
    **dict.fromkeys(["draw", "assembly", "report"], 12),
    "fit": 13,
    **dict.fromkeys(["launch", "sweep", "validate"], 14),
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
