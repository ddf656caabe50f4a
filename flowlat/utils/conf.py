"""Where the yaml files are."""

from pathlib import Path


def conf_dir() -> Path:
    """The folder of the yaml files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
