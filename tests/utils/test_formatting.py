import math
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from flowlat.utils.formatting import in_brief, table, typed, with_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (9.29021, 0.0023, "9.2902(23)"),
        (382.34, 0.08, "382.340(80)"),
        (87.9, 1.12, "87.9(1.1)"),
        (115.2, 12.3, "115(12)"),
        (-0.1597, 0.0004, "-0.15970(40)"),
        (1.0, 0.0996, "1.00(10)"),  # rounds up to another digit
        (1.0, 0.996, "1.0(1.0)"),
        (0.5, 0.0, "0.5"),
        (0.5, math.nan, "0.5(?)"),
        (math.nan, 0.1, "nan"),
    ],
)
def test_value_with_error_in_its_last_two_digits(value, error, text):
    assert with_error(value, error) == text


def test_table_is_aligned():
    rows = [("name", "value"), ("a longer name", "1.0")]
    assert table(rows) == "  name           value\n  a longer name  1.0"


def test_a_vector_in_a_line():
    assert in_brief(["0.10(1)", "0.20(1)"]) == "0.10(1) 0.20(1)"
    values = [f"{i}.00(10)" for i in range(10)]
    assert in_brief(values, 30) == "0.00(10) 1.00(10) 2.00(10) ... 7 more"
    assert in_brief(values[:1], 3) == "0.00(10)"


@pytest.mark.parametrize(
    "path", ["a/b.ckpt", "arch=conv,seed=1/0", "my run (2)", "a'b", 'a"b', "ends\\", "[8]", "${x}"]
)
def test_an_option_can_be_pasted(path):
    """What the shell, then Hydra, make of it is the path."""
    (word,) = shlex.split(typed("key", path))
    (override,) = OverridesParser.create().parse_overrides([word])
    config = OmegaConf.create({"key": override.value()})
    assert config.key == path
    assert not override.is_sweep_override()
