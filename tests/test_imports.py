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
    **dict.fromkeys(["kernels", "actions", "spectrum", "hdf5"], 1),
    **dict.fromkeys(["nets", "observables", "priors", "exact"], 2),
    **dict.fromkeys(["couplings", "estimates"], 3),
    **dict.fromkeys(["archs", "flow"], 4),
    **dict.fromkeys(["objectives", "samplers"], 5),
    **dict.fromkeys(["metrics", "config", "cuda_graphs"], 6),
    **dict.fromkeys(["evaluation", "allowlist"], 7),
    **dict.fromkeys(["build", "data", "training", "loggers", "callbacks"], 8),
    **dict.fromkeys(["checkpoint", "ensemble", "measure"], 9),
    **dict.fromkeys(["fit", "theory", "store", "summary", "cli"], 10),
    "draw": 11,
    "report": 12,
    "validate": 13,
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
