"""Sizes beyond which an option is refused, in the words of the options."""

import pytest

from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import require_at_most


def test_the_limit_itself_is_allowed():
    require_at_most(3, "sites", 3, "shape=[3]")
    with pytest.raises(ConfigError, match=r"shape=\[4\]: more than 3 sites"):
        require_at_most(3, "sites", 4, "shape=[4]")
