"""What the tail of the weights leaves of averages: which of them have no error."""

import math

from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.pareto import HEAVY, NO_VARIANCE, pareto_k_of
from flowlat.ensemble.reader import Ensemble
from flowlat.ensemble.stretches import in_rows


def heavy_observables(ensemble: Ensemble, k: float) -> dict[str, float]:
    """Observables whose weighted measurements have a Pareto k above 0.7, with that k.

    Args:
        k: of the weights. Up to 1/2 they have a variance: no observable is looked at, since M^4 of
            a good flow has a tail of its own, which looks heavy in short runs.
    """
    if ensemble.log_weight is None or not k > NO_VARIANCE:
        return {}
    names = ensemble.config["observables"]
    log_weight = ensemble.log_weight
    shapes = {n: pareto_k_of(in_rows(ensemble, f"measured/{n}"), log_weight) for n in names}
    return {name: shape for name, shape in shapes.items() if shape > HEAVY}


def without_error(estimate: Estimate | list[Estimate], unknown: bool) -> Estimate | list[Estimate]:
    """The value alone, where its error is unknown."""
    if not unknown:
        return estimate
    if isinstance(estimate, list):
        return [e._replace(error=math.nan) for e in estimate]
    return estimate._replace(error=math.nan)
