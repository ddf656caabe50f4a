"""The head of every page: what theory its runs are of, and how each was made."""

from collections.abc import Mapping, Sequence
from typing import Any

from flowlat.actions import Action
from flowlat.config.trust import check_node
from flowlat.config.validation import locate
from flowlat.report.page.blocks import Table
from flowlat.runs.folders import Sampled, Scanned, Trained
from flowlat.utils.errors import ConfigError

#: what is said of a run, in this order
FACTS = ("theory", "lattice", "architecture", "recipe", "seed", "flowlat", "folder")

#: a run that has a config
Run = Sampled | Trained | Scanned


def header(columns: Mapping[str, Sequence[Run]]) -> Table:
    """Theory, lattice, architecture, recipe, seed and version: a column for each label, in which
    what differs between its runs, as between the jobs of a study, is listed."""
    cells = [[facts(run) for run in runs] for runs in columns.values()]
    rows = []
    for name in FACTS:
        values = [dict.fromkeys(filter(None, (run[name] for run in column))) for column in cells]
        texts = list(map("; ".join, values))
        if any(texts):
            rows.append([name, *(text or "-" for text in texts)])
    return Table(["", *columns], rows, "Couplings in lattice units.")


def convention(runs: Sequence[Run]) -> str:
    """The formula of S, as it is in the files of an ensemble; that of each action where there are
    several, empty where none is known."""
    return "; ".join(dict.fromkeys(filter(None, map(formula, runs))))


def formula(run: Run) -> str:
    """The formula of the action of a run; of a config only if the class may stand in a file."""
    if isinstance(run, Sampled):
        return run.ensemble.convention
    action = node(run.config, "action")
    try:
        check_node(action, "flowlat.actions", Action, "action")
    except ConfigError:
        return ""
    return str(getattr(locate(action["_target_"]), "convention", ""))


def facts(run: Run) -> dict[str, str]:
    """What a run is by name, empty where it is not known: its folder may be of an older version."""
    config = run.ensemble.config if isinstance(run, Sampled) else run.config
    family = node(config, "family")
    flow = node(config, "flow") if isinstance(run, Sampled) else config
    lattices = family.get("shapes") or [node(config, "lattice").get("shape")]
    return {
        "theory": couplings({**node(config, "action"), **ranges(family)}),
        "lattice": ", ".join(dict.fromkeys(map(lattice, lattices))),
        "architecture": described(node(flow, "arch")),
        "recipe": recipe(run, config),
        "seed": str(config.get("seed", "")),
        "flowlat": version(provenance_of(run)),
        "folder": str(run.path),
    }


def recipe(run: Run, config: Mapping[str, Any]) -> str:
    """Of a training objective and phase, of the others the sampler."""
    if not isinstance(run, Trained):
        return named(node(config, "sampler"))
    phase = (run.summary or {}).get("phase") or config.get("phase")
    mirrored = "symmetrised" if config.get("symmetrize") else ""
    parts = named(node(config, "objective")), f"phase={phase}" if phase else "", mirrored
    return ", ".join(filter(None, parts))


def provenance_of(run: Run) -> Mapping[str, Any]:
    """Versions, as the run has left them; those of a training are in the summary at its end."""
    if isinstance(run, Sampled):
        return run.ensemble.provenance
    return node(run.summary or {}, "provenance")


def version(provenance: Mapping[str, Any]) -> str:
    """0.2.0, and seven digits of the revision where there is one: 0.2.0 (51624fa)."""
    release, revision = (str(provenance.get(key, "")) for key in ("flowlat", "git_revision"))
    dirty = "-dirty" if revision.endswith("-dirty") else ""
    return release + (f" ({revision[:7]}{dirty})" if revision else "")


def lattice(shape: Any) -> str:
    """2-d 8x8; as it is written where it is no single shape."""
    if isinstance(shape, list | tuple) and shape and not isinstance(shape[0], list):
        return f"{len(shape)}-d {'x'.join(map(str, shape))}"
    return "" if shape is None else str(shape)


def couplings(action: Mapping[str, Any]) -> str:
    """Phi4, m2=-4.0 lam=8.0."""
    values = " ".join(f"{k}={v}" for k, v in action.items() if k != "_target_")
    return ", ".join(filter(None, (named(action), values)))


def ranges(family: Mapping[str, Any]) -> dict[str, str]:
    """The couplings of a family: -6.4 to 2.3."""
    pairs = {name: family.get(name) for name in ("m2", "lam")}
    return {n: f"{p[0]} to {p[1]}" for n, p in pairs.items() if isinstance(p, list) and len(p) == 2}


def described(option: Mapping[str, Any]) -> str:
    """An option with its values: continuous(n_steps=4, channels=4, equivariant=True)."""
    values = ", ".join(f"{k}={v}" for k, v in option.items() if k != "_target_" and v is not None)
    return named(option) + (f"({values})" if values else "")


def named(option: Mapping[str, Any]) -> str:
    """The last word of a ``_target_``."""
    return str(option.get("_target_", "")).rpartition(".")[2]


def node(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A mapping in a config; empty where there is none."""
    found = config.get(key)
    return found if isinstance(found, Mapping) else {}
