"""The path-gradient estimator of the reverse KL."""

from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.lattice import sum_sites


def path_gradient(flow: Flow, action: Action, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the reverse KL through the samples only: d/dphi [log q + S] . dphi/dtheta.

    The score term E[d log q(phi) / d theta], zero on average, is left out, so the variance goes
    to zero as q -> p (Vaitl et al., arXiv:2207.08219). d log q / dphi is what the flow carries
    along (:meth:`flowlat.flows.Flow.with_score`; Vaitl et al., arXiv:2403.15881): any bijection
    will do, at most at the cost of one inverse and its gradient in phi on top of the plain reverse
    KL. The returned loss has the gradient of the KL and not its value.
    """
    phi, log_q, score = flow.with_score(noise)
    sample = phi.detach()
    loss = sum_sites((score - action.force(sample)) * phi).mean()
    return loss, -action(sample) - log_q.detach()
