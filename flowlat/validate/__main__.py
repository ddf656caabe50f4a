"""python -m flowlat.validate [--quick] [--group NAME] [--seed N] [--out DIR]"""

import sys
from collections.abc import Sequence

from flowlat.runs.program import exit_code


@exit_code
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; 1 on disagreement."""
    # here, not above: see flowlat/train.py
    from flowlat.validate.command import validate

    return validate(arguments)


if __name__ == "__main__":
    sys.exit(main())
