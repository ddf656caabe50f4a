"""Whether the server of Weights & Biases is there, in seconds instead of its own minutes."""

import os
import urllib.error
import urllib.request

#: for an answer
SECONDS = 10.0


def require_server() -> None:
    """Raise ValueError unless the server answers, or W&B is told by WANDB_MODE not to need it."""
    import wandb

    settings = wandb.Settings()
    settings.update_from_env_vars(dict(os.environ))
    if settings.mode not in ("online", "shared", "run"):
        return
    try:
        urllib.request.urlopen(settings.base_url, timeout=SECONDS).close()
    except urllib.error.HTTPError:  # an answer
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(
            f"{settings.base_url} does not answer ({reason}); logger.wandb.offline=true needs no "
            "network"
        ) from error
