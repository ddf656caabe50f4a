"""What a training loses again: log Z that falls, an ESS that collapses."""

import logging
import math

from lightning.pytorch import Callback, LightningModule, Trainer

from flowlat.analysis.trust import LOG_Z_SIGMAS, warnings
from flowlat.training.loggers import Wandb

log = logging.getLogger(__name__)


class Decline(Callback):
    """A line at the epoch where log Z has fallen or the ESS has collapsed, with what to do.

    <w>_q is Z whatever the flow, as long as q is positive where exp(-S) is and log q is the density
    of the samples: log Z that falls beyond its errors says that one of the two is lost. It is held
    against the highest lower bound so far, log Z less five errors; the ESS against the best, in
    the geometric mean of two evaluations: a heavy weight that comes by once is no collapse.

    ``seen`` are figures for ``flowlat.analysis.trust``, as of the last evaluation; they are the
    state that a checkpoint keeps.
    """

    def __init__(self) -> None:
        self.seen = {
            "best_ess": 0.0,
            "ess_left": 1.0,  # of the best, mean of two evaluations
            "ess_left_last": 1.0,
            "best_log_z": -math.inf,
            "best_log_z_err": 0.0,
            "log_z_fall": 0.0,
            "log_z_fall_err": 0.0,
        }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        measured = trainer.logged_metrics
        if "ess" not in measured:  # not in this epoch
            return
        ess, log_z, error = (float(measured[name]) for name in ("ess", "log_z", "log_z_err"))
        known = {warning["code"] for warning in warnings(self.seen)}
        self.look(ess, log_z, error)
        for warning in warnings(self.seen):
            if warning["code"] not in known:
                text = f"epoch {trainer.current_epoch}: {warning['text']}"
                log.warning(text)
                for logger in trainer.loggers:
                    if isinstance(logger, Wandb):
                        logger.alert(warning["code"], text)

    def look(self, ess: float, log_z: float, log_z_err: float) -> None:
        """Take in the figures of an evaluation."""
        seen = self.seen
        seen["best_ess"] = max(seen["best_ess"], ess)
        left = ess / seen["best_ess"]
        seen["ess_left"] = math.sqrt(left * seen["ess_left_last"])
        seen["ess_left_last"] = left
        bound = seen["best_log_z"] - LOG_Z_SIGMAS * seen["best_log_z_err"]
        if log_z - LOG_Z_SIGMAS * log_z_err > bound:
            seen["best_log_z"], seen["best_log_z_err"] = log_z, log_z_err
        seen["log_z_fall"] = seen["best_log_z"] - log_z
        seen["log_z_fall_err"] = math.hypot(seen["best_log_z_err"], log_z_err)

    def state_dict(self) -> dict[str, float]:
        return dict(self.seen)

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        seen = {name: float(state_dict[name]) for name in self.seen}
        sizes = [value for name, value in seen.items() if "ess" in name or "err" in name]
        if not min(sizes) >= 0 or any(map(math.isnan, seen.values())):
            raise ValueError(f"Decline: {seen} was never measured")
        self.seen = seen
