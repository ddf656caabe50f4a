import subprocess
from datetime import datetime

import torch

from flowlat import __version__
from flowlat.utils import provenance


def test_versions_revision_and_date():
    record = provenance.provenance()
    assert record["torch"] == torch.__version__
    assert record["flowlat"] == __version__
    assert {"python", "git_revision", "lightning", "hydra-core", "numpy"} <= record.keys()
    assert datetime.fromisoformat(record["date"]).tzinfo
    assert all(isinstance(value, str) for value in record.values())


def test_no_git_is_no_revision(monkeypatch):
    def absent(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", absent)
    assert provenance.provenance()["git_revision"] == ""
