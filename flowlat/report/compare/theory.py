"""The theory of an ensemble: what is known of it, and whether two are the same."""

from collections.abc import Sequence

from flowlat.analysis.exact import Known, known
from flowlat.ensemble.reference import differences, theory_of
from flowlat.lattice import Lattice
from flowlat.runs.folders import Sampled
from flowlat.utils.errors import EnsembleError


def exact_values(run: Sampled) -> Known:
    """What is known exactly of the run's theory; nothing of an action of a user's own."""
    if not run.ensemble.config["action"]["_target_"].startswith("flowlat.actions."):
        return {}
    return known(run.ensemble.theory(), Lattice(run.ensemble.shape))


def require_same_theory(runs: Sequence[Sampled]) -> None:
    """Raise EnsembleError, naming the first difference in lattice or action."""
    first = runs[0]
    for run in runs[1:]:
        a, b = theory_of(first.ensemble.config), theory_of(run.ensemble.config)
        for key, (ours, theirs) in differences(a, b).items():
            raise EnsembleError(
                f"runs {first.path} and {run.path} cannot be compared: "
                f"{key}={theirs} against {ours}"
            )
