"""The theory of an ensemble: what is known of it, and whether two are the same."""

from collections.abc import Sequence
from typing import Any

from flowlat.errors import EnsembleError
from flowlat.exact import Known, known
from flowlat.lattice import Lattice
from flowlat.report.runs import Sampled


def exact_values(run: Sampled) -> Known:
    """What is known exactly of the run's theory; nothing of an action of a user's own."""
    if not run.ensemble.config["action"]["_target_"].startswith("flowlat.actions."):
        return {}
    return known(run.ensemble.theory(), Lattice(run.ensemble.shape))


def require_same_theory(runs: Sequence[Sampled]) -> None:
    """Raise EnsembleError, naming the first difference in lattice or action."""
    first = runs[0]
    for run in runs[1:]:
        a, b = theory_of(first), theory_of(run)
        for key in [*a, *(b.keys() - a.keys())]:
            if a.get(key) != b.get(key):
                raise EnsembleError(
                    f"runs {first.path} and {run.path} cannot be compared: "
                    f"{key}={b.get(key)} against {a.get(key)}"
                )


def theory_of(run: Sampled) -> dict[str, Any]:
    """Lattice and action by config key; the free action is phi^4 with lam = 0."""
    action = dict(run.ensemble.config["action"])
    target = action.pop("_target_")
    if target.rpartition(".")[2] == "Free":
        target, action = target.replace("Free", "Phi4"), {**action, "lam": 0.0}
    return {
        "lattice.shape": list(run.ensemble.shape),
        **{f"action.{key}": value for key, value in action.items()},
        "action._target_": target,
    }
