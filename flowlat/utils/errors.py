"""The errors a user can cause. Each is one line that names the key and the value."""

#: characters of a message: what is in a file may be of any size
LONGEST = 2000


class _OneLine(Exception):
    """Its text is one line, whatever went into it: it may quote a file that nobody trusts."""

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        if len(line) > LONGEST:
            line = f"{line[:LONGEST]} ..."
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class ConfigError(_OneLine, ValueError):
    """An option that cannot be used: unknown, of the wrong type, or out of range."""


class CheckpointError(_OneLine, ValueError):
    """A checkpoint that is missing, damaged, foreign, or for another lattice."""


class EnsembleError(_OneLine, ValueError):
    """An ensemble that is missing, damaged, foreign, of another theory, or cannot be written."""


class DivergedError(_OneLine, RuntimeError):
    """A training whose loss, gradient, log weights or weights are no longer finite."""


class WriteError(_OneLine, RuntimeError):
    """A run folder that cannot be written any more, as on a full disk."""


class TooLargeError(_OneLine, RuntimeError):
    """A batch that does not fit into the memory of the device."""


class KernelError(_OneLine, RuntimeError):
    """A kernel asked for by name that cannot run here, or computes something else."""


class Interrupted(_OneLine, RuntimeError):
    """A training that a signal has ended: its number."""

    def __init__(self, message: str, number: int = 0):
        super().__init__(message)
        self.number = number


class RankError(_OneLine, RuntimeError):
    """A process of a training on several devices that died."""


#: all of them
USER_ERRORS = (_OneLine,)
