"""Files of other programs where an ensemble is asked for: sound, but to be imported first."""

from pathlib import Path

from flowlat.utils.errors import EnsembleError

#: how others' configurations become an ensemble
IMPORT = "python -m flowlat.exchange import takes configurations of other programs"
#: the first bytes of a file, and what it is
MAGIC = {b"\x93NUMPY": "a .npy file", b"PK\x03\x04": "a .npz or zip file"}
#: names of texts
TEXTS = (".txt", ".dat", ".csv", ".tsv", ".asc")


def require_own(path: Path) -> None:
    """Raise EnsembleError, which says how to import it, for what is plainly no HDF5 file."""
    with path.open("rb") as file:
        head = file.read(8)
    kinds = [kind for magic, kind in MAGIC.items() if head.startswith(magic)]
    if not kinds and path.suffix.lower() in TEXTS:
        kinds = ["a text"]
    if kinds:
        raise EnsembleError(f"{path}: {kinds[0]}, and no ensemble of flowlat; {IMPORT}")
