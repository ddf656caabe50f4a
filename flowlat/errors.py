"""The errors a user can cause. Each is one line that names the key and the value."""


class ConfigError(ValueError):
    """An option that cannot be used: unknown, of the wrong type, or out of range."""


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, foreign, or for another lattice."""


class EnsembleError(ValueError):
    """An ensemble that is missing, damaged, foreign, of another theory, or cannot be written."""


class DivergedError(RuntimeError):
    """A training whose loss is no longer finite."""


USER_ERRORS = (ConfigError, CheckpointError, EnsembleError, DivergedError)
